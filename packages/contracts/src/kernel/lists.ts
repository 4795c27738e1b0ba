import type { ContractState, IterableReader, StateReader } from './types.ts';

/**
 * Lists whose completeness can be proven: `prefix/<owner>/count` is the number of entries and `prefix/<owner>/<n>`
 * the n-th from 0. Whoever has proofs of the count and of n = 0 … count − 1 has the whole list. Entries are never
 * removed; one that no longer counts is replaced by what says so.
 */
export function countKey(prefix: string, owner: string): string {
  return `${prefix}/${owner}/count`;
}

export function entryKey(prefix: string, owner: string, n: number): string {
  return `${prefix}/${owner}/${n}`;
}

export function listCount(reader: StateReader, prefix: string, owner: string): number {
  return reader.get<number>(countKey(prefix, owner)) ?? 0;
}

/** Appends and returns the entry's number. */
export function listAppend(state: ContractState, prefix: string, owner: string, value: object | string): number {
  const n = listCount(state, prefix, owner);
  state.put(entryKey(prefix, owner, n), value);
  state.put(countKey(prefix, owner), n + 1);
  return n;
}

export function listEntry<T>(reader: StateReader, prefix: string, owner: string, n: number): T | undefined {
  return reader.get<T>(entryKey(prefix, owner, n));
}

/** Entries `from` … count − 1, at most `limit`. */
export function* listEntries<T>(
  reader: StateReader,
  prefix: string,
  owner: string,
  from = 0,
  limit = Number.MAX_SAFE_INTEGER,
): Iterable<[n: number, value: T]> {
  const count = listCount(reader, prefix, owner);
  for (let n = from; n < count && n - from < limit; n += 1) {
    const value = listEntry<T>(reader, prefix, owner, n);
    if (value !== undefined) yield [n, value];
  }
}

/** Counters that do not match their entries, for a contract's invariants. */
export function listProblems(reader: IterableReader, prefix: string): string[] {
  const counts = new Map<string, number>();
  const entries = new Map<string, number>();
  const largest = new Map<string, number>();
  for (const [key, value] of reader.iterate<unknown>(`${prefix}/`)) {
    const end = key.lastIndexOf('/');
    const owner = key.slice(prefix.length + 1, end);
    const last = key.slice(end + 1);
    if (last === 'count') {
      counts.set(owner, value as number);
      continue;
    }
    entries.set(owner, (entries.get(owner) ?? 0) + 1);
    largest.set(owner, Math.max(largest.get(owner) ?? 0, Number(last)));
  }
  const owners = new Set([...counts.keys(), ...entries.keys()]);
  return [...owners].flatMap((owner) => {
    const count = counts.get(owner) ?? 0;
    const isWhole = entries.get(owner) === count && largest.get(owner) === count - 1;
    return isWhole ? [] : [`${prefix}/${owner} counts ${count} but has ${entries.get(owner) ?? 0} entries`];
  });
}
