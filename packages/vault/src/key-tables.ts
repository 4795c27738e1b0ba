import { vaultError } from './errors.ts';
import { wrappedKeyBytes } from './key-wrap.ts';
import { Database, numberOf, type Row, textOf } from './sqlite.ts';

/** "SALK" in the file header marks a key ring. */
const applicationId = 0x53414c4b;
const schemaVersion = 1;

/**
 * A row never changes its length and tables grow only at their end: SQLite then overwrites a key in place and never moves
 * it, so that destroying one leaves no copy in the file.
 */
const schema = `
  CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, wrapped BLOB NOT NULL);
  CREATE TABLE purposes (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, wrapped BLOB NOT NULL);
  CREATE TABLE records (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, patient INTEGER NOT NULL, wrapped BLOB NOT NULL);
  CREATE INDEX records_of_patient ON records (patient);
`;

const destroyed = new Uint8Array(wrappedKeyBytes);

export type WrappingTable = 'patient' | 'purpose';
export type WrappingRow = { row: number; name: string; wrapped: Uint8Array };

function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array) || value.length !== wrappedKeyBytes) throw vaultError('keyUnreadable');
  return value;
}

function wrappingOf(row: Row): WrappingRow {
  return { row: numberOf(row, 'id'), name: textOf(row, 'name'), wrapped: bytesOf(row, 'wrapped') };
}

function epochPrefix(epoch: number): Uint8Array {
  const prefix = new Uint8Array(4);
  new DataView(prefix.buffer).setUint32(0, epoch);
  return prefix;
}

/** The SQLite file of a key ring: rows in, rows out; it knows no key. */
export class KeyTables {
  readonly #database: Database;

  constructor(path: string) {
    this.#database = new Database(path, { applicationId, schemaVersion, schema });
  }

  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  claim(organisation: string): void {
    const known = this.#database.get('SELECT value FROM settings WHERE name = ?', 'organisation');
    if (known === undefined) this.#database.run('INSERT INTO settings VALUES (?, ?)', 'organisation', organisation);
    else if (known.value !== organisation) throw vaultError('storeForeign', 'another organisation');
  }

  erasuresApplied(): number {
    const row = this.#database.get('SELECT value FROM settings WHERE name = ?', 'erasures');
    return row === undefined ? 0 : numberOf(row, 'value');
  }

  setErasuresApplied(sequence: number): void {
    this.#database.run('INSERT OR REPLACE INTO settings VALUES (?, ?)', 'erasures', sequence);
  }

  counts(): { patients: number; records: number } {
    const patients = this.#database.get('SELECT count(*) AS n FROM patients');
    const records = this.#database.get('SELECT count(*) AS n FROM records');
    return { patients: numberOf(patients, 'n'), records: numberOf(records, 'n') };
  }

  /** A patient or purpose. */
  wrapping(table: WrappingTable, name: string): WrappingRow | undefined {
    const row = this.#database.get(`SELECT id, name, wrapped FROM ${table}s WHERE name = ?`, name);
    return row && wrappingOf(row);
  }

  insertWrapping(table: WrappingTable, name: string, wrapped: Uint8Array): number {
    const { lastInsertRowid } = this.#database.run(
      `INSERT INTO ${table}s (name, wrapped) VALUES (?, ?)`,
      name,
      wrapped,
    );
    return Number(lastInsertRowid);
  }

  overwrite(table: WrappingTable | 'record', row: number, wrapped: Uint8Array): void {
    this.#database.run(`UPDATE ${table}s SET wrapped = ? WHERE id = ?`, wrapped, row);
  }

  destroy(table: 'patient' | 'record', row: number): void {
    this.overwrite(table, row, destroyed);
  }

  record(name: string): { patient: string; wrapped: Uint8Array } | undefined {
    const sql = `SELECT r.wrapped AS wrapped, p.name AS patient FROM records r JOIN patients p ON p.id = r.patient
      WHERE r.name = ?`;
    const row = this.#database.get(sql, name);
    return row && { patient: textOf(row, 'patient'), wrapped: bytesOf(row, 'wrapped') };
  }

  recordsOf(patient: number): WrappingRow[] {
    return this.#database
      .all('SELECT id, name, wrapped FROM records WHERE patient = ? ORDER BY id', patient)
      .map(wrappingOf);
  }

  insertRecord(name: string, patient: number, wrapped: Uint8Array): void {
    this.#database.run('INSERT INTO records (name, patient, wrapped) VALUES (?, ?, ?)', name, patient, wrapped);
  }

  /** Rows after `afterRow` that are wrapped under an epoch before `epoch`. A wrapped key begins with its epoch. */
  staleWrappings(table: WrappingTable, epoch: number, afterRow: number, limit: number): WrappingRow[] {
    const sql = `SELECT id, name, wrapped FROM ${table}s
      WHERE id > ? AND substr(wrapped, 1, 4) < ? AND wrapped <> ? ORDER BY id LIMIT ?`;
    return this.#database.all(sql, afterRow, epochPrefix(epoch), destroyed, limit).map(wrappingOf);
  }

  epochsInUse(): number[] {
    const sql = `SELECT DISTINCT substr(wrapped, 1, 4) AS epoch FROM patients WHERE wrapped <> ?1
      UNION SELECT DISTINCT substr(wrapped, 1, 4) FROM purposes`;
    return this.#database.all(sql, destroyed).map(({ epoch }) => {
      if (!(epoch instanceof Uint8Array) || epoch.length !== 4) throw vaultError('keyUnreadable');
      return new DataView(epoch.buffer, epoch.byteOffset).getUint32(0);
    });
  }

  /** Empties the write-ahead log, which holds earlier versions of the rows. */
  truncateLog(): void {
    this.#database.truncateLog();
  }

  rebuild(): void {
    this.#database.run('VACUUM');
    this.truncateLog();
  }

  /** Names after `after` of records whose keys are there or destroyed, a page at a time. */
  recordsAfter(after: number, limit: number): (WrappingRow & { patient: string })[] {
    const sql = `SELECT r.id AS id, r.name AS name, r.wrapped AS wrapped, p.name AS patient
      FROM records r JOIN patients p ON p.id = r.patient WHERE r.id > ? ORDER BY r.id LIMIT ?`;
    return this.#database
      .all(sql, after, limit)
      .map((row) => ({ ...wrappingOf(row), patient: textOf(row, 'patient') }));
  }

  isSound(): boolean {
    return this.#database.isSound();
  }

  copyTo(path: string): void {
    this.#database.copyTo(path);
  }

  close(): void {
    this.#database.close();
  }
}
