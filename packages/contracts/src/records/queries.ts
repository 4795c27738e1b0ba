import type { Did } from '@salus/protocol';
import { listEntries } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import {
  type Annotation,
  annotationPrefix,
  type ErasedHead,
  type ErasedVersion,
  getCount,
  getHead,
  getVersion,
  type PatientCount,
  type RecordHead,
  type RecordVersion,
} from './state.ts';

export function head(reader: StateReader, record: string): RecordHead | ErasedHead | undefined {
  return getHead(reader, record);
}

export function version(reader: StateReader, record: string, n: number): RecordVersion | ErasedVersion | undefined {
  return getVersion(reader, record, n);
}

export function isErased(reader: StateReader, record: string): boolean {
  return getHead(reader, record)?.status === 'erased';
}

/** How many versions a patient has, erased ones included: with them a list is proven complete. */
export function patientCount(reader: StateReader, patient: Did): PatientCount {
  return getCount(reader, patient);
}

/** The version that counts now; undefined when there is none, or the record is erased or unknown. */
export function currentVersion(reader: StateReader, record: string): number | undefined {
  const found = getHead(reader, record);
  return found && found.status !== 'erased' && found.current > 0 ? found.current : undefined;
}

/** The version that counted at a time; undefined when none did. An absence proof of the head shows "never". */
export function versionAt(reader: StateReader, record: string, timeMs: number): number | undefined {
  const found = getHead(reader, record);
  if (!found || found.status === 'erased') return undefined;
  for (let n = found.latest; n > 0; n -= 1) {
    const candidate = getVersion(reader, record, n);
    if (!candidate || 'erasedMs' in candidate || candidate.currentFromMs === undefined) continue;
    if (candidate.currentFromMs > timeMs) continue;
    return candidate.currentUntilMs === undefined || timeMs < candidate.currentUntilMs ? n : undefined;
  }
  return undefined;
}

/** Versions that await validation are shown at once, marked so: validation never delays care. */
export function awaitingValidation(reader: StateReader, record: string): number | undefined {
  const found = getHead(reader, record);
  return found && found.status !== 'erased' ? found.open : undefined;
}

export function annotations(reader: StateReader, record: string): Annotation[] {
  return [...listEntries<Annotation>(reader, annotationPrefix, record)].map(([, annotation]) => annotation);
}
