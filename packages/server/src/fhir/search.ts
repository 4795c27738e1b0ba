import {
  compareForSearch,
  includedReferences,
  matchesSearch,
  parseSearch,
  type Resource,
  type Search,
  searchsetBundle,
} from '@salus/standards';
import type { FastifyReply } from 'fastify';
import type { StoredResource } from '../records/resource-store.ts';
import { Turn } from '../records/turn.ts';
import { candidatesOf } from './candidates.ts';
import { type Exchange, questionOf, requesterKey, sendText, waitAsForAbsence } from './exchange.ts';
import type { ReleasedSearch } from './pages.ts';
import { mayInclude, mayMatch } from './prefilter.ts';
import { type Presented, present, textOfResource } from './present.ts';

type Query = [string, string][];

/** What a cursor is bound to: the query without the place in its answer. */
function bindingOf(exchange: Exchange, type: string, query: Query): string {
  const kept = query.filter(([name]) => !['_cursor', '_count', '_offset'].includes(name));
  return JSON.stringify([requesterKey(exchange.requester), exchange.records.organization.profile.did, type, kept]);
}

function nameOf({ type, id }: StoredResource): string {
  return `${type}/${id}`;
}

/** What `_include` may bring, by the index; the matches decide in the end. */
function includeCandidates(exchange: Exchange, search: Search, matches: readonly StoredResource[]): StoredResource[] {
  if (search.include.length === 0) return [];
  const known = new Set(matches.map(nameOf));
  const names = new Set(matches.flatMap((stored) => mayInclude(stored, search)));
  return [...names]
    .filter((name) => !known.has(name))
    .flatMap((name) => {
      const [type = '', id = ''] = name.split('/');
      return exchange.records.resources.find(type, id) ?? [];
    });
}

/** Asks the gate once for all that the search is about, and matches what it released. */
async function release(exchange: Exchange, search: Search): Promise<ReleasedSearch> {
  const { gate } = exchange.records;
  const candidates = (await candidatesOf(exchange, search)).filter((stored) => mayMatch(stored, search));
  const question = questionOf(exchange, search.countOnly ? 'count' : 'search');
  const permitted = gate.decide(question, candidates).permitted;
  const includes = search.countOnly ? [] : includeCandidates(exchange, search, permitted);
  const all = [...candidates, ...includes];
  const { decisions } = gate.decide(question, all);
  const wanted = new Set(candidates);
  const matches: Presented[] = [];
  const opened = new Map<string, Presented>();
  const turn = new Turn();
  for await (const { stored, content } of await gate.release(question, all)) {
    const presented = present(stored, content);
    if (!wanted.has(stored)) opened.set(nameOf(stored), presented);
    else if (matchesSearch(presented.resource, search, { base: exchange.base, nowMs: exchange.nowMs() })) {
      matches.push(presented);
    }
    await turn.yieldWhenLong();
  }
  const compare = compareForSearch(search);
  matches.sort((left, right) => compare(left.resource, right.resource));
  const named = new Set(matches.flatMap(({ resource }) => includedReferences(resource, search)));
  const included = new Map([...opened].filter(([name]) => named.has(name)));
  return { question, matches, included, decisions };
}

/** What of a page may still be given: revoked since then is absent; a use that this search took counts once. */
function stillPermitted(exchange: Exchange, released: ReleasedSearch, page: readonly Presented[]): Presented[] {
  const { decisions } = exchange.records.gate.decide(
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

const resourcesOf = (list: readonly Presented[]): Resource[] => list.map(({ resource }) => resource);

/** Type search (R4 §3.1.1): consent first, then matching, so that totals, pages and includes agree. */
export async function searchType(exchange: Exchange, type: string, query: Query): Promise<FastifyReply> {
  const startMs = performance.now();
  const { strict, pages, base } = exchange;
  const search = parseSearch(type, query, { strict });
  const binding = bindingOf(exchange, type, query);
  const resumed = search.cursor === undefined ? undefined : pages.open(search.cursor, binding);
  const released = resumed?.released ?? (await release(exchange, search));
  const offset = resumed?.content.offset ?? search.offset;
  const page = released.matches.slice(offset, offset + search.count);
  const matches = resumed === undefined ? page : stillPermitted(exchange, released, page);
  const included = includedOf(released, search, matches);
  const more = offset + search.count < released.matches.length && !search.countOnly;
  const name = more ? (resumed?.content.search ?? pages.keep(released)) : undefined;
  const nextCursor = name && pages.cursor({ search: name, offset: offset + search.count }, binding);
  const bundle = searchsetBundle({
    base,
    search,
    query,
    matches: resourcesOf(matches),
    included: resourcesOf(resumed === undefined ? included : stillPermitted(exchange, released, included)),
    total: released.matches.length,
    more,
    ...(nextCursor !== undefined && { nextCursor }),
    nowMs: exchange.nowMs(),
  });
  if (released.matches.length === 0) await waitAsForAbsence(startMs);
  return sendText(exchange.reply, textOfResource(bundle));
}
