import type { BlockReader } from './block-reader.ts';
import { ledgerError } from './errors.ts';
import { findLimitMax } from './limits.ts';
import type { ResultJson } from './log/block-codec.ts';
import type { Posting } from './state/layer.ts';
import type { StateStore } from './state/state-store.ts';
import { placeOf, placeText } from './state/store.ts';

export type LedgerTransaction = ResultJson & {
  hash: string;
  height: number;
  index: number;
  timeMs: number;
  bytes: Uint8Array;
};

export type FindQuery = { participant?: string; type?: string; after?: string; limit?: number };
export type Found = { height: number; index: number; types: readonly string[]; cursor: string };
export type FindAnswer = { items: Found[]; next: string | undefined };

/** Committed transactions by hash, by participant and by type. */
export class TransactionFinder {
  readonly #state: StateStore;
  readonly #blocks: BlockReader;
  readonly #headHeight: () => number;
  readonly #firstHeight: number;

  /** `firstHeight`: of the first block that is here, in a directory that was restored from a snapshot. */
  constructor(state: StateStore, blocks: BlockReader, headHeight: () => number, firstHeight = 1) {
    this.#state = state;
    this.#blocks = blocks;
    this.#headHeight = headHeight;
    this.#firstHeight = firstHeight;
  }

  /** By the hash of its bytes, 64 hex digits. */
  async transaction(hash: string): Promise<LedgerTransaction | undefined> {
    const place = this.#state.place(hash);
    if (!place) return undefined;
    const { height, index } = place;
    const block = await this.#blocks.existingContent(height);
    const result = block.results[index] as ResultJson;
    return { hash, height, index, timeMs: block.timeMs, bytes: block.transactions[index] as Uint8Array, ...result };
  }

  /** Transactions of a participant, of a type, of both, or all, in the order of the chain. */
  async find(query: FindQuery): Promise<FindAnswer> {
    const limit = Math.min(query.limit ?? findLimitMax, findLimitMax);
    const after = query.after ?? '';
    if (after !== '' && !placeOf(after)) throw ledgerError('cursorInvalid');
    const items: Found[] = [];
    const { participant, type } = query;
    const source = (participant ?? type) ? this.#listed(participant, type, after) : this.#everything(after);
    for await (const { height, index, types } of source) {
      items.push({ height, index, types, cursor: placeText({ height, index }) });
      if (items.length >= limit) break;
    }
    return { items, next: items.length >= limit ? items.at(-1)?.cursor : undefined };
  }

  *#listed(participant: string | undefined, type: string | undefined, after: string): Iterable<Posting> {
    const list = participant === undefined ? `t/${type}` : `p/${participant}`;
    for (const posting of this.#state.postings(list, after)) {
      if (type === undefined || posting.types.includes(type)) yield posting;
    }
  }

  async *#everything(after: string): AsyncIterable<Posting> {
    const first = { height: this.#firstHeight, index: -1 };
    const place = placeOf(after) ?? first;
    // A cursor may come from a member that has earlier blocks.
    const start = place.height < first.height ? first : place;
    for (let height = start.height; height <= this.#headHeight(); height += 1) {
      const { transactions } = await this.#blocks.existingContent(height);
      for (let index = height === start.height ? start.index + 1 : 0; index < transactions.length; index += 1) {
        yield { height, index, types: [] };
      }
    }
  }
}
