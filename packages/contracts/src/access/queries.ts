import type { Did } from '@salus/protocol';
import { listCount, listEntries, listEntry } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import {
  type AccountingEntry,
  accountingOwner,
  type BatchEntry,
  batchPrefix,
  entriesPrefix,
  type GlassEntry,
  getGlass,
  getRelease,
  getRequest,
  glassesPrefix,
  type ReleaseEntry,
  type RequestEntry,
  routineKey,
} from './state.ts';

export type RequestStatus = 'pending' | 'permitted' | 'denied' | 'timed-out' | 'expired';

export function request(reader: StateReader, id: string): RequestEntry | undefined {
  return getRequest(reader, id);
}

/** Computed from block time: silence is a denial once the time-out has passed. */
export function requestStatusOf(entry: RequestEntry, nowMs: number): RequestStatus {
  if (entry.decision === 'deny') return 'denied';
  if (entry.decision === 'permit') return nowMs < (entry.untilMs ?? 0) ? 'permitted' : 'expired';
  return nowMs < entry.expiresMs ? 'pending' : 'timed-out';
}

export function requestStatus(reader: StateReader, id: string, nowMs: number): RequestStatus | undefined {
  const entry = getRequest(reader, id);
  return entry && requestStatusOf(entry, nowMs);
}

export function release(reader: StateReader, id: string): ReleaseEntry | undefined {
  return getRelease(reader, id);
}

export function glass(reader: StateReader, id: string): GlassEntry | undefined {
  return getGlass(reader, id);
}

export function isGlassOpen(entry: GlassEntry, nowMs: number): boolean {
  return !entry.refused && nowMs < entry.untilMs;
}

export type NamedGlass = GlassEntry & { glass: string };

/** All break-glasses at a custodian, in order. */
export function glassesAt(reader: StateReader, custodian: Did): NamedGlass[] {
  const found: NamedGlass[] = [];
  for (const [, id] of listEntries<string>(reader, glassesPrefix, custodian)) {
    const entry = getGlass(reader, id);
    if (entry) found.push({ ...entry, glass: id });
  }
  return found;
}

export function awaitingReview(reader: StateReader, custodian: Did): NamedGlass[] {
  return glassesAt(reader, custodian).filter((entry) => entry.review === undefined);
}

/** The regulator's list: reviews whose deadline has passed. */
export function escalated(reader: StateReader, custodian: Did, nowMs: number): NamedGlass[] {
  return awaitingReview(reader, custodian).filter((entry) => nowMs >= entry.reviewDueMs);
}

/** Authenticated counters of a patient's accounting: whoever has this many entries of each sort has them all. */
export type AccountingCounts = { entries: number; routine: number };

export function accountingCounts(reader: StateReader, custodian: Did, patient: Did): AccountingCounts {
  return {
    entries: listCount(reader, entriesPrefix, accountingOwner(custodian, patient)),
    routine: reader.get<number>(routineKey(custodian, patient)) ?? 0,
  };
}

export function accountingEntries(
  reader: StateReader,
  custodian: Did,
  patient: Did,
): Iterable<[n: number, entry: AccountingEntry]> {
  return listEntries<AccountingEntry>(reader, entriesPrefix, accountingOwner(custodian, patient));
}

export function batch(reader: StateReader, custodian: Did, n: number): BatchEntry | undefined {
  return listEntry<BatchEntry>(reader, batchPrefix, custodian, n);
}

export function batchCount(reader: StateReader, custodian: Did): number {
  return listCount(reader, batchPrefix, custodian);
}
