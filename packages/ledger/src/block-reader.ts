import { type Commit, type Header, sha256, toHex } from '@salus/protocol';
import { ledgerError } from './errors.ts';
import { decodeResults, decodeSigned, type ResultJson } from './log/block-codec.ts';
import { decodeRecord } from './log/record.ts';
import { type LogScan, readBlock } from './log/segment.ts';
import type { StateStore } from './state/state-store.ts';

/** A block as it is read back from the log. */
export type Block = {
  height: number;
  timeMs: number;
  header: Header;
  commit: Commit;
  /** Root of the state after this block. */
  appHash: Uint8Array;
  transactions: Uint8Array[];
  results: ResultJson[];
};

const cacheBlocks = 16;

export class BlockReader {
  readonly #scan: LogScan;
  readonly #state: StateStore;
  readonly #cache = new Map<number, Promise<Block>>();

  constructor(scan: LogScan, state: StateStore) {
    this.#scan = scan;
    this.#state = state;
  }

  /** Undefined where there is no such block (yet). */
  async block(height: number): Promise<Block | undefined> {
    const cached = this.#cache.get(height);
    if (cached) return cached;
    const location = this.#state.location(height);
    if (!location) return undefined;
    const reading = readBlock(this.#scan, location, height).then((payload) => {
      const { timeMs, signed, appHash, transactions, results } = decodeRecord(payload);
      const decoded = decodeResults(results);
      return { height, timeMs, ...decodeSigned(signed), appHash, transactions: [...transactions], results: decoded };
    });
    this.#remember(height, reading);
    return reading;
  }

  async existing(height: number): Promise<Block> {
    const block = await this.block(height);
    if (!block) throw ledgerError('blockNotHere', `height ${height}`);
    return block;
  }

  #remember(height: number, reading: Promise<Block>): void {
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= cacheBlocks && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(height, reading);
    reading.catch(() => this.#cache.delete(height));
  }
}

export function transactionHashes(block: Block): Uint8Array[] {
  return block.transactions.map((bytes) => sha256(bytes));
}

export function transactionNames(block: Block): string[] {
  return transactionHashes(block).map(toHex);
}
