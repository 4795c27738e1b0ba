import type { Transaction } from 'kysely';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import type { BlockFeed, FeedBlock } from './block-feed.ts';

/** Blocks that a consumer handles at most between two writes of its cursor. */
const blocksPerCursorWrite = 64;

/** A place in a sequence that survives a restart. */
export class DurableCursor {
  readonly #store: OrganizationStore;
  readonly #name: string;

  constructor(store: OrganizationStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  async read(): Promise<string | undefined> {
    const query = this.#store.read.selectFrom('cursors').select('position').where('name', '=', this.#name);
    return (await query.executeTakeFirst())?.position;
  }

  /** Moves the cursor, in the transaction of the effect of what it passed. */
  async write(tx: Transaction<OrganizationTables>, position: string): Promise<void> {
    await tx
      .insertInto('cursors')
      .values({ name: this.#name, position })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ position }))
      .execute();
  }
}

/** Blocks that are not at hand: the ledger began with a snapshot after them. */
export interface BlockGap {
  from: number;
  to: number;
}

export interface FollowInput {
  feed: BlockFeed;
  store: OrganizationStore;
  /** Names the consumer; its cursor is kept under this name. */
  name: string;
  /**
   * Handles one block inside the transaction that moves the cursor, so that effects happen once. Answers whether it has
   * written something.
   */
  handle(block: FeedBlock, tx: Transaction<OrganizationTables>): Promise<boolean>;
  /**
   * Makes up for blocks that this node does not have and never will, from the state that they led to; runs inside the
   * transaction that moves the cursor past them. Without it such a gap stops the consumer.
   */
  makeUp?(gap: BlockGap, tx: Transaction<OrganizationTables>): Promise<void>;
  /** Told of the height up to which every effect is durable. */
  passed?(height: number): void;
  signal: AbortSignal;
}

/**
 * Where somebody begins who never followed: a member that joined by a snapshot has no block before it, and nothing in those
 * was meant for an organisation that was not there yet.
 */
async function beginning(feed: BlockFeed, store: OrganizationStore, cursor: DurableCursor): Promise<number> {
  const height = ((await feed.firstAbove(0)) ?? 1) - 1;
  // From here on missing blocks are a gap.
  await store.commit((tx) => cursor.write(tx, String(height)));
  return height;
}

/** Where blocks are missing that come before the first one at hand: lets the consumer make up for them. Gives the cursor. */
async function passGap({ feed, store, makeUp, signal }: FollowInput, cursor: DurableCursor, height: number) {
  if (makeUp === undefined || signal.aborted || (await feed.block(height + 1)) !== undefined) return height;
  const first = await feed.firstAbove(height);
  if (first === undefined || first === height + 1) return height;
  await store.commit(async (tx) => {
    await makeUp({ from: height + 1, to: first - 1 }, tx);
    await cursor.write(tx, String(first - 1));
  });
  return first - 1;
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
  let height = Number((await cursor.read()) ?? (await beginning(input.feed, store, cursor)));
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
    const isWritten = await store.commit(async (tx) => {
      let isDue = last - written >= blocksPerCursorWrite;
      for (const block of blocks) isDue = (await input.handle(block, tx)) || isDue;
      if (isDue) await cursor.write(tx, String(last));
      return isDue;
    });
    if (isWritten) written = last;
    height = last;
    input.passed?.(height);
  }
}
