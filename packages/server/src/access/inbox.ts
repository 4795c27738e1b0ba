import { setTimeout as sleep } from 'node:timers/promises';
import type { BlockFeed } from '../events/block-feed.ts';
import { type BlockGap, DurableCursor, followBlocks } from '../events/cursors.ts';
import { recordError } from '../records/errors.ts';
import type { Migration, Row, Store } from '../store/database.ts';

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

/** What waits, waits until it comes: looked for again at growing intervals, and when an envelope arrives. */
export const inboxRetryMigrations: readonly Migration[] = [
  {
    name: '0010-inbox-retry',
    sql: `
      ALTER TABLE inbox ADD COLUMN next_ms INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE inbox ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE inbox ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
      CREATE INDEX inbox_due ON inbox (next_ms, seq);
    `,
  },
];

const retryDelayMsMin = 250;
const retryDelayMsMax = 15 * 60_000;
const doublingsMax = 12;
/** Envelopes that arrive within this time cause one look. */
const arrivalDelayMs = 50;
/** Events that one round takes from the store at once. */
const roundEventsMax = 500;
/** An envelope that is missing for longer is a gap, and somebody should hear of it. */
const gapAfterMs = 30_000;
/** A question to the gate waits so long for what the ledger says by now, and is then refused as not possible yet. */
const readyWaitMsMax = 10_000;
const followAgainMsMin = 500;
const followAgainMsMax = 60_000;

export interface InboxEvent {
  type: string;
  attributes: Record<string, string | number>;
}

interface InboxParts {
  store: Store;
  feed: BlockFeed;
  name: string;
  clockMs(): number;
  /** Synchronous effects, inside the transaction that moves the cursor; true where `take` has work to do. */
  handle(event: InboxEvent): boolean;
  /** What the state says of events in blocks that are not at hand, and of which nothing is known here. */
  unseen?(gap: BlockGap): InboxEvent[];
  /** Work that may fail for now: false when what it needs is not there yet. */
  take(event: InboxEvent): Promise<boolean>;
  /** Told once, inside a transaction, of an event whose content has not come for `gapAfterMs`. */
  missing(event: InboxEvent): void;
  onError(error: unknown): void;
}

function retryDelayMs(tries: number): number {
  return Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(tries, doublingsMax));
}

/** Follows the ledger for one organisation: every event is taken in once, in order, whatever happens in between. */
export class Inbox {
  readonly #parts: InboxParts;
  /** Everything up to this block was taken in. */
  #passed: number;
  readonly #abort = new AbortController();
  #following: Promise<void> | undefined;
  #working: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #arrival: NodeJS.Timeout | undefined;
  #arrivals = 0;
  #waiters: (() => void)[] = [];

  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.#passed = Number(new DurableCursor(parts.store, `blocks/${parts.name}`).read() ?? 0);
  }

  start(): void {
    this.#following = this.#follow();
    // Whatever waited when the node stopped is looked for at once: it may have come meanwhile.
    this.arrived();
  }

  /** Follows the blocks; what stops it (a full disk, a block that is not here yet) delays it, and skips nothing. */
  async #follow(): Promise<void> {
    const { signal } = this.#abort;
    const { feed, store, name, unseen, onError } = this.#parts;
    for (let delayMs = followAgainMsMin; !signal.aborted; delayMs = Math.min(delayMs * 2, followAgainMsMax)) {
      try {
        await followBlocks({
          ...{ feed, store, name, signal },
          handle: (block) => this.#handle(block.events),
          ...(unseen && { makeUp: (gap: BlockGap) => this.#handle(unseen(gap)) }),
          passed: (height) => {
            this.#passed = height;
            delayMs = followAgainMsMin;
            this.#work();
          },
        });
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }

  #handle(events: readonly InboxEvent[]): void {
    for (const { type, attributes } of events) {
      if (!this.#parts.handle({ type, attributes })) continue;
      this.#parts.store
        .prepare('INSERT INTO inbox (type, attributes, since_ms) VALUES (?, ?, ?)')
        .run(type, JSON.stringify(attributes), this.#parts.clockMs());
    }
  }

  /** Looks soon for everything that waits: an envelope has come. Of many that come together the first one calls. */
  arrived(): void {
    if (this.#arrival !== undefined || this.#abort.signal.aborted || !this.#isWaiting()) return;
    this.#arrival = setTimeout(() => {
      this.#arrival = undefined;
      this.#arrivals += 1;
      this.#parts.store
        .commit(() => this.#parts.store.prepare('UPDATE inbox SET next_ms = 0').run())
        .then(() => this.#work())
        .catch((error) => this.#parts.onError(error));
    }, arrivalDelayMs);
    this.#arrival.unref();
  }

  #isWaiting(): boolean {
    return this.#parts.store.get('SELECT seq FROM inbox LIMIT 1') !== undefined;
  }

  /** Events whose content is not here: how many, and since when the oldest. */
  waiting(): { events: number; sinceMs?: number } {
    const row = this.#parts.store.get('SELECT count(*) AS n, min(since_ms) AS since FROM inbox WHERE tries > 0');
    const events = Number(row?.n ?? 0);
    return events === 0 ? { events } : { events, sinceMs: Number(row?.since) };
  }

  #work(): void {
    if (this.#abort.signal.aborted) return;
    this.#again = true;
    this.#working ??= this.#rounds()
      .catch((error) => this.#parts.onError(error))
      .finally(() => {
        this.#working = undefined;
        for (const wake of this.#waiters.splice(0)) wake();
        this.#schedule();
      });
  }

  async #rounds(): Promise<void> {
    while (this.#again && !this.#abort.signal.aborted) {
      this.#again = false;
      const rows = this.#parts.store.all(
        'SELECT * FROM inbox WHERE next_ms <= ? ORDER BY seq LIMIT ?',
        this.#parts.clockMs(),
        roundEventsMax,
      );
      for (const row of rows) {
        if (this.#abort.signal.aborted) return;
        await this.#one(row);
      }
      this.#again ||= rows.length === roundEventsMax;
    }
  }

  /** One that cannot be taken, whatever is wrong with it, holds up nobody else. */
  async #one(row: Row): Promise<void> {
    const { store, take, onError } = this.#parts;
    const event: InboxEvent = { type: String(row.type), attributes: JSON.parse(String(row.attributes)) };
    const arrivals = this.#arrivals;
    let isDone = false;
    try {
      isDone = await take(event);
    } catch (error) {
      if (Number(row.tries) === 0) onError(error);
    }
    await store.commit(() => {
      if (isDone) store.prepare('DELETE FROM inbox WHERE seq = ?').run(Number(row.seq));
      // What came while this one was looked for may be what it waits for.
      else this.#putOff(row, event, arrivals !== this.#arrivals);
    });
  }

  #putOff(row: Row, event: InboxEvent, isNewsHere: boolean): void {
    const { store, missing, clockMs } = this.#parts;
    const nowMs = clockMs();
    const tries = Number(row.tries);
    const nextMs = isNewsHere ? 0 : nowMs + retryDelayMs(tries);
    this.#again ||= isNewsHere;
    store.prepare('UPDATE inbox SET tries = tries + 1, next_ms = ? WHERE seq = ?').run(nextMs, Number(row.seq));
    if (Number(row.told) === 1 || nowMs - Number(row.since_ms) < gapAfterMs) return;
    store.prepare('UPDATE inbox SET told = 1 WHERE seq = ?').run(Number(row.seq));
    missing(event);
  }

  /** The next look at what waits. */
  #schedule(): void {
    if (this.#abort.signal.aborted) return;
    const row = this.#parts.store.get('SELECT min(next_ms) AS next FROM inbox');
    if (row?.next === null || row?.next === undefined) return;
    clearTimeout(this.#timer);
    const delayMs = Math.max(retryDelayMsMin, Math.min(retryDelayMsMax, Number(row.next) - this.#parts.clockMs()));
    this.#timer = setTimeout(() => this.#work(), delayMs);
    this.#timer.unref();
  }

  #isBehind(height: number): boolean {
    return (
      this.#passed < height || this.#parts.store.get('SELECT seq FROM inbox WHERE tries = 0 LIMIT 1') !== undefined
    );
  }

  /**
   * Resolves when everything up to the present head was taken in. Where that takes too long nothing is decided on what is
   * old: throws `recordsUnavailable`.
   */
  async ready(): Promise<void> {
    const height = this.#parts.feed.head();
    const deadline = performance.now() + readyWaitMsMax;
    while (this.#isBehind(height)) {
      if (this.#abort.signal.aborted || performance.now() >= deadline) throw recordError('recordsUnavailable');
      if (this.#working === undefined) await sleep(2);
      else await Promise.race([sleep(50), new Promise<void>((resolve) => this.#waiters.push(resolve))]);
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#arrival);
    await this.#following;
    await this.#working;
  }
}
