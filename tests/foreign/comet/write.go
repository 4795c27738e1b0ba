package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
)

const (
	fixtureChain  = "comet-light-1"
	fixtureBlocks = 8
)

type anchorJSON struct {
	Format     string          `json:"format"`
	Chain      string          `json:"chain"`
	Height     int64           `json:"height"`
	HeaderHash string          `json:"headerHash"`
	TimeMs     int64           `json:"timeMs"`
	Validators []validatorJSON `json:"validators"`
}

type fixtureBlock struct {
	lightJSON
	HeaderHash string   `json:"headerHash"`
	CommitHash string   `json:"commitHash"`
	SignBytes  []string `json:"signBytes"`
}

type fixtureReject struct {
	Reason  string    `json:"reason"`
	Trusted int       `json:"trusted"`
	Block   lightJSON `json:"block"`
}

func fixtureKey(name string) ed25519.PrivKey {
	return ed25519.GenPrivKeyFromSecret([]byte("comet fixture " + name))
}

func fixtureSet(members map[string]int64) (*types.ValidatorSet, map[string]ed25519.PrivKey) {
	validators, keys := []*types.Validator{}, map[string]ed25519.PrivKey{}
	for name, power := range members {
		key := fixtureKey(name)
		validators = append(validators, types.NewValidator(key.PubKey(), power))
		keys[key.PubKey().Address().String()] = key
	}
	return types.NewValidatorSet(validators), keys
}

// A member a set may lack without falling to two thirds is absent or votes for no block, by turns.
func fixtureCommit(header *types.Header, set *types.ValidatorSet, keys map[string]ed25519.PrivKey, round int32) *types.Commit {
	commit := &types.Commit{Height: header.Height, Round: round, BlockID: types.BlockID{
		Hash:          header.Hash(),
		PartSetHeader: types.PartSetHeader{Total: 3, Hash: hashOf("parts", header.Height)},
	}}
	last := len(set.Validators) - 1
	for i, validator := range set.Validators {
		flag := types.BlockIDFlagCommit
		if i == last && header.Height%3 == 0 {
			commit.Signatures = append(commit.Signatures, types.NewCommitSigAbsent())
			continue
		}
		if i == last && header.Height%3 == 1 {
			flag = types.BlockIDFlagNil
		}
		commit.Signatures = append(commit.Signatures, types.CommitSig{
			BlockIDFlag: flag, ValidatorAddress: validator.Address, Timestamp: header.Time.Add(time.Duration(i*7919+1) * time.Nanosecond),
		})
		signature := must(keys[validator.Address.String()].Sign(commit.VoteSignBytes(fixtureChain, int32(i))))
		commit.Signatures[i].Signature = signature
	}
	return commit
}

func hashOf(name string, height int64) []byte {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s %d", name, height)))
	return sum[:]
}

func membersAt(height int64) map[string]int64 {
	switch {
	case height <= 2:
		return map[string]int64{"a": 10, "b": 10, "c": 10, "d": 1}
	case height <= 5:
		return map[string]int64{"b": 300, "c": 200, "e": 7, "f": 1 << 40, "g": 1}
	default:
		return map[string]int64{"x": 5, "y": 5, "z": 4, "v": 3}
	}
}

func writeChain(path string) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	genesis, _ := fixtureSet(membersAt(1))
	anchor := anchorJSON{"salus-anchor/1", fixtureChain, 0, hex.EncodeToString(hashOf("genesis", 0)),
		start.UnixMilli(), validatorsOf(genesis)}
	blocks, lastID, lastCommit := []fixtureBlock{}, types.BlockID{}, &types.Commit{}
	for height := int64(1); height <= fixtureBlocks; height++ {
		set, keys := fixtureSet(membersAt(height))
		next, _ := fixtureSet(membersAt(height + 1))
		header := &types.Header{
			Version: cmtversion.Consensus{Block: 11, App: uint64(height % 2)}, ChainID: fixtureChain, Height: height,
			Time: start.Add(time.Duration(height) * 1234567891 * time.Nanosecond), LastBlockID: lastID,
			LastCommitHash: lastCommit.Hash(), DataHash: hashOf("data", height),
			ValidatorsHash: set.Hash(), NextValidatorsHash: next.Hash(), ConsensusHash: types.DefaultConsensusParams().Hash(),
			AppHash: hashOf("app", height)[:height%2*32], LastResultsHash: merkle.HashFromByteSlices(nil),
			EvidenceHash: types.EvidenceList{}.Hash(), ProposerAddress: set.GetProposer().Address,
		}
		commit := fixtureCommit(header, set, keys, int32(height%3))
		signBytes := []string{}
		for i := range commit.Signatures {
			signBytes = append(signBytes, hex.EncodeToString(commit.VoteSignBytes(fixtureChain, int32(i))))
		}
		light := lightJSON{headerOf(header), commitOf(commit), validatorsOf(set)}
		blocks = append(blocks, fixtureBlock{light, hex.EncodeToString(header.Hash()), hex.EncodeToString(commit.Hash()), signBytes})
		lastID, lastCommit = commit.BlockID, commit
	}
	file := map[string]any{
		"about":  "A chain of CometBFT 0.38's making with two changes of validators; each block verifies after the one before.",
		"anchor": anchor, "blocks": blocks, "reject": fixtureRejects(blocks),
	}
	if err := os.WriteFile(path, append(must(json.MarshalIndent(file, "", "  ")), '\n'), 0o644); err != nil {
		panic(err)
	}
}

func fixtureRejects(blocks []fixtureBlock) []fixtureReject {
	forged := func(height int, change func(*lightJSON)) lightJSON {
		light := blocks[height-1].lightJSON
		light.Commit.Votes = append([]voteJSON{}, light.Commit.Votes...)
		light.Validators = append([]validatorJSON{}, light.Validators...)
		change(&light)
		return light
	}
	return []fixtureReject{
		{"a vote missing that two thirds need", 3, forged(4, func(l *lightJSON) { l.Commit.Votes[0] = voteJSON{Flag: types.BlockIDFlagAbsent} })},
		{"another round", 3, forged(4, func(l *lightJSON) { l.Commit.Round++ })},
		{"another application hash", 4, forged(5, func(l *lightJSON) { l.Header.AppHash = hex.EncodeToString(hashOf("forged", 5)) })},
		{"another power", 4, forged(5, func(l *lightJSON) { l.Validators[1].Power++ })},
		{"votes exchanged", 3, forged(4, func(l *lightJSON) {
			l.Commit.Votes[0], l.Commit.Votes[1] = l.Commit.Votes[1], l.Commit.Votes[0]
		})},
		{"key of a stranger", 3, forged(4, func(l *lightJSON) {
			l.Validators[0].PublicKey = base64.RawURLEncoding.EncodeToString(fixtureKey("stranger").PubKey().Bytes())
		})},
		{"set not announced", 4, blocks[5].lightJSON},
	}
}
