import { setTimeout as sleep } from 'node:timers/promises';
import type { BlockFeed, FeedBlock } from '../events/block-feed.ts';
import { followBlocks } from '../events/cursors.ts';
import type { Migration, Store } from '../store/database.ts';

export const inboxMigrations: readonly Migration[] = [
  {
    name: '0008-inbox',
    sql: `
      CREATE TABLE inbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        attributes TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0
      ) STRICT;
    `,
  },
];

/** An envelope may arrive a little after its transaction; then it is looked for again at growing intervals. */
const triesMax = 12;
const retryDelayMsMin = 250;
const readyWaitMsMax = 2_000;

export interface InboxEvent {
  type: string;
  attributes: Record<string, string | number>;
}

interface InboxParts {
  store: Store;
  feed: BlockFeed;
  name: string;
  /** Synchronous effects, inside the transaction that moves the cursor; true where `take` has work to do. */
  handle(event: InboxEvent): boolean;
  /** Work that may fail for now: false when what it needs is not there yet. */
  take(event: InboxEvent): Promise<boolean>;
  onError(error: unknown): void;
}

/** Follows the ledger for one organisation: every event is taken in once, in order, whatever happens in between. */
export class Inbox {
  readonly #parts: InboxParts;
  readonly #abort = new AbortController();
  #following: Promise<void> | undefined;
  #height = 0;
  #working: Promise<void> | undefined;
  #waiters: (() => void)[] = [];

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  start(): void {
    const { feed, store, name } = this.#parts;
    const handle = (block: FeedBlock): void => this.#handle(block);
    this.#following = followBlocks({ feed, store, name, handle, signal: this.#abort.signal }).catch((error) => {
      if (!this.#abort.signal.aborted) this.#parts.onError(error);
    });
    this.#work();
  }

  #handle(block: FeedBlock): void {
    for (const { type, attributes } of block.events) {
      if (!this.#parts.handle({ type, attributes })) continue;
      this.#parts.store
        .prepare('INSERT INTO inbox (type, attributes) VALUES (?, ?)')
        .run(type, JSON.stringify(attributes));
    }
    setImmediate(() => {
      this.#height = Math.max(this.#height, block.height);
      this.#work();
    });
  }

  #work(): void {
    if (this.#working !== undefined || this.#abort.signal.aborted) return;
    this.#working = this.#drain()
      .catch((error) => this.#parts.onError(error))
      .finally(() => {
        this.#working = undefined;
        for (const wake of this.#waiters.splice(0)) wake();
      });
  }

  #fresh(): boolean {
    return this.#parts.store.get('SELECT seq FROM inbox WHERE tries = 0 LIMIT 1') !== undefined;
  }

  async #drain(): Promise<void> {
    const { store, take } = this.#parts;
    let retry = false;
    for (const row of store.all('SELECT * FROM inbox WHERE tries < ? ORDER BY seq', triesMax)) {
      if (this.#abort.signal.aborted) return;
      const event: InboxEvent = { type: String(row.type), attributes: JSON.parse(String(row.attributes)) };
      const isDone = await take(event);
      retry ||= !isDone;
      const sql = isDone ? 'DELETE FROM inbox WHERE seq = ?' : 'UPDATE inbox SET tries = tries + 1 WHERE seq = ?';
      await store.commit(() => store.prepare(sql).run(Number(row.seq)));
    }
    if (this.#fresh()) return await this.#drain();
    if (retry) setTimeout(() => this.#work(), retryDelayMsMin).unref();
  }

  /** Resolves when everything up to the present head was taken in, or after `readyWaitMsMax`. */
  async ready(): Promise<void> {
    const height = this.#parts.feed.head();
    const deadline = performance.now() + readyWaitMsMax;
    while (performance.now() < deadline && !this.#abort.signal.aborted) {
      const isBehind = this.#height < height && this.#cursorHeight() < height;
      if (!isBehind && !this.#fresh()) return;
      if (this.#working === undefined) await sleep(2);
      else await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #cursorHeight(): number {
    const row = this.#parts.store.get('SELECT position FROM cursors WHERE name = ?', `blocks/${this.#parts.name}`);
    return Number(row?.position ?? 0);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#following;
    await this.#working;
  }
}
