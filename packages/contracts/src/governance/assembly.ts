/** A consortium that votes within a minute, and what an engine makes of its validator updates. Tests only. */
import type { JsonValue } from '@salus/protocol';
import type { GenesisDocument } from '../kernel/genesis.ts';
import type { Kernel } from '../kernel/kernel.ts';
import {
  errorName,
  type RunOptions,
  TestLedger,
  type TestParticipant,
  testDigest,
  testGenesis,
  testMembers,
} from '../kernel/test-kit.ts';
import type { Contract } from '../kernel/types.ts';
import type { Change } from './changes.ts';
import { proposal, proposalCount } from './queries.ts';
import { type SetEntry, validatorKey } from './state.ts';
import { signingValidators, validatorUpdates } from './validators.ts';
import { changeKinds } from './voting-rules.ts';

export const votingMs = 60_000;
export const executionMs = 600_000;
const { hospital, clinic, payer, regulator, patients } = testMembers();
export const everyMember = [hospital, clinic, payer, regulator, patients];
export const reason = testDigest('reason');
export const validatorOf = (label: string): string => testDigest(`validator of ${label}`);
export const ofMember = { hospital, clinic, payer, regulator };

export function assemblyGenesis(overrides: Partial<GenesisDocument> = {}): GenesisDocument {
  const short = { votingMs, executionMs, noticeBlocks: 2 };
  return testGenesis({
    validators: Object.entries(ofMember).map(([label, { did }]) => ({
      publicKey: validatorOf(label),
      power: 10,
      member: did,
    })),
    votingRules: Object.fromEntries(changeKinds.map((kind) => [kind, short])),
    parameters: { emergencySuspensionMs: 3_600_000 },
    ...overrides,
  });
}

export type Opened = { proposal: number; digest: string };

/** Everything a member does, by the name of the error or `accepted`. */
export class Assembly {
  readonly ledger: TestLedger;

  constructor(overrides: Partial<GenesisDocument> = {}, contracts?: readonly Contract[], kernel?: Kernel) {
    this.ledger = new TestLedger(contracts, assemblyGenesis(overrides), kernel);
  }

  run(message: JsonValue, signers: TestParticipant[], options?: RunOptions): string {
    return errorName(this.ledger, this.ledger.run([message], signers, options));
  }

  /** How a proposal is refused, or `accepted`. */
  proposing(change: Change, signers: TestParticipant[] = [hospital], activationHeight = 0): string {
    return this.run({ type: 'governance/propose', change, reason, activationHeight } as JsonValue, signers);
  }

  propose(change: Change, signers: TestParticipant[] = [hospital], activationHeight = 0): Opened {
    const answer = this.proposing(change, signers, activationHeight);
    if (answer !== 'accepted') throw new Error(`the proposal is refused: ${answer}`);
    const n = proposalCount(this.ledger.reader()) - 1;
    return { proposal: n, digest: proposal(this.ledger.reader(), n)?.digest ?? '' };
  }

  vote(opened: Opened, voter: TestParticipant, choice = 'yes'): string {
    return choice === 'veto'
      ? this.run({ type: 'governance/veto', ...opened, reason }, [voter])
      : this.run({ type: 'governance/vote', ...opened, choice }, [voter]);
  }

  /** Yes of everybody who may. */
  approve(opened: Opened, voters: TestParticipant[] = everyMember): void {
    for (const voter of voters) this.vote(opened, voter);
  }

  execute(opened: Opened, by: TestParticipant = clinic): string {
    return this.run({ type: 'governance/execute', ...opened }, [by]);
  }

  /** From proposal to execution, with everybody's yes. */
  decide(change: Change, signers?: TestParticipant[], activationHeight?: number): string {
    const opened = this.propose(change, signers, activationHeight);
    this.approve(opened);
    this.ledger.advance(votingMs);
    return this.execute(opened);
  }
}

/**
 * An engine as CometBFT does it: updates of block H make the set that signs from block H + 2 on; it refuses to go on
 * where an update names a key twice, removes one that it does not have, or leaves nobody.
 */
export class EngineModel {
  readonly #ledger: TestLedger;
  readonly #sets: Map<string, number>[];

  constructor(ledger: TestLedger, genesis: GenesisDocument) {
    this.#ledger = ledger;
    const first = new Map(genesis.validators.map(({ publicKey, power }) => [publicKey, power]));
    this.#sets = [first, first];
  }

  /** A block before the model was there. */
  skipBlock(): void {
    this.#sets.push(this.#sets.at(-1) ?? new Map());
  }

  /** After a block; gives the set that signs from two blocks later. */
  afterBlock(): Map<string, number> {
    const next = new Map(this.#sets.at(-1));
    const updates = validatorUpdates(this.#ledger.reader(), this.#ledger.height);
    const keys = updates.map(({ publicKey }) => publicKey);
    if (new Set(keys).size !== keys.length) throw new Error('an update names a key twice');
    for (const { publicKey, power } of updates) {
      if (power === 0 && !next.delete(publicKey)) throw new Error(`${publicKey} is removed and was not there`);
      if (power > 0 && next.get(publicKey) === power) throw new Error(`${publicKey} has this power already`);
      if (power > 0) next.set(publicKey, power);
    }
    if (next.size === 0) throw new Error('no validator is left');
    this.#sets.push(next);
    return next;
  }

  /** Where the contract's own account of who signs differs from the engine's, for the two blocks that are fixed. */
  differences(): string[] {
    const height = this.#ledger.height;
    return [height + 1, height + 2].flatMap((signed) => {
      const expected = [...(this.#sets[signed - 1] ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      const found = signingValidators(this.#ledger.reader(), signed).map(({ publicKey, power }) => [publicKey, power]);
      return JSON.stringify(found) === JSON.stringify(expected) ? [] : [`block ${signed}: ${JSON.stringify(found)}`];
    });
  }

  /** Power by member in thousandths of the whole. */
  shares(set: ReadonlyMap<string, number>): Map<string, number> {
    const powers = new Map<string, number>();
    for (const [publicKey, power] of set) {
      const { member } = this.#ledger.value<SetEntry>(validatorKey(publicKey)) as SetEntry;
      powers.set(member, (powers.get(member) ?? 0) + power);
    }
    const total = [...powers.values()].reduce((sum, power) => sum + power, 0);
    return new Map([...powers].map(([member, power]) => [member, (1_000 * power) / total]));
  }
}
