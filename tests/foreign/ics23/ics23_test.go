// Package ics23check checks vectors/proofs.json with the reference implementation of ICS-23: what Salus accepts it accepts, what Salus
// refuses it refuses, and a proof with any changed byte proves nothing.
package ics23check

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand"
	"os"
	"testing"

	ics23 "github.com/cosmos/ics23/go"
)

const (
	mutationsPerProof = 40
	mutationSeed      = 23
)

type proofCase struct {
	Reason     string  `json:"reason"`
	Root       string  `json:"root"`
	StateKey   string  `json:"stateKey"`
	ProofKey   string  `json:"proofKey"`
	ProofValue *string `json:"proofValue"`
	Proof      string  `json:"proof"`
}

type vectorFile struct {
	Accept []proofCase `json:"accept"`
	Reject []proofCase `json:"reject"`
}

func fromHex(text string) []byte {
	value, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return value
}

// The reference implementation indexes out of range on some malformed absence proofs: that is a refusal.
func proves(c proofCase, proofBytes []byte) (proven bool, canonical bool) {
	defer func() {
		if recover() != nil {
			proven = false
		}
	}()
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(proofBytes); err != nil {
		return false, false
	}
	again, err := proof.Marshal()
	canonical = err == nil && bytes.Equal(again, proofBytes)
	if c.ProofValue != nil {
		return ics23.VerifyMembership(ics23.SmtSpec, fromHex(c.Root), &proof, fromHex(c.ProofKey), fromHex(*c.ProofValue)), canonical
	}
	return ics23.VerifyNonMembership(ics23.SmtSpec, fromHex(c.Root), &proof, fromHex(c.ProofKey)), canonical
}

func readVectors(t *testing.T) vectorFile {
	raw, err := os.ReadFile("../../../vectors/proofs.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors vectorFile
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Accept) == 0 || len(vectors.Reject) == 0 {
		t.Fatal("no vectors")
	}
	return vectors
}

func TestAccepted(t *testing.T) {
	for _, c := range readVectors(t).Accept {
		if proven, canonical := proves(c, fromHex(c.Proof)); !proven || !canonical {
			t.Errorf("refused: %s (canonical: %t)", c.StateKey, canonical)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range readVectors(t).Reject {
		if proven, _ := proves(c, fromHex(c.Proof)); proven {
			t.Errorf("accepted: %s (%s)", c.StateKey, c.Reason)
		}
	}
}

func TestMutations(t *testing.T) {
	random := rand.New(rand.NewSource(mutationSeed))
	mutations, otherWritings := 0, 0
	for _, c := range readVectors(t).Accept {
		proof := fromHex(c.Proof)
		for i := 0; i < mutationsPerProof; i++ {
			changed := bytes.Clone(proof)
			changed[random.Intn(len(changed))] ^= byte(1 + random.Intn(255))
			mutations++
			proven, canonical := proves(c, changed)
			// Another writing of the same proof (an unknown field) is for Salus alone to refuse, and so is the key
			// inside an absence proof: the reference implementation takes the key from its caller.
			if proven && (!canonical || c.ProofValue == nil) {
				otherWritings++
			} else if proven {
				t.Errorf("accepted with a changed byte: %s", c.StateKey)
			}
		}
	}
	t.Logf("%d mutations, %d of them other writings of the same proof", mutations, otherWritings)
}
