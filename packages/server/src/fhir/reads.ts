import { elementsSubset, StandardsErrorCodes, type Subset, standardsError, subsetOf } from '@salus/standards';
import type { Asked, Opened } from '../gate/gate.ts';
import type { Exit } from '../gate/question.ts';
import { RuleFault } from '../http/problems.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { type Answer, answer, emptyAnswer } from './answer.ts';
import { isUnchanged } from './conditions.ts';
import { FhirErrorCodes } from './errors.ts';
import { type Exchange, isStrict, questionOf, waitAsForAbsence } from './exchange.ts';
import { unknownResource } from './outcomes.ts';
import { etagOf, present, textOfResource } from './present.ts';

/** Asks the gate for these and gives what it releases, or nothing at all. What is not here is asked for alike. */
export async function* released(
  exchange: Exchange,
  exit: Exit,
  candidates: StoredResource[],
  asked?: Asked,
): AsyncGenerator<Opened> {
  yield* await exchange.records.gate.release(questionOf(exchange, exit), candidates, asked);
}

/** The answer for nothing; only who holds or held a grant learns what became of it. */
export async function absent(
  exchange: Exchange,
  candidates: StoredResource[],
  startMs: number,
  asked?: Asked,
): Promise<never> {
  const told = await exchange.records.gate.toldReason(questionOf(exchange, 'read'), candidates, asked);
  await waitAsForAbsence(startMs);
  if (told === 'expired') throw new RuleFault(FhirErrorCodes.grantExpired);
  if (told === 'used-up') throw new RuleFault(FhirErrorCodes.grantUsedUp);
  throw unknownResource();
}

export function versionHeaders({ version, lastUpdated }: Pick<StoredResource, 'version' | 'lastUpdated'>) {
  return { etag: etagOf(version), 'last-modified': new Date(lastUpdated).toUTCString() };
}

/** `_summary` and `_elements` of a read; `_format` and `_pretty` change nothing here. */
function wantedPart({ query, ...exchange }: Exchange, type: string): Subset | undefined {
  let subset: Subset | undefined;
  for (const [name, value] of query) {
    if (name === '_elements') subset = elementsSubset(type, value);
    else if (name === '_summary' && (value === 'text' || value === 'data')) subset = { kind: value };
    else if (name === '_format' || name === '_pretty' || (name === '_summary' && value === 'false')) continue;
    else if (isStrict({ query, ...exchange })) throw standardsError(StandardsErrorCodes.searchParameterUnknown);
  }
  return subset;
}

/** What of a resource can be asked for by its address: the current version, or a certain one. */
async function wantedVersion(
  { records }: Exchange,
  type: string,
  id: string,
  version?: string,
): Promise<StoredResource | undefined> {
  const current = await records.resources.find(type, id, { deleted: true });
  if (current === undefined || version === undefined || version === String(current.version)) return current;
  const versions = await records.resources.versions(current.record);
  return versions.find((one) => version === String(one.version));
}

/** read (R4 §3.1.0.2) and vread (§3.1.0.3). */
export async function readResource(exchange: Exchange, type: string, id: string, version?: string): Promise<Answer> {
  const startMs = performance.now();
  const wanted = await wantedVersion(exchange, type, id, version);
  const subset = wantedPart(exchange, type);
  if (wanted?.deleted === true) return await gone(exchange, wanted, startMs);
  const candidates = wanted === undefined ? [] : [wanted];
  const asked = { record: `${type}/${id}` };
  const exit = version === undefined ? 'read' : 'history';
  for await (const { stored, content } of released(exchange, exit, candidates, asked)) {
    const headers = versionHeaders(stored);
    if (isUnchanged(exchange, stored)) return emptyAnswer(304, headers);
    return answer(textOfResource(subsetOf(present(stored, content).resource, subset)), headers);
  }
  return await absent(exchange, candidates, startMs, asked);
}

/** 410 only for whom the gate would have given the last version that was not deleted; for all others nothing was here. */
async function gone(exchange: Exchange, deletion: StoredResource, startMs: number): Promise<never> {
  const { gate, resources } = exchange.records;
  const before = (await resources.versions(deletion.record)).filter((one) => one.deleted !== true);
  const last = before.slice(0, 1);
  const { permitted } = await gate.decide(questionOf(exchange, 'read'), last);
  if (permitted.length === 0) {
    // Asked for, and refused: that stands in the accounting like every refusal.
    for await (const _none of released(exchange, 'read', last)) break;
    return await absent(exchange, last, startMs);
  }
  throw new RuleFault(FhirErrorCodes.resourceDeleted, { headers: versionHeaders(deletion) });
}
