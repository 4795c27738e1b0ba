package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cometbft/cometbft/types"
)

// Which cases are made of a chain.

const (
	stepsPerChain   = 36
	clientsPerChain = 24
	dayMs           = int64(24 * time.Hour / time.Millisecond)
)

func jsonOf(value any) []byte {
	return bytes.TrimSpace(must(json.Marshal(value)))
}

func copyOf(block lightJSON) lightJSON {
	var other lightJSON
	if err := json.Unmarshal(jsonOf(block), &other); err != nil {
		panic(err)
	}
	return other
}

type change struct {
	name  string
	apply func(c *chainOf, l *lightJSON)
}

func voteOf(c *chainOf, l *lightJSON) *voteJSON {
	return &l.Commit.Votes[c.rng.Intn(len(l.Commit.Votes))]
}

// Forgeries of somebody without keys.
var changes = []change{
	{"a signature's bit", func(c *chainOf, l *lightJSON) {
		if vote := voteOf(c, l); vote.Signature != nil {
			bad := fromBase64url(*vote.Signature)
			bad[c.rng.Intn(64)] ^= 1 << c.rng.Intn(8)
			text := toBase64url(bad)
			vote.Signature = &text
		}
	}},
	{"a vote absent", func(c *chainOf, l *lightJSON) { *voteOf(c, l) = voteJSON{Flag: types.BlockIDFlagAbsent} }},
	{"all votes but one absent", func(c *chainOf, l *lightJSON) {
		keep := c.rng.Intn(len(l.Commit.Votes))
		for i := range l.Commit.Votes {
			if i != keep {
				l.Commit.Votes[i] = voteJSON{Flag: types.BlockIDFlagAbsent}
			}
		}
	}},
	{"a vote made nil", func(c *chainOf, l *lightJSON) {
		if vote := voteOf(c, l); vote.Signature != nil {
			vote.Flag = types.BlockIDFlagNil
		}
	}},
	{"a nil vote counted", func(c *chainOf, l *lightJSON) {
		for i := range l.Commit.Votes {
			if l.Commit.Votes[i].Flag == types.BlockIDFlagNil {
				l.Commit.Votes[i].Flag = types.BlockIDFlagCommit
			}
		}
	}},
	{"votes exchanged", func(c *chainOf, l *lightJSON) {
		i, j := c.rng.Intn(len(l.Commit.Votes)), c.rng.Intn(len(l.Commit.Votes))
		l.Commit.Votes[i], l.Commit.Votes[j] = l.Commit.Votes[j], l.Commit.Votes[i]
	}},
	{"a vote doubled", func(c *chainOf, l *lightJSON) {
		l.Commit.Votes[c.rng.Intn(len(l.Commit.Votes))] = *voteOf(c, l)
	}},
	{"a vote too many", func(c *chainOf, l *lightJSON) { l.Commit.Votes = append(l.Commit.Votes, *voteOf(c, l)) }},
	{"a vote's time", func(c *chainOf, l *lightJSON) {
		if vote := voteOf(c, l); vote.Time != nil {
			later := vote.Time.Add(time.Nanosecond)
			vote.Time = &later
		}
	}},
	{"another round", func(c *chainOf, l *lightJSON) { l.Commit.Round++ }},
	{"another height in the commit", func(c *chainOf, l *lightJSON) { l.Commit.Height++ }},
	{"another block id", func(c *chainOf, l *lightJSON) { l.Commit.BlockID.Hash = l.Header.AppHash }},
	{"other parts", func(c *chainOf, l *lightJSON) { l.Commit.BlockID.Parts.Total++ }},
	{"another application hash", func(c *chainOf, l *lightJSON) { l.Header.AppHash = l.Header.DataHash }},
	{"another chain", func(c *chainOf, l *lightJSON) { l.Header.Chain = "comet-other" }},
	{"another power", func(c *chainOf, l *lightJSON) { l.Validators[0].Power++ }},
	{"a validator missing", func(c *chainOf, l *lightJSON) {
		if len(l.Validators) > 1 {
			l.Validators = l.Validators[1:]
		}
	}},
	{"another block version", func(c *chainOf, l *lightJSON) { l.Header.Version.Block = 10 }},
}

// Forgeries of validators who sign what they should not.
var signed = []change{
	{"the trusted block's time", func(c *chainOf, l *lightJSON) { l.Header.Time = casesStart }},
	{"another chain, signed", func(c *chainOf, l *lightJSON) { l.Header.Chain = "comet-other" }},
	{"other next validators, signed", func(c *chainOf, l *lightJSON) { l.Header.NextValidatorsHash = l.Header.AppHash }},
	{"another version, signed", func(c *chainOf, l *lightJSON) { l.Header.Version.Block = 10 }},
	{"a low height, signed", func(c *chainOf, l *lightJSON) { l.Header.Height = 1 }},
	{"validators that nobody announced, signed", func(c *chainOf, l *lightJSON) {
		l.Validators = validatorsOf(c.randomSet())
		l.Header.ValidatorsHash = hex.EncodeToString(validatorsInOrder(l.Validators).Hash())
	}},
	{"a short hash, signed", func(c *chainOf, l *lightJSON) { l.Header.DataHash = l.Header.DataHash[:20] }},
	{"a long time ahead, signed", func(c *chainOf, l *lightJSON) { l.Header.Time = l.Header.Time.Add(48 * time.Hour) }},
}

func (f *casesFile) addSteps(c *chainOf) {
	levels := [][]int64{{1, 3}, {1, 3}, {1, 2}, {2, 3}, {1, 1}}
	for i := 0; i < stepsPerChain; i++ {
		from := 1 + c.rng.Int63n(c.last-1)
		to := from + 1 + c.rng.Int63n(c.last-from)
		if i%4 == 2 {
			to = from + 1
		}
		if i%9 == 8 {
			to = 1 + c.rng.Int63n(from)
		}
		base, name := c.blocks[to], "as it is"
		block := copyOf(lightOf(base))
		switch i % 3 {
		case 1:
			pick := changes[c.rng.Intn(len(changes))]
			pick.apply(c, &block)
			name = pick.name
		case 2:
			if c.rng.Intn(4) != 0 {
				pick := signed[c.rng.Intn(len(signed))]
				pick.apply(c, &block)
				name = pick.name
				set := validatorsInOrder(block.Validators)
				block = lightOf(c.sign(block.Header.toComet(), set, 0, c.votersOf(set)))
			}
		}
		trusted := c.blocks[from]
		s := stepCase{Name: name, Trusted: f.place(lightOf(trusted)), Block: f.place(block), TrustingPeriodMs: dayMs, ClockDriftMs: 1000,
			NowMs: c.blocks[c.last].Time.Add(time.Second).UnixMilli(), TrustLevel: levels[c.rng.Intn(len(levels))]}
		switch c.rng.Intn(9) {
		case 0:
			s.NowMs = trusted.Time.UnixMilli() + dayMs + c.rng.Int63n(3) - 1
			s.Name += ", at the end of trust"
		case 1:
			s.NowMs = base.Time.UnixMilli() - s.ClockDriftMs + c.rng.Int63n(3) - 1
			s.Name += ", at the edge of the future"
		}
		f.step(s)
	}
	for i := 0; i < 6; i++ {
		at := 2 + c.rng.Int63n(c.last-1)
		older := copyOf(lightOf(c.blocks[at-1]))
		name := "as it is"
		switch i % 3 {
		case 1:
			pick := signed[c.rng.Intn(len(signed))]
			pick.apply(c, &older)
			name = pick.name
		case 2:
			older, name = lightOf(c.blocks[1+c.rng.Int63n(c.last)]), "some other block"
		}
		trusted := copyOf(lightOf(c.blocks[at]))
		if i > 3 {
			trusted.Header.LastBlockID.Hash = hex.EncodeToString(older.Header.toComet().Hash())
			name += ", linked"
		}
		f.backwards(backwardsCase{Name: name, Older: f.place(older), Trusted: f.place(trusted)})
	}
}

func (f *casesFile) provider(blocks map[int64]*types.LightBlock) providerJSON {
	p := providerJSON{Blocks: map[int64]int{}, Fails: map[int64]string{}}
	for height := int64(1); height <= int64(len(blocks))+64; height++ {
		if block := blocks[height]; block != nil {
			p.Blocks[height] = f.place(lightOf(block))
		}
	}
	return p
}

// One style of attack, from the height that both sides have in common.
func (c *chainOf) attack(kind int, common int64) (string, map[int64]*types.LightBlock) {
	switch kind {
	case 0:
		return "lunatic", c.withFork(common, c.lunatic(common, c.last, false))
	case 1:
		return "lunatic of too few", c.withFork(common, c.lunatic(common, c.last, true))
	case 2:
		return "equivocation", c.withFork(common, c.twice(common, c.last, 0))
	case 3:
		return "amnesia", c.withFork(common, c.twice(common, c.last, 1))
	default:
		return "forward lunatic", c.withFork(common, c.lunatic(common, c.last+3, false))
	}
}

// A provider that is honest and useless: behind, silent, with gaps, or with bad blocks.
func (c *chainOf) trouble(p *providerJSON) string {
	at := 1 + c.rng.Int63n(c.last)
	switch c.rng.Intn(4) {
	case 0:
		for height := range p.Blocks {
			if height > at {
				delete(p.Blocks, height)
			}
		}
		return fmt.Sprintf("behind at %d", at)
	case 1:
		p.Fails[at] = "silent"
		return fmt.Sprintf("silent at %d", at)
	case 2:
		delete(p.Blocks, at)
		return fmt.Sprintf("without %d", at)
	default:
		p.Fails[at] = "bad"
		return fmt.Sprintf("bad at %d", at)
	}
}

// An intermediate block that does not verify: the primary is replaced.
func (f *casesFile) forgeBetween(c *chainOf, p *providerJSON) string {
	at := 1 + c.rng.Int63n(c.last)
	if c.rng.Intn(3) == 0 {
		set := c.randomSet()
		header := *c.blocks[at].Header
		header.ValidatorsHash = set.Hash()
		p.Blocks[at] = f.place(lightOf(c.sign(&header, set, 0, c.votersOf(set))))
		return fmt.Sprintf("by strangers at %d", at)
	}
	block := copyOf(lightOf(c.blocks[at]))
	for i := range block.Commit.Votes {
		if vote := &block.Commit.Votes[i]; vote.Signature != nil {
			text := toBase64url(make([]byte, 64))
			vote.Signature = &text
		}
	}
	p.Blocks[at] = f.place(block)
	return fmt.Sprintf("forged at %d", at)
}

func (f *casesFile) addClients(c *chainOf) {
	levels := [][]int64{{1, 3}, {1, 3}, {1, 2}, {2, 3}, {1, 1}}
	for i := 0; i < clientsPerChain; i++ {
		anchor := 1 + c.rng.Int63n(c.last-2)
		honest := f.provider(c.withFork(c.last, nil))
		cs := clientCase{Mode: []string{"skipping", "skipping", "sequential"}[c.rng.Intn(3)], TrustingPeriodMs: dayMs, ClockDriftMs: 2,
			NowMs: c.blocks[c.last].Time.Add(time.Second).UnixMilli(), TrustLevel: levels[c.rng.Intn(len(levels))],
			Anchor: f.place(lightOf(c.blocks[anchor])), NextValidators: f.place(lightOf(c.blocks[anchor+1]))}
		target := anchor + 1 + c.rng.Int63n(c.last-anchor)
		cs.Targets = []int64{target}
		cs.Providers = []providerJSON{honest, f.provider(c.withFork(c.last, nil))}
		switch i % 4 {
		case 0:
			cs.Name = "honest"
			for j := 0; j < 3; j++ {
				cs.Targets = append(cs.Targets, 1+c.rng.Int63n(c.last))
			}
			if i%8 == 4 {
				cs.NowMs = c.blocks[anchor].Time.UnixMilli() + dayMs + c.rng.Int63n(3) - 1
			}
		case 1, 2:
			common := anchor + c.rng.Int63n(c.last-anchor)
			kind := c.rng.Intn(5)
			name, blocks := c.attack(kind, common)
			forked := f.provider(blocks)
			if common+2 <= c.last && c.rng.Intn(5) != 0 {
				cs.Targets[0] = common + 2 + c.rng.Int63n(c.last-common-1)
			}
			if kind != 2 && kind != 3 {
				cs.TrustLevel = levels[c.rng.Intn(3)]
			}
			if kind == 4 {
				cs.Targets[0] = c.last + 1 + c.rng.Int63n(3)
			}
			cs.Name = name + " by the primary"
			cs.Providers[0] = forked
			if kind != 4 && c.rng.Intn(3) == 0 {
				cs.Name = name + " by the witness"
				cs.Providers = []providerJSON{honest, forked}
			}
			// Witnesses that differ from one another would race for the primary's place.
			if strings.HasSuffix(cs.Name, "primary") && c.rng.Intn(4) == 0 {
				cs.Name += ", " + f.forgeBetween(c, &cs.Providers[0])
			}
			if c.rng.Intn(3) == 0 {
				cs.Providers = append(cs.Providers, f.provider(c.withFork(c.last, nil)))
				cs.Name += ", one more witness"
			}
		default:
			which := c.rng.Intn(2)
			cs.Name = []string{"primary ", "witness "}[which] + c.trouble(&cs.Providers[which])
			if c.rng.Intn(2) == 0 {
				cs.Name = []string{"primary ", "witness "}[which] + f.forgeBetween(c, &cs.Providers[which])
			}
			for j := c.rng.Intn(3); j > 0; j-- {
				cs.Providers = append(cs.Providers, f.provider(c.withFork(c.last, nil)))
			}
			cs.Targets = append(cs.Targets, 1+c.rng.Int63n(c.last))
		}
		f.client(c, cs)
	}
}
