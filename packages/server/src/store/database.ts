import type { ControlledTransaction, Kysely, Transaction } from 'kysely';

/** One step of a store's layout, in SQLite's words. Steps are only ever added; one that was applied somewhere never changes. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export type StoreKind = 'sqlite' | 'postgres';

/**
 * Where an organisation keeps its index, its queues and its notices: SQLite in the node's directory, or a schema of a
 * PostgreSQL database. The same code runs over both. One process writes to it at a time.
 *
 * Nothing readable about a person goes into it: keyed tokens, ciphertext, references and codes only.
 */
export interface Store<Tables> {
  readonly kind: StoreKind;
  /** Reads what is durable. Nothing is written through it. */
  readonly read: Kysely<Tables>;
  /**
   * Runs `work` inside the next group's transaction and answers when that is durable: writers that come together share
   * one sync. Pieces of work run one after the other and see each other's writes; one that throws undoes its own alone.
   * `work` waits for nothing but the transaction it is given: everybody else's writes wait for it.
   */
  commit<T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T>;
  /**
   * Waits for the group under way and lets none begin until `release` is called: what is durable stays as it is. For a copy
   * of one moment of several stores.
   */
  hold(): Promise<{ release(): void }>;
  /** Finishes what was asked for. */
  close(): Promise<void>;
}

/** What was durable at one moment, as it stays whatever is written afterwards. */
export interface PinnedView<Tables> {
  readonly read: Kysely<Tables>;
  end(): Promise<void>;
}

/** Pieces of work in one transaction at the most, so that the first of them does not wait for a thousand others. */
const groupSizeMax = 512;

interface Job<Tables> {
  run(tx: Transaction<Tables>): Promise<void>;
  settle(error?: unknown): void;
}

function createJob<Tables, T>(
  work: (tx: Transaction<Tables>) => Promise<T>,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): Job<Tables> {
  let outcome: { value: T } | { error: unknown };
  return {
    async run(tx) {
      outcome = { value: await work(tx) };
    },
    settle(error) {
      if (error !== undefined) outcome = { error };
      if ('error' in outcome) reject(outcome.error);
      else resolve(outcome.value);
    },
  };
}

export interface StoreParts<Tables> {
  kind: StoreKind;
  read: Kysely<Tables>;
  /** One connection, used for nothing but groups. */
  write: Kysely<Tables>;
  /** Closes both. */
  end(): Promise<void>;
}

async function undo<Tables>(inside: ControlledTransaction<Tables, ['work']>, cause: unknown): Promise<void> {
  try {
    await inside.rollbackToSavepoint('work').execute();
    await inside.releaseSavepoint('work').execute();
  } catch {
    throw cause;
  }
}

/** A store over two ways into one database. */
export class GroupedStore<Tables> implements Store<Tables> {
  readonly kind: StoreKind;
  readonly read: Kysely<Tables>;
  readonly #write: Kysely<Tables>;
  readonly #endParts: () => Promise<void>;
  #queue: Job<Tables>[] = [];
  #flushing: Promise<void> | undefined;
  #held: Promise<void> | undefined;
  #group: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor({ kind, read, write, end }: StoreParts<Tables>) {
    this.kind = kind;
    this.read = read;
    this.#write = write;
    this.#endParts = end;
  }

  commit<T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw new Error('the store is closed');
      this.#queue.push(createJob(work, resolve, reject));
      this.#flushing ??= this.#flushAll();
    });
  }

  async #flushAll(): Promise<void> {
    // What is asked for in the same turn goes into one group.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      while (this.#held !== undefined) await this.#held;
      await this.#flush(this.#queue.splice(0, groupSizeMax));
    }
    this.#flushing = undefined;
  }

  async #flush(jobs: readonly Job<Tables>[]): Promise<void> {
    this.#group = this.#commitGroup(jobs);
    await this.#group;
  }

  async #commitGroup(jobs: readonly Job<Tables>[]): Promise<void> {
    const failures = new Map<Job<Tables>, unknown>();
    try {
      await this.#write.connection().execute((connection) => this.#runGroup(connection, jobs, failures));
    } catch (error) {
      // Nothing of the group is durable, whatever each piece of it did.
      for (const job of jobs) failures.set(job, error ?? new Error('the store failed'));
    }
    for (const job of jobs) job.settle(failures.get(job));
  }

  async #runGroup(connection: Kysely<Tables>, jobs: readonly Job<Tables>[], failures: Map<Job<Tables>, unknown>) {
    const tx = await connection.startTransaction().execute();
    try {
      for (const job of jobs) {
        const inside = await tx.savepoint('work').execute();
        try {
          await job.run(inside);
          await inside.releaseSavepoint('work').execute();
        } catch (error) {
          failures.set(job, error ?? new Error('work failed'));
          // Where the transaction itself is gone, it is gone because of this.
          await undo(inside, error);
        }
      }
      await tx.commit().execute();
    } catch (error) {
      if (!tx.isCommitted)
        await tx
          .rollback()
          .execute()
          .catch(() => undefined);
      throw error;
    }
  }

  async hold(): Promise<{ release(): void }> {
    while (this.#held !== undefined) await this.#held;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    await this.#group;
    return {
      release: () => {
        this.#held = undefined;
        resolve();
      },
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    await this.#flushing;
    await this.#endParts();
  }
}
