import type { Did } from '@salus/protocol';
import { randomId } from '@salus/protocol';
import type { Row, Store } from '../store/database.ts';

/** Deliveries that are kept after they arrived, for a receiver that lost them and says so. */
export const deliveredKeptMax = 1_000;
export const retryDelayMsMin = 250;
export const retryDelayMsMax = 60_000;
const doublingsMax = 8;
/** A delivery that waits for longer is something that somebody should hear of. */
const overdueAfterMs = 30_000;

export interface Delivery {
  epoch: string;
  sequence: number;
  /** The first one that is still here. */
  oldest: number;
  envelope: Uint8Array;
}

interface Link {
  epoch: string;
  last: number;
  acknowledged: number;
}

interface OutboxParts {
  store: Store;
  /** Gives up to where nothing is missing at the receiver; throws where nobody knows. */
  send(peer: Did, delivery: Delivery): Promise<number>;
  clockMs(): number;
  /** Told once, until something arrives again, that a member has not been reached for a while. */
  overdue(peer: Did): void;
  onError(error: unknown): void;
}

function retryDelayMs(failures: number): number {
  return Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(failures, doublingsMax));
}

/**
 * What one organisation sends to the nodes of others: kept durably and numbered per receiver before anything is sent, sent
 * in order, and again until the receiver says that it has it. A receiver that does not answer holds up nobody else.
 *
 * The receiver's word alone moves the cursor, in both directions: what it lost is sent again. Where it knows of more than
 * was ever sent, this side is the one that forgot (a restored backup): it numbers what it has anew, in a new epoch.
 */
export class PeerOutbox {
  readonly #parts: OutboxParts;
  readonly #abort = new AbortController();
  readonly #running = new Map<Did, Promise<void>>();
  readonly #pauses = new Map<Did, () => void>();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Durable when it resolves; it is sent from then on. */
  async add(peer: Did, envelope: Uint8Array): Promise<void> {
    const { store, clockMs } = this.#parts;
    await store.commit(() => {
      const { last } = this.#link(peer);
      store.prepare('UPDATE peer_links SET last = ? WHERE peer = ?').run(last + 1, peer);
      store
        .prepare('INSERT INTO peer_outbox (peer, sequence, since_ms, envelope) VALUES (?, ?, ?, ?)')
        .run(peer, last + 1, clockMs(), envelope);
    });
    this.#run(peer);
  }

  /** Goes on with everything that an earlier run of the node left. */
  start(): void {
    for (const { peer } of this.#parts.store.all('SELECT peer FROM peer_links')) this.#run(String(peer) as Did);
  }

  /** Tries a member again at once: its address has changed, or it has been heard of. */
  hurry(peer: Did): void {
    this.#pauses.get(peer)?.();
  }

  /** A member says by itself up to where it has everything; of another epoch it says nothing that counts here. */
  async hear(peer: Did, epoch: string, upTo: number): Promise<void> {
    if (this.#parts.store.get('SELECT peer FROM peer_links WHERE peer = ?', peer) === undefined) return;
    await this.#acknowledge(peer, epoch, upTo);
    this.hurry(peer);
    this.#run(peer);
  }

  /** Deliveries that a member has not confirmed. */
  pending(peer: Did): number {
    const { acknowledged } = this.#link(peer);
    const sql = 'SELECT count(*) AS n FROM peer_outbox WHERE peer = ? AND sequence > ?';
    return Number(this.#parts.store.get(sql, peer, acknowledged)?.n ?? 0);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    for (const wake of this.#pauses.values()) wake();
    await Promise.all(this.#running.values());
  }

  /** Call it inside a transaction where it may have to be made. */
  #link(peer: Did): Link {
    const { store } = this.#parts;
    const row = store.get('SELECT * FROM peer_links WHERE peer = ?', peer);
    if (row !== undefined) return linkOf(row);
    const link: Link = { epoch: randomId(), last: 0, acknowledged: 0 };
    store
      .prepare('INSERT INTO peer_links (peer, epoch, last, acknowledged) VALUES (?, ?, ?, ?)')
      .run(peer, link.epoch, link.last, link.acknowledged);
    return link;
  }

  #run(peer: Did): void {
    if (this.#abort.signal.aborted || this.#running.has(peer)) return;
    const done = this.#deliver(peer)
      .catch((error) => this.#parts.onError(error))
      .finally(() => {
        this.#running.delete(peer);
        // What was added while the last one was on its way found this run still going.
        if (this.#next(peer) !== undefined) this.#run(peer);
      });
    this.#running.set(peer, done);
  }

  /** The first delivery that the receiver has not confirmed. */
  #next(peer: Did): { delivery: Delivery; sinceMs: number } | undefined {
    const { store } = this.#parts;
    if (this.#abort.signal.aborted) return undefined;
    const { epoch, acknowledged } = this.#link(peer);
    const sql = 'SELECT * FROM peer_outbox WHERE peer = ? AND sequence > ? ORDER BY sequence LIMIT 1';
    const row = store.get(sql, peer, acknowledged);
    if (row === undefined) return undefined;
    const oldest = Number(store.get('SELECT min(sequence) AS n FROM peer_outbox WHERE peer = ?', peer)?.n);
    const envelope = row.envelope as Uint8Array;
    return { delivery: { epoch, sequence: Number(row.sequence), oldest, envelope }, sinceMs: Number(row.since_ms) };
  }

  async #deliver(peer: Did): Promise<void> {
    let isTold = false;
    let failures = 0;
    for (let next = this.#next(peer); next !== undefined; next = this.#next(peer)) {
      try {
        const upTo = await this.#parts.send(peer, next.delivery);
        await this.#acknowledge(peer, next.delivery.epoch, upTo);
        isTold = false;
        if (upTo === next.delivery.sequence) {
          failures = 0;
          continue;
        }
        // Numbers begin anew, or something is sent again: a receiver that always says so is not asked without a pause.
        await this.#pause(peer, retryDelayMs(failures));
        failures += 1;
      } catch {
        // Why a receiver does not answer is its operator's business: this side waits, and says so when it takes long.
        if (!isTold && this.#parts.clockMs() - next.sinceMs >= overdueAfterMs) {
          isTold = true;
          this.#parts.overdue(peer);
        }
        await this.#pause(peer, retryDelayMs(failures));
        failures += 1;
      }
    }
  }

  async #acknowledge(peer: Did, epoch: string, upTo: number): Promise<void> {
    const { store } = this.#parts;
    await store.commit(() => {
      const link = this.#link(peer);
      if (link.epoch !== epoch) return;
      if (upTo > link.last) {
        this.#beginAnew(peer, link);
        return;
      }
      store.prepare('UPDATE peer_links SET acknowledged = ? WHERE peer = ?').run(upTo, peer);
      store.prepare('DELETE FROM peer_outbox WHERE peer = ? AND sequence <= ?').run(peer, upTo - deliveredKeptMax);
    });
  }

  /** Numbers everything that is here from 1 on: which of it the receiver has, it will recognise by the content. */
  #beginAnew(peer: Did, { last }: Link): void {
    const { store } = this.#parts;
    const rows = store.all('SELECT sequence FROM peer_outbox WHERE peer = ? ORDER BY sequence', peer);
    const renumber = store.prepare('UPDATE peer_outbox SET sequence = ? WHERE peer = ? AND sequence = ?');
    // By way of numbers that none has: a number can stand there once only.
    for (const [index, { sequence }] of rows.entries()) renumber.run(last + 1 + index, peer, Number(sequence));
    for (const [index] of rows.entries()) renumber.run(index + 1, peer, last + 1 + index);
    store
      .prepare('UPDATE peer_links SET epoch = ?, last = ?, acknowledged = 0 WHERE peer = ?')
      .run(randomId(), rows.length, peer);
  }

  #pause(peer: Did, delayMs: number): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(peer);
        resolve();
      };
      const timer = setTimeout(wake, delayMs);
      timer.unref();
      this.#pauses.set(peer, wake);
    });
  }
}

function linkOf({ epoch, last, acknowledged }: Row): Link {
  return { epoch: String(epoch), last: Number(last), acknowledged: Number(acknowledged) };
}

/** How many deliveries to other members have not arrived yet, and since when the oldest of them waits. */
export function peerBacklog(store: Store): { pending: number; sinceMs: number | undefined } {
  const row = store.get(
    'SELECT count(*) AS pending, min(since_ms) AS since FROM peer_outbox JOIN peer_links USING (peer) ' +
      'WHERE sequence > acknowledged',
  );
  const since = row?.since;
  return { pending: Number(row?.pending ?? 0), sinceMs: since == null ? undefined : Number(since) };
}
