import { createSecretKey, type KeyObject } from 'node:crypto';
import { randomBytes, toBase64url, utf8, utf8Text, verifyCommitment } from '@salus/protocol';
import { type ErasureEvidence, openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Row, Store } from '../store/database.ts';
import { type RecordErrorName, recordError } from './errors.ts';
import { IndexTokens } from './index-tokens.ts';

/** One resource, its original slice included. */
export const resourceBytesMax = 32 * 1024 * 1024;
const recordIdBytes = 16;
/** Key of resources that belong to no patient (organisations, practitioners, locations). */
const sharedPatient = 'shared';
const metaKeyName = 'record-meta';
const metaPadBytes = 256;
const metasCachedMax = 20_000;
const currentRows = 'SELECT v.*, r.erased FROM resources r JOIN versions v ON v.seq = r.current';

/** What is known of a stored version without opening it. Lies sealed in the index; only tokens stand beside it. */
export interface ResourceMeta {
  type: string;
  id: string;
  version: number;
  lastUpdated: string;
  /** Opaque id on the ledger. */
  record: string;
  /** FHIR id of the patient whom the resource is about. */
  patient?: string;
  categories: string[];
  labels: string[];
  encounter?: string;
  /** Clinical time, ms since 1970. */
  periodMs?: number;
  /** DID of the practitioner who wrote it, where one is known. */
  author?: string;
  /** What it can be found by without being opened: `parameter=system|code`, and `parameter=Type/id` (`./find-by.ts`). */
  tokens: string[];
  contentSalt: string;
  contentCommitment: string;
  originalSalt: string;
  originalCommitment: string;
  /** This version says that the resource is no longer part of the record (FHIR delete); it holds nothing. */
  deleted?: true;
}

export interface FindOptions {
  /** Also what was deleted: for its history, and to say that it is gone. */
  deleted?: boolean;
}

export interface NewVersion extends Omit<ResourceMeta, 'version' | 'record'> {
  content: Uint8Array;
  original: Uint8Array;
  /** Hash of the original, by which a repetition is recognised. */
  sourceHash: string;
  identifiers: { system: string; value: string }[];
  /** The version that must be current; 0 for a resource that must not be here. */
  expectedVersion?: number;
  /** An identifier that no other resource of the type may have when this one is created. */
  unless?: { system: string; value: string };
  /** The ledger's id for a resource that is not here yet, where it was decided upon under one. */
  newRecord?: string;
}

export interface PutOptions {
  /** Writes nothing when one item is refused. */
  atomic?: boolean;
}

export interface StoredResource extends ResourceMeta {
  blob: string;
  erased: boolean;
}

export interface StoredContent {
  content: Uint8Array;
  original: Uint8Array;
}

/** `same`: this very version is here already; `new` and `updated` were written. */
export type PutOutcome =
  | { outcome: 'new' | 'updated' | 'same'; meta: ResourceMeta }
  | { outcome: 'refused'; error: RecordErrorName };

interface Before {
  record: string;
  version: number;
  source: string;
  patient: string | undefined;
  erased: boolean;
}

interface Plan {
  item: NewVersion;
  token: string;
  record: string;
  version: number;
  meta: ResourceMeta;
  blob: string;
}

/** Frame of a stored version: length of the original (u32), original, content as it is served now. */
function frame(original: Uint8Array, content: Uint8Array): Uint8Array {
  const framed = new Uint8Array(4 + original.length + content.length);
  new DataView(framed.buffer).setUint32(0, original.length);
  framed.set(original, 4);
  framed.set(content, 4 + original.length);
  return framed;
}

function unframe(framed: Uint8Array): StoredContent {
  const length = new DataView(framed.buffer, framed.byteOffset, 4).getUint32(0);
  return { original: framed.subarray(4, 4 + length), content: framed.subarray(4 + length) };
}

/** Sealed metadata has one of few lengths, so that its size tells nothing. */
function padded(meta: ResourceMeta): Uint8Array {
  const text = JSON.stringify(meta);
  const bytes = utf8(text);
  return utf8(text.padEnd(text.length + (metaPadBytes - (bytes.length % metaPadBytes)), ' '));
}

/**
 * The resources of one organisation: ciphertext in the vault, one row each with keyed tokens. `open` is for the consent
 * gate alone (`tests/layout.test.ts`); everything else here tells nothing of what a resource says.
 */
export class ResourceStore {
  readonly tokens: IndexTokens;
  readonly #store: Store;
  readonly #vault: Vault;
  readonly #metaKey: KeyObject;
  readonly #metas = new Map<string, ResourceMeta>();
  /** Versions are numbered one after the other: two writers of one resource must not take the same number. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: Store, vault: Vault) {
    this.#store = store;
    this.#vault = vault;
    this.#metaKey = createSecretKey(vault.ring.purposeKey(metaKeyName));
    this.tokens = new IndexTokens(vault.ring.purposeKey('index'));
  }

  /** Stores versions durably, ciphertext before rows; in the order given. A repetition of the same source is passed over. */
  put(items: readonly NewVersion[], options: PutOptions = {}): Promise<PutOutcome[]> {
    const done = this.#tail.then(() => this.#put(items, options));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #put(items: readonly NewVersion[], { atomic }: PutOptions): Promise<PutOutcome[]> {
    const outcomes: PutOutcome[] = [];
    const plans: Plan[] = [];
    const planned = new Map<string, Plan>();
    for (const item of items) {
      const token = this.tokens.resource(item.type, item.id);
      const before = planned.get(token) ?? this.#planned(token);
      const outcome = this.#decide(item, before);
      if (outcome !== undefined) {
        outcomes.push(outcome);
        continue;
      }
      const plan = this.#plan(item, token, before);
      planned.set(token, plan);
      plans.push(plan);
      outcomes.push({ outcome: before === undefined ? 'new' : 'updated', meta: plan.meta });
    }
    const isVain = atomic === true && outcomes.some(({ outcome }) => outcome === 'refused');
    if (plans.length === 0 || isVain) return outcomes;
    await this.#seal(plans);
    await this.#store.commit(() => {
      for (const plan of plans) this.#write(plan);
    });
    return outcomes;
  }

  #planned(token: string): Before | undefined {
    const row = this.#store.get('SELECT * FROM resources WHERE token = ?', token);
    if (row === undefined) return undefined;
    const patient = row.patient === null ? undefined : String(row.patient);
    const { record, version, source, erased } = row;
    return { record: String(record), version: Number(version), source: String(source), patient, erased: erased === 1 };
  }

  #decide(item: NewVersion, before: Plan | Before | undefined): PutOutcome | undefined {
    if (item.content.length + item.original.length > resourceBytesMax) {
      return { outcome: 'refused', error: 'resourceTooLarge' };
    }
    const { expectedVersion } = item;
    if (expectedVersion !== undefined && expectedVersion !== (before?.version ?? 0)) {
      return { outcome: 'refused', error: 'versionConflict' };
    }
    if (before === undefined) {
      return this.#isThere(item) ? { outcome: 'refused', error: 'createdMeanwhile' } : undefined;
    }
    const isPlan = 'item' in before;
    const source = isPlan ? this.tokens.source(before.item.sourceHash) : before.source;
    const owner = isPlan ? this.#patientToken(before.item) : before.patient;
    if (owner !== this.#patientToken(item)) return { outcome: 'refused', error: 'resourceIdTaken' };
    if (!isPlan && before.erased) return { outcome: 'refused', error: 'resourceErased' };
    if (source !== this.tokens.source(item.sourceHash)) return undefined;
    if (isPlan) return { outcome: 'same', meta: before.meta };
    const { record, version } = before;
    // The time of the version that is here: nothing has changed since.
    const { lastUpdated } = this.find(item.type, item.id) ?? item;
    return { outcome: 'same', meta: { ...metaOf(item), record, version, lastUpdated } };
  }

  /** Puts follow each other, so that of several creations under one condition the first alone finds nothing. */
  #isThere({ type, unless }: NewVersion): boolean {
    return unless !== undefined && this.findByIdentifier(type, unless.system, unless.value) !== undefined;
  }

  #patientToken(item: { patient?: string }): string | undefined {
    return item.patient === undefined ? undefined : this.tokens.patient(item.patient);
  }

  #plan(item: NewVersion, token: string, before: { record: string; version: number } | undefined): Plan {
    const record = before?.record ?? item.newRecord ?? toBase64url(randomBytes(recordIdBytes));
    const version = (before?.version ?? 0) + 1;
    return { item, token, record, version, meta: { ...metaOf(item), record, version }, blob: '' };
  }

  async #seal(plans: readonly Plan[]): Promise<void> {
    const stored = await this.#vault.storeRecords(
      plans.map(({ item, record }) => ({
        patientId: this.#patientToken(item) ?? sharedPatient,
        recordId: record,
        content: frame(item.original, item.content),
      })),
    );
    for (const [position, plan] of plans.entries()) plan.blob = stored[position]?.address ?? '';
  }

  #write({ item, token, record, version, meta, blob }: Plan): void {
    const sealed = sealColumn(this.#metaKey, ['resources', 'meta', record, String(version)], padded(meta));
    const patient = this.#patientToken(item) ?? null;
    const source = this.tokens.source(item.sourceHash);
    const { lastInsertRowid: current } = this.#store
      .prepare('INSERT INTO versions (record, version, blob, meta) VALUES (?, ?, ?, ?)')
      .run(record, version, blob, sealed);
    this.#store
      .prepare(
        `INSERT INTO resources (token, record, patient, type, version, source, current) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (token) DO UPDATE SET version = excluded.version, source = excluded.source,
         current = excluded.current`,
      )
      .run(token, record, patient, this.tokens.type(item.type), version, source, current);
    // The ledger counts records by patient; what belongs to nobody is protected by the vault alone.
    if (patient !== null) {
      this.#store.prepare('INSERT INTO unanchored (record, version) VALUES (?, ?)').run(record, version);
    }
    for (const { system, value } of item.identifiers) {
      this.#store
        .prepare('INSERT OR REPLACE INTO identifiers (token, resource) VALUES (?, ?)')
        .run(this.tokens.identifier(item.type, system, value), token);
    }
  }

  #meta(record: string, version: number, sealed: Uint8Array): ResourceMeta {
    const name = `${record}/${version}`;
    const known = this.#metas.get(name);
    if (known !== undefined) return known;
    const place = ['resources', 'meta', record, String(version)];
    const meta: ResourceMeta = JSON.parse(utf8Text(openColumn(this.#metaKey, place, sealed)));
    if (this.#metas.size >= metasCachedMax) this.#metas.clear();
    this.#metas.set(name, meta);
    return meta;
  }

  #row(row: Row): StoredResource {
    const record = String(row.record);
    const meta = this.#meta(record, Number(row.version), row.meta as Uint8Array);
    return { ...meta, blob: String(row.blob), erased: row.erased === 1 };
  }

  find(type: string, id: string, options: FindOptions = {}): StoredResource | undefined {
    return this.#byToken(this.tokens.resource(type, id), options);
  }

  #byToken(token: string, { deleted = false }: FindOptions = {}): StoredResource | undefined {
    const row = this.#store.get(`${currentRows} WHERE r.token = ?`, token);
    const found = row === undefined ? undefined : this.#row(row);
    return found?.deleted === true && !deleted ? undefined : found;
  }

  /** Who has a business identifier; an empty system stands for one without a system. */
  findByIdentifier(type: string, system: string, value: string): StoredResource | undefined {
    const token = this.tokens.identifier(type, system, value);
    const row = this.#store.get('SELECT resource FROM identifiers WHERE token = ?', token);
    return row === undefined ? undefined : this.#byToken(String(row.resource));
  }

  /** The current versions of what a patient has here, of one type or of all. */
  ofPatient(patient: string, type?: string): StoredResource[] {
    return this.#live(
      this.#owned(this.tokens.patient(patient), type === undefined ? undefined : this.tokens.type(type)),
    );
  }

  /** Resources of a type that belong to no patient. */
  shared(type: string): StoredResource[] {
    const token = this.tokens.type(type);
    return this.#live(this.#store.all(`${currentRows} WHERE r.type = ? AND r.patient IS NULL`, token));
  }

  #live(rows: readonly Row[]): StoredResource[] {
    return rows.map((row) => this.#row(row)).filter(({ deleted }) => deleted !== true);
  }

  /**
   * Something that is here, to be weighed in vain in place of what is not: one record, or what a patient has. The keyed
   * tokens are spread evenly, so that it is as likely anything as another, and always the same for the same names.
   */
  standIns(asked: { record: string } | { patient: string; type?: string }): StoredResource[] {
    if ('record' in asked) {
      const [type = '', id = ''] = asked.record.split('/');
      const row = this.#after(this.tokens.resource(type, id)) ?? this.#after('');
      return row === undefined ? [] : [this.#row(row)];
    }
    const token = this.tokens.patient(asked.patient);
    const owner = this.#patientAfter(token) ?? this.#patientAfter('');
    if (owner === undefined) return [];
    const type = asked.type === undefined ? undefined : this.tokens.type(asked.type);
    return this.#owned(owner, type).map((row) => this.#row(row));
  }

  #after(token: string): Row | undefined {
    const sql = `${currentRows} WHERE r.token > ? AND r.patient IS NOT NULL ORDER BY r.token LIMIT 1`;
    return this.#store.get(sql, token);
  }

  #patientAfter(token: string): string | undefined {
    const row = this.#store.get('SELECT token FROM patients WHERE token > ? ORDER BY token LIMIT 1', token);
    return row === undefined ? undefined : String(row.token);
  }

  #owned(patient: string, type: string | undefined): Row[] {
    if (type === undefined) return this.#store.all(`${currentRows} WHERE r.patient = ?`, patient);
    return this.#store.all(`${currentRows} WHERE r.patient = ? AND r.type = ?`, patient, type);
  }

  /** All versions of a resource, newest first. */
  versions(record: string): StoredResource[] {
    return this.#store
      .all(
        `SELECT v.*, r.erased FROM versions v JOIN resources r ON r.record = v.record
         WHERE v.record = ? ORDER BY v.version DESC`,
        record,
      )
      .map((row) => this.#row(row));
  }

  /**
   * Reads what a version says, and checks it against the commitment that stands on the ledger: only the consent gate
   * calls this, after it decided and recorded. Undefined for what was erased since it was found. Throws `recordDamaged`
   * and the vault's errors.
   */
  async open(stored: StoredResource): Promise<StoredContent | undefined> {
    try {
      return await this.#read(stored);
    } catch (error) {
      const row = this.#store.get('SELECT erased FROM resources WHERE record = ?', stored.record);
      if (Number(row?.erased) === 1) return undefined;
      throw error;
    }
  }

  async #read({ record, blob, contentCommitment: commitment, contentSalt: salt }: StoredResource) {
    const opened = unframe(await this.#vault.readRecord(record, blob));
    if (!verifyCommitment({ commitment, salt }, opened.content)) throw recordError('recordDamaged');
    return opened;
  }

  /** Stored versions that are not on the ledger yet, oldest first. */
  unanchored(limit: number): { seq: number; meta: ResourceMeta }[] {
    const rows = this.#store.all(
      `SELECT v.*, u.seq AS waiting FROM unanchored u JOIN versions v USING (record, version)
       WHERE u.refused IS NULL ORDER BY u.seq LIMIT ?`,
      limit,
    );
    return rows.map((row) => ({ seq: Number(row.waiting), meta: this.#row(row) }));
  }

  /** Notes what the ledger refused, so that it stops nobody else. */
  async refused(seq: number, code: number): Promise<void> {
    await this.#store.commit(() => {
      this.#store.prepare('UPDATE unanchored SET refused = ? WHERE seq = ?').run(code, seq);
    });
  }

  /** Gives what was refused another chance: the reason may be gone. */
  async retryRefused(): Promise<void> {
    await this.#store.commit(() => {
      this.#store.prepare('UPDATE unanchored SET refused = NULL WHERE refused IS NOT NULL').run();
    });
  }

  async anchored(seqs: readonly number[]): Promise<void> {
    await this.#store.commit(() => {
      for (const seq of seqs) this.#store.prepare('DELETE FROM unanchored WHERE seq = ?').run(seq);
    });
  }

  counts(): { resources: number; unanchored: number; refused: number } {
    const count = (sql: string): number => Number(this.#store.get(sql)?.n ?? 0);
    return {
      resources: count('SELECT count(*) AS n FROM resources'),
      unanchored: count('SELECT count(*) AS n FROM unanchored WHERE refused IS NULL'),
      refused: count('SELECT count(*) AS n FROM unanchored WHERE refused IS NOT NULL'),
    };
  }

  /** Destroys keys and ciphertext of a resource in all its versions; its row stays, so that its id is not used again. */
  async erase(stored: StoredResource): Promise<ErasureEvidence> {
    const addresses = this.#store
      .all('SELECT blob FROM versions WHERE record = ?', stored.record)
      .map((row) => String(row.blob));
    await this.#store.commit(() => {
      this.#store.prepare('UPDATE resources SET erased = 1 WHERE record = ?').run(stored.record);
    });
    const owner = this.#patientToken(stored) ?? sharedPatient;
    return this.#vault.eraseRecords(owner, [{ recordId: stored.record, addresses }]);
  }
}

function metaOf(item: NewVersion): Omit<ResourceMeta, 'record' | 'version'> {
  const {
    content: _content,
    original: _original,
    sourceHash: _sourceHash,
    identifiers: _identifiers,
    expectedVersion: _expectedVersion,
    newRecord: _newRecord,
    ...meta
  } = item;
  return meta;
}
