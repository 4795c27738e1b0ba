import { dateRange, pageEntriesDefault, pageEntriesMax, StandardsErrorCodes, standardsError } from '@salus/standards';
import type { StoredResource } from '../records/resource-store.ts';
import { type Answer, answer } from './answer.ts';
import { type Exchange, questionOf } from './exchange.ts';
import { etagOf, present, textOfResource } from './present.ts';
import { absent, released } from './reads.ts';

interface Wanted {
  sinceMs: number;
  count: number;
  /** Only versions below this one: the rest after a page. */
  below: number;
}

function invalid(name: string): Error {
  return standardsError(StandardsErrorCodes.searchValueInvalid, name);
}

function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw invalid(name);
  return Number(value);
}

/** An instant, in which a "+" that was not encoded arrives as a blank. */
export function sinceMsOf(value: string): number {
  const range = dateRange(value.replace(' ', '+'));
  if (range === undefined) throw invalid('_since');
  return range.low;
}

/** A history has no filters that could be passed over: what is not known here is refused. */
function wantedOf({ query }: Exchange): Wanted {
  const wanted: Wanted = {
    sinceMs: Number.NEGATIVE_INFINITY,
    count: pageEntriesDefault,
    below: Number.MAX_SAFE_INTEGER,
  };
  for (const [name, value] of query) {
    if (name === '_since') wanted.sinceMs = sinceMsOf(value);
    else if (name === '_count') wanted.count = Math.min(wholeNumber(name, value), pageEntriesMax);
    else if (name === '_cursor') wanted.below = wholeNumber(name, value);
    else if (name !== '_format' && name !== '_pretty') {
      throw standardsError(StandardsErrorCodes.searchParameterUnknown);
    }
  }
  return wanted;
}

function requestOf({ type, id, version, deleted }: StoredResource): string {
  if (deleted === true) return JSON.stringify({ method: 'DELETE', url: `${type}/${id}` });
  return JSON.stringify(version === 1 ? { method: 'POST', url: type } : { method: 'PUT', url: `${type}/${id}` });
}

function responseOf({ version, lastUpdated, deleted }: StoredResource): string {
  const status = deleted === true ? '204 No Content' : version === 1 ? '201 Created' : '200 OK';
  return JSON.stringify({ status, etag: etagOf(version), lastModified: lastUpdated });
}

function linksOf(exchange: Exchange, type: string, id: string, wanted: Wanted, next: number | undefined): object[] {
  const address = `${exchange.base}/${type}/${id}/_history`;
  const kept = exchange.query.filter(([name]) => name === '_since');
  const url = (below: number): string => {
    const paging: [string, string][] = below < Number.MAX_SAFE_INTEGER ? [['_cursor', String(below)]] : [];
    return `${address}?${new URLSearchParams([...kept, ['_count', String(wanted.count)], ...paging])}`;
  };
  const self = { relation: 'self', url: url(wanted.below) };
  return next === undefined ? [self] : [self, { relation: 'next', url: url(next) }];
}

/**
 * The versions of one resource, newest first (R4 §3.1.0.9). Each is decided upon by its own content and labels; that it
 * was deleted is told to whom a version may be told.
 */
export async function historyOf(exchange: Exchange, type: string, id: string): Promise<Answer> {
  const startMs = performance.now();
  const { resources, gate } = exchange.records;
  const wanted = wantedOf(exchange);
  const current = await resources.find(type, id, { deleted: true });
  const versions = current === undefined ? [] : await resources.versions(current.record);
  const live = versions.filter(({ deleted }) => deleted !== true);
  const asked = { record: `${type}/${id}` };
  const permitted = new Set((await gate.decide(questionOf(exchange, 'history'), live, asked)).permitted);
  if (permitted.size === 0) {
    for await (const _none of released(exchange, 'history', live, asked)) break;
    return await absent(exchange, live, startMs, asked);
  }
  const told = versions
    .filter((one) => one.deleted === true || permitted.has(one))
    .filter(({ lastUpdated }) => Date.parse(lastUpdated) >= wanted.sinceMs);
  const rest = told.filter(({ version }) => version < wanted.below);
  const page = rest.slice(0, wanted.count);
  const texts = new Map<StoredResource, string>();
  const opening = page.filter((one) => one.deleted !== true);
  for await (const { stored, content } of released(exchange, 'history', opening)) {
    texts.set(stored, textOfResource(present(stored, content).resource));
  }
  const entries = page.flatMap((one) => {
    const text = texts.get(one);
    if (text === undefined && one.deleted !== true) return [];
    const fullUrl = JSON.stringify(`${exchange.base}/${type}/${id}`);
    const resource = text === undefined ? '' : `"resource":${text},`;
    return [`{"fullUrl":${fullUrl},${resource}"request":${requestOf(one)},"response":${responseOf(one)}}`];
  });
  const next = rest.length > page.length && page.length > 0 ? page.at(-1)?.version : undefined;
  const links = JSON.stringify(linksOf(exchange, type, id, wanted, next));
  const entry = entries.length > 0 ? `,"entry":[${entries.join(',\n')}]` : '';
  return answer(`{"resourceType":"Bundle","type":"history","total":${told.length},"link":${links}${entry}}`);
}
