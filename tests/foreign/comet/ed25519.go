package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"slices"

	"github.com/cometbft/cometbft/crypto/ed25519"
)

type ed25519Case struct {
	Name      string `json:"name"`
	PublicKey string `json:"publicKey"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Valid     bool   `json:"valid"`
}

type ed25519File struct {
	About string        `json:"about"`
	Cases []ed25519Case `json:"cases"`
}

// Every encoding of a point whose order divides eight, those with y of p or more and those of -0 included.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// S and S plus the group's order: the second is the first in another writing, and no signature.
func withOrderAdded(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(signature[:32]), sum...)
}

func writeEd25519(path string) {
	file := ed25519File{About: "Ed25519 as CometBFT verifies it (ZIP 215). Bytes are hex."}
	add := func(name string, key ed25519.PubKey, message, signature []byte) {
		file.Cases = append(file.Cases, ed25519Case{name, hex.EncodeToString(key), hex.EncodeToString(message),
			hex.EncodeToString(signature), key.VerifySignature(message, signature)})
	}
	for i, a := range smallOrder {
		for j, r := range smallOrder {
			message := []byte(fmt.Sprintf("%d %d", i, j))
			add(fmt.Sprintf("small order: key %d, R %d", i, j), fromHex(a), message, append(fromHex(r), make([]byte, 32)...))
		}
	}
	key, message := fixtureKey("ed25519"), []byte("message")
	signature := must(key.Sign(message))
	public := ed25519.PubKey(key.PubKey().Bytes())
	add("a signature", public, message, signature)
	add("another message", public, []byte("messagf"), signature)
	add("S plus the order", public, message, withOrderAdded(signature))
	add("S zero", public, message, append(slices.Clone(signature[:32]), make([]byte, 32)...))
	add("R of another signature", public, message, append(slices.Clone(must(key.Sign([]byte("other")))[:32]), signature[32:]...))
	add("R of small order", public, message, append(fromHex(smallOrder[10]), signature[32:]...))
	add("a key of small order", fromHex(smallOrder[10]), message, signature)
	add("a key that is no point", fromHex("0200000000000000000000000000000000000000000000000000000000000000"), message, signature)
	add("a signature too short", public, message, signature[:63])
	add("a signature too long", public, message, append(slices.Clone(signature), 0))
	if err := os.WriteFile(path, append(jsonOf(file), '\n'), 0o644); err != nil {
		panic(err)
	}
}
