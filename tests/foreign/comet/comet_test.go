package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/types"
)

const (
	trustingPeriod = 24 * time.Hour
	clockDrift     = 10 * time.Second
)

type resultJSON struct {
	Code      uint32 `json:"code"`
	Data      string `json:"data"`
	GasWanted int64  `json:"gasWanted"`
	GasUsed   int64  `json:"gasUsed"`
}

type blockJSON struct {
	lightJSON
	HeaderHash     string       `json:"headerHash"`
	HeaderBytes    string       `json:"headerBytes"`
	CommitHash     string       `json:"commitHash"`
	CommitBytes    string       `json:"commitBytes"`
	VoteBytes      []string     `json:"voteBytes"`
	SignBytes      []string     `json:"signBytes"`
	NilSignBytes   string       `json:"nilSignBytes"`
	ValidatorsHash string       `json:"validatorsHash"`
	Transactions   []string     `json:"transactions"`
	DataHash       string       `json:"dataHash"`
	Results        []resultJSON `json:"results"`
	ResultBytes    []string     `json:"resultBytes"`
	ResultsHash    string       `json:"resultsHash"`
	BlockBytesHash string       `json:"blockBytesHash"`
	Parts          partsJSON    `json:"parts"`
}

type headersFile struct {
	Blocks    []blockJSON `json:"blocks"`
	Consensus []struct {
		BlockBytesMax int64  `json:"blockBytesMax"`
		BlockGasMax   int64  `json:"blockGasMax"`
		Hash          string `json:"hash"`
	} `json:"consensus"`
}

type lightFile struct {
	Blocks []lightJSON `json:"blocks"`
	Reject []struct {
		Reason  string    `json:"reason"`
		Trusted int       `json:"trusted"`
		Block   lightJSON `json:"block"`
	} `json:"reject"`
}

const vectors = "../../../vectors"

func equal(t *testing.T, name string, height int64, want string, got []byte) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("block %d: %s differs:\n  salus %s\n  comet %x", height, name, want, got)
	}
}

func expect(t *testing.T, name string, holds bool) {
	t.Helper()
	if !holds {
		t.Error(name)
	}
}

func read(path string, into any) {
	if err := json.Unmarshal(must(os.ReadFile(path)), into); err != nil {
		panic(err)
	}
}

func checkBlock(t *testing.T, b blockJSON, lastCommit *types.Commit) *types.Commit {
	header, commit := b.Header.toComet(), b.Commit.toComet()
	at := header.Height
	equal(t, "header hash", at, b.HeaderHash, header.Hash())
	equal(t, "header bytes", at, b.HeaderBytes, must(header.ToProto().Marshal()))
	equal(t, "commit hash", at, b.CommitHash, commit.Hash())
	equal(t, "commit bytes", at, b.CommitBytes, must(commit.ToProto().Marshal()))
	for i, sig := range commit.Signatures {
		equal(t, "vote bytes", at, b.VoteBytes[i], must(sig.ToProto().Marshal()))
		equal(t, "sign bytes", at, b.SignBytes[i], commit.VoteSignBytes(header.ChainID, int32(i)))
	}
	nilVote := commit.GetVote(0).ToProto()
	nilVote.BlockID, nilVote.Timestamp = (&types.BlockID{}).ToProto(), header.Time
	equal(t, "sign bytes of a vote for no block", at, b.NilSignBytes, types.VoteSignBytes(header.ChainID, nilVote))

	inOrder := validatorsInOrder(b.Validators)
	equal(t, "validators hash", at, b.ValidatorsHash, inOrder.Hash())
	equal(t, "validators hash after CometBFT's sorting", at, b.ValidatorsHash, types.NewValidatorSet(inOrder.Copy().Validators).Hash())
	for _, validator := range inOrder.Validators {
		expect(t, "address", validator.Address.String() == validator.PubKey.Address().String())
	}

	data := types.Data{}
	for _, transaction := range b.Transactions {
		data.Txs = append(data.Txs, fromBase64url(transaction))
	}
	equal(t, "data hash", at, b.DataHash, data.Hash())
	equal(t, "data hash of the header", at, b.DataHash, header.DataHash)

	results := []*abci.ExecTxResult{}
	for _, result := range b.Results {
		results = append(results, &abci.ExecTxResult{
			Code: result.Code, Data: fromHex(result.Data), GasWanted: result.GasWanted, GasUsed: result.GasUsed,
			Log: "not hashed", Info: "not hashed", Codespace: "not hashed",
		})
	}
	stripped := types.NewResults(results)
	equal(t, "results hash", at, b.ResultsHash, stripped.Hash())
	for i, result := range stripped {
		equal(t, "result bytes", at, b.ResultBytes[i], must(result.Marshal()))
	}

	block := &types.Block{Header: *header, Data: data, LastCommit: lastCommit}
	encoded := must(must(block.ToProto()).Marshal())
	sum := sha256.Sum256(encoded)
	equal(t, "block bytes", at, b.BlockBytesHash, sum[:])
	parts := must(block.MakePartSet(types.BlockPartSizeBytes))
	equal(t, "parts hash", at, b.Parts.Hash, parts.Hash())
	expect(t, "parts total", parts.Total() == b.Parts.Total)
	expect(t, "block id of the commit", commit.BlockID.PartSetHeader.Equals(parts.Header()) && bytes.Equal(commit.BlockID.Hash, header.Hash()))
	equal(t, "last commit hash", at, b.Header.LastCommitHash, lastCommit.Hash())
	expect(t, "block is valid in itself", block.ValidateBasic() == nil)
	return commit
}

func checkLight(t *testing.T, file lightFile) {
	verify := func(trusted, untrusted lightJSON) error {
		now := untrusted.Header.Time.Add(time.Minute)
		return light.VerifyAdjacent(trusted.signedHeader(), untrusted.signedHeader(), validatorsInOrder(untrusted.Validators),
			trustingPeriod, now, clockDrift)
	}
	for i := 1; i < len(file.Blocks); i++ {
		err := verify(file.Blocks[i-1], file.Blocks[i])
		expect(t, fmt.Sprintf("light block %d: %v", i+1, err), err == nil)
	}
	for _, c := range file.Reject {
		expect(t, "refused: "+c.Reason, verify(file.Blocks[c.Trusted-1], c.Block) != nil)
	}
}

func TestHeaders(t *testing.T) {
	var headers headersFile
	read(filepath.Join(vectors, "headers.json"), &headers)
	expect(t, "there are blocks", len(headers.Blocks) > 0)
	commit := &types.Commit{}
	for _, block := range headers.Blocks {
		commit = checkBlock(t, block, commit)
	}
}

func TestConsensusHash(t *testing.T) {
	var headers headersFile
	read(filepath.Join(vectors, "headers.json"), &headers)
	for _, c := range headers.Consensus {
		params := types.DefaultConsensusParams()
		params.Block.MaxBytes, params.Block.MaxGas = c.BlockBytesMax, c.BlockGasMax
		equal(t, "consensus hash", 0, c.Hash, params.Hash())
	}
}

func TestLightClientFollowsSalus(t *testing.T) {
	var file lightFile
	read(filepath.Join(vectors, "light.json"), &file)
	checkLight(t, file)
}

func TestLightClientFollowsItsOwnChain(t *testing.T) {
	var file lightFile
	read(filepath.Join(vectors, "light-cometbft.json"), &file)
	checkLight(t, file)
}
