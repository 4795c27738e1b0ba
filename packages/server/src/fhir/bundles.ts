import { ApiErrorCodes } from '@salus/api';
import { SalusError } from '@salus/protocol';
import { isObject, type JsonObject, objectsOf, readFhir, StandardsErrorCodes, textOf } from '@salus/standards';
import { ApiFault, RuleFault } from '../http/problems.ts';
import type { ImportedEntry } from '../records/import.ts';
import { type Answer, answer } from './answer.ts';
import { openable } from './bundle-import.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, isOwnSystem, requireSystem } from './exchange.ts';
import { FhirFault, outcomeOf } from './outcomes.ts';
import { etagOf } from './present.ts';

/** Entries of one Bundle at the FHIR base; larger inputs are imported. */
export const bundleEntriesMax = 5_000;
/** Entries of one Bundle that are no writes: each is a question of its own to the gate. */
export const readEntriesMax = 100;

interface Outline {
  type: string;
  entries: number;
  /** Whether an entry brings no resource: it reads, searches or deletes. */
  hasOthers: boolean;
}

/** Reads the Bundle once for its kind, and refuses what cannot be read to its end. */
async function outlineOf(bytes: Uint8Array): Promise<Outline> {
  const outline: Outline = { type: '', entries: 0, hasOthers: false };
  for await (const event of readFhir(openable(bytes)())) {
    if (event.kind === 'fault' && event.fatal) throw new SalusError(event.code, event.message);
    if (event.kind === 'fault' && event.code === StandardsErrorCodes.entryWithoutResource) outline.hasOthers = true;
    if (event.kind !== 'end') continue;
    outline.type = String(event.bundle?.type ?? '');
    outline.entries = event.entries;
  }
  return outline;
}

/** One entry that is no write, by its position. */
interface OtherEntry {
  position: number;
  method: string;
  url: string;
  request: JsonObject;
}

function othersOf(bytes: Uint8Array): OtherEntry[] {
  const bundle: JsonObject = JSON.parse(Buffer.from(bytes).toString());
  return objectsOf(bundle.entry).flatMap((entry, position) => {
    if (entry.resource !== undefined) return [];
    const request = isObject(entry.request) ? entry.request : {};
    return [{ position, method: textOf(request.method) ?? '', url: textOf(request.url) ?? '', request }];
  });
}

/** What a batch can ask for by an address: the same interactions as the routes. */
export type Dispatch = (exchange: Exchange, method: string, path: string) => Promise<Answer>;

const conditionMembers: Readonly<Record<string, string>> = {
  'if-none-match': 'ifNoneMatch',
  'if-modified-since': 'ifModifiedSince',
  'if-match': 'ifMatch',
};

/** The exchange of one entry: conditions are those of the entry, everything else is said by the request around it. */
function exchangeOf(exchange: Exchange, { url, request }: OtherEntry): Exchange {
  const [, query = ''] = url.split(/\?(.*)/s);
  const header = (name: string): string | undefined => {
    const member = conditionMembers[name];
    return member === undefined ? exchange.header(name) : textOf(request[member]);
  };
  // The whole Bundle travels in a body: what its searches ask for is not repeated in addresses either.
  return { ...exchange, header, query: [...new URLSearchParams(query)], isForm: true };
}

const statusTexts: Readonly<Record<number, string>> = {
  200: '200 OK',
  201: '201 Created',
  204: '204 No Content',
  304: '304 Not Modified',
  400: '400 Bad Request',
  401: '401 Unauthorized',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  410: '410 Gone',
  412: '412 Precondition Failed',
  422: '422 Unprocessable Entity',
  503: '503 Service Unavailable',
};

function statusText(status: number): string {
  return statusTexts[status] ?? `${status} ${status >= 500 ? 'Server Error' : 'Client Error'}`;
}

/** Text of one response entry. Faults of one entry are its answer, those of the node are not. */
async function otherText(exchange: Exchange, entry: OtherEntry, dispatch: Dispatch): Promise<string> {
  const { method, url } = entry;
  const path = (url.split('?')[0] ?? '').replace(`${exchange.base}/`, '').replace(/^\/+/, '');
  try {
    const { status, headers, text } = await dispatch(exchangeOf(exchange, entry), method, path);
    const { etag, location } = headers;
    const modified = headers['last-modified'];
    const response = {
      status: statusText(status),
      ...(location !== undefined && { location }),
      ...(etag !== undefined && { etag }),
      ...(modified !== undefined && { lastModified: new Date(modified).toISOString() }),
    };
    return `{${text === undefined ? '' : `"resource":${text},`}"response":${JSON.stringify(response)}}`;
  } catch (error) {
    return refusedText(error);
  }
}

function refusedText(error: unknown): string {
  const { status, outcome } = outcomeOf(error);
  if (status === 500) throw error;
  return JSON.stringify({ response: { status: statusText(status), outcome } });
}

function writtenText({ base }: Exchange, { type, id, version, created, lastUpdated }: ImportedEntry): string {
  return JSON.stringify({
    fullUrl: `${base}/${type}/${id}`,
    response: {
      status: created ? '201 Created' : '200 OK',
      location: `${type}/${id}/_history/${version}`,
      etag: etagOf(version),
      lastModified: lastUpdated,
    },
  });
}

/** Stores what the Bundle brings, and gives the answer of each entry by its position. */
async function write(exchange: Exchange, bytes: Uint8Array, atomic: boolean): Promise<Map<number, string>> {
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
  const texts = new Map<number, string>();
  for (const entry of report.entries ?? []) texts.set(entry.index, writtenText(exchange, entry));
  for (const { entry, code, message } of report.errors) {
    texts.set(entry, refusedText(new SalusError(code, message)));
  }
  return texts;
}

/**
 * transaction (all or nothing) and batch (each on its own), R4 §3.1.0.11. Writes come from the organisation's system
 * alone; reads, searches and deletions of a batch from anybody, each decided upon as if it had come alone, after the
 * writes.
 */
export async function handleBundle(exchange: Exchange, bytes: Uint8Array, dispatch: Dispatch): Promise<Answer> {
  const { type, entries, hasOthers } = await outlineOf(bytes);
  if ((type !== 'transaction' && type !== 'batch') || entries > bundleEntriesMax) {
    throw new RuleFault(FhirErrorCodes.bundleUnsupported);
  }
  if (type === 'transaction') requireSystem(exchange);
  const others = hasOthers && type === 'batch' ? othersOf(bytes) : [];
  if (others.length > readEntriesMax) {
    throw new RuleFault(FhirErrorCodes.bundleUnsupported, { detail: `At most ${readEntriesMax} entries may ask.` });
  }
  const writes = entries - others.length;
  if (writes > 0 && !isOwnSystem(exchange)) throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  const texts = writes > 0 ? await write(exchange, bytes, type === 'transaction') : new Map<number, string>();
  for (const entry of others) texts.set(entry.position, await otherText(exchange, entry, dispatch));
  const list = [...texts].sort(([left], [right]) => left - right).map(([, text]) => text);
  const entry = list.length > 0 ? `,"entry":[${list.join(',\n')}]` : '';
  return answer(`{"resourceType":"Bundle","type":"${type}-response"${entry}}`);
}
