import type { JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityContract } from '../identity/index.ts';
import { kernelContract } from '../kernel/index.ts';
import { Kernel } from '../kernel/kernel.ts';
import { type TestLedger, testMembers } from '../kernel/test-kit.ts';
import type { TransactionResult } from '../kernel/types.ts';
import { Assembly, assemblyGenesis, EngineModel } from './assembly.ts';
import { governanceContract } from './index.ts';
import { proposal, proposalCount } from './queries.ts';
import { ruleSetDigest } from './rule-sets.ts';
import { applicants, planOf, type VotingStep, votingSteps } from './voting-arbitraries.ts';
import { changeKinds } from './voting-rules.ts';

/** Fixed, so that what is reached does not depend on luck; another one by hand finds more. */
const seed = Number(process.env.SALUS_SEED ?? 2_027);
const runs = 40;
const { regulator } = testMembers();
const contracts = [kernelContract, identityContract, governanceContract];
const kernel = () => new Kernel(contracts, { freezeValues: true, latestVersion: 3 });
const kernels = [kernel(), kernel()] as const;

function assembly(which: 0 | 1): TestLedger {
  const { ledger } = new Assembly({}, contracts, kernels[which]);
  for (const [n, person] of applicants.entries()) {
    const { did, keys } = person;
    const message = {
      type: 'identity/registerOrganisation',
      did,
      name: 'A',
      slug: `a-${n}`,
      role: 'clinic',
      endpoint: '',
    };
    ledger.accept([{ ...message, keys }], [regulator, person]);
  }
  return ledger;
}

/** The message with the proposal that it means, and the digest of the rule set that it names by a number. */
function filled(ledger: TestLedger, { message, latest }: VotingStep): JsonValue {
  const { change, ...rest } = message as { change?: { kind: string; digest?: string } };
  if (change?.kind === 'ruleSet') {
    const digest = ruleSetDigest(planOf(1, Number(change.digest)));
    return { ...rest, change: { ...change, digest } } as JsonValue;
  }
  if (latest === undefined) return message;
  const n = Math.max(0, proposalCount(ledger.reader()) - 1 - latest);
  return { ...rest, proposal: n, digest: proposal(ledger.reader(), n)?.digest ?? '' } as JsonValue;
}

function runStep(ledger: TestLedger, step: VotingStep): TransactionResult {
  ledger.advance(step.advanceMs);
  return ledger.run([filled(ledger, step)], step.signers);
}

describe('R-LED-6 any sequence of proposals, votes and executions', () => {
  const accepted = new Set<string>();
  const executed = new Set<string>();

  it('agrees on every replica, breaks no invariant, and gives the engine sets that it can follow', () => {
    fc.assert(
      fc.property(votingSteps, (steps) => {
        const [ledger, other] = [assembly(0), assembly(1)];
        const engine = new EngineModel(ledger, assemblyGenesis());
        for (let block = 0; block < ledger.height; block += 1) engine.skipBlock();
        for (const step of steps) {
          const before = ledger.contractFingerprint();
          const result = runStep(ledger, step);
          expect(runStep(other, step)).toEqual(result);
          const set = engine.afterBlock();
          expect(engine.differences()).toEqual([]);
          expect(set.size).toBeGreaterThan(0);
          if (result.code !== 0) expect(ledger.contractFingerprint()).toBe(before);
          else accepted.add((step.message as { type: string }).type);
          for (const { type, attributes } of result.events) {
            if (type === 'governance/Executed') executed.add(String(attributes.kind));
          }
        }
        expect(ledger.fingerprint()).toBe(other.fingerprint());
        expect(ledger.problems()).toEqual([]);
      }),
      { numRuns: runs, seed },
    );
  });

  it('accepts messages of every type and executes changes of every kind on the way', () => {
    expect(Object.keys(governanceContract.messages).filter((type) => !accepted.has(type))).toEqual([]);
    expect(changeKinds.filter((kind) => !executed.has(kind))).toEqual([]);
  });
});

describe('R-LED-6 the share of one member', () => {
  it('stays within what is allowed, in every set that ever signs', () => {
    fc.assert(
      fc.property(votingSteps, (steps) => {
        const bounded = steps.filter(({ message }) => !JSON.stringify(message).includes('"parameter"'));
        const ledger = assembly(0);
        const engine = new EngineModel(ledger, assemblyGenesis());
        for (let block = 0; block < ledger.height; block += 1) engine.skipBlock();
        for (const step of bounded) {
          runStep(ledger, step);
          const set = engine.afterBlock();
          expect(Math.max(...engine.shares(set).values())).toBeLessThanOrEqual(333);
          expect(new Set(set.keys()).size).toBeGreaterThanOrEqual(4);
        }
      }),
      { numRuns: runs, seed },
    );
  });
});
