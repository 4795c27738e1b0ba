import { bucketKey, decodeStored, extendBucket, liveMinutesKey, type ReplayBucket } from '@salus/contracts';
import { equalBytes } from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import { idBytes } from './stream.ts';

/** Used ids of a snapshot against the digests that the proven state has of them. */
export class ReplayCheck {
  readonly #buckets = new Map<number, ReplayBucket>();
  #records = 0;
  count = 0;

  /** Returns a number that grows with every call. */
  add(minute: number, ids: Uint8Array): number {
    let bucket = this.#buckets.get(minute);
    for (let at = 0; at < ids.length; at += idBytes) {
      bucket = extendBucket(bucket, ids.subarray(at, at + idBytes));
      this.count += 1;
    }
    if (bucket) this.#buckets.set(minute, bucket);
    this.#records += 1;
    return this.#records;
  }

  /** Every minute that the state lists, each with all its ids, and no other. */
  check(get: (key: string) => Uint8Array | undefined): void {
    const stored = get(liveMinutesKey);
    const live = stored ? decodeStored<number[]>(stored) : [];
    const isWhole = live.every((minute) => {
      const digest = get(bucketKey(minute));
      const expected = digest ? decodeStored<ReplayBucket>(digest) : undefined;
      const bucket = this.#buckets.get(minute);
      return expected && bucket && bucket.count === expected.count && equalBytes(bucket.digest, expected.digest);
    });
    if (!isWhole || this.#buckets.size !== live.length) throw ledgerError('snapshotInvalid', 'its used ids');
  }
}
