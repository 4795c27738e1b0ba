import { EventEmitter } from 'node:events';
import type { Notice } from '@salus/api';
import type { Transaction } from 'kysely';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';

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
 * Private notices of one organisation: stored before they are sent, numbered in the order of their commit,
 * and pulled by readers with a cursor, so that a reader who was away misses nothing.
 */
export class NoticeBoard {
  readonly #store: OrganizationStore;
  readonly #emitter = new EventEmitter();
  #wakes = 0;

  constructor(store: OrganizationStore) {
    this.#store = store;
    this.#emitter.setMaxListeners(0);
  }

  /** Writes a notice in the transaction of what it tells about; `wake` when that is durable. */
  async add(tx: Transaction<OrganizationTables>, notice: NoticeInput, nowMs: number = Date.now()): Promise<number> {
    const { topic, type } = notice;
    const { seq } = await tx
      .insertInto('notices')
      .values({ topic, type, time_ms: nowMs, data: JSON.stringify(notice.data) })
      .returning('seq')
      .executeTakeFirstOrThrow();
    return seq;
  }

  /** Tells readers that there is more. */
  wake(): void {
    this.#wakes += 1;
    this.#emitter.emit('more');
  }

  /** Stores a notice durably and tells readers. */
  async emit(notice: NoticeInput): Promise<number> {
    const seq = await this.#store.commit((tx) => this.add(tx, notice));
    this.wake();
    return seq;
  }

  /** Notices of a topic after a cursor, oldest first. */
  async after(topic: string, seq: number): Promise<Notice[]> {
    const rows = await this.#store.read
      .selectFrom('notices')
      .selectAll()
      .where('topic', '=', topic)
      .where('seq', '>', seq)
      .orderBy('seq')
      .limit(noticesBatchMax)
      .execute();
    return rows.map(({ time_ms: timeMs, data, ...row }) => ({ ...row, timeMs, data: JSON.parse(data) }));
  }

  /** The number of the latest notice of any topic: where a reader without a cursor begins. */
  async latest(): Promise<number> {
    const query = this.#store.read.selectFrom('notices').select(({ fn }) => fn.max('seq').as('seq'));
    return (await query.executeTakeFirst())?.seq ?? 0;
  }

  /** How often readers were told; look at it before `after`, and give it to `more`. */
  get wakes(): number {
    return this.#wakes;
  }

  /** Answers when something was added since `wakes` was looked at, or when the signal ends the wait. */
  async more(signal: AbortSignal, wakes: number): Promise<void> {
    if (signal.aborted || this.#wakes !== wakes) return;
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
