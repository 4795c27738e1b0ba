import type { Store } from '../store/database.ts';
import type { BlockFeed, FeedBlock } from './block-feed.ts';

/** Blocks that a consumer handles at most between two writes of its cursor. */
const blocksPerCursorWrite = 64;

/** A place in a sequence that survives a restart. */
export class DurableCursor {
  readonly #store: Store;
  readonly #name: string;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#name = name;
  }

  read(): string | undefined {
    const row = this.#store.get('SELECT position FROM cursors WHERE name = ?', this.#name);
    return row === undefined ? undefined : String(row.position);
  }

  /** Moves the cursor; call it inside `store.commit` or `store.transact`, beside the effect of what it passed. */
  write(position: string): void {
    this.#store
      .prepare(
        'INSERT INTO cursors (name, position) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position',
      )
      .run(this.#name, position);
  }
}

/** Blocks that are not at hand: the ledger began with a snapshot after them. */
export interface BlockGap {
  from: number;
  to: number;
}

export interface FollowInput {
  feed: BlockFeed;
  store: Store;
  /** Names the consumer; its cursor is kept under this name. */
  name: string;
  /** Handles one block synchronously; runs inside the transaction that moves the cursor, so effects happen once. */
  handle(block: FeedBlock): void;
  /**
   * Makes up for blocks that this node does not have and never will, from the state that they led to; runs inside the
   * transaction that moves the cursor past them. Without it such a gap stops the consumer.
   */
  makeUp?(gap: BlockGap): void;
  /** Told of the height up to which every effect is durable. */
  passed?(height: number): void;
  signal: AbortSignal;
}

/**
 * Where somebody begins who never followed: a member that joined by a snapshot has no block before it, and nothing in those
 * was meant for an organisation that was not there yet.
 */
async function beginning(feed: BlockFeed, store: Store, cursor: DurableCursor): Promise<number> {
  const height = ((await feed.firstAbove(0)) ?? 1) - 1;
  // From here on missing blocks are a gap.
  await store.commit(() => cursor.write(String(height)));
  return height;
}

/** Where blocks are missing that come before the first one at hand: lets the consumer make up for them. Gives the cursor. */
async function passGap({ feed, store, makeUp, signal }: FollowInput, cursor: DurableCursor, height: number) {
  if (makeUp === undefined || signal.aborted || (await feed.block(height + 1)) !== undefined) return height;
  const first = await feed.firstAbove(height);
  if (first === undefined || first === height + 1) return height;
  await store.commit(() => {
    makeUp({ from: height + 1, to: first - 1 });
    cursor.write(String(first - 1));
  });
  return first - 1;
}

/** Rows that this connection has changed since it was opened. */
function changesOf(store: Store): number {
  return Number(store.get('SELECT total_changes() AS n')?.n);
}

/**
 * Feeds every committed block, from the first one on, to a consumer; each that has an effect exactly once per store,
 * whatever happens between: effect and cursor are one transaction. Blocks without any move the cursor together, since
 * each move is a sync of the disk: after a restart the last of them are looked at again. A block that is missing in the
 * sequence is never skipped in silence: it stops the consumer, or the consumer makes up for it.
 */
export async function followBlocks(input: FollowInput): Promise<void> {
  const { store } = input;
  const cursor = new DurableCursor(store, `blocks/${input.name}`);
  let height = Number(cursor.read() ?? (await beginning(input.feed, store, cursor)));
  let written = height;
  while (!input.signal.aborted) {
    await input.feed.above(height, input.signal);
    height = await passGap(input, cursor, height);
    const last = Math.min(input.feed.head(), height + blocksPerCursorWrite);
    const blocks: FeedBlock[] = [];
    for (let next = height + 1; next <= last; next += 1) {
      const block = await input.feed.block(next);
      if (block === undefined) throw new Error(`block ${next} is missing in the block store`);
      blocks.push(block);
    }
    if (blocks.length === 0 || input.signal.aborted) continue;
    const isWritten = await store.commit(() => {
      const before = changesOf(store);
      for (const block of blocks) input.handle(block);
      const isDue = last - written >= blocksPerCursorWrite || changesOf(store) !== before;
      if (isDue) cursor.write(String(last));
      return isDue;
    });
    if (isWritten) written = last;
    height = last;
    input.passed?.(height);
  }
}
