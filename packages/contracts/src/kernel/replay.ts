import {
  asciiBytes,
  concatBytes,
  equalBytes,
  type ParsedTransaction,
  sha256,
  toBase64url,
  toHex,
} from '@salus/protocol';
import { decodeStored } from './stored-value.ts';
import type { ReplayId, StateView } from './types.ts';

/**
 * Replay protection (ADR 1). State has one value per minute of `validUntil`: how many (sender, id) were used and a
 * digest over them in order. The ids themselves stand in a side table that the ledger keeps; anybody can check the
 * table against the digests, so that a table that lost or gained an id is found before it does harm.
 */
export type ReplayBucket = { count: number; digest: Uint8Array };

export const minuteMs = 60_000;
const digestBytes = 32;
const EMPTY_DIGEST: Uint8Array = new Uint8Array(digestBytes);
const BUCKET_PREFIX = 'kernel/replay/';

/** The minutes that have a bucket, ascending: contracts cannot walk state. */
export const liveMinutesKey = 'kernel/replay/live';

export function bucketKey(minute: number): string {
  return `${BUCKET_PREFIX}${minute}`;
}

export function minuteOf(validUntilMs: number): number {
  return Math.floor(validUntilMs / minuteMs);
}

/** Whether nothing in this minute's bucket can still be valid. */
export function hasPassed(minute: number, blockTimeMs: number): boolean {
  return (minute + 1) * minuteMs <= blockTimeMs;
}

export function replayIdBytes(sender: string, id: string): Uint8Array {
  return sha256(asciiBytes(`${sender}|${id}`));
}

const idsOfTransactions = new WeakMap<ParsedTransaction, ReplayId>();

/** What a transaction uses up; worked out once. */
export function replayIdOf(tx: ParsedTransaction): ReplayId {
  let replayId = idsOfTransactions.get(tx);
  if (!replayId) {
    const bytes = replayIdBytes(tx.sender, tx.payload.id);
    replayId = { minute: minuteOf(tx.payload.validUntil), id: toBase64url(bytes), bytes };
    idsOfTransactions.set(tx, replayId);
  }
  return replayId;
}

export function extendBucket(bucket: ReplayBucket | undefined, idBytes: Uint8Array): ReplayBucket {
  const digest = sha256(concatBytes(bucket?.digest ?? EMPTY_DIGEST, idBytes));
  return { count: (bucket?.count ?? 0) + 1, digest };
}

export type ReplayEntry = { minute: number; ids: Uint8Array[] };

/**
 * The side table. The ledger adds a block's `replayIds` when it commits the block, and stores them with it, so that
 * the table can be rebuilt from blocks or carried in a snapshot (`entries`, `restore`).
 */
export class ReplayTable {
  readonly #buckets = new Map<number, Map<string, Uint8Array>>();

  static restore(entries: Iterable<ReplayEntry>): ReplayTable {
    const table = new ReplayTable();
    for (const { minute, ids } of entries) for (const id of ids) table.#add(minute, toBase64url(id), id);
    return table;
  }

  seen(minute: number, id: string): boolean {
    return this.#buckets.get(minute)?.has(id) ?? false;
  }

  add(ids: Iterable<ReplayId>): void {
    for (const id of ids) this.addOne(id);
  }

  addOne({ minute, id, bytes }: ReplayId): void {
    this.#add(minute, id, bytes);
  }

  #add(minute: number, id: string, bytes: Uint8Array): void {
    const bucket = this.#buckets.get(minute);
    if (bucket) bucket.set(id, bytes);
    else this.#buckets.set(minute, new Map([[id, bytes]]));
  }

  /** Forgets what can no longer be valid. */
  prune(blockTimeMs: number): void {
    for (const minute of this.#buckets.keys()) if (hasPassed(minute, blockTimeMs)) this.#buckets.delete(minute);
  }

  /** Ascending minutes, ids in the order of use. */
  *entries(): Iterable<ReplayEntry> {
    const minutes = [...this.#buckets.keys()].sort((left, right) => left - right);
    for (const minute of minutes) yield { minute, ids: [...(this.#buckets.get(minute)?.values() ?? [])] };
  }

  /** Buckets of state that this table does not reproduce; empty when the table is right. */
  problems(view: StateView, blockTimeMs: number): string[] {
    const stored = view.get(liveMinutesKey);
    const live = stored === undefined ? [] : decodeStored<number[]>(stored);
    return live
      .filter((minute) => !hasPassed(minute, blockTimeMs))
      .flatMap((minute) => this.#bucketProblems(view, minute));
  }

  #bucketProblems(view: StateView, minute: number): string[] {
    const stored = view.get(bucketKey(minute));
    if (stored === undefined) return [`replay bucket ${minute} is listed but missing`];
    const expected = decodeStored<ReplayBucket>(stored);
    let bucket: ReplayBucket | undefined;
    for (const id of this.#buckets.get(minute)?.values() ?? []) bucket = extendBucket(bucket, id);
    if (bucket && bucket.count === expected.count && equalBytes(bucket.digest, expected.digest)) return [];
    const found = `${bucket?.count ?? 0} ids, ${toHex(bucket?.digest ?? EMPTY_DIGEST)}`;
    return [`replay bucket ${minute} is ${expected.count} ids, ${toHex(expected.digest)}; the table has ${found}`];
  }
}
