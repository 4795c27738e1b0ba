import type { Did } from '@salus/protocol';
import { listAppend } from '../kernel/lists.ts';
import type { ContractState, StateReader } from '../kernel/types.ts';

export type RequestEntry = {
  /** The organisation that asks. */
  requester: Did;
  by: Did;
  custodian: Did;
  patient: Did;
  commitment: string;
  openedMs: number;
  /** First millisecond at which an unanswered request counts as denied. */
  expiresMs: number;
  decision?: 'permit' | 'deny';
  decidedMs?: number;
  decidedBy?: Did;
  decidedUnder?: string;
  hosted?: boolean;
  untilMs?: number;
  decisionCommitment?: string;
  directive?: string;
};

export type ReleaseEntry = {
  custodian: Did;
  patient: Did;
  basis: string;
  commitment: string;
  timeMs: number;
  height: number;
};

export type GlassEntry = {
  custodian: Did;
  patient: Did;
  practitioner: Did;
  organisation: Did;
  profession: string;
  reason: string;
  openedMs: number;
  /** Equal to `openedMs` where the limit refused. */
  untilMs: number;
  refused: boolean;
  /** Over the practitioner's or the organisation's limit for the day. */
  alarm: boolean;
  reviewDueMs: number;
  review?: { outcome: 'justified' | 'unjustified'; commitment: string; by: Did; timeMs: number };
};

export type BatchEntry = { root: Uint8Array; entries: number; late: boolean; timeMs: number; height: number };

/** What single entries of a patient's accounting point at; routine accesses are in batches. */
export type AccountingEntry = { kind: 'request' | 'decide' | 'release' | 'breakGlass' | 'review'; id: string };

/** Requests that wait, `[id, expiresMs]`; those that are over leave when the list is next touched. */
export type PendingList = [id: string, expiresMs: number][];

export const requestPrefix = 'access/request/';
export const releasePrefix = 'access/release/';
export const glassPrefix = 'access/glass/';
export const batchPrefix = 'access/batch';
export const glassesPrefix = 'access/glasses';
export const entriesPrefix = 'access/entries';
export const routinePrefix = 'access/routine/';

export const requestKey = (request: string): string => `${requestPrefix}${request}`;
export const releaseKey = (release: string): string => `${releasePrefix}${release}`;
export const glassKey = (glass: string): string => `${glassPrefix}${glass}`;
export const pendingKey = (requester: Did, patient: Did): string => `access/pending/${requester}/${patient}`;
export const routineKey = (custodian: Did, patient: Did): string => `${routinePrefix}${custodian}/${patient}`;
export const accountingOwner = (custodian: Did, patient: Did): string => `${custodian}/${patient}`;
export const glassDayKey = (who: Did, day: number): string => `access/glassDay/${who}/${day}`;

export function getRequest(reader: StateReader, request: string): RequestEntry | undefined {
  return reader.get<RequestEntry>(requestKey(request));
}

export function getGlass(reader: StateReader, glass: string): GlassEntry | undefined {
  return reader.get<GlassEntry>(glassKey(glass));
}

export function getRelease(reader: StateReader, release: string): ReleaseEntry | undefined {
  return reader.get<ReleaseEntry>(releaseKey(release));
}

/** Numbers one more single entry of a patient's accounting at a custodian. */
export function account(state: ContractState, custodian: Did, patient: Did, entry: AccountingEntry): number {
  return listAppend(state, entriesPrefix, accountingOwner(custodian, patient), entry);
}
