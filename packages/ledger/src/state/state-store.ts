import type { IterableView, LedgerView } from '@salus/contracts';
import { fromHex } from '@salus/protocol';
import { readCacheEntriesMax, readCacheValueBytesMax } from '../limits.ts';
import type { LogLocation } from '../log/segment.ts';
import type { BucketSource } from '../tree/state-tree.ts';
import { FrozenState } from './frozen.ts';
import { type Layer, type Place, type Posting, Unflushed, unpackPlace } from './layer.ts';
import { ReplayIndex } from './replay-index.ts';
import { placeOf, placeText, type Store, type StoreHead } from './store.ts';

/**
 * State in layers, newest first: blocks that were executed and wait for their sync (`pending`), blocks that are durable
 * in the log (`fresh`), those among them that a flush is writing (`flushing`), and the store. Readers see what is
 * durable; execution sees everything.
 */
export class StateStore {
  readonly store: Store;
  readonly replay = new ReplayIndex();
  #pending: Layer[] = [];
  #fresh = new Unflushed();
  #flushing: Unflushed | undefined;
  /** Values as the store has them; what a flush writes is taken out when the flush ends. */
  readonly #cache = new Map<string, Uint8Array>();
  /** What execution read lately, as the newest layer has it; null where the key is absent. */
  readonly #hot = new Map<string, Uint8Array | null>();

  constructor(store: Store) {
    this.store = store;
  }

  readonly durable: IterableView = {
    get: (key) => this.#durableState(key),
    iterate: (prefix) => this.#iterate(prefix),
  };

  readonly execution: LedgerView = {
    get: (key) => {
      const hot = this.#hot.get(key);
      if (hot !== undefined) return hot ?? undefined;
      const stored = this.#newest(key);
      if (stored === undefined || stored.length <= readCacheValueBytesMax) {
        if (this.#hot.size >= readCacheEntriesMax) this.#hot.clear();
        this.#hot.set(key, stored ?? null);
      }
      return stored;
    },
    replaySeen: (minute, id) => this.replay.seen(minute, id),
  };

  readonly buckets: BucketSource = {
    get: (index) => {
      for (let at = this.#pending.length - 1; at >= 0; at -= 1) {
        const bucket = this.#pending[at]?.buckets.get(index);
        if (bucket) return bucket;
      }
      return this.#fresh.buckets.get(index) ?? this.#flushing?.buckets.get(index) ?? this.store.getBucket(index);
    },
  };

  /** An executed block. Its ids count at once: the next block must not use them again. */
  push(layer: Layer): void {
    this.replay.add(layer.replayIds);
    this.#pending.push(layer);
    for (const [key, stored] of layer.writes) if (this.#hot.has(key)) this.#hot.set(key, stored ?? null);
  }

  /** The oldest executed block is on the disk. */
  commit(location: LogLocation, nowMs: number): Layer {
    const layer = this.#pending.shift();
    if (!layer) throw new Error('no block waits for its commit');
    this.#fresh.merge(layer, location, nowMs);
    return layer;
  }

  /** Root after the last durable block of this run. */
  durableHash(): Uint8Array {
    return this.#fresh.blocks.size > 0 ? this.#fresh.appHash : (this.#flushing?.appHash ?? this.#fresh.appHash);
  }

  /** What will never be durable is seen by nobody. */
  dropPending(): void {
    this.#pending = [];
    this.#hot.clear();
  }

  unflushed(): { entries: number; sinceMs: number } {
    return {
      entries: this.#fresh.entries() + (this.#flushing?.entries() ?? 0),
      sinceMs: this.#fresh.blocks.size === 0 ? Number.POSITIVE_INFINITY : this.#fresh.sinceMs,
    };
  }

  /** The durable state as it is now, for reading while blocks go on; see `FrozenState`. */
  freeze(): FrozenState {
    const layers = [this.#flushing, this.#fresh].filter((layer) => layer !== undefined && layer.blocks.size > 0);
    const newest = layers.at(-1);
    const { height, timeMs, appHash } = newest ?? (this.store.head() as StoreHead);
    const root = typeof appHash === 'string' ? fromHex(appHash) : appHash;
    return new FrozenState(this.store, layers as Unflushed[], this.replay, { height, timeMs, appHash: root });
  }

  /** Everything durable so far, to be written to the store; undefined when there is nothing. */
  beginFlush(): Unflushed | undefined {
    if (this.#flushing) return this.#flushing;
    if (this.#fresh.blocks.size === 0) return undefined;
    this.#flushing = this.#fresh;
    this.#fresh = new Unflushed();
    return this.#flushing;
  }

  endFlush(): void {
    for (const key of this.#flushing?.writes.keys() ?? []) this.#cache.delete(key);
    this.#flushing = undefined;
  }

  location(height: number): LogLocation | undefined {
    return this.#fresh.blocks.get(height) ?? this.#flushing?.blocks.get(height) ?? this.store.getBlock(height);
  }

  place(hash: string): Place | undefined {
    const packed = this.#fresh.places.get(hash) ?? this.#flushing?.places.get(hash);
    return packed === undefined ? this.store.getPlace(hash) : unpackPlace(packed);
  }

  /** Entries of a list of the index behind `after` (a place as text, or empty), in the order of the chain. */
  *postings(list: string, after: string): Iterable<Posting> {
    let last = after;
    // A flush may end between two steps of the caller; `last` keeps every entry from coming twice.
    const upper = [this.#flushing?.postings.get(list) ?? [], this.#fresh.postings.get(list) ?? []];
    for (const posting of this.store.rangePostings(list, after)) {
      last = placeText(posting);
      yield posting;
    }
    for (const postings of upper) {
      for (let index = firstAfter(postings, last); index < postings.length; index += 1) {
        const posting = postings[index] as Posting;
        last = placeText(posting);
        yield posting;
      }
    }
  }

  #newest(key: string): Uint8Array | undefined {
    for (let index = this.#pending.length - 1; index >= 0; index -= 1) {
      const { writes } = this.#pending[index] as Layer;
      const stored = writes.get(key);
      if (stored !== undefined || writes.has(key)) return stored;
    }
    return this.#durableState(key);
  }

  #durableState(key: string): Uint8Array | undefined {
    let stored = this.#fresh.writes.get(key);
    if (stored === undefined) stored = this.#flushing?.writes.get(key);
    if (stored !== undefined) return stored ?? undefined;
    return this.#cache.get(key) ?? this.#readStore(key);
  }

  /** The same bytes object again lets the kernel skip decoding. */
  #readStore(key: string): Uint8Array | undefined {
    const stored = this.store.getState(key);
    if (stored === undefined || stored.length > readCacheValueBytesMax) return stored;
    if (this.#cache.size >= readCacheEntriesMax) this.#cache.clear();
    this.#cache.set(key, stored);
    return stored;
  }

  *#iterate(prefix: string): Iterable<[key: string, stored: Uint8Array]> {
    const over = new Map<string, Uint8Array | null>();
    for (const layer of [this.#flushing, this.#fresh]) {
      if (!layer) continue;
      for (const [key, stored] of layer.writes) if (key.startsWith(prefix)) over.set(key, stored);
    }
    const keys = [...over.keys()].sort();
    let next = 0;
    for (const [key, stored] of this.store.rangeState(prefix)) {
      for (; next < keys.length && (keys[next] as string) < key; next += 1) {
        yield* present(keys[next] as string, over);
      }
      if (keys[next] === key) {
        yield* present(key, over);
        next += 1;
      } else yield [key, stored];
    }
    for (; next < keys.length; next += 1) yield* present(keys[next] as string, over);
  }
}

function* present(key: string, over: Map<string, Uint8Array | null>): Iterable<[string, Uint8Array]> {
  const stored = over.get(key);
  if (stored) yield [key, stored];
}

function firstAfter(postings: readonly Posting[], after: string): number {
  const place = placeOf(after);
  if (!place) return 0;
  let low = 0;
  let high = postings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { height, index } = postings[middle] as Posting;
    if (height > place.height || (height === place.height && index > place.index)) high = middle;
    else low = middle + 1;
  }
  return low;
}
