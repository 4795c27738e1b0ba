import { createHash } from 'node:crypto';
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';

/** One step of a store's layout. Steps are only ever added; one that has been applied somewhere never changes. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export type Row = Record<string, SQLOutputValue>;

/**
 * An organisation's embedded database (SQLite, WAL, synchronous FULL): what `commit` answered is on disk.
 *
 * Nothing readable about a person goes into it: keyed tokens, ciphertext, references and codes only.
 */
export interface Store {
  readonly db: DatabaseSync;
  /** A statement that is prepared once and kept. */
  prepare(sql: string): StatementSync;
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /**
   * Runs `work` inside the next group's transaction and answers when that is durable: writers that come together share
   * one sync. `work` must be synchronous; when it throws, its own writes are undone and nobody else's.
   */
  commit<T>(work: () => T): Promise<T>;
  /** Runs `work` in a transaction of its own, at once. */
  transact<T>(work: () => T): T;
  close(): void;
}

const busyTimeoutMs = 5_000;
/** Pages of 4 KiB in the write-ahead log before they move into the file: most are written again before that. */
const checkpointPages = 8_000;
const cacheKiB = 16_384;
/** Pieces of work in one transaction at the most, so that the first of them does not wait for a thousand others. */
const groupSizeMax = 512;

function digestOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}

function migrate(db: DatabaseSync, migrations: readonly Migration[]): void {
  db.exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT');
  const applied = db.prepare('SELECT name, digest FROM migrations ORDER BY rowid').all();
  const known = new Map(migrations.map((migration) => [migration.name, digestOf(migration.sql)]));
  for (const { name, digest } of applied) {
    // A name that we do not know was applied by a newer version: working on would damage what it wrote.
    if (known.get(String(name)) !== digest) throw new NodeFault(NodeErrorCodes.storeVersion);
  }
  const done = new Set(applied.map((row) => row.name));
  for (const { name, sql } of migrations) {
    if (done.has(name)) continue;
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(sql);
      db.prepare('INSERT INTO migrations (name, digest) VALUES (?, ?)').run(name, digestOf(sql));
      db.exec('COMMIT');
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  }
}

interface Job {
  run(): void;
  settle(error?: unknown): void;
}

function createJob<T>(work: () => T, resolve: (value: T) => void, reject: (error: unknown) => void): Job {
  let outcome: { value: T } | { error: unknown };
  return {
    run() {
      outcome = { value: work() };
    },
    settle(error) {
      if (error !== undefined) outcome = { error };
      if ('error' in outcome) reject(outcome.error);
      else resolve(outcome.value);
    },
  };
}

class SqliteStore implements Store {
  readonly db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #queue: Job[] = [];
  #isScheduled = false;

  constructor(db: DatabaseSync) {
    this.db = db;
  }

  prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql) ?? this.db.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.prepare(sql).all(...values);
  }

  transact<T>(work: () => T): T {
    this.db.exec('BEGIN IMMEDIATE');
    try {
      const value = work();
      this.db.exec('COMMIT');
      return value;
    } catch (error) {
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  commit<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#queue.push(createJob(work, resolve, reject));
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const jobs = this.#queue.splice(0, groupSizeMax);
    const failures = new Map<Job, unknown>();
    try {
      this.transact(() => {
        for (const job of jobs) this.#runJob(job, failures);
      });
    } catch (error) {
      // Nothing of the group is durable, whatever each piece of it did.
      for (const job of jobs) failures.set(job, error);
    }
    for (const job of jobs) job.settle(failures.get(job));
  }

  #runJob(job: Job, failures: Map<Job, unknown>): void {
    this.prepare('SAVEPOINT work').run();
    try {
      job.run();
    } catch (error) {
      failures.set(job, error ?? new Error('work failed'));
      this.prepare('ROLLBACK TO work').run();
    }
    this.prepare('RELEASE work').run();
  }

  close(): void {
    if (!this.db.isOpen) return;
    while (this.#queue.length > 0) this.#flush();
    this.db.close();
  }
}

export interface StoreOptions {
  file: string;
  migrations: readonly Migration[];
}

/** Opens or creates a store and brings its layout up to date. Throws `storeVersion` for one of a newer version. */
export function openStore(options: StoreOptions): Store {
  const db = new DatabaseSync(options.file, { timeout: busyTimeoutMs });
  try {
    db.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;
       PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA cache_size = -${cacheKiB}`,
    );
    migrate(db, options.migrations);
    return new SqliteStore(db);
  } catch (error) {
    db.close();
    throw error;
  }
}
