import { directive as directiveOf } from '../consent/queries.ts';
import { listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import {
  type AccountingEntry,
  type BatchEntry,
  batchPrefix,
  entriesPrefix,
  type GlassEntry,
  getGlass,
  getRelease,
  getRequest,
  glassesPrefix,
  glassPrefix,
  type RequestEntry,
  requestPrefix,
  routinePrefix,
} from './state.ts';

const isKnown = {
  request: getRequest,
  decide: getRequest,
  release: getRelease,
  breakGlass: getGlass,
  review: getGlass,
} as const;

function accountingProblems(reader: IterableReader): string[] {
  const problems: string[] = [];
  for (const [key, entry] of reader.iterate<AccountingEntry | number>(`${entriesPrefix}/`)) {
    if (typeof entry !== 'number' && !isKnown[entry.kind](reader, entry.id)) problems.push(`${key} points at nothing`);
  }
  return problems;
}

/** Entries in a custodian's batches and its patients' counters are two ways to count the same accesses. */
function routineProblems(reader: IterableReader): string[] {
  const counted = new Map<string, number>();
  for (const [key, count] of reader.iterate<number>(routinePrefix)) {
    const custodian = key.slice(routinePrefix.length).split('/')[0] ?? '';
    counted.set(custodian, (counted.get(custodian) ?? 0) + count);
  }
  const batched = new Map<string, number>();
  for (const [key, entry] of reader.iterate<BatchEntry | number>(`${batchPrefix}/`)) {
    if (typeof entry === 'number') continue;
    const custodian = key.split('/')[2] ?? '';
    batched.set(custodian, (batched.get(custodian) ?? 0) + entry.entries);
  }
  return [...new Set([...counted.keys(), ...batched.keys()])]
    .filter((custodian) => counted.get(custodian) !== batched.get(custodian))
    .map((custodian) => `${custodian} has routine accesses that its patients' counters do not count`);
}

function requestProblems(reader: IterableReader): string[] {
  const problems: string[] = [];
  for (const [key, entry] of reader.iterate<RequestEntry>(requestPrefix)) {
    const { decision, decidedMs = entry.openedMs, expiresMs, untilMs = 0, directive } = entry;
    if (decidedMs >= expiresMs) problems.push(`${key} was answered after its time-out`);
    if (decision === 'deny' && untilMs !== 0) problems.push(`${key} denies until some day`);
    if (directive && directiveOf(reader, directive)?.patient !== entry.patient)
      problems.push(`${key} names no directive`);
  }
  return problems;
}

/** Every entry of an accounting points at what happened, every counter at its list, every answer came in time. */
export function accessInvariants(reader: IterableReader): string[] {
  const problems = [entriesPrefix, batchPrefix, glassesPrefix].flatMap((prefix) => listProblems(reader, prefix));
  problems.push(...accountingProblems(reader), ...routineProblems(reader), ...requestProblems(reader));
  for (const [key, entry] of reader.iterate<GlassEntry>(glassPrefix)) {
    if (entry.refused && (!entry.alarm || entry.untilMs !== entry.openedMs))
      problems.push(`${key} was refused but opens`);
  }
  return problems;
}
