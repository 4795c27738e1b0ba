import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { asVaultError } from './durable-files.ts';
import { vaultError } from './errors.ts';

export type Value = string | number | Uint8Array;
export type Row = Record<string, null | number | bigint | string | Uint8Array>;

/** Pages of 4 KiB in the write-ahead log before they move into the file: most are written again before that. */
const checkpointPages = 8_000;
const cacheKiB = 16_384;

/** Exclusive: the stores are opened by one process. FULL: a transaction is on disk when COMMIT returns. */
const pragmas = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA secure_delete = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA wal_autocheckpoint = ${checkpointPages};
  PRAGMA cache_size = -${cacheKiB};
`;

export function numberOf(row: Row | undefined, column: string): number {
  const value = row?.[column];
  if (typeof value !== 'number') throw vaultError('storeDamaged');
  return value;
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw vaultError('storeDamaged');
  return value;
}

/** An SQLite file with one schema, marked by its application id. Every error is a numbered one. */
export class Database {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string, kind: { applicationId: number; schemaVersion: number; schema: string }) {
    this.#database = new DatabaseSync(path);
    try {
      this.#guard(() => this.#database.exec(pragmas));
      const tables = numberOf(this.get('SELECT count(*) AS n FROM sqlite_schema'), 'n');
      const marks = () => [this.#mark('application_id'), this.#mark('user_version')];
      if (tables === 0 && marks().join() === '0,0') {
        const { applicationId, schemaVersion, schema } = kind;
        const mark = `PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion};`;
        this.transaction(() => this.#database.exec(`${schema} ${mark}`));
      }
      if (marks().join() !== `${kind.applicationId},${kind.schemaVersion}`) throw vaultError('storeForeign');
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Everything or nothing; durable when it returns. */
  transaction<T>(work: () => T): T {
    return this.#guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#guard(() => this.#statement(sql).get(...values));
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#guard(() => this.#statement(sql).all(...values));
  }

  run(sql: string, ...values: Value[]): { lastInsertRowid: number | bigint } {
    return this.#guard(() => this.#statement(sql).run(...values));
  }

  /** Whether SQLite finds its own structure whole, indices included. */
  isSound(): boolean {
    try {
      const rows = this.all('PRAGMA integrity_check');
      return rows.length === 1 && rows[0]?.integrity_check === 'ok';
    } catch {
      return false;
    }
  }

  /** Moves the write-ahead log into the file and empties it. */
  truncateLog(): void {
    if (numberOf(this.get('PRAGMA wal_checkpoint(TRUNCATE)'), 'busy') !== 0) throw vaultError('storeInUse');
  }

  copyTo(path: string): void {
    this.run('VACUUM INTO ?', path);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #mark(name: 'application_id' | 'user_version'): number {
    return numberOf(this.get(`PRAGMA ${name}`), name);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw asVaultError(error);
    }
  }
}
