import type { Did, JsonValue } from '@salus/protocol';
import fc from 'fast-check';
import type { TestLedger, TestParticipant } from './test-kit.ts';
import { testDigest, testId } from './test-kit.ts';
import type { TransactionResult } from './types.ts';

/** One transaction of a random run. Times and ids come from small sets, so that replays and expiries happen. */
export type RandomStep = {
  messages: JsonValue[];
  signers: { did: Did }[];
  id: string;
  validForMs: number;
  advanceMs: number;
};

const validForMs = [-1, 0, 1_000, 59_000, 61_000, 600_000, 601_000, 700_000];

/** Messages of one transaction and who signs it. */
export type RandomRequest = { messages: JsonValue[]; signers: TestParticipant[] };

/** Any messages with any signers. */
export function arbitraryRequest(messages: fc.Arbitrary<JsonValue>, people: readonly TestParticipant[]) {
  return fc.record<RandomRequest>({
    messages: fc.array(messages, { minLength: 1, maxLength: 3 }),
    signers: fc.uniqueArray(fc.constantFrom(...people), { minLength: 1, maxLength: 3, selector: ({ did }) => did }),
  });
}

/** Steps over the requests that a contract's own arbitraries give. */
export function arbitraryStep(requests: fc.Arbitrary<RandomRequest>): fc.Arbitrary<RandomStep> {
  const circumstances = fc.record({
    id: fc
      .oneof(
        { arbitrary: fc.integer({ min: 0, max: 3 }), weight: 1 },
        { arbitrary: fc.integer({ min: 4, max: 1_000_000 }), weight: 12 },
      )
      .map((n) => testId(`random ${n}`)),
    validForMs: fc.oneof(
      { arbitrary: fc.constant(300_000), weight: 8 },
      { arbitrary: fc.constantFrom(...validForMs), weight: 1 },
    ),
    advanceMs: fc.constantFrom(0, 0, 0, 5_000, 70_000, 700_000),
  });
  return fc.tuple(requests, circumstances).map(([request, rest]) => ({ ...request, ...rest }));
}

export function runStep(ledger: TestLedger, step: RandomStep): TransactionResult {
  ledger.advance(step.advanceMs);
  const validUntil = ledger.timeMs + 1_000 + step.validForMs;
  return ledger.run(step.messages, step.signers, { id: step.id, validUntil });
}

export const arbitraryStamp: fc.Arbitrary<JsonValue> = fc
  .integer({ min: 0, max: 5 })
  .map((n) => ({ type: 'kernel/stamp', digest: testDigest(`stamp ${n}`) }));

/** Anything that JSON can say in place of a message. */
export const arbitraryNonsense: fc.Arbitrary<JsonValue> = fc
  .tuple(
    fc.constantFrom('kernel/stamp', 'identity/addKey', 'identity/setGuardians', 'nobody/knows'),
    fc.dictionary(fc.string({ maxLength: 8 }), fc.oneof(fc.integer(), fc.string({ maxLength: 60 }), fc.boolean())),
  )
  .map(([type, rest]) => ({ ...rest, type }) as JsonValue);
