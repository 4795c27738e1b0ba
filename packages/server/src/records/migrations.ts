import type { Migration } from '../store/database.ts';

/**
 * What an organisation keeps beside its vault. Columns hold keyed tokens, ciphertext and random ids: without the
 * organisation's keys nobody learns from this file whom a row is about, or what it says.
 */
export const recordMigrations: readonly Migration[] = [
  {
    name: '0003-records',
    sql: `
      CREATE TABLE patients (
        token TEXT PRIMARY KEY,
        did TEXT NOT NULL UNIQUE,
        sealed BLOB NOT NULL,
        registered INTEGER NOT NULL DEFAULT 0
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE versions (
        seq INTEGER PRIMARY KEY,
        record TEXT NOT NULL,
        version INTEGER NOT NULL,
        blob TEXT NOT NULL,
        meta BLOB NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX versions_by_record ON versions (record, version);
      CREATE TABLE resources (
        token TEXT PRIMARY KEY,
        record TEXT NOT NULL UNIQUE,
        patient TEXT,
        type TEXT NOT NULL,
        version INTEGER NOT NULL,
        source TEXT NOT NULL,
        current INTEGER NOT NULL REFERENCES versions (seq),
        erased INTEGER NOT NULL DEFAULT 0
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX resources_by_patient ON resources (patient, type) WHERE patient IS NOT NULL;
      CREATE INDEX resources_shared ON resources (type) WHERE patient IS NULL;
      CREATE TABLE unanchored (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        record TEXT NOT NULL,
        version INTEGER NOT NULL,
        refused INTEGER
      ) STRICT;
      CREATE TABLE identifiers (token TEXT PRIMARY KEY, resource TEXT NOT NULL) STRICT, WITHOUT ROWID;
    `,
  },
];
