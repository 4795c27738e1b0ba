import { createPublicKey, type KeyObject } from 'node:crypto';
import type { GenesisDocument, Kernel, LedgerView } from '@salus/contracts';
import { equalBytes, type ParsedTransaction, parseTransaction, type Validator } from '@salus/protocol';
import { ChainCheck, type CheckedBlock } from './chain-check.ts';
import { genesisTip } from './embedded/block-builder.ts';
import { lookUpKey } from './key-lookup.ts';
import { treeUpperLevels } from './limits.ts';
import { encodeResults, resultJson } from './log/block-codec.ts';
import { type BlockRecord, decodeRecord } from './log/record.ts';
import { type LogScan, scanLog } from './log/segment.ts';
import { ReplayIndex } from './state/replay-index.ts';
import { isFitting, settled } from './state-machine.ts';
import { StateTree } from './tree/state-tree.ts';
import { isSignedBy } from './verify/es256.ts';
import type { FoundKey } from './verify/protocol.ts';

export type Report = { ok: boolean; blocks: number; transactions: number; problems: string[] };

/** More would only repeat the first. */
const problemsMax = 100;

export function report(check: ChainCheck, more: readonly string[] = []): Report {
  const problems = [...check.problems, ...more].slice(0, problemsMax);
  return { ok: problems.length === 0, blocks: check.blocks, transactions: check.transactions, problems };
}

/** A directory that was restored has not the blocks that would have to be executed. */
export function replayImpossible(height: number): Report {
  const problem = `the chain begins at block ${height} here: executing it again needs a directory with all blocks`;
  return { ok: false, blocks: 0, transactions: 0, problems: [problem] };
}

/** A state machine in memory that starts from genesis and executes every block again. */
class Replayer {
  readonly #kernel: Kernel;
  readonly #chain: string;
  readonly #state: Map<string, Uint8Array>;
  readonly #buckets = new Map<number, Uint8Array>();
  readonly #tree: StateTree;
  readonly #replay = new ReplayIndex();
  readonly #keys = new Map<string, KeyObject>();
  readonly problems: string[] = [];

  constructor(kernel: Kernel, genesis: GenesisDocument) {
    this.#kernel = kernel;
    this.#chain = genesis.chain;
    this.#state = kernel.genesis(genesis);
    this.#tree = new StateTree({ get: (index) => this.#buckets.get(index) }, treeUpperLevels);
    this.#apply(this.#state);
  }

  root(): Uint8Array {
    return this.#tree.root();
  }

  execute(record: BlockRecord, block: CheckedBlock): void {
    const context = { chain: this.#chain, height: record.height, blockTimeMs: record.timeMs };
    const view: LedgerView = {
      get: (key) => this.#state.get(key),
      replaySeen: (minute, id) => this.#replay.seen(minute, id),
    };
    const transactions = record.transactions.map((bytes) => {
      const tx = parseTransaction(bytes);
      return { tx, keysUsed: this.#keysOf(tx, view) };
    });
    const result = this.#kernel.executeBlock(transactions, view, context);
    this.#apply(result.writes);
    this.#replay.add(result.replayIds);
    this.#replay.prune(record.timeMs);
    const { results, unfit } = settled(transactions, result);
    // One validator alone refuses what cannot run before it makes a block; several have no other way to be rid of it.
    const isAccepted = record.signed === '' ? isFitting(transactions, result) : unfit.size === 0;
    const areSigned = transactions.every(({ tx, keysUsed }) => keysUsed.length === tx.signatures.length);
    const facts: Record<string, boolean> = {
      root: equalBytes(this.root(), record.appHash),
      results: encodeResults(results.map(resultJson)) === encodeResults(block.results),
      acceptance: isAccepted && areSigned,
    };
    for (const [name, fits] of Object.entries(facts)) {
      if (!fits) this.problems.push(`block ${record.height}: executed again it gives another ${name}`);
    }
  }

  #apply(writes: ReadonlyMap<string, Uint8Array | undefined>): void {
    for (const [key, stored] of writes) {
      if (stored) this.#state.set(key, stored);
      else this.#state.delete(key);
    }
    for (const [index, bucket] of this.#tree.update(writes)) this.#buckets.set(index, bucket);
  }

  /** Thumbprints of the keys that the signatures verify with; empty where one does not verify. */
  #keysOf(tx: ParsedTransaction, view: LedgerView): string[] {
    const thumbprints: string[] = [];
    for (const { kid, signingInput, signature } of tx.signatures) {
      const found = lookUpKey(this.#kernel, view, kid, tx.payload);
      if ('code' in found) return [];
      const candidates = found.carried ? [found, found.carried] : [found];
      const by = candidates.find((key) => isSignedBy(this.#imported(key), signingInput, signature));
      if (!by) return [];
      thumbprints.push(by.thumbprint);
    }
    return thumbprints;
  }

  #imported({ jwk, thumbprint }: FoundKey): KeyObject {
    let key = this.#keys.get(thumbprint);
    if (!key) {
      key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
      this.#keys.set(thumbprint, key);
    }
    return key;
  }
}

/**
 * Executes every block from genesis again: signatures, results and the root of each block. Needs the log and the
 * genesis document alone, so that it judges a copy of the chain by nothing else that its holder keeps.
 */
export function replayChain(
  kernel: Kernel,
  genesis: GenesisDocument,
  validators: readonly Validator[],
  scan: LogScan,
  untilHeight: number,
): Report {
  const replayer = new Replayer(kernel, genesis);
  const check = new ChainCheck(genesis.chain, validators, genesisTip(genesis.timeMs, replayer.root()));
  try {
    scanLog(scan, undefined, ({ height, payload }) => {
      if (height > untilHeight) return;
      const record = decodeRecord(payload);
      replayer.execute(record, check.check(record));
    });
  } catch (error) {
    replayer.problems.push((error as Error).message);
  }
  if (check.blocks < untilHeight) replayer.problems.push(`blocks after ${check.blocks} are missing`);
  return report(check, replayer.problems);
}
