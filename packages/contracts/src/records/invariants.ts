import { listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import {
  annotationPrefix,
  countPrefix,
  type ErasedHead,
  type ErasedVersion,
  getVersion,
  headPrefix,
  type PatientCount,
  type RecordHead,
  type RecordVersion,
  versionPrefix,
} from './state.ts';

function headProblems(reader: IterableReader, record: string, head: RecordHead | ErasedHead): string[] {
  const problems: string[] = [];
  let current = 0;
  for (let n = 1; n <= head.latest; n += 1) {
    const version = getVersion(reader, record, n);
    if (!version) problems.push(`version ${n} of ${record} is missing`);
    else if (head.status === 'erased' && !('erasedMs' in version))
      problems.push(`version ${n} of ${record} outlived it`);
    else if (!('erasedMs' in version) && version.status === 'current') current = n;
  }
  if (head.status !== 'erased' && current !== head.current) problems.push(`${record} names the wrong current version`);
  if (head.status !== 'erased' && head.open !== undefined) {
    const open = getVersion(reader, record, head.open);
    if (!open || 'erasedMs' in open || open.status !== 'proposed') problems.push(`${record} names no open proposal`);
  }
  return problems;
}

/** Numbers of a patient's versions are distinct, below the counter, and together with erased ones reach it. */
function countProblems(reader: IterableReader): string[] {
  const numbers = new Map<string, Set<number>>();
  for (const [key, version] of reader.iterate<RecordVersion | ErasedVersion>(versionPrefix)) {
    if ('erasedMs' in version) continue;
    const seen = numbers.get(version.patient) ?? new Set();
    if (seen.has(version.number)) return [`${key} repeats a number of its patient`];
    numbers.set(version.patient, seen.add(version.number));
  }
  const problems: string[] = [];
  for (const [key, count] of reader.iterate<PatientCount>(countPrefix)) {
    const seen = numbers.get(key.slice(countPrefix.length)) ?? new Set();
    numbers.delete(key.slice(countPrefix.length));
    const within = [...seen].every((n) => n >= 0 && n < count.versions);
    if (!within || seen.size + count.erased !== count.versions) problems.push(`${key} does not count its versions`);
  }
  return [...problems, ...[...numbers.keys()].map((patient) => `${patient} has versions but no counter`)];
}

/** One current version per record, none missing, counters right, nothing personal left of what was erased. */
export function recordsInvariants(reader: IterableReader): string[] {
  const problems = [...listProblems(reader, annotationPrefix), ...countProblems(reader)];
  for (const [key, head] of reader.iterate<RecordHead | ErasedHead>(headPrefix)) {
    problems.push(...headProblems(reader, key.slice(headPrefix.length), head));
  }
  return problems;
}
