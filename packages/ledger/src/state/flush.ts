import { decodeStored, liveMinutesKey } from '@salus/contracts';
import { flushSliceEntries, postingChunkEntries } from '../limits.ts';
import { type Posting, type Unflushed, unpackPlace } from './layer.ts';
import type { StateStore } from './state-store.ts';
import type { StoreWriter } from './store.ts';

type Put = (writer: StoreWriter) => void;

const samplesPerPart = 8;

/**
 * Parts of keys, each below the next: every part becomes one step of the flush and is sorted when its turn comes, so
 * that each page of the store is written once and no long sort holds up the blocks.
 */
export function* sortedParts<T>(items: readonly T[], keyOf: (item: T) => string, partSize: number): Iterable<T[]> {
  const compare = (left: T, right: T): number => (keyOf(left) < keyOf(right) ? -1 : 1);
  const parts = Math.ceil(items.length / partSize);
  if (parts <= 1) {
    yield [...items].sort(compare);
    return;
  }
  const stride = Math.max(1, Math.floor(items.length / (parts * samplesPerPart)));
  const samples = items.filter((_item, index) => index % stride === 0).map(keyOf);
  samples.sort();
  const bounds = Array.from({ length: parts - 1 }, (_part, index) => {
    return samples[Math.floor(((index + 1) * samples.length) / parts)] as string;
  });
  const split: T[][] = Array.from({ length: parts }, () => []);
  for (const item of items) (split[partOf(bounds, keyOf(item))] as T[]).push(item);
  for (const part of split) yield part.sort(compare);
}

function partOf(bounds: readonly string[], key: string): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[middle] as string) <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function* puts(data: Unflushed): Iterable<Put[]> {
  const size = flushSliceEntries;
  for (const part of sortedParts([...data.writes], ([key]) => key, size)) {
    yield part.map(
      ([key, stored]) =>
        (writer) =>
          writer.state(key, stored ?? undefined),
    );
  }
  const indexes = Uint32Array.from(data.buckets.keys()).sort();
  for (let from = 0; from < indexes.length; from += size) {
    yield Array.from(indexes.subarray(from, from + size), (index) => (writer: StoreWriter) => {
      writer.bucket(index, data.buckets.get(index) as Uint8Array);
    });
  }
  for (const part of sortedParts([...data.places], ([hash]) => hash, size)) {
    yield part.map(
      ([hash, place]) =>
        (writer) =>
          writer.place(hash, unpackPlace(place)),
    );
  }
  yield* postingPuts(data, size);
  yield [...data.blocks].map(
    ([height, location]) =>
      (writer) =>
        writer.block(height, location),
  );
}

/** Chunks begin where the last flush ended and are of one size: an interrupted flush leaves none that overlaps. */
function* postingPuts(data: Unflushed, size: number): Iterable<Put[]> {
  let slice: Put[] = [];
  let entries = 0;
  for (const list of [...data.postings.keys()].sort()) {
    const postings = data.postings.get(list) as Posting[];
    for (let from = 0; from < postings.length; from += postingChunkEntries) {
      const chunk = postings.slice(from, from + postingChunkEntries);
      slice.push((writer) => writer.postings(list, chunk));
      entries += chunk.length;
      if (entries < size) continue;
      yield slice;
      slice = [];
      entries = 0;
    }
  }
  if (slice.length > 0) yield slice;
}

/**
 * Writes everything durable to the store in small durable steps, the height last. `pause` is awaited between the
 * steps. A crash in between leaves a store that is partly ahead of its height; redo from the log covers just that part.
 */
export async function flush(state: StateStore, pause: () => Promise<void>): Promise<boolean> {
  const data = state.beginFlush();
  if (!data) return false;
  for (const slice of puts(data)) {
    await state.store.write((writer) => {
      for (const put of slice) put(writer);
    });
    await pause();
  }
  const live = state.durable.get(liveMinutesKey);
  const passed = state.replay.prune(data.timeMs, live ? decodeStored<number[]>(live) : []);
  await state.store.write((writer) => {
    for (const [minute, ids] of data.replayIds) writer.replay(minute, data.height, ids.view());
    for (const minute of passed) writer.dropReplay(minute);
    writer.head({
      height: data.height,
      timeMs: data.timeMs,
      appHash: Buffer.from(data.appHash).toString('hex'),
      tail: data.blocks.get(data.height),
    });
  });
  state.endFlush();
  return true;
}
