import { patient } from '../identity/queries.ts';
import { listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import { type DirectiveEntry, directivePrefix, getDirective, patientPrefix } from './state.ts';

/** Every directive is listed once with its patient, and no more uses were taken than given. */
export function consentInvariants(reader: IterableReader): string[] {
  const problems = listProblems(reader, patientPrefix);
  const listed = new Set<string>();
  for (const [key, value] of reader.iterate<string | number>(`${patientPrefix}/`)) {
    if (typeof value === 'number') continue;
    const owner = key.slice(patientPrefix.length + 1, key.lastIndexOf('/'));
    if (listed.has(value) || getDirective(reader, value)?.patient !== owner) problems.push(`${key} lists a wrong one`);
    listed.add(value);
  }
  for (const [key, entry] of reader.iterate<DirectiveEntry>(directivePrefix)) {
    if (!listed.has(key.slice(directivePrefix.length))) problems.push(`${key} is not listed`);
    if (entry.uses > 0 && entry.used > entry.uses) problems.push(`${key} was used too often`);
    if (entry.used < 0 || (entry.uses === 0 && entry.used !== 0)) problems.push(`${key} counts what is not counted`);
    if (!patient(reader, entry.patient)) problems.push(`${key} belongs to nobody`);
  }
  return problems;
}
