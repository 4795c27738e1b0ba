import { type Anchor, genesisAnchor } from './anchor.ts';
import { sha256, toHex, utf8 } from './bytes.ts';
import {
  absentVote,
  addressOf,
  type Commit,
  commitHash,
  consensusHash,
  dataHash,
  type ExecResult,
  type Header,
  headerHash,
  resultsHash,
  signVote,
  sortValidators,
  timestampOfMs,
  type Validator,
  VoteFlag,
  validatorsHash,
  zeroBlockId,
} from './comet.ts';
import { type Block, blockIdOf, evidenceHashNone } from './comet-block.ts';
import { ed25519PublicKey } from './ed25519.ts';
import type { JsonValue } from './json.ts';
import type { LightBlock } from './light.ts';
import { buildReceipt, type Receipt, type ReceiptEvent, resultData } from './receipt.ts';
import { EMPTY, memorySource, proofKeyOf, proofValueOf, type SmtSource } from './smt.ts';

/** A small chain for tests and vectors: the smallest engine that makes blocks which light clients accept. */

const blockBytesMax = 4 * 1024 * 1024;
const stepMs = 1000;

export type FixtureKey = Validator & { seed: Uint8Array };

/** Keys that depend on the name alone. */
export function fixtureKey(name: string, power: number): FixtureKey {
  const seed = sha256(utf8(`fixture ${name}`));
  return { seed, publicKey: ed25519PublicKey(seed), power };
}

export type FixtureTransaction = {
  bytes: Uint8Array;
  code: number;
  cost: number;
  events: ReceiptEvent[];
  outputs: JsonValue[];
};

type BlockPlan = {
  transactions?: FixtureTransaction[];
  /** Stored values by state key. */
  writes?: Record<string, Uint8Array>;
  /** The set that signs the block after. */
  nextValidators?: FixtureKey[];
  /** Places in the set that do not vote. */
  absent?: number[];
};

type MadeBlock = {
  block: Block;
  light: LightBlock;
  transactions: FixtureTransaction[];
  results: ExecResult[];
  /** State after the block. */
  state: Map<string, Uint8Array>;
};

function sortKeys(keys: readonly FixtureKey[]): FixtureKey[] {
  const byKey = new Map(keys.map((key) => [toHex(key.publicKey), key]));
  return sortValidators(keys).map((validator) => byKey.get(toHex(validator.publicKey)) as FixtureKey);
}

function publicValidator({ publicKey, power }: FixtureKey): Validator {
  return { publicKey, power };
}

export function stateSource(state: ReadonlyMap<string, Uint8Array>): SmtSource & { root: Uint8Array } {
  return memorySource(
    [...state].map(([key, stored]) => ({ proofKey: proofKeyOf(key), proofValue: proofValueOf(stored) })),
  );
}

/** Votes for a block by the keys, in the order of the set. */
function fixtureCommit(header: Header, block: Block, keys: readonly FixtureKey[], absent: number[]): Commit {
  const base = { height: header.height, round: 0, blockId: blockIdOf(block) };
  const time = timestampOfMs(header.time.seconds * 1000 + 1);
  const votes = keys.map((key, index) =>
    absent.includes(index) ? absentVote : signVote(header.chain, base, key, time),
  );
  return { ...base, votes };
}

export class FixtureChain {
  readonly chain: string;
  readonly blocks: MadeBlock[] = [];
  readonly anchor: Anchor;
  readonly #timeMs: number;
  readonly #firstHeight: number;
  readonly #genesis: Map<string, Uint8Array>;
  #keys: FixtureKey[];

  /** A chain that goes on after a handover begins at its height, with the state there, and at its very time. */
  constructor(
    chain: string,
    keys: FixtureKey[],
    timeMs: number,
    genesis: Record<string, Uint8Array> = {},
    firstHeight = 1,
  ) {
    this.chain = chain;
    this.#firstHeight = firstHeight;
    this.#keys = sortKeys(keys);
    this.#timeMs = timeMs;
    this.#genesis = new Map(Object.entries(genesis));
    this.anchor = genesisAnchor({ chain, timeMs, genesisHash: sha256(utf8(chain)), validators: keys });
  }

  at(height: number): MadeBlock {
    const made = this.blocks[height - this.#firstHeight];
    if (!made) throw new Error(`No block ${height}.`);
    return made;
  }

  add(plan: BlockPlan = {}): MadeBlock {
    const keys = this.#keys;
    const nextKeys = plan.nextValidators ? sortKeys(plan.nextValidators) : keys;
    const transactions = plan.transactions ?? [];
    const header = this.#header(transactions, keys, nextKeys);
    const lastCommit = this.blocks.at(-1)?.light.commit ?? { height: 0, round: 0, blockId: zeroBlockId, votes: [] };
    const block = { header, transactions: transactions.map(({ bytes }) => bytes), lastCommit };
    const commit = fixtureCommit(header, block, keys, plan.absent ?? []);
    const made: MadeBlock = {
      block,
      light: { header, commit, validators: keys.map(publicValidator) },
      transactions,
      results: transactions.map(resultOf),
      state: new Map([...(this.blocks.at(-1)?.state ?? this.#genesis), ...Object.entries(plan.writes ?? {})]),
    };
    this.blocks.push(made);
    this.#keys = nextKeys;
    return made;
  }

  #header(transactions: FixtureTransaction[], keys: FixtureKey[], nextKeys: FixtureKey[]): Header {
    const previous = this.blocks.at(-1);
    const state = previous?.state ?? this.#genesis;
    const height = this.blocks.length + this.#firstHeight;
    const steps = this.#firstHeight === 1 ? height : height - this.#firstHeight;
    return {
      version: { block: 11, app: 1 },
      chain: this.chain,
      height,
      time: timestampOfMs(this.#timeMs + steps * stepMs),
      lastBlockId: previous ? blockIdOf(previous.block) : zeroBlockId,
      lastCommitHash: commitHash(previous?.light.commit ?? { height: 0, round: 0, blockId: zeroBlockId, votes: [] }),
      dataHash: dataHash(transactions.map(({ bytes }) => sha256(bytes))),
      validatorsHash: validatorsHash(keys),
      nextValidatorsHash: validatorsHash(nextKeys),
      consensusHash: consensusHash(blockBytesMax, -1),
      appHash: state.size > 0 ? stateSource(state).root : EMPTY,
      lastResultsHash: resultsHash(previous?.results ?? []),
      evidenceHash: evidenceHashNone,
      proposerAddress: addressOf((keys[0] as FixtureKey).publicKey),
    };
  }

  /** Receipt of a transaction of block `height` and, or, of a state key after it. */
  receipt(height: number, wanted: { index?: number; key?: string; trust?: number[] }): Receipt {
    const made = this.at(height);
    const transaction = wanted.index === undefined ? undefined : made.transactions[wanted.index];
    return buildReceipt({
      signed: this.at(height + 1).light,
      trust: (wanted.trust ?? []).map((trusted) => this.at(trusted).light),
      ...(transaction && {
        transaction: {
          header: made.block.header,
          index: wanted.index ?? 0,
          bytes: transaction.bytes,
          transactionHashes: made.transactions.map(({ bytes }) => sha256(bytes)),
          results: made.results,
          events: transaction.events,
          outputs: transaction.outputs,
        },
      }),
      ...(wanted.key !== undefined && {
        state: { source: stateSource(made.state), key: wanted.key, stored: made.state.get(wanted.key) },
      }),
    });
  }
}

function resultOf(transaction: FixtureTransaction): ExecResult {
  const { code, cost, events, outputs } = transaction;
  return { code, data: resultData(events, outputs), gasWanted: cost, gasUsed: cost };
}

/** A header signed anew by the keys: for forgeries. */
export function resign(light: LightBlock, keys: readonly FixtureKey[]): LightBlock {
  const base = { ...light.commit, blockId: { ...light.commit.blockId, hash: headerHash(light.header) } };
  const votes = light.commit.votes.map((vote, index) => {
    const key = keys[index];
    return key && vote.flag === VoteFlag.commit ? signVote(light.header.chain, base, key, vote.time) : vote;
  });
  return { ...light, commit: { ...base, votes } };
}
