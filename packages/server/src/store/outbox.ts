import type { Store } from './database.ts';

/** Entries that one round takes at the most. */
export const outboxBatchMax = 256;
export const retryDelayMsMin = 500;
export const retryDelayMsMax = 60_000;
/** After so many failures an entry waits apart, so that one that cannot be delivered holds up nobody else. */
export const attemptsMax = 50;

export interface OutboxEntry {
  seq: number;
  payload: Uint8Array;
  attempts: number;
}

function retryDelayMs(attempts: number): number {
  return Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(attempts, 16));
}

/**
 * A transactional outbox: an entry is written in the same transaction as what it tells about, and is removed when its
 * delivery succeeded. Delivery is at least once: whoever receives must recognise a repetition.
 */
export class Outbox {
  readonly #store: Store;
  readonly #queue: string;
  #isRunning = false;
  #wake: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(store: Store, queue: string) {
    this.#store = store;
    this.#queue = queue;
  }

  /** Adds an entry; call it inside `store.commit` or `store.transact`, beside the write it belongs to. */
  add(payload: Uint8Array): number {
    const { lastInsertRowid } = this.#store
      .prepare('INSERT INTO outbox (queue, payload) VALUES (?, ?)')
      .run(this.#queue, payload);
    return Number(lastInsertRowid);
  }

  pending(): number {
    return Number(this.#store.get('SELECT count(*) AS n FROM outbox WHERE queue = ?', this.#queue)?.n ?? 0);
  }

  /** Entries that failed too often and wait for somebody to look. */
  stuck(): OutboxEntry[] {
    return this.#select('attempts >= ?', attemptsMax);
  }

  #select(condition: string, value: number): OutboxEntry[] {
    const rows = this.#store.all(
      `SELECT seq, payload, attempts FROM outbox WHERE queue = ? AND ${condition} ORDER BY seq LIMIT ${outboxBatchMax}`,
      this.#queue,
      value,
    );
    return rows.map(({ seq, payload, attempts }) => ({
      seq: Number(seq),
      payload: payload as Uint8Array,
      attempts: Number(attempts),
    }));
  }

  /** Delivers what is due, once; gives how many entries were delivered. */
  async deliver(send: (entries: OutboxEntry[]) => Promise<void>, nowMs: number): Promise<number> {
    const due = this.#select('next_ms <= ?', nowMs).filter((entry) => entry.attempts < attemptsMax);
    if (due.length === 0) return 0;
    try {
      await send(due);
    } catch (error) {
      await this.#store.commit(() => {
        for (const { seq, attempts } of due) {
          const nextMs = nowMs + retryDelayMs(attempts);
          this.#store.prepare('UPDATE outbox SET attempts = attempts + 1, next_ms = ? WHERE seq = ?').run(nextMs, seq);
        }
      });
      throw error;
    }
    await this.#store.commit(() => {
      for (const { seq } of due) this.#store.prepare('DELETE FROM outbox WHERE seq = ?').run(seq);
    });
    return due.length;
  }

  /** Delivers at every interval until `stop`; failures are retried with growing pauses. */
  start(send: (entries: OutboxEntry[]) => Promise<void>, intervalMs: number): void {
    const round = async (): Promise<void> => {
      if (this.#isRunning || this.#isClosed) return;
      this.#isRunning = true;
      try {
        while (!this.#isClosed && (await this.deliver(send, Date.now())) === outboxBatchMax);
      } catch {
        // The entries carry their own retry time; `stuck` shows those that never succeed.
      } finally {
        this.#isRunning = false;
      }
    };
    this.#wake = setInterval(() => void round(), intervalMs);
    this.#wake.unref();
  }

  stop(): void {
    this.#isClosed = true;
    clearInterval(this.#wake);
  }
}
