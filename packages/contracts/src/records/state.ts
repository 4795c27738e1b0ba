import type { Did } from '@salus/protocol';
import type { ContractState, StateReader } from '../kernel/types.ts';
import type { ChangePolicy } from './messages.ts';

export type VersionStatus = 'current' | 'superseded' | 'proposed' | 'rejected';

/** One version of a record. Its number among the patient's versions proves a list complete. */
export type RecordVersion = {
  patient: Did;
  /** From 0, among all versions of this patient; with `PatientCount` it proves that none is missing. */
  number: number;
  commitment: string;
  source?: string;
  author?: string;
  status: VersionStatus;
  anchoredMs: number;
  anchoredHeight: number;
  /** When it became what counts, and when it ceased to. */
  currentFromMs?: number;
  currentUntilMs?: number;
  proposedBy?: Did;
  accepted?: Did[];
  rejected?: Did[];
  /** Commitments of the reasons and statements given. */
  reasons?: string[];
  disputed?: boolean;
};

/** What stays of a version after erasure: a commitment whose salt is destroyed, and nothing that links it. */
export type ErasedVersion = { erasedMs: number; commitment: string };

export type RecordHead = {
  custodian: Did;
  patient: Did;
  status: 'active' | 'restricted';
  /** Highest version number there is. */
  latest: number;
  /** 0 while no version counts yet. */
  current: number;
  /** The version that awaits validation. */
  open?: number;
  policy?: ChangePolicy;
  restrictionReason?: string;
};
export type ErasedHead = { status: 'erased'; custodian: Did; latest: number; certificate: string; erasedMs: number };

/** Versions ever numbered for a patient, and how many of them were erased since. */
export type PatientCount = { versions: number; erased: number };
export type Annotation = { commitment: string; by: Did; timeMs: number };

export const headPrefix = 'records/head/';
export const versionPrefix = 'records/version/';
export const countPrefix = 'records/count/';
export const annotationPrefix = 'records/annotation';

export const headKey = (record: string): string => `${headPrefix}${record}`;
export const versionKey = (record: string, version: number): string => `${versionPrefix}${record}/${version}`;
export const patientCountKey = (patient: Did): string => `${countPrefix}${patient}`;

export function getHead(reader: StateReader, record: string): RecordHead | ErasedHead | undefined {
  return reader.get<RecordHead | ErasedHead>(headKey(record));
}

export function getVersion(
  reader: StateReader,
  record: string,
  version: number,
): RecordVersion | ErasedVersion | undefined {
  return reader.get<RecordVersion | ErasedVersion>(versionKey(record, version));
}

export function getCount(reader: StateReader, patient: Did): PatientCount {
  return reader.get<PatientCount>(patientCountKey(patient)) ?? { versions: 0, erased: 0 };
}

export function putHead(state: ContractState, record: string, head: RecordHead | ErasedHead): void {
  state.put(headKey(record), head);
}

export function putVersion(
  state: ContractState,
  record: string,
  version: number,
  value: RecordVersion | ErasedVersion,
): void {
  state.put(versionKey(record, version), value);
}

/** Numbers one more version of a patient. */
export function nextNumber(state: ContractState, patient: Did): number {
  const count = getCount(state, patient);
  state.put(patientCountKey(patient), { ...count, versions: count.versions + 1 });
  return count.versions;
}
