import { Readable } from 'node:stream';
import { compareForEverything, type JsonObject, type Resource } from '@salus/standards';
import type { FastifyReply } from 'fastify';
import type { Opened } from '../gate/gate.ts';
import type { Exit } from '../gate/question.ts';
import { RuleFault } from '../http/problems.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, questionOf, sendText, waitAsForAbsence } from './exchange.ts';
import { fhirType, unknownResource } from './outcomes.ts';
import { etagOf, type Presented, present, textOfResource } from './present.ts';

/** Asks the gate for these and gives what it releases, or nothing at all. */
async function* released(exchange: Exchange, exit: Exit, candidates: StoredResource[]): AsyncGenerator<Opened> {
  if (candidates.length > 0) yield* await exchange.records.gate.release(questionOf(exchange, exit), candidates);
}

/** The answer for nothing; only who holds or held a grant learns what became of it. */
async function absent(exchange: Exchange, candidates: StoredResource[], startMs: number): Promise<never> {
  const told = exchange.records.gate.toldReason(questionOf(exchange, 'read'), candidates);
  await waitAsForAbsence(startMs);
  if (told === 'expired') throw new RuleFault(FhirErrorCodes.grantExpired);
  if (told === 'used-up') throw new RuleFault(FhirErrorCodes.grantUsedUp);
  throw unknownResource();
}

function sendResource(exchange: Exchange, { stored, resource }: Presented): FastifyReply {
  const { reply } = exchange;
  reply.header('etag', etagOf(stored.version));
  reply.header('last-modified', new Date(stored.lastUpdated).toUTCString());
  return sendText(reply, textOfResource(resource));
}

/** read (R4 §3.1.0.2) and vread (§3.1.0.3). */
export async function readResource(exchange: Exchange, type: string, id: string, version?: string) {
  const startMs = performance.now();
  const { resources } = exchange.records;
  const current = resources.find(type, id);
  const versions = version === undefined || current === undefined ? [current] : resources.versions(current.record);
  const wanted = versions.filter(
    (one) => one !== undefined && (version ?? String(one.version)) === String(one.version),
  );
  const candidates = wanted.filter((one) => one !== undefined);
  for await (const { stored, content } of released(exchange, version === undefined ? 'read' : 'history', candidates)) {
    return sendResource(exchange, present(stored, content));
  }
  return await absent(exchange, candidates, startMs);
}

/** The versions of one resource, newest first (R4 §3.1.0.9). */
export async function historyOf(exchange: Exchange, type: string, id: string): Promise<FastifyReply> {
  const startMs = performance.now();
  const { resources } = exchange.records;
  const current = resources.find(type, id);
  const versions = current === undefined ? [] : resources.versions(current.record);
  const entries: JsonObject[] = [];
  for await (const { stored, content } of released(exchange, 'history', versions)) {
    const { resource } = present(stored, content);
    const isFirst = stored.version === 1;
    entries.push({
      fullUrl: `${exchange.base}/${type}/${id}`,
      resource,
      request: { method: isFirst ? 'POST' : 'PUT', url: isFirst ? type : `${type}/${id}` },
      response: {
        status: isFirst ? '201 Created' : '200 OK',
        etag: etagOf(stored.version),
        lastModified: stored.lastUpdated,
      },
    });
  }
  if (entries.length === 0) return await absent(exchange, versions, startMs);
  const bundle = { resourceType: 'Bundle', type: 'history', total: entries.length, entry: entries } as Resource;
  return sendText(exchange.reply, textOfResource(bundle));
}

/** Organisations, people and places that these name. */
function sharedOf(exchange: Exchange, own: readonly StoredResource[]): StoredResource[] {
  const names = new Set(own.flatMap(({ tokens }) => tokens.filter((token) => !token.includes('|'))));
  return [...new Set([...names].map((token) => token.slice(token.indexOf('=') + 1)))].flatMap((name) => {
    const [type = '', id = ''] = name.split('/');
    const found = type === 'Patient' ? undefined : exchange.records.resources.find(type, id);
    return found !== undefined && found.patient === undefined ? [found] : [];
  });
}

/**
 * Everything about a patient, and whom and what the permitted part of it names: where nothing is permitted, nothing of
 * the surroundings may tell that the patient is here. In the order of the standard.
 */
function everythingCandidates(exchange: Exchange, patient: string, types: ReadonlySet<string>): StoredResource[] {
  const isWanted = ({ type }: StoredResource): boolean => types.size === 0 || types.has(type);
  const own = exchange.records.resources.ofPatient(patient).filter(isWanted);
  const { permitted } = exchange.records.gate.decide(questionOf(exchange, 'everything'), own);
  const all = [...own, ...sharedOf(exchange, permitted).filter(isWanted)];
  const order = ({ type, id }: StoredResource): Resource => ({ resourceType: type, id });
  return all.sort((left, right) => compareForEverything(order(left), order(right)));
}

/** The Bundle as it is written while the gate opens one entry after the other. */
async function* everythingText(
  exchange: Exchange,
  first: Opened,
  rest: AsyncGenerator<Opened>,
): AsyncGenerator<string> {
  yield '{"resourceType":"Bundle","type":"searchset","entry":[';
  let count = 0;
  const entry = ({ stored, content }: Opened): string => {
    const fullUrl = `${exchange.base}/${stored.type}/${stored.id}`;
    const text = textOfResource(present(stored, content).resource);
    count += 1;
    return `${count > 1 ? ',' : ''}\n{"fullUrl":${JSON.stringify(fullUrl)},"resource":${text},"search":{"mode":"match"}}`;
  };
  yield entry(first);
  for await (const opened of rest) yield entry(opened);
  yield `\n],"total":${count}}`;
}

/** `Patient/{id}/$everything`: streamed, so that a long record needs no memory. */
export async function everythingOf(exchange: Exchange, patient: string, types: string): Promise<FastifyReply> {
  const startMs = performance.now();
  const wanted = new Set(types.split(',').filter((type) => type !== ''));
  const candidates = everythingCandidates(exchange, patient, wanted);
  const opened = released(exchange, 'everything', candidates);
  // The first entry is opened before the head is sent: up to here an error still gets its own answer.
  const first = await opened.next();
  if (first.done === true) return await absent(exchange, candidates, startMs);
  const stream = Readable.from(everythingText(exchange, first.value, opened));
  return exchange.reply.header('cache-control', 'no-store').type(fhirType).send(stream);
}
