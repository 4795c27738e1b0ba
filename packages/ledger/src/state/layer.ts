import type { ReplayId } from '@salus/contracts';
import { ByteWriter } from '../log/bytes.ts';
import type { LogLocation } from '../log/segment.ts';

/** Who a transaction is about and what it is, for the index. */
export type IndexedTransaction = {
  /** Lower-case hex. */
  hash: string;
  height: number;
  index: number;
  participants: readonly string[];
  types: readonly string[];
};

/** What one block changed; it lies over the store until its flush is done. */
export type Layer = {
  height: number;
  timeMs: number;
  appHash: Uint8Array;
  writes: ReadonlyMap<string, Uint8Array | undefined>;
  buckets: ReadonlyMap<number, Uint8Array>;
  replayIds: readonly ReplayId[];
  transactions: readonly IndexedTransaction[];
};

export type Place = { height: number; index: number };

/** More transactions than a block can hold. */
const placesPerBlock = 2 ** 20;

function packPlace(height: number, index: number): number {
  return height * placesPerBlock + index;
}

export function unpackPlace(packed: number): Place {
  return { height: Math.floor(packed / placesPerBlock), index: packed % placesPerBlock };
}

/** Blocks that are durable in the log and not yet in the store, merged. */
export class Unflushed {
  height = 0;
  timeMs = 0;
  appHash: Uint8Array = new Uint8Array(0);
  /** Null where the key is removed. */
  readonly writes = new Map<string, Uint8Array | null>();
  readonly buckets = new Map<number, Uint8Array>();
  readonly blocks = new Map<number, LogLocation>();
  /** By transaction hash; packed, because there are many and each object costs the garbage collector. */
  readonly places = new Map<string, number>();
  /** By `p/did` and `t/type`, in the order of the chain. */
  readonly postings = new Map<string, Posting[]>();
  postingCount = 0;
  /** Used ids by minute, in order of use. */
  readonly replayIds = new Map<number, ByteWriter>();
  /** Since when something lies here. */
  sinceMs = 0;

  merge(layer: Layer, location: LogLocation, nowMs: number): void {
    if (this.blocks.size === 0) this.sinceMs = nowMs;
    this.height = layer.height;
    this.timeMs = layer.timeMs;
    this.appHash = layer.appHash;
    this.blocks.set(layer.height, location);
    for (const [key, stored] of layer.writes) this.writes.set(key, stored ?? null);
    for (const [index, bucket] of layer.buckets) this.buckets.set(index, bucket);
    for (const { minute, bytes } of layer.replayIds) {
      const ids = this.replayIds.get(minute) ?? new ByteWriter();
      ids.raw(bytes);
      this.replayIds.set(minute, ids);
    }
    for (const transaction of layer.transactions) this.#index(transaction);
  }

  entries(): number {
    return this.writes.size + this.buckets.size + this.places.size + this.postingCount + this.blocks.size;
  }

  #index({ hash, height, index, participants, types }: IndexedTransaction): void {
    this.places.set(hash, packPlace(height, index));
    const posting = { height, index, types };
    for (const participant of participants) this.#post(`p/${participant}`, posting);
    for (const type of types) this.#post(`t/${type}`, posting);
  }

  #post(list: string, posting: Posting): void {
    this.postingCount += 1;
    const present = this.postings.get(list);
    if (present) present.push(posting);
    else this.postings.set(list, [posting]);
  }
}

export type Posting = Place & { types: readonly string[] };
