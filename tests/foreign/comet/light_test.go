package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/light"
)

const (
	node            = "../../../node_modules/.bin/node"
	chainsPerSeed   = 12
	comparedAtLeast = 500
)

// Four seeds that never change and one of this hour, or the one in SALUS_SEED.
func seeds() []int64 {
	if text := os.Getenv("SALUS_SEED"); text != "" {
		return []int64{must(strconv.ParseInt(text, 10, 64))}
	}
	return []int64{11, 12, 13, 14, time.Now().Unix() / 3600}
}

func TestSalusSaysWhatCometBFTSays(t *testing.T) {
	for _, seed := range seeds() {
		path := filepath.Join(t.TempDir(), "cases.json")
		writeCases(path, strconv.FormatInt(seed, 10), strconv.Itoa(chainsPerSeed))
		command := exec.Command(node, "compare.ts", path)
		command.Stderr = os.Stderr
		var answer struct {
			Compared  int               `json:"compared"`
			Differing []json.RawMessage `json:"differing"`
		}
		if err := json.Unmarshal(must(command.Output()), &answer); err != nil {
			t.Fatal(err)
		}
		expect(t, "enough cases", answer.Compared >= comparedAtLeast)
		for _, one := range answer.Differing {
			t.Errorf("SALUS_SEED=%d go test -run Salus: %s", seed, one)
		}
	}
}

// The committed file is what its seed makes: nobody has touched a verdict.
func TestCasesAreThoseOfTheirSeed(t *testing.T) {
	var file casesFile
	read(filepath.Join(vectors, "light-cases.json"), &file)
	path := filepath.Join(t.TempDir(), "cases.json")
	writeCases(path, strconv.FormatInt(file.Seed, 10), strconv.Itoa(committedChains))
	expect(t, "vectors/light-cases.json is not what its seed makes", string(must(os.ReadFile(path))) == string(must(os.ReadFile(filepath.Join(vectors, "light-cases.json")))))
}

func TestEd25519Vectors(t *testing.T) {
	var file ed25519File
	read(filepath.Join(vectors, "light-ed25519.json"), &file)
	expect(t, "there are cases", len(file.Cases) > 0)
	for _, c := range file.Cases {
		valid := ed25519.PubKey(fromHex(c.PublicKey)).VerifySignature(fromHex(c.Message), fromHex(c.Signature))
		expect(t, c.Name, valid == c.Valid)
	}
}

type faultOptions struct {
	NowMs            int64 `json:"nowMs"`
	TrustingPeriodMs int64 `json:"trustingPeriodMs"`
	ClockDriftMsMax  int64 `json:"clockDriftMsMax"`
	TrustLevel       struct {
		Numerator   int64 `json:"numerator"`
		Denominator int64 `json:"denominator"`
	} `json:"trustLevel"`
}

type faultCase struct {
	Reason  string          `json:"reason"`
	Check   string          `json:"check"`
	Code    *int            `json:"code"`
	Trusted json.RawMessage `json:"trusted"`
	Block   lightJSON       `json:"block"`
	Older   headerJSON      `json:"older"`
	Options faultOptions    `json:"options"`
}

func judgeFault(c faultCase) error {
	if c.Check == "backwards" {
		var trusted headerJSON
		must(0, json.Unmarshal(c.Trusted, &trusted))
		return light.VerifyBackwards(c.Older.toComet(), trusted.toComet())
	}
	var trusted lightJSON
	must(0, json.Unmarshal(c.Trusted, &trusted))
	if len(c.Block.Validators) == 0 {
		return errors.New("no validators")
	}
	from, block, o := trusted.toLight(), c.Block.toLight(), c.Options
	level := levelOf([]int64{o.TrustLevel.Numerator, o.TrustLevel.Denominator})
	if err := light.ValidateTrustLevel(level); err != nil {
		return err
	}
	if err := block.ValidatorSet.ValidateBasic(); err != nil {
		return err
	}
	return light.Verify(from.SignedHeader, from.ValidatorSet, block.SignedHeader, block.ValidatorSet, ms(o.TrustingPeriodMs),
		time.UnixMilli(o.NowMs), ms(o.ClockDriftMsMax), level)
}

func TestFaultsAreFaultsForCometBFT(t *testing.T) {
	var file struct {
		Cases []faultCase `json:"cases"`
	}
	read(filepath.Join(vectors, "light-faults.json"), &file)
	judged := 0
	for _, c := range file.Cases {
		if c.Check != "step" && c.Check != "backwards" {
			continue
		}
		judged++
		accepted := judgeFault(c) == nil
		expect(t, c.Check+": "+c.Reason, accepted == (c.Code == nil))
	}
	expect(t, "there are cases", judged >= 30)
}
