package main

import (
	"encoding/hex"
	"fmt"
	"math/rand"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
)

// Seeded chains whose validators change, and forks of them that some of the validators sign.

const (
	casesChain  = "comet-cases"
	memberPool  = 10
	membersMin  = 1
	membersMax  = 6
	changeOneIn = 4
)

var casesStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type chainOf struct {
	rng    *rand.Rand
	name   string
	keys   map[string]ed25519.PrivKey
	sets   map[int64]*types.ValidatorSet
	blocks map[int64]*types.LightBlock
	last   int64
}

func (c *chainOf) key(index int) ed25519.PrivKey {
	return ed25519.GenPrivKeyFromSecret([]byte(fmt.Sprintf("%s member %d", c.name, index)))
}

func (c *chainOf) randomSet() *types.ValidatorSet {
	order := c.rng.Perm(memberPool)[:membersMin+c.rng.Intn(membersMax-membersMin+1)]
	validators := []*types.Validator{}
	for _, index := range order {
		validators = append(validators, types.NewValidator(c.key(index).PubKey(), int64(1+c.rng.Intn(20))))
	}
	return types.NewValidatorSet(validators)
}

// Some members and powers stay, as in a network where one member comes or goes.
func (c *chainOf) nextSet(set *types.ValidatorSet) *types.ValidatorSet {
	if c.rng.Intn(changeOneIn) != 0 {
		return set
	}
	if c.rng.Intn(6) == 0 {
		return c.randomSet()
	}
	validators := []*types.Validator{}
	drop := c.rng.Intn(set.Size())
	for i, validator := range set.Validators {
		if i != drop {
			validators = append(validators, types.NewValidator(validator.PubKey, validator.VotingPower))
		}
	}
	added := c.key(c.rng.Intn(memberPool)).PubKey()
	if !set.HasAddress(added.Address()) {
		validators = append(validators, types.NewValidator(added, int64(1+c.rng.Intn(20))))
	}
	if len(validators) == 0 {
		return set
	}
	return types.NewValidatorSet(validators)
}

func newChain(rng *rand.Rand, name string, length int64) *chainOf {
	c := &chainOf{rng: rng, name: name, keys: map[string]ed25519.PrivKey{}, sets: map[int64]*types.ValidatorSet{},
		blocks: map[int64]*types.LightBlock{}, last: length}
	for i := 0; i < memberPool; i++ {
		c.keys[c.key(i).PubKey().Address().String()] = c.key(i)
	}
	c.sets[1] = c.randomSet()
	for height := int64(1); height <= length; height++ {
		c.sets[height+1] = c.nextSet(c.sets[height])
		header := c.header(height, c.blocks[height-1], c.sets[height], c.sets[height+1], "honest")
		c.blocks[height] = c.sign(header, c.sets[height], 0, c.enough(c.sets[height]))
	}
	return c
}

func (c *chainOf) header(height int64, previous *types.LightBlock, set, next *types.ValidatorSet, state string) *types.Header {
	header := &types.Header{
		Version: cmtversion.Consensus{Block: 11, App: 1}, ChainID: casesChain, Height: height,
		Time:           casesStart.Add(time.Duration(height)*5*time.Second + time.Duration(c.rng.Intn(1_000_000_000))),
		LastCommitHash: hashOf("commit "+c.name, height), DataHash: hashOf("data "+state, height),
		ValidatorsHash: set.Hash(), NextValidatorsHash: next.Hash(), ConsensusHash: types.DefaultConsensusParams().Hash(),
		AppHash: hashOf("app "+state, height), LastResultsHash: merkle.HashFromByteSlices(nil),
		EvidenceHash: types.EvidenceList{}.Hash(), ProposerAddress: set.Validators[0].Address,
	}
	if c.rng.Intn(2) == 0 {
		// Whole milliseconds, so that limits of time are met exactly.
		header.Time = header.Time.Truncate(time.Millisecond)
	}
	if previous != nil {
		header.LastBlockID = previous.Commit.BlockID
	}
	return header
}

// Who votes for the block: now and then only as many as it takes, in random order.
func (c *chainOf) enough(set *types.ValidatorSet) map[string]bool {
	voters, power := map[string]bool{}, int64(0)
	all := c.rng.Intn(3) != 0
	for _, index := range c.rng.Perm(set.Size()) {
		if validator := set.Validators[index]; all || power*3 <= set.TotalVotingPower()*2 {
			voters[validator.Address.String()] = true
			power += validator.VotingPower
		}
	}
	return voters
}

// The others are absent or vote for no block.
func (c *chainOf) sign(header *types.Header, set *types.ValidatorSet, round int32, voters map[string]bool) *types.LightBlock {
	commit := &types.Commit{Height: header.Height, Round: round, BlockID: types.BlockID{
		Hash: header.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: hashOf("parts "+hex.EncodeToString(header.Hash()), header.Height)},
	}}
	for i, validator := range set.Validators {
		flag := types.BlockIDFlagCommit
		if !voters[validator.Address.String()] {
			flag = types.BlockIDFlagNil
			if c.rng.Intn(2) == 0 {
				commit.Signatures = append(commit.Signatures, types.NewCommitSigAbsent())
				continue
			}
		}
		commit.Signatures = append(commit.Signatures, types.CommitSig{BlockIDFlag: flag, ValidatorAddress: validator.Address,
			Timestamp: header.Time.Add(time.Duration(i+1) * time.Millisecond)})
		key := c.keys[validator.Address.String()]
		commit.Signatures[i].Signature = must(key.Sign(commit.VoteSignBytes(header.ChainID, int32(i))))
	}
	return &types.LightBlock{SignedHeader: &types.SignedHeader{Header: header, Commit: commit}, ValidatorSet: set}
}

func (c *chainOf) votersOf(set *types.ValidatorSet) map[string]bool {
	voters := map[string]bool{}
	for _, validator := range set.Validators {
		voters[validator.Address.String()] = true
	}
	return voters
}

// What is the same up to `common`, and above it the blocks of a fork.
func (c *chainOf) withFork(common int64, fork map[int64]*types.LightBlock) map[int64]*types.LightBlock {
	blocks := map[int64]*types.LightBlock{}
	for height := int64(1); height <= common; height++ {
		blocks[height] = c.blocks[height]
	}
	for height, block := range fork {
		blocks[height] = block
	}
	return blocks
}

// Members of the common set with at least (or, if weak, less than) a third of its power sign states of their own.
func (c *chainOf) lunatic(common, last int64, weak bool) map[int64]*types.LightBlock {
	set := c.sets[common]
	attackers, power := []*types.Validator{}, int64(0)
	for _, index := range c.rng.Perm(set.Size()) {
		validator := set.Validators[index]
		if weak && (power+validator.VotingPower)*3 > set.TotalVotingPower() || !weak && power*3 > set.TotalVotingPower() {
			continue
		}
		attackers = append(attackers, types.NewValidator(validator.PubKey, validator.VotingPower))
		power += validator.VotingPower
	}
	if len(attackers) == 0 {
		attackers = append(attackers, types.NewValidator(c.key(0).PubKey(), 1))
	}
	own := types.NewValidatorSet(attackers)
	fork, previous := map[int64]*types.LightBlock{}, c.blocks[common]
	for height := common + 1; height <= last; height++ {
		at := own
		if height == common+1 {
			at = c.sets[height]
		}
		header := c.header(height, previous, at, own, "lunatic "+c.name)
		if height > c.last {
			header.Time = c.blocks[c.last].Time.Add(-time.Duration(c.rng.Intn(2)) * time.Millisecond)
			if previous != nil && !header.Time.After(previous.Time) {
				header.Time = previous.Time.Add(time.Nanosecond)
			}
		}
		fork[height] = c.sign(header, at, int32(c.rng.Intn(2)), c.votersOf(own))
		previous = fork[height]
	}
	return fork
}

// The very validators sign another proposal, in the same round or in a later one; the state is the same.
func (c *chainOf) twice(common, last int64, round int32) map[int64]*types.LightBlock {
	fork, previous := map[int64]*types.LightBlock{}, c.blocks[common]
	for height := common + 1; height <= last && height <= c.last; height++ {
		header := *c.blocks[height].Header
		header.DataHash = hashOf("other "+c.name, height)
		header.LastBlockID = previous.Commit.BlockID
		fork[height] = c.sign(&header, c.sets[height], round, c.enough(c.sets[height]))
		previous = fork[height]
	}
	return fork
}
