import { decodeStored, liveMinutesKey } from '@salus/contracts';
import { flushSliceEntries, postingChunkEntries } from '../limits.ts';
import { type Posting, type Unflushed, unpackPlace } from './layer.ts';
import type { StateStore } from './state-store.ts';
import type { StoreWriter } from './store.ts';

/** What goes to the store in one durable step. Closures per entry would cost the garbage collector more than the disk. */
type Step = (writer: StoreWriter) => void;

const samplesPerPart = 8;

/**
 * Parts of keys, each below the next: every part becomes one step of the flush and is sorted when its turn comes, so
 * that each page of the store is written once and no long sort holds up the blocks.
 */
export function* sortedParts(keys: readonly string[], partSize: number): Iterable<string[]> {
  const parts = Math.ceil(keys.length / partSize);
  if (parts <= 1) {
    yield [...keys].sort();
    return;
  }
  const stride = Math.max(1, Math.floor(keys.length / (parts * samplesPerPart)));
  const samples = keys.filter((_key, index) => index % stride === 0).sort();
  const bounds = Array.from({ length: parts - 1 }, (_part, index) => {
    return samples[Math.floor(((index + 1) * samples.length) / parts)] as string;
  });
  const split: string[][] = Array.from({ length: parts }, () => []);
  for (const key of keys) (split[partOf(bounds, key)] as string[]).push(key);
  for (const part of split) yield part.sort();
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

function* steps(data: Unflushed): Iterable<Step> {
  const size = flushSliceEntries;
  for (const keys of sortedParts([...data.writes.keys()], size)) {
    yield (writer) => {
      for (const key of keys) writer.state(key, data.writes.get(key) ?? undefined);
    };
  }
  const indexes = Uint32Array.from(data.buckets.keys()).sort();
  for (let from = 0; from < indexes.length; from += size) {
    yield (writer) => {
      for (const index of indexes.subarray(from, from + size)) {
        writer.bucket(index, data.buckets.get(index) as Uint8Array);
      }
    };
  }
  for (const hashes of sortedParts([...data.places.keys()], size)) {
    yield (writer) => {
      for (const hash of hashes) writer.place(hash, unpackPlace(data.places.get(hash) as number));
    };
  }
  yield* postingSteps(data.postings, size);
  yield (writer) => {
    for (const [height, location] of data.blocks) writer.block(height, location);
  };
}

/** Chunks begin where the last flush ended and are of one size: an interrupted flush leaves none that overlaps. */
function* postingSteps(all: ReadonlyMap<string, readonly Posting[]>, size: number): Iterable<Step> {
  let chunks: [list: string, chunk: readonly Posting[]][] = [];
  let entries = 0;
  for (const list of [...all.keys()].sort()) {
    const postings = all.get(list) as readonly Posting[];
    for (let from = 0; from < postings.length; from += postingChunkEntries) {
      const chunk = postings.slice(from, from + postingChunkEntries);
      chunks.push([list, chunk]);
      entries += chunk.length;
      if (entries < size) continue;
      yield putChunks(chunks);
      chunks = [];
      entries = 0;
    }
  }
  if (chunks.length > 0) yield putChunks(chunks);
}

function putChunks(chunks: readonly (readonly [list: string, chunk: readonly Posting[]])[]): Step {
  return (writer) => {
    for (const [list, chunk] of chunks) writer.postings(list, chunk);
  };
}

/**
 * Writes everything durable to the store in small durable steps, the height last. `pause` is awaited between the
 * steps. A crash in between leaves a store that is partly ahead of its height; redo from the log covers just that part.
 */
export async function flush(state: StateStore, pause: () => Promise<void>): Promise<boolean> {
  const data = state.beginFlush();
  if (!data) return false;
  for (const step of steps(data)) {
    await state.store.write(step);
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
