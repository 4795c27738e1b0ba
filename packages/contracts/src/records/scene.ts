/**
 * A story on a chain in memory: who sends what, and what comes of it. Tests only. Each story checks every answer, can be
 * written out as vectors for other languages, and ends with all invariants.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { env } from 'node:process';
import type { JsonValue } from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import { governanceContract } from '../governance/index.ts';
import { jurisdictionUsa } from '../governance/packs/usa.ts';
import { identityContract } from '../identity/index.ts';
import type { GenesisDocument } from '../kernel/genesis.ts';
import { kernelContract } from '../kernel/index.ts';
import { errorName, TestLedger, type TestParticipant, testGenesis } from '../kernel/test-kit.ts';
import type { Contract, TransactionResult } from '../kernel/types.ts';

type Step = {
  name: string;
  messages: JsonValue[];
  signers: string[];
  blockTimeMs: number;
  code: number;
  error: string;
  outputs: JsonValue[];
};

export type StepOptions = {
  /** Name of the error; accepted where absent. */
  error?: string;
  /** Block time that passes before. */
  afterMs?: number;
};

export class Scene {
  readonly ledger: TestLedger;
  readonly genesis: GenesisDocument;
  readonly steps: Step[] = [];
  readonly #wanted = new Map<number, string>();

  constructor(contracts: readonly Contract[], overrides: Partial<GenesisDocument> = {}) {
    this.genesis = testGenesis({ ruleSets: [jurisdictionUsa as unknown as JsonValue], ...overrides });
    const earlier = [kernelContract, identityContract, governanceContract];
    this.ledger = new TestLedger([...earlier, ...contracts], this.genesis);
    const run = this.ledger.run.bind(this.ledger);
    this.ledger.run = (messages, signers, options) => {
      const result = run(messages, signers, options);
      this.#record('set the scene', messages, signers, result);
      return result;
    };
  }

  step(
    name: string,
    messages: JsonValue | JsonValue[],
    signers: TestParticipant | TestParticipant[],
    { error = 'accepted', afterMs = 0 }: StepOptions = {},
  ): TransactionResult {
    const list = [messages].flat() as JsonValue[];
    const who = [signers].flat();
    this.ledger.advance(afterMs);
    const result = this.ledger.run(list, who);
    const told = this.steps.at(-1);
    if (told) told.name = name;
    this.#wanted.set(this.steps.length - 1, error);
    return result;
  }

  #record(name: string, messages: JsonValue[], signers: { did: string }[], result: TransactionResult): void {
    const { code, outputs } = result;
    const error = errorName(this.ledger, result);
    const who = signers.map(({ did }) => did);
    this.steps.push({ name, messages, signers: who, blockTimeMs: this.ledger.timeMs, code, error, outputs });
  }

  /** One test for each step; then the invariants; then the vectors, when this story has a file. */
  tell(title: string, vectorsFile?: string): void {
    describe(title, () => {
      for (const [index, wanted] of this.#wanted) {
        const step = this.steps[index];
        it(`${step?.name}: ${wanted}`, () => expect(step?.error).toBe(wanted));
      }
      it('leaves no invariant broken', () => expect(this.ledger.problems()).toEqual([]));
      if (vectorsFile) it('is the story that vectors tell other languages', () => this.#compare(vectorsFile));
    });
  }

  #compare(name: string): void {
    const file = new URL(`../../../../vectors/contracts/${name}.json`, import.meta.url);
    const { genesis, steps } = this;
    const story = { format: 'salus-contract-vectors/1', contract: name, genesis, steps };
    if (env.SALUS_WRITE_VECTORS) writeFileSync(file, `${JSON.stringify(story, null, 2)}\n`);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(story)));
  }
}
