// The least that an application which checks signatures can cost: a limit for `salus bench network`.
//
//	go run ./signedstore unix:///path/to/socket
//
// Over the socket, as any application in a process of its own. A transaction is an uncompressed P-256 key, r and s, and
// what they sign. Each is verified once in each member, by CheckTx, or where a proposal brings one that CheckTx did not see.
// Nothing else is done with it: no state, no tree, no ids, nothing is written.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"os"
	"os/signal"
	"sync"

	"github.com/cometbft/cometbft/abci/server"
	"github.com/cometbft/cometbft/abci/types"
)

const (
	keyBytes       = 65
	coordinate     = 32
	signatureBytes = 2 * coordinate
	refused        = 1
)

type application struct {
	types.BaseApplication
	mutex    sync.Mutex
	keys     map[string]*ecdsa.PublicKey
	verified map[[sha256.Size]byte]struct{}
	height   int64
	count    uint64
}

func (app *application) keyOf(raw []byte) *ecdsa.PublicKey {
	app.mutex.Lock()
	defer app.mutex.Unlock()
	if key, ok := app.keys[string(raw)]; ok {
		return key
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil
	}
	app.keys[string(raw)] = key
	return key
}

func (app *application) isGood(tx []byte) bool {
	if len(tx) < keyBytes+signatureBytes {
		return false
	}
	id := sha256.Sum256(tx)
	app.mutex.Lock()
	_, known := app.verified[id]
	app.mutex.Unlock()
	if known {
		return true
	}
	key := app.keyOf(tx[:keyBytes])
	if key == nil {
		return false
	}
	signature := tx[keyBytes : keyBytes+signatureBytes]
	digest := sha256.Sum256(tx[keyBytes+signatureBytes:])
	r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return false
	}
	app.mutex.Lock()
	app.verified[id] = struct{}{}
	app.mutex.Unlock()
	return true
}

func (app *application) hash() []byte {
	return binary.BigEndian.AppendUint64(nil, app.count)
}

func (app *application) Info(context.Context, *types.RequestInfo) (*types.ResponseInfo, error) {
	return &types.ResponseInfo{LastBlockHeight: app.height, LastBlockAppHash: app.hash()}, nil
}

func (app *application) CheckTx(_ context.Context, request *types.RequestCheckTx) (*types.ResponseCheckTx, error) {
	if !app.isGood(request.Tx) {
		return &types.ResponseCheckTx{Code: refused}, nil
	}
	return &types.ResponseCheckTx{Code: types.CodeTypeOK, GasWanted: 1}, nil
}

func (app *application) ProcessProposal(_ context.Context, request *types.RequestProcessProposal) (*types.ResponseProcessProposal, error) {
	for _, tx := range request.Txs {
		if !app.isGood(tx) {
			return &types.ResponseProcessProposal{Status: types.ResponseProcessProposal_REJECT}, nil
		}
	}
	return &types.ResponseProcessProposal{Status: types.ResponseProcessProposal_ACCEPT}, nil
}

func (app *application) FinalizeBlock(_ context.Context, request *types.RequestFinalizeBlock) (*types.ResponseFinalizeBlock, error) {
	results := make([]*types.ExecTxResult, len(request.Txs))
	for index := range request.Txs {
		results[index] = &types.ExecTxResult{Code: types.CodeTypeOK}
	}
	app.height = request.Height
	app.count += uint64(len(request.Txs))
	return &types.ResponseFinalizeBlock{TxResults: results, AppHash: app.hash()}, nil
}

func main() {
	app := &application{keys: map[string]*ecdsa.PublicKey{}, verified: map[[sha256.Size]byte]struct{}{}}
	listener, err := server.NewServer(os.Args[1], "socket", app)
	if err != nil {
		panic(err)
	}
	if err := listener.Start(); err != nil {
		panic(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt)
	<-ended
}
