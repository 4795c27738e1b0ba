import { setImmediate as nextTurn } from 'node:timers/promises';
import { commit, type Did, utf8, utf8Text } from '@salus/protocol';
import {
  authorName,
  compartmentPatients,
  type EntryEvent,
  identifiersOf,
  isObject,
  type ReferenceResolver,
  type Resource,
  readFhir,
  rewriteReferences,
  subjectOf,
  validateResource,
} from '@salus/standards';
import type { Anchorer } from './anchorer.ts';
import { demographicsOf } from './demographics.ts';
import { RecordErrorCodes, type RecordErrorName, recordErrors } from './errors.ts';
import { hasUnfaithfulNumber, parseFaithfully, stringifyFaithfully } from './faithful-json.ts';
import { findByOf } from './find-by.ts';
import { ImportIndex, type Openable, type PlannedEntry } from './import-index.ts';
import type { Demographics, PatientDirectory } from './patient-directory.ts';
import type { NewVersion, PutOutcome, ResourceStore, StoredResource } from './resource-store.ts';
import { isSharedType } from './shared-types.ts';
import { Turn } from './turn.ts';

/** Resources that are sealed and stored together; the event loop gets a turn in between. */
const batchResourcesMax = 128;
const batchBytesMax = 4 * 1024 * 1024;
const reportedErrorsMaxDefault = 1_000;

export interface ImportError {
  /** Position in the input. */
  entry: number;
  code: number;
  message: string;
}

export interface ImportReport {
  /** Entries seen. */
  resources: number;
  accepted: number;
  rejected: number;
  /** Of the accepted: those that were here already. */
  unchanged: number;
  seconds: number;
  /** False where the input could not be read to its end: `resources` says where to go on. */
  complete: boolean;
  errors: ImportError[];
  patients: { id: string; did: string }[];
  /** What became of each entry, for the response to a FHIR transaction. */
  entries?: ImportedEntry[];
}

export interface ImportedEntry {
  index: number;
  type: string;
  id: string;
  version: number;
  lastUpdated: string;
  created: boolean;
}

export interface ImportParts {
  resources: ResourceStore;
  patients: PatientDirectory;
  anchorer: Anchorer;
  /** The registered identity of somebody whom the organisation knows by this name. */
  staffDid(name: string): Did;
  nowMs(): number;
}

/** What somebody is about to write, as far as it decides whether they may. */
export interface Draft {
  type: string;
  id: string;
  patient?: string;
  categories: string[];
  labels: string[];
}

/** For what a person writes, as opposed to what the organisation's systems feed. */
export interface Admission {
  /**
   * Asked before anything is stored; throws where it may not be. Undefined where the resource is about nobody who is
   * known here. Gives the ledger's id under which it was decided.
   */
  admit(draft: Draft | undefined): Promise<{ record: string }>;
  /** What stored resources may answer for: what is looked up beyond these would tell the writer that it is here. */
  sees(stored: StoredResource): boolean;
}

export interface ImportOptions {
  /** Entries before this one are passed over: to resume. */
  from?: number;
  listEntries?: boolean;
  /** Who wrote it, where a person did; otherwise whom the document names. */
  author?: string;
  /** What is kept as the original: the whole entry of a Bundle, or its resource alone. */
  original?: 'entry' | 'resource';
  /** All or nothing, as a FHIR transaction: everything is held in memory and stored at once. */
  atomic?: boolean;
  /** The version that a change is based on; refused where another one is current. */
  expectedVersion?: number;
  reportedErrorsMax?: number;
  /** False leaves anchoring to a later `drain`, where many inputs follow each other. */
  drain?: boolean;
  admission?: Admission;
  /** Called as entries are done. */
  onProgress?: (entries: number) => void;
}

interface Prepared {
  index: number;
  version: NewVersion;
  demographics?: Demographics;
}

/**
 * Imports one FHIR input (Bundle, NDJSON or a single resource, gzip too). Every accepted resource is sealed, stored
 * durably and anchored on the ledger when this resolves; importing the same input again changes nothing.
 */
export async function importFhir(
  parts: ImportParts,
  open: Openable,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const run = new ImportRun(parts, options);
  await run.index.read(open);
  const turn = new Turn();
  for await (const event of readFhir(open(), { from: options.from ?? 0 })) {
    await turn.yieldWhenLong();
    if (event.kind === 'entry') await run.take(event);
    else if (event.kind === 'fault') run.refuse(event.index, event.code, event.message);
    else {
      run.report.resources = event.entries;
      run.report.complete = event.complete;
    }
  }
  return run.finish();
}

class ImportRun {
  readonly index: ImportIndex;
  readonly report: ImportReport;
  readonly #parts: ImportParts;
  readonly #options: ImportOptions;
  readonly #startMs = performance.now();
  readonly #patients = new Set<string>();
  /** What a transaction updates, by `Type/id`. */
  readonly #updated = new Set<string>();
  #batch: Prepared[] = [];
  #batchBytes = 0;

  constructor(parts: ImportParts, options: ImportOptions) {
    this.#parts = parts;
    this.#options = options;
    this.index = new ImportIndex(parts.resources, options.admission?.sees);
    this.report = {
      resources: 0,
      accepted: 0,
      rejected: 0,
      unchanged: 0,
      seconds: 0,
      complete: true,
      errors: [],
      patients: [],
      ...(options.listEntries === true ? { entries: [] } : {}),
    };
  }

  async take(event: EntryEvent): Promise<void> {
    const planned = await this.index.plan(event);
    if (typeof planned === 'string') return this.#refuseByName(event.index, planned);
    if (planned.exists) return await this.#passOver(event.index, planned);
    if (this.#isRepeated(event, planned)) return this.#refuseByName(event.index, 'entryRepeated');
    const problem = validateResource(event.resource)[0];
    if (problem !== undefined)
      return this.refuse(event.index, problem.code, `entry ${event.index}: ${problem.message}`);
    const prepared = await this.#prepare(event, planned);
    if (this.#options.admission !== undefined) await this.#admit(this.#options.admission, event.resource, prepared);
    if (typeof prepared === 'string') return this.#refuseByName(event.index, prepared);
    this.#batch.push(prepared);
    this.#batchBytes += prepared.version.content.length + prepared.version.original.length;
    if (this.#options.atomic === true) return;
    if (this.#batch.length >= batchResourcesMax || this.#batchBytes >= batchBytesMax) await this.#flush();
  }

  /** Of two updates of one resource in a transaction neither is the later one (R4 §3.1.0.11.2). */
  #isRepeated({ request }: EntryEvent, { type, id }: PlannedEntry): boolean {
    if (this.#options.atomic !== true || request?.method !== 'PUT') return false;
    const name = `${type}/${id}`;
    const isKnown = this.#updated.has(name);
    this.#updated.add(name);
    return isKnown;
  }

  async #admit(admission: Admission, resource: Resource, prepared: Prepared | RecordErrorName): Promise<void> {
    // That nobody is named is seen in the resource alone: it is said as it is.
    if (prepared === 'subjectUnknown' && !namesSubject(resource)) return;
    const version = typeof prepared === 'string' ? undefined : prepared.version;
    const { record } = await admission.admit(version);
    if (version !== undefined) version.newRecord = record;
  }

  /** A conditional create whose resource is here: accepted, and nothing is done. */
  async #passOver(index: number, { type, id }: PlannedEntry): Promise<void> {
    this.report.accepted += 1;
    this.report.unchanged += 1;
    if (this.report.entries === undefined) return;
    const stored = await this.#parts.resources.find(type, id);
    const { version = 1, lastUpdated = '' } = stored ?? {};
    this.report.entries.push({ index, type, id, version, lastUpdated, created: false });
  }

  refuse(entry: number, code: number, message: string): void {
    this.report.rejected += 1;
    const errorsMax = this.#options.reportedErrorsMax ?? reportedErrorsMaxDefault;
    if (this.report.errors.length < errorsMax) this.report.errors.push({ entry, code, message });
  }

  #refuseByName(entry: number, name: RecordErrorName): void {
    this.refuse(entry, RecordErrorCodes[name], `entry ${entry} ${recordErrors[name]}`);
  }

  async #prepare(
    event: EntryEvent,
    { type, id, sourceHash, unless }: PlannedEntry,
  ): Promise<Prepared | RecordErrorName> {
    const found = await this.index.rewrite(event.resource, event.fullUrl);
    const rewritten: Resource = { ...found.rewritten, id };
    const owner = this.#owner(rewritten, type, id);
    if (typeof owner === 'string') return owner;
    const content = utf8(this.#serialise(event, rewritten, found.resolve, id));
    const { commitment: contentCommitment, salt: contentSalt } = commit(content);
    const original = this.#options.original === 'resource' ? event.resourceBytes : event.bytes;
    const { commitment: originalCommitment, salt: originalSalt } = commit(original);
    const { expectedVersion } = this.#options;
    const author = this.#author(event.resource);
    const version: NewVersion = {
      type,
      id,
      lastUpdated: new Date(this.#parts.nowMs()).toISOString(),
      ...this.index.classify(rewritten, `${type}/${id}`),
      ...owner,
      ...findByOf(rewritten),
      ...(type === 'Encounter' && { encounter: `Encounter/${id}` }),
      ...(author !== undefined && { author }),
      contentSalt,
      contentCommitment,
      originalSalt,
      originalCommitment,
      content,
      original,
      sourceHash,
      ...(expectedVersion !== undefined && { expectedVersion }),
      ...(unless !== undefined && { unless }),
      identifiers: identifiersOf(rewritten).map(({ system = '', value = '' }) => ({ system, value })),
    };
    const demographics = type === 'Patient' ? { demographics: demographicsOf(rewritten, id) } : {};
    return { index: event.index, version, ...demographics };
  }

  /** Who wrote it, as the ledger knows them, so that the gate recognises who asks (45 CFR 164.508(a)(2)(i)(A)). */
  #author(resource: Resource): Did | undefined {
    const name = this.#options.author ?? authorName(resource);
    return name === undefined ? undefined : this.#parts.staffDid(name);
  }

  /** The patient whom a resource is about; none for what belongs to the organisation. */
  #owner(resource: Resource, type: string, id: string): { patient?: string } | RecordErrorName {
    if (type === 'Patient') return { patient: id };
    const subject = subjectOf(resource);
    if (subject === undefined) {
      if (isSharedType(type)) return {};
      const patient = namesSubject(resource) ? undefined : this.index.onlyPatient();
      return patient === undefined ? 'subjectUnknown' : { patient };
    }
    const patient = /^Patient\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]+)?$/.exec(subject)?.[1];
    if (patient === undefined) return 'subjectUnknown';
    const isAlone = isObject(resource.subject) || isObject(resource.patient) || isObject(resource.beneficiary);
    if (!isAlone && compartmentPatients(resource).length > 1) return 'subjectAmbiguous';
    const isKnown = this.index.isPatient(patient) || this.#parts.patients.byId(patient) !== undefined;
    return isKnown ? { patient } : 'subjectUnknown';
  }

  #serialise(event: EntryEvent, rewritten: Resource, resolve: ReferenceResolver, id: string): string {
    const text = utf8Text(event.resourceBytes);
    if (!hasUnfaithfulNumber(text)) return JSON.stringify(rewritten);
    return stringifyFaithfully({ ...rewriteReferences(parseFaithfully<Resource>(text), resolve), id });
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    const { resources, anchorer } = this.#parts;
    await nextTurn();
    await this.#knowPatients(batch);
    const atomic = this.#options.atomic === true;
    const outcomes = await resources.put(
      batch.map(({ version }) => version),
      { atomic },
    );
    // Of a transaction that was refused nothing is here, whatever would have become of an entry alone.
    if (atomic && outcomes.some(({ outcome }) => outcome === 'refused')) this.#refuseAll(batch, outcomes);
    else await this.#settle(batch, outcomes);
    anchorer.wake();
    this.#options.onProgress?.((batch.at(-1)?.index ?? 0) + 1);
    await nextTurn();
  }

  #refuseAll(batch: readonly Prepared[], outcomes: readonly PutOutcome[]): void {
    this.report.accepted = 0;
    for (const [position, outcome] of outcomes.entries()) {
      if (outcome.outcome === 'refused') this.#count(batch[position], outcome);
    }
  }

  async #settle(batch: readonly Prepared[], outcomes: readonly PutOutcome[]): Promise<void> {
    await this.#knowDemographics(batch, outcomes);
    for (const [position, outcome] of outcomes.entries()) this.#count(batch[position], outcome);
  }

  /** What a Patient says of itself counts once the resource is accepted; a retry makes up for a crash in between. */
  async #knowDemographics(batch: readonly Prepared[], outcomes: readonly PutOutcome[]): Promise<void> {
    const accepted = batch.filter((_, position) => outcomes[position]?.outcome !== 'refused');
    const demographics = accepted.flatMap((prepared) => prepared.demographics ?? []);
    if (demographics.length > 0) await this.#parts.patients.put(demographics);
  }

  /** A resource may come before its Patient in the input: the pseudonym must exist all the same. */
  async #knowPatients(batch: readonly Prepared[]): Promise<void> {
    const { patients } = this.#parts;
    const owners = new Set(batch.flatMap(({ version }) => version.patient ?? []));
    const unknown = [...owners].filter((id) => patients.byId(id) === undefined);
    if (unknown.length > 0)
      await patients.put(unknown.map((id) => ({ id, names: [], identifiers: [], deceased: false })));
    for (const id of owners) this.#patients.add(id);
  }

  #count(prepared: Prepared | undefined, outcome: PutOutcome): void {
    if (prepared === undefined) return;
    if (outcome.outcome === 'refused') {
      this.#refuseByName(prepared.index, outcome.error);
      return;
    }
    this.report.accepted += 1;
    if (outcome.outcome === 'same') this.report.unchanged += 1;
    const { type, id, version, lastUpdated } = outcome.meta;
    const created = outcome.outcome === 'new';
    this.report.entries?.push({ index: prepared.index, type, id, version, lastUpdated, created });
  }

  async finish(): Promise<ImportReport> {
    const isVain = this.#options.atomic === true && this.report.rejected > 0;
    if (isVain) this.report.accepted = 0;
    else if (this.#batch.length > 0) await this.#flush();
    if (this.#options.drain !== false) await this.#parts.anchorer.drain();
    this.report.patients = [...this.#patients].map((id) => ({ id, did: this.#parts.patients.byId(id)?.did ?? '' }));
    this.report.seconds = Math.round(performance.now() - this.#startMs) / 1000;
    return this.report;
  }
}

/** Whether the resource says whom it is about, though not a patient known here. */
function namesSubject({ subject, patient }: Resource): boolean {
  return subject !== undefined || patient !== undefined;
}
