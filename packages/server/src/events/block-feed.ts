import { EventEmitter } from 'node:events';
import type { LedgerEvent } from '@salus/api';
import type { BlockEvents, LedgerAccess } from '../node/ledger-access.ts';

/** Recent blocks kept ready for streams, which nearly always are at the head. */
const blocksKept = 64;

export interface FeedBlock {
  height: number;
  timeMs: number;
  transactions: number;
  events: LedgerEvent[];
}

function feedBlock(block: BlockEvents): FeedBlock {
  const events: LedgerEvent[] = [];
  for (const transaction of block.transactions) {
    for (const { type, attributes } of transaction.events) {
      const index = events.length;
      events.push({
        height: block.height,
        index,
        timeMs: block.timeMs,
        transaction: transaction.hash,
        type,
        attributes,
      });
    }
  }
  return { height: block.height, timeMs: block.timeMs, transactions: block.transactions.length, events };
}

/**
 * The committed blocks as a sequence that any number of readers follow, each at its own pace: readers pull from the block
 * store by height and are only woken when there is more, so a slow one loses nothing and holds nothing.
 */
export class BlockFeed {
  readonly #ledger: LedgerAccess;
  readonly #emitter = new EventEmitter();
  readonly #kept = new Map<number, FeedBlock>();
  readonly #unsubscribe: () => void;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
    this.#emitter.setMaxListeners(0);
    this.#unsubscribe = ledger.subscribe(() => this.#emitter.emit('block'));
  }

  head(): number {
    return this.#ledger.head().height;
  }

  async block(height: number): Promise<FeedBlock | undefined> {
    const known = this.#kept.get(height);
    if (known !== undefined) return known;
    const block = await this.#ledger.blockEvents(height);
    if (block === undefined) return undefined;
    const ready = feedBlock(block);
    this.#kept.set(height, ready);
    if (this.#kept.size > blocksKept) this.#kept.delete(Math.min(...this.#kept.keys()));
    return ready;
  }

  /**
   * The first block at hand above `height`: a ledger that began with a snapshot of the state has none before it. Undefined
   * where not even the head's is there.
   */
  async firstAbove(height: number): Promise<number | undefined> {
    let [low, high] = [height + 1, this.head()];
    if (high < low || (await this.block(high)) === undefined) return undefined;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.block(middle)) === undefined) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Answers when there is a block above `height`, or when the signal ends the wait. */
  async above(height: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.head() <= height) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#emitter.off('block', done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#emitter.on('block', done);
        signal.addEventListener('abort', done, { once: true });
      });
    }
  }

  close(): void {
    this.#unsubscribe();
    this.#emitter.emit('block');
  }
}
