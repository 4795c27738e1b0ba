import { constants } from 'node:fs';
import { copyFile, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { directoryPaths } from './directory.ts';
import type { Head } from './ledger.ts';
import {
  encodeWholeBytes,
  type LogLocation,
  type LogScan,
  listSegments,
  segmentName,
  wholeBytesOffset,
} from './log/segment.ts';
import type { StateStore } from './state/state-store.ts';

const storeFile = 'data.mdb';

export interface CopySource {
  /** The ledger's own directory. */
  dir: string;
  scan: LogScan;
  state: StateStore;
  head(): Head;
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Up to `bytes`: what stands behind came after the moment that the copy shows. */
async function copyDurably(from: string, to: string, bytes?: number): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  if (bytes !== undefined) {
    const handle = await open(to, 'r+');
    try {
      await handle.truncate(bytes);
      await handle.write(encodeWholeBytes(bytes), 0, undefined, wholeBytesOffset);
    } finally {
      await handle.close();
    }
  }
  await sync(to);
}

/** The log up to and with the block at `last`, into a new directory. */
export async function copyBlocksUntil(scan: LogScan, to: string, last: LogLocation | undefined): Promise<void> {
  await mkdir(to, { recursive: true });
  if (last === undefined) return;
  for (const segment of listSegments(scan.files, scan.dir).filter((one) => one <= last.segment)) {
    const end = segment === last.segment ? last.offset + last.bytes : undefined;
    await copyDurably(join(scan.dir, segmentName(segment)), join(to, segmentName(segment)), end);
  }
}

/**
 * Copies a ledger that goes on working into a new directory, without the validator's key. The store is copied first, as it
 * is; the log up to the head that `pinned` is told heals it when the copy is opened, as after a crash. `pinned` runs in the
 * turn of the event loop that the copy shows: whoever copies other stores takes their moment there.
 */
export async function copyLedger(source: CopySource, to: string, pinned: (head: Head) => void): Promise<Head> {
  const [from, target] = [directoryPaths(source.dir), directoryPaths(to)];
  await mkdir(target.store, { recursive: true });
  await source.state.store.copyTo(target.store);
  await sync(join(target.store, storeFile));
  const head = source.head();
  const last = source.state.location(head.height);
  pinned(head);
  await copyBlocksUntil(source.scan, target.blocks, last);
  await copyDurably(from.genesis, target.genesis);
  await copyDurably(from.chain, target.chain);
  return head;
}
