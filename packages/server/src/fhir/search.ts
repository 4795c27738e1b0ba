import {
  compareForSearch,
  includedReferences,
  matchesSearch,
  parseSearch,
  type Resource,
  type Search,
  StandardsErrorCodes,
  searchsetBundle,
  selfLink,
  standardsError,
  subsetOf,
} from '@salus/standards';
import { AccessErrorCodes } from '../access/errors.ts';
import { RuleFault } from '../http/problems.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { Turn } from '../records/turn.ts';
import { type Answer, answer } from './answer.ts';
import { askedOf, candidatesOf } from './candidates.ts';
import { type Exchange, isStrict, questionOf, requesterKey, waitAsForAbsence } from './exchange.ts';
import type { ReleasedSearch } from './pages.ts';
import { mayInclude, mayMatch } from './prefilter.ts';
import { type Presented, present, textOfResource } from './present.ts';

/** What one search may hold in memory; of more the requester is told to ask for less. */
export const releasedBytesMax = 32 * 1_048_576;
/** What may stand beside a cursor: everything else was said when the search began. */
const besideCursor: ReadonlySet<string> = new Set(['_cursor', '_count', '_format', '_pretty']);

function nameOf({ type, id }: StoredResource): string {
  return `${type}/${id}`;
}

/** Counts what has been opened, and refuses to hold more than an answer may. */
export class HeldBytes {
  #bytes = 0;

  add({ bytes }: Presented): void {
    this.#bytes += bytes;
    if (this.#bytes > releasedBytesMax) throw new RuleFault(AccessErrorCodes.answerTooLarge);
  }
}

/** What `_include` may bring, by the index; the matches decide in the end. */
async function includeCandidates(
  exchange: Exchange,
  search: Search,
  matches: readonly StoredResource[],
): Promise<StoredResource[]> {
  if (search.include.length === 0) return [];
  const known = new Set(matches.map(nameOf));
  const names = new Set(matches.flatMap((stored) => mayInclude(stored, search)));
  return await exchange.records.resources.findAll([...names].filter((name) => !known.has(name)));
}

/** Asks the gate once for all that the search is about, and matches what it released. */
async function release(exchange: Exchange, search: Search): Promise<ReleasedSearch> {
  const { gate } = exchange.records;
  const candidates = (await candidatesOf(exchange, search)).filter((stored) => mayMatch(stored, search));
  const question = questionOf(exchange, search.countOnly ? 'count' : 'search');
  const asked = askedOf(exchange, search);
  const { permitted } = await gate.decide(question, candidates, asked);
  const includes = search.countOnly ? [] : await includeCandidates(exchange, search, permitted);
  const all = [...candidates, ...includes];
  const { decisions } = await gate.decide(question, all, asked);
  const wanted = new Set(candidates);
  const matches: Presented[] = [];
  const opened = new Map<string, Presented>();
  const held = new HeldBytes();
  const turn = new Turn();
  for await (const { stored, content } of await gate.release(question, all, asked)) {
    const presented = present(stored, content);
    const isWanted = wanted.has(stored);
    if (!isWanted) opened.set(nameOf(stored), presented);
    else if (matchesSearch(presented.resource, search, { base: exchange.base, nowMs: exchange.nowMs() })) {
      matches.push(presented);
    } else continue;
    held.add(presented);
    await turn.yieldWhenLong();
  }
  const compare = compareForSearch(search);
  matches.sort((left, right) => compare(left.resource, right.resource));
  const named = new Set(matches.flatMap(({ resource }) => includedReferences(resource, search)));
  const included = new Map([...opened].filter(([name]) => named.has(name)));
  return { search, question, matches, included, decisions };
}

/** What of a page may still be given: revoked since then is absent; a use that this search took counts once. */
async function stillPermitted(
  exchange: Exchange,
  released: ReleasedSearch,
  page: readonly Presented[],
): Promise<Presented[]> {
  const { decisions } = await exchange.records.gate.decide(
    released.question,
    page.map(({ stored }) => stored),
  );
  return page.filter(({ stored }) => {
    const now = decisions.get(stored);
    const isUsedByThis = now?.reason === 'used-up' && (released.decisions.get(stored)?.consumes.length ?? 0) > 0;
    return now?.decision === 'permit' || isUsedByThis;
  });
}

function includedOf(released: ReleasedSearch, search: Search, matches: readonly Presented[]): Presented[] {
  const names = new Set(matches.flatMap(({ resource }) => includedReferences(resource, search)));
  return [...names].flatMap((name) => released.included.get(name) ?? []);
}

/** Where a page stands in its search. */
interface Place {
  /** The address that the pages share. */
  address: string;
  self: string;
  offset: number;
  count: number;
  /** Name of the kept search, where an earlier page has kept it. */
  kept?: string;
}

function bindingOf({ requester, records }: Exchange, address: string): string {
  return JSON.stringify([requesterKey(requester), records.organization.profile.did, address]);
}

function pageLink(address: string, cursor: string, count: number): string {
  return `${address}?${new URLSearchParams({ _cursor: cursor, _count: String(count) })}`;
}

/** One page of what was released; what comes after it is kept, and found by a cursor that says nothing. */
export async function pageText(exchange: Exchange, released: ReleasedSearch, place: Place): Promise<string> {
  const { base, pages } = exchange;
  const { address, self, offset, count, kept } = place;
  const { search } = released;
  const page = released.matches.slice(offset, offset + count);
  const given = [...page, ...includedOf(released, search, page)];
  // One decision for all of a page: what it gives is so at one moment.
  const permitted = new Set(kept === undefined ? given : await stillPermitted(exchange, released, given));
  const matches = page.filter((one) => permitted.has(one));
  const included = includedOf(released, search, matches).filter((one) => permitted.has(one));
  const more = count > 0 && offset + count < released.matches.length && !search.countOnly;
  const name = more ? (kept ?? pages.keep(released)) : undefined;
  const cursor = name && pages.cursor({ search: name, offset: offset + count }, bindingOf(exchange, address));
  const partsOf = (list: readonly Presented[]): Resource[] =>
    list.map(({ resource }) => subsetOf(resource, search.subset));
  const bundle = searchsetBundle({
    base,
    search,
    self,
    ...(cursor !== undefined && { next: pageLink(address, cursor, count) }),
    matches: partsOf(matches),
    included: partsOf(included),
    total: released.matches.length,
    nowMs: exchange.nowMs(),
  });
  return textOfResource(bundle);
}

/** A later page. Throws `searchCursorInvalid` where anything but the size of the page is asked for anew. */
export async function laterPage(exchange: Exchange, address: string, cursor: string): Promise<Answer> {
  if (exchange.query.some(([name]) => !besideCursor.has(name))) {
    throw standardsError(StandardsErrorCodes.searchCursorInvalid);
  }
  const { released, content } = exchange.pages.open(cursor, bindingOf(exchange, address));
  const asked = parseSearch(released.search.type, exchange.query);
  const isSized = exchange.query.some(([name]) => name === '_count') && asked.count > 0;
  const count = isSized ? asked.count : released.search.count;
  const self = pageLink(address, cursor, count);
  const place = { address, self, offset: content.offset, count, kept: content.search };
  return answer(await pageText(exchange, released, place));
}

/** Type search (R4 §3.1.1): consent first, then matching, so that totals, pages and includes agree. */
export async function searchType(exchange: Exchange, type: string): Promise<Answer> {
  const startMs = performance.now();
  const { base, query, isForm } = exchange;
  const address = `${base}/${type}`;
  const search = parseSearch(type, query, { strict: isStrict(exchange), base });
  if (search.cursor !== undefined) return await laterPage(exchange, address, search.cursor);
  const released = await release(exchange, search);
  const self = isForm ? `${address}/_search` : selfLink(base, search, query);
  const text = await pageText(exchange, released, { address, self, offset: search.offset, count: search.count });
  if (released.matches.length === 0) await waitAsForAbsence(startMs);
  return answer(text);
}
