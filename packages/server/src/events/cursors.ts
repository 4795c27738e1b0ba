import type { Store } from '../store/database.ts';
import type { BlockFeed, FeedBlock } from './block-feed.ts';

/** Blocks that a consumer handles between two writes of its cursor. */
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

export interface FollowInput {
  feed: BlockFeed;
  store: Store;
  /** Names the consumer; its cursor is kept under this name. */
  name: string;
  /** Handles one block synchronously; runs inside the transaction that moves the cursor, so effects happen once. */
  handle(block: FeedBlock): void;
  /** Told when blocks and cursor are durable. */
  committed?(): void;
  signal: AbortSignal;
}

/**
 * Where somebody begins who never followed: a member that joined by a snapshot has no block before it, and nothing in those
 * was meant for an organisation that was not there yet.
 */
async function beginning(feed: BlockFeed): Promise<number> {
  if ((await feed.block(1)) !== undefined) return 0;
  let missing = 0;
  let present = feed.head();
  while (present - missing > 1) {
    const middle = Math.floor((missing + present) / 2);
    if ((await feed.block(middle)) === undefined) missing = middle;
    else present = middle;
  }
  return missing;
}

/**
 * Feeds every committed block, from the first one on, to a consumer exactly once per store, whatever happens between:
 * effect and cursor are one transaction. A block that is missing in the sequence stops it rather than being skipped.
 */
export async function followBlocks(input: FollowInput): Promise<void> {
  const cursor = new DurableCursor(input.store, `blocks/${input.name}`);
  let height = Number(cursor.read() ?? (await beginning(input.feed)));
  while (!input.signal.aborted) {
    await input.feed.above(height, input.signal);
    const last = Math.min(input.feed.head(), height + blocksPerCursorWrite);
    const blocks: FeedBlock[] = [];
    for (let next = height + 1; next <= last; next += 1) {
      const block = await input.feed.block(next);
      if (block === undefined) throw new Error(`block ${next} is missing in the block store`);
      blocks.push(block);
    }
    if (blocks.length === 0 || input.signal.aborted) continue;
    await input.store.commit(() => {
      for (const block of blocks) input.handle(block);
      cursor.write(String(last));
    });
    height = last;
    input.committed?.();
  }
}
