import type { Stamp } from './queries.ts';
import { bucketKey, liveMinutesKey, type ReplayBucket } from './replay.ts';
import type { IterableReader } from './types.ts';

const digestBytes = 32;

/** Every replay bucket is listed once and in order, every listed one is there, and stamps have a height. */
export function kernelInvariants(reader: IterableReader): string[] {
  const problems: string[] = [];
  const live = reader.get<number[]>(liveMinutesKey) ?? [];
  if (live.some((minute, index) => index > 0 && minute <= (live[index - 1] ?? 0))) {
    problems.push('the list of replay buckets is not ascending');
  }
  for (const [key, value] of reader.iterate<ReplayBucket>('kernel/replay/')) {
    if (key === liveMinutesKey) continue;
    if (!live.some((minute) => bucketKey(minute) === key)) problems.push(`${key} is not listed`);
    if (value.count < 1 || value.digest.length !== digestBytes) problems.push(`${key} is malformed`);
  }
  for (const minute of live) if (!reader.get(bucketKey(minute))) problems.push(`replay bucket ${minute} is missing`);
  for (const [key, stamp] of reader.iterate<Stamp>('kernel/stamp/')) {
    if (stamp.height < 1 || stamp.timeMs < 0) problems.push(`${key} has no height`);
  }
  return problems;
}
