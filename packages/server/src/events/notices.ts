import { EventEmitter } from 'node:events';
import type { Notice } from '@salus/api';
import type { Store } from '../store/database.ts';

/** Notices that one read of the store takes at the most. */
export const noticesBatchMax = 200;
/** Topic of what concerns the organisation as a whole, which its staff may follow. */
export const organizationTopic = 'organization';

export interface NoticeInput {
  /** `organization`, or the DID of the participant it is for. */
  topic: string;
  type: string;
  /** References, codes and counts: the store is not encrypted, so nothing that names or describes a person. */
  data: Record<string, unknown>;
}

/**
 * Private notices of one organisation: stored before they are sent, numbered without gaps in the order of their commit,
 * and pulled by readers with a cursor, so that a reader who was away misses nothing.
 */
export class NoticeBoard {
  readonly #store: Store;
  readonly #emitter = new EventEmitter();

  constructor(store: Store) {
    this.#store = store;
    this.#emitter.setMaxListeners(0);
  }

  /** Writes a notice; call it inside `store.commit` or `store.transact`, beside what it tells about, then `wake`. */
  add(notice: NoticeInput, nowMs: number = Date.now()): number {
    const { lastInsertRowid } = this.#store
      .prepare('INSERT INTO notices (topic, type, time_ms, data) VALUES (?, ?, ?, ?)')
      .run(notice.topic, notice.type, nowMs, JSON.stringify(notice.data));
    return Number(lastInsertRowid);
  }

  /** Tells readers that there is more. */
  wake(): void {
    this.#emitter.emit('more');
  }

  /** Stores a notice durably and tells readers. */
  async emit(notice: NoticeInput): Promise<number> {
    const seq = await this.#store.commit(() => this.add(notice));
    this.wake();
    return seq;
  }

  /** Notices of a topic after a cursor, oldest first. */
  after(topic: string, seq: number): Notice[] {
    const rows = this.#store.all(
      `SELECT seq, topic, type, time_ms, data FROM notices WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ${noticesBatchMax}`,
      topic,
      seq,
    );
    return rows.map((row) => ({
      seq: Number(row.seq),
      topic: String(row.topic),
      type: String(row.type),
      timeMs: Number(row.time_ms),
      data: JSON.parse(String(row.data)),
    }));
  }

  /** The number of the latest notice of any topic: where a reader without a cursor begins. */
  latest(): number {
    return Number(this.#store.get('SELECT coalesce(max(seq), 0) AS seq FROM notices')?.seq ?? 0);
  }

  /** Answers when something was added, or when the signal ends the wait. */
  async more(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#emitter.off('more', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#emitter.on('more', done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
