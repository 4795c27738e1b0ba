import { randomUUID } from 'node:crypto';
import { ApiErrorCodes } from '@salus/api';
import { commit, SalusError, utf8 } from '@salus/protocol';
import { readResource as parseResource } from '@salus/standards';
import { ApiFault, RuleFault } from '../http/problems.ts';
import { RecordErrorCodes, recordError } from '../records/errors.ts';
import type { ImportedEntry, ImportReport } from '../records/import.ts';
import type { NewVersion, StoredResource } from '../records/resource-store.ts';
import { type Answer, answer, emptyAnswer } from './answer.ts';
import { importOne } from './bundle-import.ts';
import { expectedVersion } from './conditions.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, preferredReturn, questionOf, requireSystem, requireWriter } from './exchange.ts';
import { unknownResource } from './outcomes.ts';
import { present, textOfResource } from './present.ts';
import { released, versionHeaders } from './reads.ts';

/** Who is named as the author of what this token writes. */
function authorOf(exchange: Exchange): { author?: string } {
  const { subject } = requireWriter(exchange);
  return subject.kind === 'practitioner' ? { author: subject.id } : {};
}

function faultOf(report: ImportReport): Error {
  const [first] = report.errors;
  if (first === undefined) return new RuleFault(RecordErrorCodes.resourceInvalid);
  if (first.code === RecordErrorCodes.versionConflict) return new RuleFault(FhirErrorCodes.versionConflict);
  return new SalusError(first.code, first.message);
}

const storedOutcome = JSON.stringify({
  resourceType: 'OperationOutcome',
  issue: [{ severity: 'information', code: 'informational', details: { text: 'Stored and anchored.' } }],
});

/** What was stored, as it would be read: by the gate, and recorded, like any reading. */
async function representationOf(exchange: Exchange, { type, id, version }: ImportedEntry): Promise<string | undefined> {
  const stored = exchange.records.resources.find(type, id);
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
  if (parseResource(bytes).resourceType !== type) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const ifNoneExist = exchange.header('if-none-exist');
  // Whether something with an identifier is here is for nobody to learn who has to ask the gate.
  if (ifNoneExist !== undefined) requireSystem(exchange);
  const condition = ifNoneExist === undefined ? {} : { ifNoneExist };
  const fullUrl = `urn:uuid:${randomUUID()}`;
  const report = await importOne(exchange, bytes, { method: 'POST', url: type, fullUrl, ...condition }, author);
  const [entry] = report.entries ?? [];
  if (entry === undefined) throw faultOf(report);
  return await writtenAnswer(exchange, entry);
}

/**
 * Staff changes only what the patient's consent lets them correct, and never makes what is not there: the answer would
 * tell it from what is denied. The organisation's system feeds what it holds.
 */
function checkMayCorrect(exchange: Exchange, stored: StoredResource | undefined): void {
  if (requireWriter(exchange).subject.kind === 'system') return;
  if (stored === undefined) throw unknownResource();
  const { permitted } = exchange.records.gate.decide(questionOf(exchange, 'read', 'correct'), [stored]);
  if (permitted.length === 0) throw unknownResource();
}

/** update (R4 §3.1.0.4): the next version, or the first one under a client's id. */
export async function updateResource(exchange: Exchange, type: string, id: string, bytes: Uint8Array): Promise<Answer> {
  const author = authorOf(exchange);
  const resource = parseResource(bytes);
  if (resource.resourceType !== type || resource.id !== id) throw new RuleFault(FhirErrorCodes.identityMismatch);
  checkMayCorrect(exchange, exchange.records.resources.find(type, id));
  const expected = expectedVersion(exchange);
  const options = { ...author, ...(expected !== undefined && { expectedVersion: expected }) };
  const report = await importOne(exchange, bytes, { method: 'PUT', url: `${type}/${id}` }, options);
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
  const found = exchange.records.resources.findByIdentifier(type, system, value);
  const fits = found === undefined || resource.id === undefined || resource.id === found.id;
  if (resource.resourceType !== type || !fits) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const expected = expectedVersion(exchange);
  const options = expected === undefined ? {} : { expectedVersion: expected };
  const id = found?.id ?? resource.id;
  const request = {
    method: id === undefined ? ('POST' as const) : ('PUT' as const),
    url: id === undefined ? type : `${type}/${id}`,
    fullUrl: `urn:uuid:${randomUUID()}`,
  };
  const report = await importOne(exchange, bytes, request, options);
  const [entry] = report.entries ?? [];
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
  const stored = resources.find(type, id);
  checkMayCorrect(exchange, stored);
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
