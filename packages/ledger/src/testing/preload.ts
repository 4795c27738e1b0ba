import { createHash } from 'node:crypto';
import { encodeStored, encodeValue } from '@salus/contracts';
import { fromHex, toHex } from '@salus/protocol';
import { directoryPaths } from '../directory.ts';
import { treeUpperLevels } from '../limits.ts';
import { Store } from '../state/store.ts';
import { StateTree } from '../tree/state-tree.ts';
import type { Network } from './fixture.ts';

const sliceEntries = 20_000;
const hashHexBytes = 32;

function digest(label: string): Buffer {
  return createHash('sha256').update(label).digest();
}

/** Stamps of all members, in key order, so that the store is filled in one pass; the tree sees them at random places. */
function* stamps(network: Network, count: number): Iterable<[key: string, stored: Uint8Array]> {
  const each = Math.ceil(count / network.participants.length);
  const dids = network.participants.map(({ did }) => did).sort();
  for (const did of dids) {
    const digests = Array.from({ length: each }, (_, index) => digest(`${did} ${index}`));
    const keys = digests.map((bytes) => `kernel/stamp/${did}/${bytes.toString('base64url')}`).sort();
    for (const key of keys) {
      yield [key, encodeStored(digest(key), key, encodeValue({ height: 1, timeMs: 1_700_000_000_000 }))];
    }
  }
}

/**
 * Fills the state of a new directory with `count` values beside those of genesis, unsigned: for measuring large states.
 * Such a chain cannot be replayed from its genesis.
 */
export async function preloadState(dir: string, network: Network, count: number): Promise<void> {
  const store = new Store(directoryPaths(dir).store);
  const head = store.head();
  const buckets = new Map<number, Uint8Array>(store.rangeBuckets());
  const tree = new StateTree({ get: (index) => buckets.get(index) }, treeUpperLevels);
  tree.load(buckets);
  let slice: [string, Uint8Array][] = [];
  const write = async (): Promise<void> => {
    for (const [index, bucket] of tree.update(slice)) buckets.set(index, bucket);
    const entries = slice;
    slice = [];
    await store.write((writer) => {
      for (const [key, stored] of entries) writer.state(key, stored);
    });
  };
  for (const entry of stamps(network, count)) {
    slice.push(entry);
    if (slice.length >= sliceEntries) await write();
  }
  await write();
  const indexes = [...buckets.keys()].sort((left, right) => left - right);
  for (let from = 0; from < indexes.length; from += sliceEntries) {
    await store.write((writer) => {
      for (const index of indexes.slice(from, from + sliceEntries)) {
        writer.bucket(index, buckets.get(index) as Uint8Array);
      }
    });
  }
  const root = toHex(tree.root());
  if (fromHex(root).length !== hashHexBytes || !head) throw new Error('preload needs a new directory');
  await store.write((writer) => writer.head({ ...head, appHash: root }));
  await store.close();
}
