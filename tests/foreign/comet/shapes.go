package main

import (
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
)

// The JSON of vectors/: hashes and addresses hex, keys and signatures base64url, times RFC 3339.

type partsJSON struct {
	Total uint32 `json:"total"`
	Hash  string `json:"hash"`
}

type blockIDJSON struct {
	Hash  string    `json:"hash"`
	Parts partsJSON `json:"parts"`
}

type headerJSON struct {
	Version struct {
		Block uint64 `json:"block"`
		App   uint64 `json:"app"`
	} `json:"version"`
	Chain              string      `json:"chain"`
	Height             int64       `json:"height"`
	Time               time.Time   `json:"time"`
	LastBlockID        blockIDJSON `json:"lastBlockId"`
	LastCommitHash     string      `json:"lastCommitHash"`
	DataHash           string      `json:"dataHash"`
	ValidatorsHash     string      `json:"validatorsHash"`
	NextValidatorsHash string      `json:"nextValidatorsHash"`
	ConsensusHash      string      `json:"consensusHash"`
	AppHash            string      `json:"appHash"`
	LastResultsHash    string      `json:"lastResultsHash"`
	EvidenceHash       string      `json:"evidenceHash"`
	ProposerAddress    string      `json:"proposerAddress"`
}

type voteJSON struct {
	Flag      types.BlockIDFlag `json:"flag"`
	Address   *string           `json:"address,omitempty"`
	Time      *time.Time        `json:"time,omitempty"`
	Signature *string           `json:"signature,omitempty"`
}

type commitJSON struct {
	Height  int64       `json:"height"`
	Round   int32       `json:"round"`
	BlockID blockIDJSON `json:"blockId"`
	Votes   []voteJSON  `json:"votes"`
}

type validatorJSON struct {
	PublicKey string `json:"publicKey"`
	Power     int64  `json:"power"`
}

type lightJSON struct {
	Header     headerJSON      `json:"header"`
	Commit     commitJSON      `json:"commit"`
	Validators []validatorJSON `json:"validators"`
}

func fromHex(text string) []byte {
	value, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return value
}

func fromBase64url(text string) []byte {
	value, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return value
}

func toBase64url(value []byte) string {
	return base64.RawURLEncoding.EncodeToString(value)
}

func (id blockIDJSON) toComet() types.BlockID {
	return types.BlockID{
		Hash:          fromHex(id.Hash),
		PartSetHeader: types.PartSetHeader{Total: id.Parts.Total, Hash: fromHex(id.Parts.Hash)},
	}
}

func blockIDOf(id types.BlockID) blockIDJSON {
	parts := partsJSON{Total: id.PartSetHeader.Total, Hash: hex.EncodeToString(id.PartSetHeader.Hash)}
	return blockIDJSON{Hash: hex.EncodeToString(id.Hash), Parts: parts}
}

func (h headerJSON) toComet() *types.Header {
	return &types.Header{
		Version:            cmtversion.Consensus{Block: h.Version.Block, App: h.Version.App},
		ChainID:            h.Chain,
		Height:             h.Height,
		Time:               h.Time,
		LastBlockID:        h.LastBlockID.toComet(),
		LastCommitHash:     fromHex(h.LastCommitHash),
		DataHash:           fromHex(h.DataHash),
		ValidatorsHash:     fromHex(h.ValidatorsHash),
		NextValidatorsHash: fromHex(h.NextValidatorsHash),
		ConsensusHash:      fromHex(h.ConsensusHash),
		AppHash:            fromHex(h.AppHash),
		LastResultsHash:    fromHex(h.LastResultsHash),
		EvidenceHash:       fromHex(h.EvidenceHash),
		ProposerAddress:    fromHex(h.ProposerAddress),
	}
}

func headerOf(h *types.Header) headerJSON {
	json := headerJSON{
		Chain:              h.ChainID,
		Height:             h.Height,
		Time:               h.Time,
		LastBlockID:        blockIDOf(h.LastBlockID),
		LastCommitHash:     hex.EncodeToString(h.LastCommitHash),
		DataHash:           hex.EncodeToString(h.DataHash),
		ValidatorsHash:     hex.EncodeToString(h.ValidatorsHash),
		NextValidatorsHash: hex.EncodeToString(h.NextValidatorsHash),
		ConsensusHash:      hex.EncodeToString(h.ConsensusHash),
		AppHash:            hex.EncodeToString(h.AppHash),
		LastResultsHash:    hex.EncodeToString(h.LastResultsHash),
		EvidenceHash:       hex.EncodeToString(h.EvidenceHash),
		ProposerAddress:    hex.EncodeToString(h.ProposerAddress),
	}
	json.Version.Block, json.Version.App = h.Version.Block, h.Version.App
	return json
}

func (c commitJSON) toComet() *types.Commit {
	commit := &types.Commit{Height: c.Height, Round: c.Round, BlockID: c.BlockID.toComet()}
	for _, vote := range c.Votes {
		if vote.Flag == types.BlockIDFlagAbsent {
			commit.Signatures = append(commit.Signatures, types.NewCommitSigAbsent())
			continue
		}
		commit.Signatures = append(commit.Signatures, types.CommitSig{
			BlockIDFlag:      vote.Flag,
			ValidatorAddress: fromHex(*vote.Address),
			Timestamp:        *vote.Time,
			Signature:        fromBase64url(*vote.Signature),
		})
	}
	return commit
}

func commitOf(c *types.Commit) commitJSON {
	json := commitJSON{Height: c.Height, Round: c.Round, BlockID: blockIDOf(c.BlockID)}
	for _, sig := range c.Signatures {
		vote := voteJSON{Flag: sig.BlockIDFlag}
		if sig.BlockIDFlag != types.BlockIDFlagAbsent {
			address := hex.EncodeToString(sig.ValidatorAddress)
			signature := base64.RawURLEncoding.EncodeToString(sig.Signature)
			timestamp := sig.Timestamp
			vote.Address, vote.Signature, vote.Time = &address, &signature, &timestamp
		}
		json.Votes = append(json.Votes, vote)
	}
	return json
}

// The set in the order of the file, so that an order that CometBFT would not have changes the hash.
func validatorsInOrder(list []validatorJSON) *types.ValidatorSet {
	set := &types.ValidatorSet{}
	for _, entry := range list {
		set.Validators = append(set.Validators, types.NewValidator(ed25519.PubKey(fromBase64url(entry.PublicKey)), entry.Power))
	}
	set.Proposer = set.Validators[0]
	// As it comes from the network: only then CometBFT knows that it may check signatures all at once.
	if received, err := types.ValidatorSetFromProto(must(set.ToProto())); err == nil {
		return received
	}
	return set
}

func validatorsOf(set *types.ValidatorSet) []validatorJSON {
	list := []validatorJSON{}
	for _, entry := range set.Validators {
		key := base64.RawURLEncoding.EncodeToString(entry.PubKey.Bytes())
		list = append(list, validatorJSON{PublicKey: key, Power: entry.VotingPower})
	}
	return list
}

func (l lightJSON) signedHeader() *types.SignedHeader {
	return &types.SignedHeader{Header: l.Header.toComet(), Commit: l.Commit.toComet()}
}
