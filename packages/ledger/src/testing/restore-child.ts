import { readFileSync, writeSync } from 'node:fs';
import { SnapshotRestore } from '../snapshot/restore.ts';
import { makeNetwork } from './fixture.ts';
import { readCarried, trustOf } from './snapshots.ts';

/** A process that restores what `writeCarried` wrote and says on stdout how far it is; it waits to be killed. */
const [, , dir = '', from = ''] = process.argv;
const carried = readCarried((name) => readFileSync(`${from}/${name}`));
const { genesis } = makeNetwork(4);
const restoring = await SnapshotRestore.begin({ dir, genesis, snapshot: carried.snapshot, trusted: trustOf(carried) });
writeSync(1, 'begun\n');
for (const [index, chunk] of carried.chunks.entries()) {
  const state = await restoring.apply(index, chunk);
  writeSync(1, `${state} ${index}\n`);
}
