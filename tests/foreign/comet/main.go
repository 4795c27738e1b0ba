// Writes vectors/light-cometbft.json, a chain of CometBFT's making, for Salus to verify. The tests beside it recompute
// vectors/headers.json and follow vectors/light.json with CometBFT's own code.
//
//	go run . chain ../../../vectors/light-cometbft.json
//
// Writes vectors/light-cases.json, too: what CometBFT's light client says of seeded chains, forks and forgeries.
//
//	go run . cases ../../../vectors/light-cases.json
//	go run . rpc ../../../vectors/light-rpc.json
//	go run . ed25519 ../../../vectors/light-ed25519.json
package main

import (
	"os"
	"strconv"
)

const (
	committedSeed   = "1"
	committedChains = 5
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func writeCases(path, seed, chains string) {
	file := makeCases(must(strconv.ParseInt(seed, 10, 64)), must(strconv.Atoi(chains)))
	if err := os.WriteFile(path, append(jsonOf(file), '\n'), 0o644); err != nil {
		panic(err)
	}
}

func main() {
	switch os.Args[1] {
	case "chain":
		writeChain(os.Args[2])
	case "cases":
		writeCases(os.Args[2], committedSeed, strconv.Itoa(committedChains))
	case "rpc":
		writeRPC(os.Args[2])
	case "ed25519":
		writeEd25519(os.Args[2])
	}
}
