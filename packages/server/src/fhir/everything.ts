import { Readable } from 'node:stream';
import {
  adviceOf,
  compareForEverything,
  dateRange,
  ignoredOutcome,
  metadataOf,
  parseSearch,
  type Resource,
  type Search,
  StandardsErrorCodes,
  safeName,
  standardsError,
} from '@salus/standards';
import type { Asked, Opened } from '../gate/gate.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { type Answer, answer } from './answer.ts';
import { type Exchange, isStrict, type Query, questionOf } from './exchange.ts';
import { sinceMsOf } from './history.ts';
import { type Presented, present, textOfResource } from './present.ts';
import { absent, released } from './reads.ts';
import { HeldBytes, laterPage, pageText } from './search.ts';

/** What of a record is wanted (operation `everything`, R4 §3.2.5.1). */
interface Wanted {
  types: ReadonlySet<string>;
  sinceMs: number;
  startMs: number;
  endMs: number;
  /** Whether pages are wanted, and what an ordinary search says of them and of unknown parameters. */
  isPaged: boolean;
  search: Search;
}

const ownParameters: ReadonlySet<string> = new Set(['start', 'end', '_since', '_type']);
const pagingParameters: ReadonlySet<string> = new Set(['_count', '_cursor', '_format', '_pretty']);

function dayOf(query: Query, name: string): { low: number; high: number } | undefined {
  const value = query.find(([one]) => one === name)?.[1];
  if (value === undefined) return undefined;
  const range = dateRange(value.replace(' ', '+'));
  if (range === undefined) throw standardsError(StandardsErrorCodes.searchValueInvalid, name);
  return range;
}

function wantedOf(exchange: Exchange): Wanted {
  const { query } = exchange;
  const since = query.find(([name]) => name === '_since')?.[1];
  const types = query.flatMap(([name, value]) => (name === '_type' ? value.split(',') : []));
  const others = query.filter(([name]) => !ownParameters.has(name));
  const paging = others.filter(([name]) => pagingParameters.has(name));
  const unknown = others.filter(([name]) => !pagingParameters.has(name));
  const search = parseSearch('Patient', paging);
  if (unknown.length > 0 && isStrict(exchange)) throw standardsError(StandardsErrorCodes.searchParameterUnknown);
  const code = StandardsErrorCodes.searchParameterUnknown;
  search.ignored = unknown.map(([name]) => ({
    name: safeName(name),
    code,
    message: `${safeName(name)}: ${adviceOf(code)}`,
  }));
  return {
    types: new Set(types.filter((type) => type !== '')),
    sinceMs: since === undefined ? Number.NEGATIVE_INFINITY : sinceMsOf(since),
    startMs: dayOf(query, 'start')?.low ?? Number.NEGATIVE_INFINITY,
    endMs: dayOf(query, 'end')?.high ?? Number.POSITIVE_INFINITY,
    isPaged: paging.some(([name]) => name === '_count'),
    search,
  };
}

/** By what the index knows; what began before `start` may have lasted until then. */
function isWanted({ type, lastUpdated, periodMs }: StoredResource, wanted: Wanted): boolean {
  if (wanted.types.size > 0 && !wanted.types.has(type)) return false;
  if (Date.parse(lastUpdated) < wanted.sinceMs) return false;
  return type === 'Patient' || periodMs === undefined || periodMs < wanted.endMs;
}

/** By its content: what had ended before `start`, or happened before, is not wanted; what has no date is. */
function isRecent(resource: Resource, { startMs }: Wanted): boolean {
  if (startMs === Number.NEGATIVE_INFINITY || resource.resourceType === 'Patient') return true;
  const { dateMs, dateEndMs } = metadataOf(resource);
  return dateMs === undefined || dateEndMs === undefined || dateEndMs > startMs;
}

/** Organisations, people and places that these name. */
async function sharedOf(exchange: Exchange, own: readonly StoredResource[]): Promise<StoredResource[]> {
  const tokens = new Set(own.flatMap((stored) => stored.tokens.filter((token) => !token.includes('|'))));
  const names = new Set([...tokens].map((token) => token.slice(token.indexOf('=') + 1)));
  const others = [...names].filter((name) => !name.startsWith('Patient/'));
  const found = await exchange.records.resources.findAll(others);
  return found.filter(({ patient }) => patient === undefined);
}

/**
 * Everything about a patient, and whom and what the permitted part of it names: where nothing is permitted, nothing of
 * the surroundings may tell that the patient is here. In the order of the standard.
 */
async function candidatesFor(
  exchange: Exchange,
  patient: string,
  wanted: Wanted,
  asked: Asked,
): Promise<StoredResource[]> {
  const { resources, gate } = exchange.records;
  const own = (await resources.ofPatient(patient)).filter((stored) => isWanted(stored, wanted));
  const { permitted } = await gate.decide(questionOf(exchange, 'everything'), own, asked);
  const shared = (await sharedOf(exchange, permitted)).filter((stored) => isWanted(stored, wanted));
  const all = [...own, ...shared];
  const order = ({ type, id }: StoredResource): Resource => ({ resourceType: type, id });
  return all.sort((left, right) => compareForEverything(order(left), order(right)));
}

/** What stands for somebody who is not here is narrowed down alike. */
function askedOf(patient: string, wanted: Wanted): Asked {
  return { patient, where: (stored) => isWanted(stored, wanted) };
}

async function* recent(opened: AsyncIterable<Opened>, wanted: Wanted): AsyncGenerator<Presented> {
  for await (const { stored, content } of opened) {
    const presented = present(stored, content);
    if (isRecent(presented.resource, wanted)) yield presented;
  }
}

/** The Bundle as it is written while the gate opens one entry after the other. */
async function* everythingText(
  exchange: Exchange,
  address: string,
  { search }: Wanted,
  first: Presented,
  rest: AsyncGenerator<Presented>,
): AsyncGenerator<string> {
  const link = JSON.stringify([{ relation: 'self', url: address }]);
  yield `{"resourceType":"Bundle","type":"searchset","link":${link},"entry":[`;
  let count = 0;
  const entry = ({ stored, resource }: Presented): string => {
    const fullUrl = JSON.stringify(`${exchange.base}/${stored.type}/${stored.id}`);
    count += 1;
    const text = textOfResource(resource);
    return `${count > 1 ? ',' : ''}\n{"fullUrl":${fullUrl},"resource":${text},"search":{"mode":"match"}}`;
  };
  yield entry(first);
  for await (const presented of rest) yield entry(presented);
  const outcome = ignoredEntry(search);
  yield `${outcome === undefined ? '' : `,\n${outcome}`}\n],"total":${count}}`;
}

/** What an ordinary searchset says of parameters that had no effect. */
function ignoredEntry(search: Search): string | undefined {
  if (search.ignored.length === 0) return undefined;
  return JSON.stringify({ resource: ignoredOutcome(search), search: { mode: 'outcome' } });
}

function selfOf(address: string, { query }: Exchange): string {
  const understood = query.filter(([name, value]) => (ownParameters.has(name) || name === '_count') && value !== '');
  const text = new URLSearchParams([...understood]).toString();
  return text === '' ? address : `${address}?${text}`;
}

/** `Patient/{id}/$everything`: streamed, so that a long record needs no memory; or in pages, all of one release. */
export async function everythingOf(exchange: Exchange, patient: string): Promise<Answer> {
  const startMs = performance.now();
  const address = `${exchange.base}/Patient/${patient}/$everything`;
  const wanted = wantedOf(exchange);
  if (wanted.search.cursor !== undefined) return await laterPage(exchange, address, wanted.search.cursor);
  const asked = askedOf(patient, wanted);
  const candidates = await candidatesFor(exchange, patient, wanted, asked);
  const question = questionOf(exchange, 'everything');
  const { decisions } = await exchange.records.gate.decide(question, candidates, asked);
  const opened = recent(released(exchange, 'everything', candidates, asked), wanted);
  // The first entry is opened before the head is sent: up to here an error still gets its own answer.
  const first = await opened.next();
  const self = selfOf(address, exchange);
  if (first.done === true && !(await mayKnow(exchange, patient)))
    return await absent(exchange, candidates, startMs, asked);
  if (first.done === true || wanted.isPaged) {
    const matches = first.done === true ? [] : await held(first.value, opened);
    const kept = { search: wanted.search, question, matches, included: new Map(), decisions };
    return answer(await pageText(exchange, kept, { address, self, offset: 0, count: wanted.search.count }));
  }
  const stream = Readable.from(everythingText(exchange, self, wanted, first.value, opened));
  return { status: 200, headers: {}, stream };
}

/** Whether the requester may see the Patient: then nothing else is an answer, and no secret. */
async function mayKnow(exchange: Exchange, patient: string): Promise<boolean> {
  const found = await exchange.records.resources.find('Patient', patient);
  const asked = { record: `Patient/${patient}` };
  const candidates = found === undefined ? [] : [found];
  const { permitted } = await exchange.records.gate.decide(questionOf(exchange, 'everything'), candidates, asked);
  return permitted.length > 0;
}

async function held(first: Presented, rest: AsyncIterable<Presented>): Promise<Presented[]> {
  const held = new HeldBytes();
  held.add(first);
  const all = [first];
  for await (const presented of rest) {
    held.add(presented);
    all.push(presented);
  }
  return all;
}
