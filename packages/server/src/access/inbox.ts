import { setTimeout as sleep } from 'node:timers/promises';
import type { Selectable, Transaction } from 'kysely';
import type { BlockFeed } from '../events/block-feed.ts';
import { type BlockGap, DurableCursor, followBlocks } from '../events/cursors.ts';
import { recordError } from '../records/errors.ts';
import type { Migration } from '../store/database.ts';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';

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
/** How soon what waits is looked for again where the store does not say when. */
const workAgainMs = 1_000;
const valuesPerRow = 3;

type Tx = Transaction<OrganizationTables>;
type InboxRow = Selectable<OrganizationTables['inbox']>;

export interface InboxEvent {
  type: string;
  attributes: Record<string, string | number>;
}

/** `nothing` was written; `effect`: it was; `work`: `take` has work to do. */
export type Handled = 'nothing' | 'effect' | 'work';

interface InboxParts {
  store: OrganizationStore;
  feed: BlockFeed;
  name: string;
  clockMs(): number;
  /** Effects inside the transaction that moves the cursor. */
  handle(event: InboxEvent, tx: Tx): Promise<Handled>;
  /** What `handle` wrote, or `unseen`, is durable. */
  settled?(): void;
  /** What the state says of events in blocks that are not at hand, and of which nothing is known here. */
  unseen?(gap: BlockGap, tx: Tx): Promise<InboxEvent[]>;
  /** Work that may fail for now: false when what it needs is not there yet. */
  take(event: InboxEvent): Promise<boolean>;
  /** Told once, inside a transaction, of an event whose content has not come for `gapAfterMs`. */
  missing(event: InboxEvent, tx: Tx): Promise<void>;
  /** What `missing` wrote is durable. */
  told?(): void;
  onError(error: unknown): void;
}

function retryDelayMs(tries: number): number {
  return Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(tries, doublingsMax));
}

/** Follows the ledger for one organisation: every event is taken in once, in order, whatever happens in between. */
export class Inbox {
  readonly #parts: InboxParts;
  /** Everything up to this block was taken in; undefined until the store has said. */
  #passed: number | undefined;
  /** True where the blocks of the present step have written something. */
  #isWritten = false;
  readonly #abort = new AbortController();
  #following: Promise<void> | undefined;
  #working: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #arrival: NodeJS.Timeout | undefined;
  #arrivals = 0;
  #looking: Promise<void> = Promise.resolve();
  #waiters: (() => void)[] = [];

  constructor(parts: InboxParts) {
    this.#parts = parts;
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
        this.#passed ??= Number((await new DurableCursor(store, `blocks/${name}`).read()) ?? 0);
        await followBlocks({
          ...{ feed, store, name, signal },
          handle: (block, tx) => this.#handle(block.events, tx),
          ...(unseen && {
            makeUp: async (gap: BlockGap, tx: Tx) => void (await this.#handle(await unseen(gap, tx), tx)),
          }),
          passed: (height) => {
            this.#pass(height);
            delayMs = followAgainMsMin;
          },
        });
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }

  #pass(height: number): void {
    this.#passed = height;
    if (this.#isWritten) this.#parts.settled?.();
    this.#isWritten = false;
    this.#work();
  }

  /** True where it has written something. */
  async #handle(events: readonly InboxEvent[], tx: Tx): Promise<boolean> {
    const rows: { type: string; attributes: string; since_ms: number }[] = [];
    let isWritten = false;
    for (const { type, attributes } of events) {
      const handled = await this.#parts.handle({ type, attributes }, tx);
      isWritten ||= handled !== 'nothing';
      if (handled !== 'work') continue;
      rows.push({ type, attributes: JSON.stringify(attributes), since_ms: this.#parts.clockMs() });
    }
    for (const slice of slicesOf(rows, valuesPerRow)) await tx.insertInto('inbox').values(slice).execute();
    this.#isWritten ||= isWritten;
    return isWritten;
  }

  /** Looks soon for everything that waits: an envelope has come. Of many that come together the first one calls. */
  arrived(): void {
    if (this.#arrival !== undefined || this.#abort.signal.aborted) return;
    this.#arrival = setTimeout(() => {
      this.#arrival = undefined;
      this.#looking = this.#looking.then(() => this.#lookAgain()).catch((error) => this.#parts.onError(error));
    }, arrivalDelayMs);
    this.#arrival.unref();
  }

  async #lookAgain(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    // First: one that is being looked for at this moment and not found is not put off for long.
    this.#arrivals += 1;
    const { store } = this.#parts;
    // What comes in after this is looked for at once in any case.
    if ((await store.read.selectFrom('inbox').select('seq').limit(1).executeTakeFirst()) === undefined) return;
    await store.commit((tx) => tx.updateTable('inbox').set({ next_ms: 0 }).execute());
    this.#work();
  }

  /** Events whose content is not here: how many, and since when the oldest. */
  async waiting(): Promise<{ events: number; sinceMs?: number }> {
    const { events, since } = await this.#parts.store.read
      .selectFrom('inbox')
      .select(({ fn }) => [fn.countAll<number>().as('events'), fn.min('since_ms').as('since')])
      .where('tries', '>', 0)
      .executeTakeFirstOrThrow();
    return events === 0 ? { events } : { events, sinceMs: since };
  }

  #work(): void {
    if (this.#abort.signal.aborted) return;
    this.#again = true;
    this.#working ??= this.#workAll();
  }

  /** Never throws. Between its last look at `#again` and its end nothing else runs: no call of `#work` is lost. */
  async #workAll(): Promise<void> {
    while (this.#again && !this.#abort.signal.aborted) {
      await this.#rounds().catch((error) => this.#parts.onError(error));
      this.#wake();
      await this.#schedule();
      // Those too who began to wait after a look at the store that was older than these rounds.
      this.#wake();
    }
    this.#working = undefined;
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  async #rounds(): Promise<void> {
    while (this.#again && !this.#abort.signal.aborted) {
      this.#again = false;
      const due = this.#parts.store.read.selectFrom('inbox').selectAll().where('next_ms', '<=', this.#parts.clockMs());
      const rows = await due.orderBy('seq').limit(roundEventsMax).execute();
      for (const row of rows) {
        if (this.#abort.signal.aborted) return;
        await this.#one(row);
      }
      this.#again ||= rows.length === roundEventsMax;
    }
  }

  /** One that cannot be taken, whatever is wrong with it, holds up nobody else. */
  async #one(row: InboxRow): Promise<void> {
    const { store, take, told, onError } = this.#parts;
    const event: InboxEvent = { type: row.type, attributes: JSON.parse(row.attributes) };
    const arrivals = this.#arrivals;
    let isDone = false;
    try {
      isDone = await take(event);
    } catch (error) {
      if (row.tries === 0) onError(error);
    }
    const isTold = await store.commit(async (tx) => {
      // What came while this one was looked for may be what it waits for.
      if (!isDone) return await this.#putOff(tx, row, event, arrivals !== this.#arrivals);
      await tx.deleteFrom('inbox').where('seq', '=', row.seq).execute();
      return false;
    });
    if (isTold) told?.();
  }

  /** True where somebody was told of it. */
  async #putOff(tx: Tx, row: InboxRow, event: InboxEvent, isNewsHere: boolean): Promise<boolean> {
    const { missing, clockMs } = this.#parts;
    const nowMs = clockMs();
    this.#again ||= isNewsHere;
    const isOverdue = row.told === 0 && nowMs - row.since_ms >= gapAfterMs;
    const nextMs = isNewsHere ? 0 : nowMs + retryDelayMs(row.tries);
    const change = { tries: row.tries + 1, next_ms: nextMs, told: isOverdue ? 1 : row.told };
    await tx.updateTable('inbox').set(change).where('seq', '=', row.seq).execute();
    if (isOverdue) await missing(event, tx);
    return isOverdue;
  }

  /** The next look at what waits. */
  async #schedule(): Promise<void> {
    let delayMs = workAgainMs;
    try {
      if (this.#abort.signal.aborted) return;
      const query = this.#parts.store.read.selectFrom('inbox').select(({ fn }) => fn.min('next_ms').as('next'));
      const next = (await query.executeTakeFirst())?.next ?? undefined;
      if (next === undefined) return;
      delayMs = Math.max(retryDelayMsMin, Math.min(retryDelayMsMax, next - this.#parts.clockMs()));
    } catch (error) {
      this.#parts.onError(error);
    }
    if (this.#abort.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#work(), delayMs);
    this.#timer.unref();
  }

  async #isBehind(height: number): Promise<boolean> {
    // In this order: what a block brought is in the store when the block has passed.
    if (this.#passed === undefined || this.#passed < height) return true;
    const untried = this.#parts.store.read.selectFrom('inbox').select('seq').where('tries', '=', 0).limit(1);
    return (await untried.executeTakeFirst()) !== undefined;
  }

  /**
   * Resolves when everything up to the present head was taken in. Where that takes too long nothing is decided on what is
   * old: throws `recordsUnavailable`.
   */
  async ready(): Promise<void> {
    const height = this.#parts.feed.head();
    const deadline = performance.now() + readyWaitMsMax;
    while (await this.#isBehind(height)) {
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
    await this.#looking;
    await this.#working;
    clearTimeout(this.#timer);
  }
}
