// Writes vectors/light-cometbft.json, a chain of CometBFT's making, for Salus to verify. The tests beside it recompute
// vectors/headers.json and follow vectors/light.json with CometBFT's own code.
//
//	go run . ../../../vectors/light-cometbft.json
package main

import "os"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	writeChain(os.Args[1])
}
