package main

import (
	"errors"
	"time"

	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/types"
)

type evidenceCase struct {
	Name         string          `json:"name"`
	Kind         string          `json:"kind"`
	Conflicting  int             `json:"conflicting"`
	Common       int             `json:"common"`
	Trusted      int             `json:"trusted"`
	CommonHeight int64           `json:"commonHeight"`
	Byzantine    []validatorJSON `json:"byzantine"`
	TotalPower   int64           `json:"totalPower"`
	Time         time.Time       `json:"time"`
	Verdict      string          `json:"verdict"`
}

// What a full node checks of evidence before it takes it (CometBFT evidence.Pool.verify).
func (f *casesFile) judge(e evidenceCase) error {
	conflicting, common, trusted := f.Blocks[e.Conflicting].toLight(), f.Blocks[e.Common].toLight(), f.Blocks[e.Trusted].toLight()
	ev := &types.LightClientAttackEvidence{ConflictingBlock: conflicting, CommonHeight: e.CommonHeight,
		TotalVotingPower: e.TotalPower, Timestamp: e.Time}
	if len(e.Byzantine) > 0 {
		ev.ByzantineValidators = validatorsInOrder(e.Byzantine).Validators
	}
	if err := ev.ValidateBasic(); err != nil {
		return err
	}
	if ev.Height() != common.Height || !ev.Time().Equal(common.Time) {
		return errors.New("another common block")
	}
	return evidence.VerifyLightClientAttack(ev, common.SignedHeader, trusted.SignedHeader, common.ValidatorSet, trusted.Time, time.Hour)
}

func (f *casesFile) addEvidence(c *chainOf) {
	for kind := 0; kind < 5; kind++ {
		common := 1 + c.rng.Int63n(c.last-2)
		name, fork := c.attack(kind, common)
		at := common + 2 + c.rng.Int63n(c.last-common-1)
		if kind == 4 {
			at = c.last + 1
		}
		conflicting, trusted, ground := fork[at], c.blocks[min(at, c.last)], c.blocks[common]
		ev := &types.LightClientAttackEvidence{ConflictingBlock: conflicting}
		if !ev.ConflictingHeaderIsInvalid(trusted.Header) {
			ground = trusted
		}
		e := evidenceCase{Name: name, Kind: kindOf(ev, trusted.SignedHeader), Conflicting: f.place(lightOf(conflicting)),
			Common: f.place(lightOf(ground)), Trusted: f.place(lightOf(trusted)), CommonHeight: ground.Height, Byzantine: []validatorJSON{},
			TotalPower: ground.ValidatorSet.TotalVotingPower(), Time: ground.Time}
		if byzantine := ev.GetByzantineValidators(ground.ValidatorSet, trusted.SignedHeader); len(byzantine) > 0 {
			e.Byzantine = validatorsOf(&types.ValidatorSet{Validators: byzantine})
		}
		for _, one := range f.variants(c, e) {
			one.Verdict = "refused"
			if f.judge(one) == nil {
				one.Verdict = "ok"
			}
			f.Evidence = append(f.Evidence, one)
		}
	}
}

// The evidence itself, and one change of it.
func (f *casesFile) variants(c *chainOf, e evidenceCase) []evidenceCase {
	other := e
	switch c.rng.Intn(8) {
	case 7:
		trusted := f.Blocks[e.Trusted].toLight()
		other.Name, other.Common, other.CommonHeight = e.Name+", the common block at the conflict", e.Trusted, trusted.Height
		other.Time, other.TotalPower = trusted.Time, trusted.ValidatorSet.TotalVotingPower()
	case 0:
		other.Name, other.CommonHeight = e.Name+", another common height", e.CommonHeight+1
	case 1:
		other.Name, other.TotalPower = e.Name+", another power", e.TotalPower+1
	case 2:
		other.Name, other.Time = e.Name+", another time", e.Time.Add(time.Nanosecond)
	case 3:
		other.Name, other.Conflicting = e.Name+", the trusted block itself", e.Trusted
	case 4:
		other.Name, other.Byzantine = e.Name+", an innocent one named", validatorsOf(c.sets[1])
	case 5:
		block := copyOf(f.Blocks[e.Conflicting])
		changes[0].apply(c, &block)
		other.Name, other.Conflicting = e.Name+", a signature's bit", f.place(block)
	default:
		if len(e.Byzantine) > 0 {
			other.Name, other.Byzantine = e.Name+", a guilty one left out", e.Byzantine[1:]
		}
	}
	return []evidenceCase{e, other}
}
