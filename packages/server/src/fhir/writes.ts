import { randomUUID } from 'node:crypto';
import { ApiErrorCodes } from '@salus/api';
import { commit, SalusError, utf8 } from '@salus/protocol';
import { readResource as parseResource, type Resource, subjectOf } from '@salus/standards';
import { AccessErrorCodes } from '../access/errors.ts';
import { ApiFault, RuleFault } from '../http/problems.ts';
import { RecordErrorCodes, recordError } from '../records/errors.ts';
import type { Admission, Draft, ImportedEntry, ImportReport } from '../records/import.ts';
import type { NewVersion, StoredResource } from '../records/resource-store.ts';
import { type Answer, answer, emptyAnswer } from './answer.ts';
import { importOne } from './bundle-import.ts';
import { expectedVersion } from './conditions.ts';
import { FhirErrorCodes } from './errors.ts';
import {
  type Exchange,
  preferredReturn,
  questionOf,
  requireSystem,
  requireWriter,
  waitAsForAbsence,
} from './exchange.ts';
import { unknownResource } from './outcomes.ts';
import { present, textOfResource } from './present.ts';
import { released, versionHeaders } from './reads.ts';

/** Who is named as the author of what this token writes. */
function authorOf(exchange: Exchange): { author?: string } {
  const { subject } = requireWriter(exchange);
  return subject.kind === 'practitioner' ? { author: subject.id } : {};
}

/**
 * What people write is asked of the gate, by role, organisation and what stands between them and the patient; it records
 * what it decides. The organisation's systems feed what it holds.
 */
function admissionOf(exchange: Exchange, resource: Resource, current?: StoredResource): { admission?: Admission } {
  if (requireWriter(exchange).subject.kind === 'system') return {};
  const { resourceType: type, id } = resource;
  const isUpdate = id !== undefined;
  const named = /^Patient\/([A-Za-z0-9.-]{1,64})$/.exec(subjectOf(resource) ?? '')?.[1];
  const patient = type === 'Patient' ? id : named;
  const nobody: Draft = { type, id: id ?? '', patient: patient ?? '', categories: [], labels: [] };
  return {
    admission: {
      sees: (stored) => stored.patient === undefined || stored.patient === patient,
      admit: (draft = nobody) =>
        exchange.records.gate.admit(questionOf(exchange, 'write', 'correct'), {
          patient: draft.patient,
          isNewcomer: type === 'Patient' && !isUpdate,
          isUpdate,
          current,
          name: `${draft.type}/${draft.id}`,
          categories: draft.categories,
          labels: draft.labels,
        }),
    },
  };
}

/** Who may not write learns it at a time that does not tell whether anything, or anybody, is here. */
async function refusedAlike<T>(work: () => Promise<T>, refusal?: Error): Promise<T> {
  const startMs = performance.now();
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RuleFault) || error.code !== AccessErrorCodes.writeRefused) throw error;
    await waitAsForAbsence(startMs);
    throw refusal ?? error;
  }
}

function faultOf(report: ImportReport): Error {
  const [first] = report.errors;
  if (first === undefined) return new RuleFault(RecordErrorCodes.resourceInvalid);
  if (first.code === RecordErrorCodes.versionConflict) return new RuleFault(FhirErrorCodes.versionConflict);
  return new SalusError(first.code, first.message);
}

/** Somebody else created at the same moment what the condition looked for: it is found now. */
function wasOvertaken({ errors: [first] }: ImportReport): boolean {
  return first?.code === RecordErrorCodes.createdMeanwhile;
}

const storedOutcome = JSON.stringify({
  resourceType: 'OperationOutcome',
  issue: [{ severity: 'information', code: 'informational', details: { text: 'Stored and anchored.' } }],
});

/** What was stored, as it would be read: by the gate, and recorded, like any reading. */
async function representationOf(exchange: Exchange, { type, id, version }: ImportedEntry): Promise<string | undefined> {
  const stored = await exchange.records.resources.find(type, id);
  if (stored === undefined || stored.version !== version) return undefined;
  for await (const opened of released(exchange, 'read', [stored])) {
    return textOfResource(present(opened.stored, opened.content).resource);
  }
  return undefined;
}

async function writtenAnswer(exchange: Exchange, entry: ImportedEntry): Promise<Answer> {
  const { type, id, version, created } = entry;
  const headers = {
    location: `${exchange.base}/${type}/${id}/_history/${version}`,
    ...versionHeaders(entry),
  };
  const status = created ? 201 : 200;
  const wanted = preferredReturn(exchange);
  if (wanted === 'OperationOutcome') return answer(storedOutcome, headers, status);
  const text = wanted === 'representation' ? await representationOf(exchange, entry) : undefined;
  return text === undefined ? emptyAnswer(status, headers) : answer(text, headers, status);
}

/** create (R4 §3.1.0.8): always a new id, whatever the body says. */
export async function createResource(exchange: Exchange, type: string, bytes: Uint8Array): Promise<Answer> {
  const author = authorOf(exchange);
  const { id: _theirs, ...resource } = parseResource(bytes);
  if (resource.resourceType !== type) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const ifNoneExist = exchange.header('if-none-exist');
  // Whether something with an identifier is here is for nobody to learn who has to ask the gate.
  if (ifNoneExist !== undefined) requireSystem(exchange);
  const condition = ifNoneExist === undefined ? {} : { ifNoneExist };
  const fullUrl = `urn:uuid:${randomUUID()}`;
  const options = { ...author, ...admissionOf(exchange, resource) };
  const request = { method: 'POST' as const, url: type, fullUrl, ...condition };
  const store = (): Promise<ImportReport> => refusedAlike(() => importOne(exchange, bytes, request, options));
  const first = await store();
  const report = wasOvertaken(first) ? await store() : first;
  const [entry] = report.entries ?? [];
  if (entry === undefined) throw faultOf(report);
  return await writtenAnswer(exchange, entry);
}

/**
 * update (R4 §3.1.0.4): the next version, or, by a system, the first one under a client's id. Staff makes nothing that is
 * not there: the answer would tell it from what is denied.
 */
export async function updateResource(exchange: Exchange, type: string, id: string, bytes: Uint8Array): Promise<Answer> {
  const author = authorOf(exchange);
  const resource = parseResource(bytes);
  if (resource.resourceType !== type || resource.id !== id) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const expected = expectedVersion(exchange);
  const admission = admissionOf(exchange, resource, await exchange.records.resources.find(type, id));
  const options = { ...author, ...admission, ...(expected !== undefined && { expectedVersion: expected }) };
  const request = { method: 'PUT' as const, url: `${type}/${id}` };
  const report = await refusedAlike(() => importOne(exchange, bytes, request, options), unknownResource());
  const [entry] = report.entries ?? [];
  if (entry === undefined) throw faultOf(report);
  return await writtenAnswer(exchange, entry);
}

/** The one condition that is understood: an identifier with its system. */
function conditionOf({ query }: Exchange): { system: string; value: string } {
  const [[name, text] = ['', ''], ...more] = query;
  const bar = text.lastIndexOf('|');
  if (more.length > 0 || name !== 'identifier' || bar < 0 || bar === text.length - 1) {
    throw recordError('conditionUnsupported');
  }
  return { system: text.slice(0, bar), value: text.slice(bar + 1) };
}

/**
 * conditional update (R4 §3.1.0.4.3), by the organisation's system alone: that something with an identifier is here is
 * for nobody to learn who has to ask the gate. An identifier leads to one resource, so there are never several matches.
 */
export async function updateByCondition(exchange: Exchange, type: string, bytes: Uint8Array): Promise<Answer> {
  requireSystem(exchange);
  const { system, value } = conditionOf(exchange);
  const resource = parseResource(bytes);
  const found = await exchange.records.resources.findByIdentifier(type, system, value);
  const fits = found === undefined || resource.id === undefined || resource.id === found.id;
  if (resource.resourceType !== type || !fits) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const expected = expectedVersion(exchange);
  const options = expected === undefined ? {} : { expectedVersion: expected };
  const id = found?.id ?? resource.id;
  const request = {
    method: id === undefined ? ('POST' as const) : ('PUT' as const),
    url: id === undefined ? type : `${type}/${id}`,
    fullUrl: `urn:uuid:${randomUUID()}`,
    ...(id === undefined && { ifNoneExist: new URLSearchParams(exchange.query).toString() }),
  };
  const report = await importOne(exchange, bytes, request, options);
  const [entry] = report.entries ?? [];
  // What was created since it was looked for is there now, and is updated.
  if (wasOvertaken(report) || (id === undefined && entry?.created === false)) {
    return await updateByCondition(exchange, type, bytes);
  }
  if (entry === undefined) throw faultOf(report);
  return await writtenAnswer(exchange, entry);
}

/** The version that says that the resource is no longer part of the record. It holds nothing, and keeps its patient. */
function deletionOf(stored: StoredResource, nowMs: number, expected: number | undefined): NewVersion {
  const { type, id, patient, categories, labels } = stored;
  const content = utf8(JSON.stringify({ resourceType: type, id }));
  const original = utf8('');
  const { commitment: contentCommitment, salt: contentSalt } = commit(content);
  const { commitment: originalCommitment, salt: originalSalt } = commit(original);
  return {
    ...{ type, id, categories, labels, content, original, contentCommitment, contentSalt },
    ...{ originalCommitment, originalSalt, deleted: true, tokens: [], identifiers: [] },
    ...(patient !== undefined && { patient }),
    lastUpdated: new Date(nowMs).toISOString(),
    sourceHash: `deleted ${randomUUID()}`,
    expectedVersion: expected ?? stored.version,
  };
}

/**
 * delete (R4 §3.1.0.7): the resource leaves the record by a version of its own, anchored like every other; what was
 * there stays in its history. Destroying keys is another act, with the law on retention before it and a certificate
 * after it (`records/erase`).
 */
export async function deleteResource(exchange: Exchange, type: string, id: string): Promise<Answer> {
  const { resources, anchorer } = exchange.records;
  const author = authorOf(exchange);
  const stored = await resources.find(type, id);
  const draft = stored ?? { type, id, patient: '', categories: [], labels: [] };
  const { admission } = admissionOf(exchange, { resourceType: type, id }, stored);
  if (admission !== undefined) await refusedAlike(() => admission.admit(draft), unknownResource());
  const expected = expectedVersion(exchange);
  if (stored === undefined) return emptyAnswer(204);
  // Whoever is registered here stays registered: what is known of them may go, who they are may not.
  if (type === 'Patient')
    throw new ApiFault(ApiErrorCodes.methodNotAllowed, { detail: 'A Patient cannot be deleted.' });
  const deletion = { ...deletionOf(stored, exchange.nowMs(), expected), ...author };
  const [outcome] = await resources.put([deletion]);
  if (outcome === undefined || outcome.outcome === 'refused') {
    throw outcome?.error === 'versionConflict'
      ? new RuleFault(FhirErrorCodes.versionConflict)
      : recordError(outcome?.error ?? 'resourceInvalid');
  }
  await anchorer.drain();
  return emptyAnswer(204, { etag: versionHeaders(outcome.meta).etag });
}
