import { operationOutcome } from './outcome.ts';
import { listReferences, parseReference } from './references.ts';
import { searchParametersOf } from './search/parameters.ts';
import { type Search, safeName } from './search/parse.ts';
import { isObject, type JsonObject, type Resource, valuesAt } from './types.ts';

export type SearchsetPage = {
  /** Base URL of the FHIR service, without a slash at its end. */
  base: string;
  search: Search;
  /** Address of this page, and of the next where there is one (`selfLink`). */
  self: string;
  next?: string;
  matches: Resource[];
  included?: Resource[];
  /** Left out where the total must not or need not be told. */
  total?: number;
  nowMs?: number;
};

/** Bundle of type searchset (R4 §3.1.1.1) with paging links, included resources, and what was ignored. */
export function searchsetBundle(page: SearchsetPage): Resource {
  const { base, search, self, next, matches, included = [], total, nowMs } = page;
  const entry: JsonObject[] = [];
  if (!search.countOnly) {
    for (const resource of matches) entry.push(entryOf(base, resource, 'match'));
    for (const resource of included) entry.push(entryOf(base, resource, 'include'));
    if (search.ignored.length > 0) entry.push({ resource: ignoredOutcome(search), search: { mode: 'outcome' } });
  }
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    ...(nowMs === undefined ? {} : { timestamp: new Date(nowMs).toISOString() }),
    ...(total === undefined || (search.total === 'none' && !search.countOnly) ? {} : { total }),
    link: [{ relation: 'self', url: self }, ...(next === undefined ? [] : [{ relation: 'next', url: next }])],
    ...(entry.length > 0 ? { entry } : {}),
  };
}

function entryOf(base: string, resource: Resource, mode: string): JsonObject {
  const fullUrl = resource.id ? { fullUrl: `${base}/${resource.resourceType}/${resource.id}` } : {};
  return { ...fullUrl, resource, search: { mode } };
}

/** What an answer says of parameters that had no effect (R4 §3.1.1.3). */
export function ignoredOutcome(search: Search): Resource {
  return operationOutcome(
    search.ignored.map(({ code, message }) => ({ severity: 'warning', type: 'not-supported', code, text: message })),
  );
}

const PAGING = new Set(['_offset', '_cursor', '_count']);

/**
 * The search as it was understood (R4 §3.1.1.3): what was ignored is not in it, nor what had no value. Only for a search
 * that came as an address: what somebody sent in a body to keep it out of addresses does not belong here.
 */
export function selfLink(base: string, search: Search, query: Iterable<[string, string]>): string {
  const ignored = new Set(search.ignored.map(({ name }) => name));
  const kept = [...query].filter(([name, value]) => !PAGING.has(name) && !ignored.has(safeName(name)) && value !== '');
  const offset: [string, string][] = search.offset > 0 ? [['_offset', String(search.offset)]] : [];
  return `${base}/${search.type}?${new URLSearchParams([...kept, ['_count', String(search.count)], ...offset])}`;
}

/** References of a match that `_include` asks for, as `Type/id`; others than relative ones cannot be included. */
export function includedReferences(resource: Resource, search: Search): string[] {
  const found = new Set<string>();
  for (const include of search.include) {
    if (include.type !== resource.resourceType) continue;
    for (const text of referenceTexts(resource, include.parameter)) {
      const target = parseReference(text);
      if (target.kind !== 'relative' || (include.target && include.target !== target.type)) continue;
      found.add(`${target.type}/${target.id}`);
    }
  }
  return [...found];
}

function referenceTexts(resource: Resource, parameter: string): string[] {
  const texts =
    parameter === '*'
      ? listReferences(resource).map(({ reference }) => reference.reference)
      : (searchParametersOf(resource.resourceType)?.get(parameter)?.paths ?? [])
          .flatMap((path) => valuesAt(resource, path))
          .map((value) => (isObject(value) ? value.reference : undefined));
  return texts.filter((text) => typeof text === 'string');
}

/** Types that `$everything` gives first: who it is about, then what gives the rest its context. */
const EVERYTHING_FIRST = ['Patient', 'Organization', 'Location', 'Practitioner', 'PractitionerRole', 'Encounter'];

/** Order of the resources of `Patient/$everything`: by type as above, the rest by type name, then by id. */
export function compareForEverything(left: Resource, right: Resource): number {
  const rank = ({ resourceType }: Resource) => {
    const at = EVERYTHING_FIRST.indexOf(resourceType);
    return at < 0 ? EVERYTHING_FIRST.length : at;
  };
  return (
    rank(left) - rank(right) ||
    compareTexts(left.resourceType, right.resourceType) ||
    compareTexts(left.id ?? '', right.id ?? '')
  );
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A transaction Bundle of the resources: created under `urn:uuid` names, or updated where they have an id. */
export function transactionBundle(entries: { fullUrl?: string; resource: Resource }[]): Resource {
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: entries.map(({ fullUrl, resource }) => ({
      ...(fullUrl ? { fullUrl } : {}),
      resource,
      request: { method: 'POST', url: resource.resourceType },
    })),
  };
}
