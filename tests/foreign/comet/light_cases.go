package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/light/provider"
	lightstore "github.com/cometbft/cometbft/light/store/db"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
)

type stepCase struct {
	Name             string  `json:"name"`
	Trusted          int     `json:"trusted"`
	Block            int     `json:"block"`
	NowMs            int64   `json:"nowMs"`
	TrustingPeriodMs int64   `json:"trustingPeriodMs"`
	ClockDriftMs     int64   `json:"clockDriftMs"`
	TrustLevel       []int64 `json:"trustLevel"`
	Verdict          string  `json:"verdict"`
}

type backwardsCase struct {
	Name    string `json:"name"`
	Older   int    `json:"older"`
	Trusted int    `json:"trusted"`
	Verdict string `json:"verdict"`
}

type providerJSON struct {
	Blocks map[int64]int    `json:"blocks"`
	Fails  map[int64]string `json:"fails"`
}

type evidenceJSON struct {
	To           int             `json:"to"`
	Kind         string          `json:"kind"`
	Conflicting  string          `json:"conflicting"`
	CommonHeight int64           `json:"commonHeight"`
	Byzantine    []validatorJSON `json:"byzantine"`
	TotalPower   int64           `json:"totalPower"`
	Time         time.Time       `json:"time"`
	Hash         string          `json:"hash"`
}

type clientCase struct {
	Name             string         `json:"name"`
	Mode             string         `json:"mode"`
	NowMs            int64          `json:"nowMs"`
	TrustingPeriodMs int64          `json:"trustingPeriodMs"`
	ClockDriftMs     int64          `json:"clockDriftMs"`
	TrustLevel       []int64        `json:"trustLevel"`
	Anchor           int            `json:"anchor"`
	NextValidators   int            `json:"nextValidators"`
	Targets          []int64        `json:"targets"`
	Providers        []providerJSON `json:"providers"`
	Verdicts         []string       `json:"verdicts"`
	Hash             string         `json:"hash"`
	Evidence         []evidenceJSON `json:"evidence"`
}

type casesFile struct {
	About     string          `json:"about"`
	Comet     string          `json:"comet"`
	Seed      int64           `json:"seed"`
	Blocks    []lightJSON     `json:"blocks"`
	Steps     []stepCase      `json:"steps"`
	Backwards []backwardsCase `json:"backwards"`
	Clients   []clientCase    `json:"clients"`
	Evidence  []evidenceCase  `json:"evidence"`
	places    map[string]int
}

// The place of a block in the file. Every block is kept once, by its header and its votes.
func (f *casesFile) place(block lightJSON) int {
	name := fmt.Sprintf("%v", jsonOf(block))
	if at, known := f.places[name]; known {
		return at
	}
	f.places[name] = len(f.Blocks)
	f.Blocks = append(f.Blocks, block)
	return f.places[name]
}

func lightOf(block *types.LightBlock) lightJSON {
	return lightJSON{headerOf(block.Header), commitOf(block.Commit), validatorsOf(block.ValidatorSet)}
}

func (l lightJSON) toLight() *types.LightBlock {
	return &types.LightBlock{SignedHeader: l.signedHeader(), ValidatorSet: validatorsInOrder(l.Validators)}
}

func classOf(err error) string {
	var failed light.ErrVerificationFailed
	if errors.As(err, &failed) {
		return classOf(failed.Reason)
	}
	var expired light.ErrOldHeaderExpired
	var untrusted light.ErrNewValSetCantBeTrusted
	var conflict light.ErrConflictingHeaders
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &expired):
		return "expired"
	case errors.As(err, &untrusted):
		return "untrusted"
	case errors.As(err, &conflict):
		return "witnessConflict"
	case errors.Is(err, light.ErrLightClientAttack):
		return "attack"
	case errors.Is(err, light.ErrFailedHeaderCrossReferencing):
		return "unconfirmed"
	case errors.Is(err, light.ErrNoWitnesses):
		return "noWitnesses"
	default:
		return "refused"
	}
}

func levelOf(level []int64) cmtmath.Fraction {
	return cmtmath.Fraction{Numerator: uint64(level[0]), Denominator: uint64(level[1])}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (f *casesFile) step(s stepCase) {
	trusted, block := f.Blocks[s.Trusted].toLight(), f.Blocks[s.Block].toLight()
	s.Verdict = classOf(light.Verify(trusted.SignedHeader, trusted.ValidatorSet, block.SignedHeader, block.ValidatorSet,
		ms(s.TrustingPeriodMs), time.UnixMilli(s.NowMs), ms(s.ClockDriftMs), levelOf(s.TrustLevel)))
	f.Steps = append(f.Steps, s)
}

func (f *casesFile) backwards(b backwardsCase) {
	b.Verdict = classOf(light.VerifyBackwards(f.Blocks[b.Older].Header.toComet(), f.Blocks[b.Trusted].Header.toComet()))
	f.Backwards = append(f.Backwards, b)
}

// A provider over blocks of the file, which refuses bad ones as CometBFT's HTTP provider does.
type caseProvider struct {
	index   int
	blocks  map[int64]*types.LightBlock
	fails   map[int64]string
	latest  int64
	mutex   *sync.Mutex
	reports *[]evidenceJSON
}

func (p *caseProvider) ChainID() string { return casesChain }

func (p *caseProvider) LightBlock(_ context.Context, height int64) (*types.LightBlock, error) {
	if height > p.latest {
		return nil, provider.ErrHeightTooHigh
	}
	if height == 0 {
		height = p.latest
	}
	switch p.fails[height] {
	case "silent":
		return nil, provider.ErrNoResponse
	case "bad":
		return nil, provider.ErrBadLightBlock{Reason: errors.New("bad")}
	}
	block := p.blocks[height]
	if block == nil {
		return nil, provider.ErrLightBlockNotFound
	}
	if err := block.ValidateBasic(casesChain); err != nil {
		return nil, provider.ErrBadLightBlock{Reason: err}
	}
	return block, nil
}

func kindOf(ev *types.LightClientAttackEvidence, trusted *types.SignedHeader) string {
	switch {
	case ev.ConflictingHeaderIsInvalid(trusted.Header):
		return "lunatic"
	case ev.ConflictingBlock.Commit.Round == trusted.Commit.Round:
		return "equivocation"
	default:
		return "amnesia"
	}
}

func (p *caseProvider) ReportEvidence(_ context.Context, evidence types.Evidence) error {
	ev := evidence.(*types.LightClientAttackEvidence)
	// The node that gets the evidence holds the block that conflicts with it, or its latest one.
	trusted := p.blocks[min(ev.ConflictingBlock.Height, p.latest)]
	byzantine := []validatorJSON{}
	if len(ev.ByzantineValidators) > 0 {
		byzantine = validatorsOf(&types.ValidatorSet{Validators: ev.ByzantineValidators})
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	*p.reports = append(*p.reports, evidenceJSON{min(p.index, 1), kindOf(ev, trusted.SignedHeader), hex.EncodeToString(ev.ConflictingBlock.Hash()),
		ev.CommonHeight, byzantine, ev.TotalVotingPower, ev.Timestamp, hex.EncodeToString(ev.Hash())})
	return nil
}

func (f *casesFile) runClient(chain *chainOf, c clientCase) (verdicts []string, hash string, evidence []evidenceJSON, unproven bool) {
	evidence = []evidenceJSON{}
	providers := []provider.Provider{}
	for index, p := range c.Providers {
		own := &caseProvider{index: index, blocks: map[int64]*types.LightBlock{}, fails: p.Fails, mutex: &sync.Mutex{}, reports: &evidence}
		for height, place := range p.Blocks {
			own.blocks[height] = f.Blocks[place].toLight()
			own.latest = max(own.latest, height)
		}
		providers = append(providers, own)
	}
	anchor := f.Blocks[c.Anchor]
	option := light.SequentialVerification()
	if c.Mode == "skipping" {
		option = light.SkippingVerification(levelOf(c.TrustLevel))
	}
	trust := light.TrustOptions{Period: ms(c.TrustingPeriodMs), Height: anchor.Header.Height, Hash: anchor.Header.toComet().Hash()}
	store := lightstore.New(dbm.NewMemDB(), casesChain)
	client, err := light.NewClient(context.Background(), casesChain, trust, providers[0], providers[1:], store, option,
		light.MaxClockDrift(ms(c.ClockDriftMs)), light.MaxBlockLag(time.Millisecond))
	if err != nil {
		return []string{classOf(err)}, "", evidence, false
	}
	verdicts = []string{"ok"}
	for _, target := range c.Targets {
		block, err := client.VerifyLightBlockAtHeight(context.Background(), target, time.UnixMilli(c.NowMs))
		verdicts = append(verdicts, classOf(err))
		if err == nil {
			hash = hex.EncodeToString(block.Hash())
			isBelow := target < anchor.Header.Height
			unproven = unproven || isBelow && !bytes.Equal(block.Hash(), chain.blocks[target].Hash())
		}
	}
	return verdicts, hash, evidence, unproven
}

// CometBFT asks witnesses at once and takes the first answer: cases whose outcome depends on that are left out.
// So are those in which it took, going backwards, a header that it had not come to: it compares every header on the way
// down with the one above, but not the last of them with the one that it was asked for. Salus does.
func (f *casesFile) client(chain *chainOf, c clientCase) {
	var outcome string
	for round := 0; round < 3; round++ {
		var unproven bool
		c.Verdicts, c.Hash, c.Evidence, unproven = f.runClient(chain, c)
		if unproven {
			return
		}
		now := string(jsonOf([]any{c.Verdicts, c.Hash, c.Evidence}))
		if round > 0 && now != outcome {
			return
		}
		outcome = now
	}
	f.Clients = append(f.Clients, c)
}

func makeCases(seed int64, chains int) *casesFile {
	rng := rand.New(rand.NewSource(seed))
	f := &casesFile{
		About: "What CometBFT's light client says of seeded chains, forks and forgeries. Blocks are named by their place in `blocks`.",
		Comet: version.TMCoreSemVer, Seed: seed, places: map[string]int{},
	}
	for i := 0; i < chains; i++ {
		length := int64(8 + rng.Intn(9))
		c := newChain(rng, fmt.Sprintf("%d/%d", seed, i), length)
		f.addSteps(c)
		f.addClients(c)
		f.addEvidence(c)
	}
	return f
}
