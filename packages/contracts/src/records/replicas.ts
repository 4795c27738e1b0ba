/** The property that every contract has: two replicas agree, a refusal changes nothing, invariants hold. Tests only. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { arbitraryStep, type RandomRequest, runStep } from '../kernel/arbitraries.ts';
import type { Contract } from '../kernel/types.ts';
import { setRandomScene } from './arbitraries.ts';
import { Scene } from './scene.ts';

const runs = 100;
const stepsMax = 60;

/** Tests over random sequences, which must make handlers of every message of `contracts` accept at least once. */
export function replicasAgree(
  contracts: readonly Contract[],
  requests: fc.Arbitrary<RandomRequest>,
  counted: readonly Contract[] = contracts,
): void {
  const steps = fc.array(arbitraryStep(requests), { minLength: 10, maxLength: stepsMax, size: 'max' });
  const accepted = new Set<string>();

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
          else for (const { type } of step.messages as { type: string }[]) accepted.add(type);
        }
        expect(one.fingerprint()).toBe(other.fingerprint());
        expect(one.problems()).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it('accepts messages of every type on the way', () => {
    const types = counted.flatMap(({ messages }) => Object.keys(messages));
    expect(types.filter((type) => !accepted.has(type))).toEqual([]);
  });
}
