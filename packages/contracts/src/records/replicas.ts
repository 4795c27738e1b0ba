/** The property that every contract has: two replicas agree, a refusal changes nothing, invariants hold. Tests only. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { arbitraryStep, type RandomRequest, runStep } from '../kernel/arbitraries.ts';
import type { Contract } from '../kernel/types.ts';
import { setRandomScene } from './arbitraries.ts';
import { Scene } from './scene.ts';

const runs = 100;
const stepsMax = 60;
/** Whether random sequences reach every message must not be luck: these are the same in each run. */
const reachSeed = 20_260;
const reachRunsMax = 1_000;

/** Tests over random sequences, which must make handlers of every message of `contracts` accept at least once. */
export function replicasAgree(
  contracts: readonly Contract[],
  requests: fc.Arbitrary<RandomRequest>,
  counted: readonly Contract[] = contracts,
): void {
  const steps = fc.array(arbitraryStep(requests), { minLength: 10, maxLength: stepsMax, size: 'max' });

  it('gives the same on every replica, changes nothing when refused, and breaks no invariant', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const [one, other] = [new Scene(contracts).ledger, new Scene(contracts).ledger];
        for (const ledger of [one, other]) setRandomScene(ledger);
        for (const step of sequence) {
          const before = one.contractFingerprint();
          const result = runStep(one, step);
          expect(runStep(other, step)).toEqual(result);
          if (result.code !== 0) expect(one.contractFingerprint()).toBe(before);
        }
        expect(one.fingerprint()).toBe(other.fingerprint());
        expect(one.problems()).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it('accepts messages of every type on the way', () => {
    const missing = new Set(counted.flatMap(({ messages }) => Object.keys(messages)));
    for (const sequence of fc.sample(steps, { seed: reachSeed, numRuns: reachRunsMax })) {
      if (missing.size === 0) break;
      const { ledger } = new Scene(contracts);
      setRandomScene(ledger);
      for (const step of sequence) {
        if (runStep(ledger, step).code !== 0) continue;
        for (const { type } of step.messages as { type: string }[]) missing.delete(type);
      }
    }
    expect([...missing]).toEqual([]);
  });
}
