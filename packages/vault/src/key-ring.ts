import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asVaultError, copyDurably, isMissing, StoreLock } from './durable-files.ts';
import { type Erasure, ErasureList, parseErasures } from './erasure-list.ts';
import { vaultError } from './errors.ts';
import { KeyTables, type WrappingRow, type WrappingTable } from './key-tables.ts';
import { isDestroyed, newKey, unwrapKey, type WrapPlace, wrapKey, wrapNumbers } from './key-wrap.ts';
import type { OrganisationKeyProvider } from './organisation-keys.ts';
import { searchFiles } from './search-bytes.ts';

export type KeyRingOptions = {
  dir: string;
  /** Id of the organisation (its DID): authenticated in every wrapping. */
  organisation: string;
  keys: OrganisationKeyProvider;
};

export type ErasureEvidence = {
  format: 'salus-erasure/1';
  organisation: string;
  kind: 'record' | 'patient';
  patient: string;
  records: string[];
  keysDestroyed: number;
  atMs: number;
  /** Place in the erasure list, which is a hash chain. */
  list: { sequence: number; hash: string };
  /** The files of the ring were searched for the destroyed bytes afterwards. */
  search: { files: number; bytes: number; keys: number; found: 0 };
  /** Backups from before hold the patient's old key under epochs up to this one… */
  organisationEpoch: number;
  /** …which have to be retired by then. */
  epochRetiredByMs: number;
};

export type KeyRingReport = { records: number; destroyed: number; damaged: string[]; databaseSound: boolean };

/** An old epoch dies within 30 days after an erasure, and with it every backup from before. */
export const epochRetirementMsMax = 30 * 86_400_000;
const patientKeysCachedMax = 8_192;
type PatientKey = { key: Uint8Array; generation: number; row: number };
const rotationBatchKeys = 2_000;
/** Wrapped record keys that are searched for; without the patient's old key, which always is, the others are useless. */
const searchedRecordsMax = 16;
const idPattern = /^[\x21-\x7e]{1,200}$/;
const checkPurpose = 'ring-check';

function checkId(id: string): string {
  if (!idPattern.test(id)) throw vaultError('idUnacceptable');
  return id;
}

/** Opens or creates the key ring of one organisation, replays the erasure list, and holds a lock until it is closed. */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  checkId(options.organisation);
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const lock = new StoreLock(options.dir);
  let tables: KeyTables | undefined;
  try {
    const epochs = await options.keys.load();
    tables = new KeyTables(join(options.dir, 'keys.sqlite'));
    const ring = new KeyRing(options, lock, tables, epochs);
    await ring.start();
    return ring;
  } catch (error) {
    tables?.close();
    lock.release();
    throw asVaultError(error);
  }
}

/**
 * Record key → patient key → organisation key. All keys are 32 random bytes for AES-256-GCM and lie wrapped in one SQLite
 * file; only organisation and cached patient keys are in memory. Every method that makes or destroys keys is durable when
 * it returns.
 */
export class KeyRing {
  readonly organisation: string;
  readonly #dir: string;
  readonly #keys: OrganisationKeyProvider;
  readonly #lock: StoreLock;
  readonly #tables: KeyTables;
  readonly #epochs: Map<number, Uint8Array>;
  readonly #erasures: ErasureList;
  readonly #patientKeys = new Map<string, PatientKey>();
  /** Held open because closing any descriptor of the file would drop the lock that SQLite has on it (POSIX). */
  readonly #databaseFd: number;

  constructor(options: KeyRingOptions, lock: StoreLock, tables: KeyTables, epochs: Map<number, Uint8Array>) {
    this.organisation = options.organisation;
    this.#dir = options.dir;
    this.#keys = options.keys;
    this.#lock = lock;
    this.#tables = tables;
    this.#epochs = epochs;
    this.#erasures = new ErasureList(join(options.dir, 'erasures.jsonl'));
    this.#databaseFd = openSync(join(options.dir, 'keys.sqlite'), 'r');
  }

  /** Only `openKeyRing` calls this. */
  async start(): Promise<void> {
    this.#tables.claim(this.organisation);
    const check = this.#tables.wrapping('purpose', checkPurpose);
    if (check === undefined && this.#epochs.size === 0) this.#epochs.set(1, await this.#keys.create(1));
    for (const epoch of this.#tables.epochsInUse()) this.#organisationKey(epoch);
    try {
      this.purposeKey(checkPurpose);
    } catch {
      throw vaultError('organisationKeyWrong');
    }
    await this.#replay();
  }

  /** The epoch that wraps new keys. */
  get epoch(): number {
    return Math.max(...this.#epochs.keys());
  }

  counts(): { patients: number; records: number } {
    return this.#tables.counts();
  }

  /** Makes keys for new records, and for new patients, in one durable transaction. A known record returns its key. */
  createRecordKeys(items: readonly { patientId: string; recordId: string }[]): Uint8Array[] {
    try {
      return this.#tables.transaction(() => items.map((item) => this.#createRecordKey(item.patientId, item.recordId)));
    } catch (error) {
      // A rolled back transaction takes its new patients along.
      this.#forgetPatientKeys();
      throw asVaultError(error);
    }
  }

  createRecordKey(patientId: string, recordId: string): Uint8Array {
    const [key] = this.createRecordKeys([{ patientId, recordId }]);
    if (key === undefined) throw vaultError('keyUnknown');
    return key;
  }

  #createRecordKey(patientId: string, recordId: string): Uint8Array {
    const patient = this.#patientKey(checkId(patientId)) ?? this.#createPatientKey(patientId);
    const known = this.#tables.record(checkId(recordId));
    if (known !== undefined) {
      if (known.patient !== patientId) throw vaultError('keyTaken');
      return this.#unwrapRecord(recordId, known, patient);
    }
    const key = newKey();
    const wrapped = wrapKey(patient.key, this.#recordPlace(patientId, recordId), key, {
      wrappedBy: patient.generation,
      generation: 1,
    });
    this.#tables.insertRecord(recordId, patient.row, wrapped);
    return key;
  }

  /** The key of a record; throws keyUnknown, keyDestroyed or keyUnreadable. */
  recordKey(recordId: string): Uint8Array {
    const record = this.#tables.record(recordId);
    if (record === undefined) throw vaultError('keyUnknown');
    if (isDestroyed(record.wrapped)) throw vaultError('keyDestroyed');
    const patient = this.#patientKey(record.patient);
    if (patient === undefined) throw vaultError('keyUnknown');
    return this.#unwrapRecord(recordId, record, patient);
  }

  /** 'unknown' and 'destroyed' must look alike to people outside. */
  recordState(recordId: string): 'present' | 'destroyed' | 'unknown' {
    const record = this.#tables.record(recordId);
    if (record === undefined) return 'unknown';
    return isDestroyed(record.wrapped) ? 'destroyed' : 'present';
  }

  recordsOf(patientId: string): string[] {
    const patient = this.#tables.wrapping('patient', patientId);
    return patient === undefined ? [] : this.#tables.recordsOf(patient.row).map(({ name }) => name);
  }

  /** A key of the organisation for one purpose ('synced-log', 'index', 'identity-segment'); made at first use. */
  purposeKey(name: string): Uint8Array {
    const place: WrapPlace = ['purpose', this.organisation, checkId(name)];
    const known = this.#tables.wrapping('purpose', name);
    if (known !== undefined) return this.#unwrapByOrganisation(place, known.wrapped);
    const key = newKey();
    this.#tables.insertWrapping('purpose', name, this.#wrapByOrganisation(place, key, 1));
    return key;
  }

  /**
   * Destroys the keys of records. The patient's key is replaced too and the remaining records are wrapped again: who kept
   * an old copy of the file lacks the old patient key, which from then on exists only in backups under epochs that die.
   */
  async eraseRecords(patientId: string, recordIds: readonly string[], nowMs = Date.now()): Promise<ErasureEvidence> {
    for (const recordId of recordIds) {
      const record = this.#tables.record(recordId);
      if (record === undefined || record.patient !== patientId) throw vaultError('keyUnknown');
    }
    const entry = { kind: 'record' as const, patient: checkId(patientId), records: [...recordIds], atMs: nowMs };
    return this.#erase(this.#erasures.append(entry));
  }

  /** Destroys the patient's key and all record keys below it. */
  async erasePatient(patientId: string, nowMs = Date.now()): Promise<ErasureEvidence> {
    if (this.#tables.wrapping('patient', patientId) === undefined) throw vaultError('keyUnknown');
    const entry = { kind: 'patient' as const, patient: checkId(patientId), records: [], atMs: nowMs };
    return this.#erase(this.#erasures.append(entry));
  }

  erasures(): readonly Erasure[] {
    return this.#erasures.entries;
  }

  /** For a restore: erases again what a newer list than this ring's own says. Returns how many entries were new. */
  async replayErasures(listText: string): Promise<number> {
    const newer = parseErasures(listText);
    const own = this.#erasures.entries;
    const common = own.every((entry, i) => newer[i] === undefined || newer[i]?.hash === entry.hash);
    if (!common) throw vaultError('erasureListDamaged', 'the lists differ');
    const missing = newer.slice(own.length);
    for (const { kind, patient, records, atMs } of missing) this.#erasures.append({ kind, patient, records, atMs });
    await this.#replay();
    return missing.length;
  }

  /** Unwraps every key. Reports the ids of records whose key was altered, and whether the database is whole. */
  async scan(): Promise<KeyRingReport> {
    const report: KeyRingReport = { records: 0, destroyed: 0, damaged: [], databaseSound: this.#tables.isSound() };
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = this.#tables.recordsAfter(after, rotationBatchKeys);
      for (const { name, patient, wrapped } of page) {
        report.records += 1;
        if (isDestroyed(wrapped)) report.destroyed += 1;
        else if (!this.#unwraps(name, { patient, wrapped })) report.damaged.push(name);
      }
      after = page.at(-1)?.row;
      await nextTurn();
    }
    return report;
  }

  #unwraps(recordId: string, record: { patient: string; wrapped: Uint8Array }): boolean {
    try {
      const patient = this.#patientKey(record.patient);
      return patient !== undefined && this.#unwrapRecord(recordId, record, patient).length > 0;
    } catch {
      return false;
    }
  }

  /** Adds an epoch of the organisation key and wraps patient and purpose keys under it. Resumes where it was stopped. */
  async rotate(): Promise<{ epoch: number; rewrapped: number }> {
    const inUse = this.#tables.epochsInUse();
    const finished = inUse.every((epoch) => epoch === this.epoch);
    const next = finished ? this.epoch + 1 : this.epoch;
    this.#epochs.set(next, await this.#keys.create(next));
    let rewrapped = 0;
    for (const table of ['purpose', 'patient'] as const) {
      for (let after: number | undefined = 0; after !== undefined; ) {
        const stale: WrappingRow[] = this.#tables.staleWrappings(table, next, after, rotationBatchKeys);
        this.#tables.transaction(() => this.#rewrap(table, stale, next));
        rewrapped += stale.length;
        after = stale.at(-1)?.row;
        await nextTurn();
      }
    }
    this.#tables.truncateLog();
    return { epoch: next, rewrapped };
  }

  /** Destroys an old epoch's key: what only it wraps, in backups too, is gone. */
  async retireEpoch(epoch: number): Promise<void> {
    if (epoch === this.epoch || this.#tables.epochsInUse().includes(epoch)) throw vaultError('epochInUse');
    await this.#keys.destroy(epoch);
    this.#epochs.get(epoch)?.fill(0);
    this.#epochs.delete(epoch);
  }

  /** A consistent copy for a backup, into a new directory; it contains no organisation key. */
  async copyTo(dir: string): Promise<void> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#tables.copyTo(join(dir, 'keys.sqlite'));
    if (this.#erasures.entries.length > 0) {
      await copyDurably(join(this.#dir, 'erasures.jsonl'), join(dir, 'erasures.jsonl'));
    }
  }

  close(): void {
    this.#forgetPatientKeys();
    for (const key of this.#epochs.values()) key.fill(0);
    this.#epochs.clear();
    this.#tables.close();
    closeSync(this.#databaseFd);
    this.#lock.release();
  }

  #rewrap(table: WrappingTable, rows: readonly WrappingRow[], epoch: number): void {
    for (const { row, name, wrapped } of rows) {
      const place: WrapPlace = [table, this.organisation, name];
      const key = this.#unwrapByOrganisation(place, wrapped);
      const { generation } = wrapNumbers(wrapped);
      const renewed = wrapKey(this.#organisationKey(epoch), place, key, { wrappedBy: epoch, generation });
      this.#tables.overwrite(table, row, renewed);
    }
  }

  async #replay(): Promise<void> {
    for (const entry of this.#erasures.entries.slice(this.#tables.erasuresApplied())) await this.#erase(entry);
  }

  async #erase(entry: Erasure): Promise<ErasureEvidence> {
    this.#forgetPatientKeys();
    const { needles, destroyed } = this.#tables.transaction(() => this.#destroy(entry));
    this.#tables.truncateLog();
    const search = await this.#proveGone(needles);
    const { sequence, hash, kind, patient, atMs } = entry;
    return {
      format: 'salus-erasure/1',
      organisation: this.organisation,
      kind,
      patient,
      records: entry.records,
      keysDestroyed: destroyed,
      atMs,
      list: { sequence, hash },
      search: { ...search, keys: needles.length, found: 0 },
      organisationEpoch: this.epoch,
      epochRetiredByMs: atMs + epochRetirementMsMax,
    };
  }

  #destroy(entry: Erasure): { needles: Uint8Array[]; destroyed: number } {
    const { patient, kind } = entry;
    const wrappedPatient = this.#tables.wrapping('patient', patient);
    this.#tables.setErasuresApplied(entry.sequence);
    if (wrappedPatient === undefined) return { needles: [], destroyed: 0 };
    const needles: Uint8Array[] = [];
    const gone = new Set(entry.records);
    const records = this.#tables.recordsOf(wrappedPatient.row).filter(({ wrapped }) => !isDestroyed(wrapped));
    const doomed = kind === 'patient' ? records : records.filter(({ name }) => gone.has(name));
    for (const { row, wrapped } of doomed) {
      if (needles.length < searchedRecordsMax) needles.push(wrapped);
      this.#tables.destroy('record', row);
    }
    if (isDestroyed(wrappedPatient.wrapped)) return { needles, destroyed: doomed.length };
    needles.push(wrappedPatient.wrapped);
    if (kind === 'patient') {
      this.#tables.destroy('patient', wrappedPatient.row);
      return { needles, destroyed: doomed.length + 1 };
    }
    if (doomed.length > 0) {
      const remaining = records.filter(({ name }) => !gone.has(name));
      this.#renewPatientKey(patient, wrappedPatient, remaining);
    }
    return { needles: doomed.length > 0 ? needles : [], destroyed: doomed.length };
  }

  #renewPatientKey(patientId: string, current: WrappingRow, remaining: readonly WrappingRow[]): void {
    const place: WrapPlace = ['patient', this.organisation, patientId];
    const oldKey = this.#unwrapByOrganisation(place, current.wrapped);
    const generation = wrapNumbers(current.wrapped).generation + 1;
    const renewed = newKey();
    for (const { row, name, wrapped } of remaining) {
      const recordPlace = this.#recordPlace(patientId, name);
      const key = unwrapKey(oldKey, recordPlace, wrapped);
      this.#tables.overwrite(
        'record',
        row,
        wrapKey(renewed, recordPlace, key, { wrappedBy: generation, generation: 1 }),
      );
    }
    this.#tables.overwrite('patient', current.row, this.#wrapByOrganisation(place, renewed, generation));
    oldKey.fill(0);
    renewed.fill(0);
  }

  async #proveGone(needles: readonly Uint8Array[]): Promise<{ files: number; bytes: number }> {
    const first = await this.#search(needles);
    if (first.found === 0) return first;
    // SQLite may leave a copy behind where it moved rows within a page: a rebuilt file has none.
    this.#tables.rebuild();
    const second = await this.#search(needles);
    if (second.found > 0) throw vaultError('erasureUnproven');
    return second;
  }

  async #search(needles: readonly Uint8Array[]): Promise<{ files: number; bytes: number; found: number }> {
    const files: number[] = [this.#databaseFd];
    const logPath = join(this.#dir, 'keys.sqlite-wal');
    try {
      if (statSync(logPath).size > 0) files.push(openSync(logPath, 'r'));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    try {
      // The nonce and key part suffice: the version numbers in front of them repeat in every row.
      return await searchFiles(
        files,
        needles.map((wrapped) => Buffer.from(wrapped.subarray(8))),
      );
    } finally {
      for (const fd of files.slice(1)) closeSync(fd);
    }
  }

  #createPatientKey(patientId: string): PatientKey {
    const key = newKey();
    const wrapped = this.#wrapByOrganisation(['patient', this.organisation, patientId], key, 1);
    const row = this.#tables.insertWrapping('patient', patientId, wrapped);
    return this.#remember(patientId, { key, generation: 1, row });
  }

  #patientKey(patientId: string): PatientKey | undefined {
    const cached = this.#patientKeys.get(patientId);
    if (cached !== undefined) return cached;
    const patient = this.#tables.wrapping('patient', patientId);
    if (patient === undefined) return undefined;
    if (isDestroyed(patient.wrapped)) throw vaultError('keyDestroyed');
    const key = this.#unwrapByOrganisation(['patient', this.organisation, patientId], patient.wrapped);
    return this.#remember(patientId, { key, generation: wrapNumbers(patient.wrapped).generation, row: patient.row });
  }

  #remember(patientId: string, entry: PatientKey): PatientKey {
    if (this.#patientKeys.size >= patientKeysCachedMax) this.#forgetPatientKeys();
    this.#patientKeys.set(patientId, entry);
    return entry;
  }

  #forgetPatientKeys(): void {
    for (const { key } of this.#patientKeys.values()) key.fill(0);
    this.#patientKeys.clear();
  }

  #unwrapRecord(
    recordId: string,
    record: { patient: string; wrapped: Uint8Array },
    patient: { key: Uint8Array },
  ): Uint8Array {
    if (isDestroyed(record.wrapped)) throw vaultError('keyDestroyed');
    return unwrapKey(patient.key, this.#recordPlace(record.patient, recordId), record.wrapped);
  }

  #recordPlace(patientId: string, recordId: string): WrapPlace {
    return ['record', this.organisation, patientId, recordId];
  }

  #organisationKey(epoch: number): Uint8Array {
    const key = this.#epochs.get(epoch);
    if (key === undefined) throw vaultError('organisationKeyMissing', `epoch ${epoch}`);
    return key;
  }

  #wrapByOrganisation(place: WrapPlace, key: Uint8Array, generation: number): Uint8Array {
    return wrapKey(this.#organisationKey(this.epoch), place, key, { wrappedBy: this.epoch, generation });
  }

  #unwrapByOrganisation(place: WrapPlace, wrapped: Uint8Array): Uint8Array {
    return unwrapKey(this.#organisationKey(wrapNumbers(wrapped).wrappedBy), place, wrapped);
  }
}
