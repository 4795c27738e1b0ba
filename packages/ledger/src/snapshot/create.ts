import { bucketKey, decodeStored, extendBucket, liveMinutesKey, type ReplayBucket } from '@salus/contracts';
import { equalBytes } from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import { snapshotIdsPerRecordMax, snapshotSliceEntries } from '../limits.ts';
import { ByteWriter } from '../log/bytes.ts';
import { type BlockRecord, encodeRecord } from '../log/record.ts';
import type { FrozenState } from '../state/frozen.ts';
import type { ChunkSink } from './chunk-sink.ts';
import { writeEnd, writeEntry, writeIds } from './stream.ts';

/** More is handed over before the next entry: bounds memory where values are large. */
const sliceBytes = 256 * 1024;

export type Written = { entries: number; replayIds: number };

/**
 * Writes the whole state as it was when it was frozen. `pause` is awaited between small steps, so that blocks go on;
 * what it throws ends the writing.
 */
export async function writeState(
  frozen: FrozenState,
  last: BlockRecord,
  sink: ChunkSink,
  pause: () => Promise<void>,
): Promise<Written> {
  const entries = await writeEntries(frozen, sink, pause);
  const replayIds = await writeReplay(frozen, sink, pause);
  const writer = new ByteWriter();
  // What no header proves is not handed on.
  if (last.signed === '') writeEnd(writer);
  else writer.bytes(encodeRecord({ ...last, writes: new Map(), replayIds: [] }));
  await sink.write(writer.view());
  await sink.finish();
  return { entries, replayIds };
}

async function writeEntries(frozen: FrozenState, sink: ChunkSink, pause: () => Promise<void>): Promise<number> {
  let writer = new ByteWriter();
  let entries = 0;
  for (const [key, stored] of frozen.entries()) {
    writeEntry(writer, key, stored);
    entries += 1;
    if (entries % snapshotSliceEntries !== 0 && writer.length < sliceBytes) continue;
    await sink.write(writer.view());
    writer = new ByteWriter();
    await pause();
  }
  writeEnd(writer);
  await sink.write(writer.view());
  return entries;
}

async function writeReplay(frozen: FrozenState, sink: ChunkSink, pause: () => Promise<void>): Promise<number> {
  const live = frozen.get(liveMinutesKey);
  let written = 0;
  for (const minute of live ? decodeStored<number[]>(live) : []) {
    const stored = frozen.get(bucketKey(minute));
    const expected = stored ? decodeStored<ReplayBucket>(stored) : undefined;
    let bucket: ReplayBucket | undefined;
    let ids: Uint8Array[] = [];
    const hand = async (): Promise<void> => {
      const writer = new ByteWriter();
      writeIds(writer, minute, ids);
      ids = [];
      await sink.write(writer.view());
      await pause();
    };
    for (const id of frozen.ids(minute)) {
      if (bucket?.count === expected?.count) break;
      bucket = extendBucket(bucket, id);
      ids.push(id);
      if (ids.length === snapshotIdsPerRecordMax) await hand();
    }
    if (ids.length > 0) await hand();
    // Directories of an earlier version forgot ids that state still lists, until the next transaction tidies the list.
    if (!expected || !bucket || !equalBytes(bucket.digest, expected.digest)) throw ledgerError('snapshotNotNow');
    written += bucket.count;
  }
  const writer = new ByteWriter();
  writeEnd(writer);
  await sink.write(writer.view());
  return written;
}
