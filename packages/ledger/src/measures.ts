import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { directoryPaths } from './directory.ts';
import type { Snapshots } from './snapshot/snapshots.ts';
import type { StateStore } from './state/state-store.ts';

/** Where a ledger stands between accepting and storing, and what it takes of the disk. */
export type LedgerMeasures = {
  /** Transactions that were accepted and are in no durable block yet. */
  waiting: number;
  /** Entries that are in the log and not in the store yet, and for how long the oldest. */
  unflushedEntries: number;
  unflushedSeconds: number;
  logBytes: number;
  storeBytes: number;
  snapshots: number;
  /** Of the newest snapshot; 0 where there is none. */
  snapshotHeight: number;
};

/** A map in LMDB is as long as it may become: only what the disk gave it counts. */
const statBlockBytes = 512;

function bytesBelow(dir: string): number {
  if (!existsSync(dir)) return 0;
  let bytes = 0;
  for (const name of readdirSync(dir)) {
    const found = statSync(join(dir, name), { throwIfNoEntry: false });
    if (found?.isFile()) bytes += found.blocks * statBlockBytes;
  }
  return bytes;
}

export function measuresOf(dir: string, state: StateStore, snapshots: Snapshots, waiting: number): LedgerMeasures {
  const paths = directoryPaths(dir);
  const { entries, sinceMs } = state.unflushed();
  const kept = snapshots.list();
  return {
    waiting,
    unflushedEntries: entries,
    unflushedSeconds: Number.isFinite(sinceMs) ? Math.max(0, performance.now() - sinceMs) / 1000 : 0,
    logBytes: bytesBelow(paths.blocks),
    storeBytes: bytesBelow(paths.store),
    snapshots: kept.length,
    snapshotHeight: Math.max(0, ...kept.map(({ height }) => height)),
  };
}
