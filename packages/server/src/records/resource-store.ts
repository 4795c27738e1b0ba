import { createSecretKey, type KeyObject } from 'node:crypto';
import { randomBytes, toBase64url, utf8, utf8Text, verifyCommitment } from '@salus/protocol';
import { type ErasureEvidence, openColumn, sealColumn, type Vault } from '@salus/vault';
import { type Expression, expressionBuilder } from 'kysely';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { type RecordErrorName, recordError } from './errors.ts';
import { IndexTokens } from './index-tokens.ts';
import {
  currentRows,
  type NewRow,
  type ResourceRow,
  rowsByIdentifier,
  rowsByToken,
  type SealedRow,
  versionRows,
  writeRows,
} from './resource-rows.ts';

/** One resource, its original slice included. */
export const resourceBytesMax = 32 * 1024 * 1024;
const recordIdBytes = 16;
/** Key of resources that belong to no patient (organisations, practitioners, locations). */
const sharedPatient = 'shared';
const metaKeyName = 'record-meta';
const metaPadBytes = 256;
const metasCachedMax = 20_000;

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

/** What is here of what is to be put. */
interface Here {
  /** By the tokens of resources. */
  resources: ReadonlyMap<string, ResourceRow>;
  /** By the tokens of identifiers. */
  owners: ReadonlyMap<string, SealedRow>;
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
  readonly #store: OrganizationStore;
  readonly #vault: Vault;
  readonly #metaKey: KeyObject;
  readonly #metas = new Map<string, ResourceMeta>();
  /**
   * Versions are numbered one after the other: two writers of one resource must not take the same number, and none may
   * write what is being erased.
   */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: OrganizationStore, vault: Vault) {
    this.#store = store;
    this.#vault = vault;
    this.#metaKey = createSecretKey(vault.ring.purposeKey(metaKeyName));
    this.tokens = new IndexTokens(vault.ring.purposeKey('index'));
  }

  /** Stores versions durably, ciphertext before rows; in the order given. A repetition of the same source is passed over. */
  put(items: readonly NewVersion[], options: PutOptions = {}): Promise<PutOutcome[]> {
    return this.#inTurn(() => this.#put(items, options));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #put(items: readonly NewVersion[], { atomic }: PutOptions): Promise<PutOutcome[]> {
    const outcomes: PutOutcome[] = [];
    const plans: Plan[] = [];
    const planned = new Map<string, Plan>();
    const tokens = items.map(({ type, id }) => this.tokens.resource(type, id));
    const here = await this.#here(items, tokens);
    for (const [position, item] of items.entries()) {
      const token = tokens[position] ?? '';
      const before = planned.get(token) ?? here.resources.get(token);
      const outcome = this.#decide(item, before, here);
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
    const rows = plans.map((plan) => this.#newRow(plan));
    await this.#store.commit((tx) => writeRows(tx, rows));
    return outcomes;
  }

  async #here(items: readonly NewVersion[], tokens: readonly string[]): Promise<Here> {
    const conditions = items.flatMap(({ type, unless }) =>
      unless === undefined ? [] : [this.#condition(type, unless)],
    );
    const [resources, owners] = await Promise.all([
      rowsByToken(this.#store.read, tokens),
      rowsByIdentifier(this.#store.read, conditions),
    ]);
    return { resources, owners };
  }

  #condition(type: string, { system, value }: { system: string; value: string }): string {
    return this.tokens.identifier(type, system, value);
  }

  #decide(item: NewVersion, before: Plan | ResourceRow | undefined, here: Here): PutOutcome | undefined {
    if (item.content.length + item.original.length > resourceBytesMax) {
      return { outcome: 'refused', error: 'resourceTooLarge' };
    }
    const { expectedVersion } = item;
    if (expectedVersion !== undefined && expectedVersion !== (before?.version ?? 0)) {
      return { outcome: 'refused', error: 'versionConflict' };
    }
    if (before === undefined) {
      return this.#isThere(item, here) ? { outcome: 'refused', error: 'createdMeanwhile' } : undefined;
    }
    const isPlan = 'item' in before;
    const source = isPlan ? this.tokens.source(before.item.sourceHash) : before.source;
    const owner = isPlan ? this.#patientToken(before.item) : (before.patient ?? undefined);
    if (owner !== this.#patientToken(item)) return { outcome: 'refused', error: 'resourceIdTaken' };
    if (!isPlan && before.erased === 1) return { outcome: 'refused', error: 'resourceErased' };
    if (source !== this.tokens.source(item.sourceHash)) return undefined;
    if (isPlan) return { outcome: 'same', meta: before.meta };
    const { record, version } = before;
    // The time of the version that is here: nothing has changed since.
    const { lastUpdated } = this.#live([before])[0] ?? item;
    return { outcome: 'same', meta: { ...metaOf(item), record, version, lastUpdated } };
  }

  /** Puts follow each other, so that of several creations under one condition the first alone finds nothing. */
  #isThere({ type, unless }: NewVersion, { owners }: Here): boolean {
    const owner = unless === undefined ? undefined : owners.get(this.#condition(type, unless));
    return owner !== undefined && this.#live([owner]).length > 0;
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

  #newRow({ item, token, record, version, meta, blob }: Plan): NewRow {
    return {
      ...{ token, record, version, blob },
      meta: sealColumn(this.#metaKey, ['resources', 'meta', record, String(version)], padded(meta)),
      patient: this.#patientToken(item) ?? null,
      type: this.tokens.type(item.type),
      source: this.tokens.source(item.sourceHash),
      identifiers: item.identifiers.map((identifier) => this.#condition(item.type, identifier)),
    };
  }

  #meta({ record, version, meta: sealed }: Pick<SealedRow, 'record' | 'version' | 'meta'>): ResourceMeta {
    const name = `${record}/${version}`;
    const known = this.#metas.get(name);
    if (known !== undefined) return known;
    const place = ['resources', 'meta', record, String(version)];
    const meta: ResourceMeta = JSON.parse(utf8Text(openColumn(this.#metaKey, place, sealed)));
    if (this.#metas.size >= metasCachedMax) this.#metas.clear();
    this.#metas.set(name, meta);
    return meta;
  }

  #row(row: SealedRow): StoredResource {
    return { ...this.#meta(row), blob: row.blob, erased: row.erased === 1 };
  }

  async find(type: string, id: string, { deleted = false }: FindOptions = {}): Promise<StoredResource | undefined> {
    const token = this.tokens.resource(type, id);
    const row = await currentRows(this.#store.read).where('r.token', '=', token).executeTakeFirst();
    const found = row === undefined ? undefined : this.#row(row);
    return found?.deleted === true && !deleted ? undefined : found;
  }

  /** Those of these (`Type/id`) that are here, in the order given. */
  async findAll(names: Iterable<string>): Promise<StoredResource[]> {
    const tokens = [...names].map((name) => {
      const [type = '', id = ''] = name.split('/');
      return this.tokens.resource(type, id);
    });
    const rows = await rowsByToken(this.#store.read, tokens);
    return this.#live(tokens.flatMap((token) => rows.get(token) ?? []));
  }

  /** Who has a business identifier; an empty system stands for one without a system. */
  async findByIdentifier(type: string, system: string, value: string): Promise<StoredResource | undefined> {
    const token = this.tokens.identifier(type, system, value);
    const row = (await rowsByIdentifier(this.#store.read, [token])).get(token);
    return row === undefined ? undefined : this.#live([row])[0];
  }

  /** The current versions of what a patient has here, of one type or of all. */
  async ofPatient(patient: string, type?: string): Promise<StoredResource[]> {
    const token = type === undefined ? undefined : this.tokens.type(type);
    return this.#live(await this.#owned(this.tokens.patient(patient), token));
  }

  /** Resources of a type that belong to no patient. */
  async shared(type: string): Promise<StoredResource[]> {
    const token = this.tokens.type(type);
    const all = currentRows(this.#store.read).where('r.type', '=', token).where('r.patient', 'is', null);
    return this.#live(await all.execute());
  }

  #live(rows: readonly SealedRow[]): StoredResource[] {
    return rows.map((row) => this.#row(row)).filter(({ deleted }) => deleted !== true);
  }

  /**
   * Something that is here, to be weighed in vain in place of what is not: one record, or what a patient has. The keyed
   * tokens are spread evenly, so that it is as likely anything as another, and always the same for the same names.
   */
  async standIns(asked: { record: string } | { patient: string; type?: string }): Promise<StoredResource[]> {
    if ('record' in asked) {
      const [type = '', id = ''] = asked.record.split('/');
      const row = (await this.#after(this.tokens.resource(type, id))) ?? (await this.#after(''));
      return row === undefined ? [] : [this.#row(row)];
    }
    const token = this.tokens.patient(asked.patient);
    const type = asked.type === undefined ? undefined : this.tokens.type(asked.type);
    const { fn } = expressionBuilder<OrganizationTables>();
    const owner = fn.coalesce(this.#patientAfter(token), this.#patientAfter(''));
    return (await this.#owned(owner, type)).map((row) => this.#row(row));
  }

  async #after(token: string): Promise<SealedRow | undefined> {
    return await currentRows(this.#store.read)
      .where('r.token', '>', token)
      .where('r.patient', 'is not', null)
      .orderBy('r.token')
      .limit(1)
      .executeTakeFirst();
  }

  #patientAfter(token: string) {
    const patients = this.#store.read.selectFrom('patients').select('token').where('token', '>', token);
    return patients.orderBy('token').limit(1);
  }

  async #owned(patient: string | Expression<string | null>, type: string | undefined): Promise<SealedRow[]> {
    const all = currentRows(this.#store.read).where('r.patient', '=', patient);
    return await (type === undefined ? all : all.where('r.type', '=', type)).execute();
  }

  /** All versions of a resource, newest first. */
  async versions(record: string): Promise<StoredResource[]> {
    return (await versionRows(this.#store.read, record)).map((row) => this.#row(row));
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
      if (await this.#isErased(stored.record)) return undefined;
      throw error;
    }
  }

  async #isErased(record: string): Promise<boolean> {
    const rows = this.#store.read.selectFrom('resources').select('erased').where('record', '=', record);
    return (await rows.executeTakeFirst())?.erased === 1;
  }

  async #read({ record, blob, contentCommitment: commitment, contentSalt: salt }: StoredResource) {
    const opened = unframe(await this.#vault.readRecord(record, blob));
    if (!verifyCommitment({ commitment, salt }, opened.content)) throw recordError('recordDamaged');
    return opened;
  }

  /** Stored versions that are not on the ledger yet, oldest first. */
  async unanchored(limit: number): Promise<{ seq: number; meta: ResourceMeta }[]> {
    const rows = await this.#store.read
      .selectFrom('unanchored as u')
      .innerJoin('versions as v', (join) =>
        join.onRef('v.record', '=', 'u.record').onRef('v.version', '=', 'u.version'),
      )
      .select(['v.record', 'v.version', 'v.meta', 'u.seq'])
      .where('u.refused', 'is', null)
      .orderBy('u.seq')
      .limit(limit)
      .execute();
    return rows.map(({ seq, ...row }) => ({ seq, meta: this.#meta(row) }));
  }

  /** Notes what the ledger refused, so that it stops nobody else. */
  async refused(seq: number, code: number): Promise<void> {
    await this.#store.commit((tx) =>
      tx.updateTable('unanchored').set({ refused: code }).where('seq', '=', seq).execute(),
    );
  }

  /** Gives what was refused another chance: the reason may be gone. */
  async retryRefused(): Promise<void> {
    await this.#store.commit((tx) =>
      tx.updateTable('unanchored').set({ refused: null }).where('refused', 'is not', null).execute(),
    );
  }

  async anchored(seqs: readonly number[]): Promise<void> {
    await this.#store.commit(async (tx) => {
      for (const slice of slicesOf(seqs)) await tx.deleteFrom('unanchored').where('seq', 'in', slice).execute();
    });
  }

  async counts(): Promise<{ resources: number; unanchored: number; refused: number }> {
    const resources = this.#store.read
      .selectFrom('resources')
      .select(({ fn }) => fn.countAll<number>().as('resources'));
    const waiting = this.#store.read
      .selectFrom('unanchored')
      .select(({ fn }) => [
        fn.countAll<number>().filterWhere('refused', 'is', null).as('unanchored'),
        fn.countAll<number>().filterWhere('refused', 'is not', null).as('refused'),
      ]);
    const [all, rest] = await Promise.all([resources.executeTakeFirstOrThrow(), waiting.executeTakeFirstOrThrow()]);
    return { ...all, ...rest };
  }

  /** Destroys keys and ciphertext of a resource in all its versions; its row stays, so that its id is not used again. */
  erase(stored: StoredResource): Promise<ErasureEvidence> {
    return this.#inTurn(() => this.#erase(stored));
  }

  async #erase(stored: StoredResource): Promise<ErasureEvidence> {
    const { record } = stored;
    const rows = await this.#store.commit(async (tx) => {
      await tx.updateTable('resources').set({ erased: 1 }).where('record', '=', record).execute();
      return await tx.selectFrom('versions').select('blob').where('record', '=', record).execute();
    });
    const owner = this.#patientToken(stored) ?? sharedPatient;
    return await this.#vault.eraseRecords(owner, [{ recordId: record, addresses: rows.map(({ blob }) => blob) }]);
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
