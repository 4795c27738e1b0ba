import { randomUUID } from 'node:crypto';
import { SalusError } from '@salus/protocol';
import { type JsonObject, readResource as parseResource, type Resource, readFhir } from '@salus/standards';
import type { FastifyReply } from 'fastify';
import { RuleFault } from '../http/problems.ts';
import { RecordErrorCodes } from '../records/errors.ts';
import type { ImportedEntry, ImportReport } from '../records/import.ts';
import { importOne, openable } from './bundle-import.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, questionOf, requireSystem, requireWriter, sendText } from './exchange.ts';
import { FhirFault, outcomeOf, unknownResource } from './outcomes.ts';
import { etagOf } from './present.ts';

/** Entries of one Bundle at the FHIR base; larger inputs are imported. */
export const bundleEntriesMax = 5_000;

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

function sendWritten(exchange: Exchange, entry: ImportedEntry): FastifyReply {
  const { type, id, version, created } = entry;
  exchange.reply
    .code(created ? 201 : 200)
    .header('location', `${exchange.base}/${type}/${id}/_history/${version}`)
    .header('etag', etagOf(version))
    .header('last-modified', new Date(entry.lastUpdated).toUTCString());
  const outcome = {
    resourceType: 'OperationOutcome',
    issue: [{ severity: 'information', code: 'informational', details: { text: 'Stored and anchored.' } }],
  };
  return sendText(exchange.reply, JSON.stringify(outcome));
}

/** create (R4 §3.1.0.8): always a new id, whatever the body says. */
export async function createResource(exchange: Exchange, type: string, bytes: Uint8Array): Promise<FastifyReply> {
  const author = authorOf(exchange);
  if (parseResource(bytes).resourceType !== type) throw new RuleFault(FhirErrorCodes.identityMismatch);
  const ifNoneExist = exchange.request.headers['if-none-exist'];
  // Whether something with an identifier is here is for nobody to learn who has to ask the gate.
  if (ifNoneExist !== undefined) requireSystem(exchange);
  const condition = typeof ifNoneExist === 'string' ? { ifNoneExist } : {};
  const fullUrl = `urn:uuid:${randomUUID()}`;
  const report = await importOne(exchange, bytes, { method: 'POST', url: type, fullUrl, ...condition }, author);
  const [entry] = report.entries ?? [];
  if (entry === undefined) throw faultOf(report);
  return sendWritten(exchange, entry);
}

function expectedVersion({ request }: Exchange): number | undefined {
  const header = request.headers['if-match'];
  if (header === undefined) return undefined;
  const version = /^(?:W\/)?"(\d{1,9})"$/.exec(header)?.[1];
  if (version === undefined) throw new RuleFault(FhirErrorCodes.ifMatchMalformed);
  return Number(version);
}

/**
 * Staff changes only what the patient's consent lets them correct, and never makes what is not there: the answer would
 * tell it from what is denied. The organisation's system feeds what it holds.
 */
function checkMayCorrect(exchange: Exchange, type: string, id: string): void {
  const { records } = exchange;
  const stored = records.resources.find(type, id);
  if (requireWriter(exchange).subject.kind === 'system') return;
  if (stored === undefined) throw unknownResource();
  const { permitted } = records.gate.decide(questionOf(exchange, 'read', 'correct'), [stored]);
  if (permitted.length === 0) throw unknownResource();
}

/** update (R4 §3.1.0.4): the next version, or the first one under a client's id. */
export async function updateResource(exchange: Exchange, type: string, id: string, bytes: Uint8Array) {
  const author = authorOf(exchange);
  const resource = parseResource(bytes);
  if (resource.resourceType !== type || resource.id !== id) throw new RuleFault(FhirErrorCodes.identityMismatch);
  checkMayCorrect(exchange, type, id);
  const expected = expectedVersion(exchange);
  const options = { ...author, ...(expected !== undefined && { expectedVersion: expected }) };
  const report = await importOne(exchange, bytes, { method: 'PUT', url: `${type}/${id}` }, options);
  const [entry] = report.entries ?? [];
  if (entry === undefined) throw faultOf(report);
  return sendWritten(exchange, entry);
}

interface Outline {
  type: string;
  entries: number;
}

/** Reads the Bundle once for its kind, and refuses what cannot be read to its end. */
async function outlineOf(bytes: Uint8Array): Promise<Outline> {
  let outline: Outline = { type: '', entries: 0 };
  for await (const event of readFhir(openable(bytes)())) {
    if (event.kind === 'fault' && event.fatal) throw new SalusError(event.code, event.message);
    if (event.kind === 'end') outline = { type: String(event.bundle?.type ?? ''), entries: event.entries };
  }
  return outline;
}

function writtenEntry(exchange: Exchange, { type, id, version, created, lastUpdated }: ImportedEntry): JsonObject {
  return {
    fullUrl: `${exchange.base}/${type}/${id}`,
    response: {
      status: created ? '201 Created' : '200 OK',
      location: `${type}/${id}/_history/${version}`,
      etag: etagOf(version),
      lastModified: lastUpdated,
    },
  };
}

function refusedEntry(code: number, message: string): JsonObject {
  const { status, outcome } = outcomeOf(new SalusError(code, message));
  return { response: { status: `${status === 400 ? '400 Bad Request' : '422 Unprocessable Entity'}`, outcome } };
}

/** transaction (all or nothing) and batch (each on its own), R4 §3.1.0.11; by the organisation's system. */
export async function writeBundle(exchange: Exchange, bytes: Uint8Array): Promise<FastifyReply> {
  requireSystem(exchange);
  const { type, entries } = await outlineOf(bytes);
  if ((type !== 'transaction' && type !== 'batch') || entries > bundleEntriesMax) {
    throw new RuleFault(FhirErrorCodes.bundleUnsupported);
  }
  const atomic = type === 'transaction';
  const report = await exchange.records.import(openable(bytes), {
    listEntries: true,
    atomic,
    reportedErrorsMax: bundleEntriesMax,
  });
  if (atomic && report.rejected > 0) {
    const issues = report.errors.map(({ entry, code, message }) => ({
      code,
      text: message,
      expression: `Bundle.entry[${entry}]`,
    }));
    throw new FhirFault(FhirErrorCodes.bundleRefused, issues);
  }
  const byIndex = new Map<number, JsonObject>();
  for (const entry of report.entries ?? []) byIndex.set(entry.index, writtenEntry(exchange, entry));
  for (const { entry, code, message } of report.errors) byIndex.set(entry, refusedEntry(code, message));
  const entry = [...byIndex].sort(([left], [right]) => left - right).map(([, one]) => one);
  const response = { resourceType: 'Bundle', type: `${type}-response`, entry } as Resource;
  return sendText(exchange.reply, JSON.stringify(response));
}
