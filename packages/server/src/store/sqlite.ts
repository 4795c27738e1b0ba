import { closeSync, fstatSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { GroupedStore, type Migration, type PinnedView, type Store } from './database.ts';
import { isDiskFull } from './disk-full.ts';
import { type Applied, digestOf, missingSteps } from './migrate.ts';

const busyTimeoutMs = 5_000;
/** Pages of 4 KiB in the write-ahead log before they move into the file: most are written again before that. */
const checkpointPages = 2_000;
const frameBytes = 4_120;
/** Room in the write-ahead log beyond the next checkpoint: for what must still be taken in when the disk is full. */
const reserveBytes = 2 * 1_048_576;
const logBytes = checkpointPages * frameBytes + reserveBytes;
const zeros = Buffer.alloc(1_048_576);
const ownerOnlyDirectory = 0o700;
const cacheKiB = 16_384;
/** Statements that stay prepared; those beyond are prepared again when they come. */
const statementsKeptMax = 500;

export interface SqliteLocation {
  file: string;
  migrations: readonly Migration[];
}

interface Prepared {
  reader: boolean;
  all(values: readonly unknown[]): unknown[];
  run(values: readonly unknown[]): ReturnType<StatementSync['run']>;
  iterate(values: readonly unknown[]): IterableIterator<unknown>;
}

function prepared(statement: StatementSync): Prepared {
  const given = (values: readonly unknown[]) => values as SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (values) => statement.all(...given(values)),
    run: (values) => statement.run(...given(values)),
    iterate: (values) => statement.iterate(...given(values)),
  };
}

/** Node's SQLite as the query builder wants it: statements are prepared once and kept. */
export function asSqliteDatabase(db: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, Prepared>();
  return {
    prepare(sql) {
      const known = statements.get(sql);
      if (known !== undefined) return known;
      if (statements.size >= statementsKeptMax) statements.clear();
      const statement = prepared(db.prepare(sql));
      statements.set(sql, statement);
      return statement;
    },
    close: () => db.close(),
  };
}

function migrate(db: DatabaseSync, migrations: readonly Migration[]): void {
  db.exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT');
  const rows = db.prepare('SELECT name, digest FROM migrations ORDER BY rowid').all();
  const applied: Applied[] = rows.map(({ name, digest }) => ({ name: String(name), digest: String(digest) }));
  for (const { name, sql } of missingSteps(applied, migrations)) {
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

function open(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: busyTimeoutMs });
  db.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;
     PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA cache_size = -${cacheKiB}`,
  );
  return db;
}

/**
 * Takes the disk space that the write-ahead log comes to need, so that a full disk cannot stop what follows the ledger: what
 * lies after the last frame is ignored and written over. Without it where there is no room for it now.
 */
function reserveLog(file: string): void {
  const log = openSync(`${file}-wal`, 'r+');
  try {
    for (let at = fstatSync(log).size; at < logBytes; )
      at += writeSync(log, zeros, 0, Math.min(zeros.length, logBytes - at), at);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  } finally {
    closeSync(log);
  }
}

function over<Tables>(db: DatabaseSync): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new SqliteDialect({ database: asSqliteDatabase(db) }) });
}

/** A view of the file, what lies in its write-ahead log included; nobody waits for it. */
export function pinSqlite<Tables>(file: string): PinnedView<Tables> {
  const db = new DatabaseSync(file, { timeout: busyTimeoutMs });
  // A read transaction begins with its first read.
  db.exec('BEGIN; SELECT count(*) FROM sqlite_schema');
  return {
    read: over<Tables>(db),
    async end() {
      db.close();
    },
  };
}

/**
 * Opens or creates an embedded store (WAL, synchronous FULL: what `commit` answered is on disk) and brings its layout up to
 * date. Throws `storeVersion` for one of a newer version.
 */
export function openSqliteStore<Tables>({ file, migrations }: SqliteLocation): Store<Tables> {
  mkdirSync(dirname(file), { recursive: true, mode: ownerOnlyDirectory });
  const writer = open(file);
  try {
    migrate(writer, migrations);
    reserveLog(file);
    const reader = open(file);
    const end = async () => {
      reader.close();
      writer.close();
    };
    return new GroupedStore({ kind: 'sqlite', read: over<Tables>(reader), write: over<Tables>(writer), end });
  } catch (error) {
    writer.close();
    throw error;
  }
}

const filesOfStore = ['', '-wal', '-shm'];

export function removeSqliteStore(file: string): void {
  for (const end of filesOfStore) rmSync(`${file}${end}`, { force: true });
}
