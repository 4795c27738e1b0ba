import type { GenesisDocument, Kernel } from '@salus/contracts';
import { equalBytes, fromHex, toHex } from '@salus/protocol';
import { type ChainTip, genesisTip, resultsHashOf } from './embedded/block-builder.ts';
import { ledgerError } from './errors.ts';
import { flushSliceEntries, treeUpperLevels } from './limits.ts';
import { decodeResults, decodeSigned, hashedResult } from './log/block-codec.ts';
import { type BlockRecord, decodeRecord } from './log/record.ts';
import { eraseTornTail, type LoggedBlock, type LogScan, type LogTail, scanLog } from './log/segment.ts';
import { checkSegments } from './log/segment-check.ts';
import { recordedTransactions } from './recorded.ts';
import { StateStore } from './state/state-store.ts';
import type { Store, StoreHead } from './state/store.ts';
import { StateTree } from './tree/state-tree.ts';

export type Recovered = {
  state: StateStore;
  tree: StateTree;
  /** Undefined before the first block. */
  last: BlockRecord | undefined;
  /** After the last block: its height and time, and the state's root. */
  head: { height: number; timeMs: number; appHash: Uint8Array };
  tail: LogTail;
};

/** Writes the genesis state into an empty store. */
export async function writeGenesis(store: Store, kernel: Kernel, genesis: GenesisDocument): Promise<void> {
  const writes = [...kernel.genesis(genesis)];
  const tree = new StateTree({ get: () => undefined }, treeUpperLevels);
  const buckets = tree.update(writes);
  for (let from = 0; from < writes.length; from += flushSliceEntries) {
    await store.write((writer) => {
      for (const [key, stored] of writes.slice(from, from + flushSliceEntries)) writer.state(key, stored);
    });
  }
  await store.write((writer) => {
    for (const [index, bucket] of buckets) writer.bucket(index, bucket);
    writer.head({ height: 0, timeMs: genesis.timeMs, appHash: toHex(tree.root()), tail: undefined });
  });
}

/**
 * State as it was after the last block on the disk: the store, and over it the redo of the blocks that the log has and
 * the store has not. A flush that was interrupted left the store partly ahead; redo covers that part. The root is
 * computed from the leaves and must be the one that the last block says.
 */
export async function recover(
  store: Store,
  scan: LogScan,
  head: StoreHead,
  firstHeight: number,
  nowMs: number,
): Promise<Recovered> {
  await checkSegments(scan, { firstHeight, headHeight: head.height, location: (height) => store.getBlock(height) });
  const state = new StateStore(store);
  for (const { minute, ids } of store.rangeReplay()) state.replay.restore(minute, ids);
  const tree = new StateTree(state.buckets, treeUpperLevels);
  tree.load(store.rangeBuckets());
  const redo: { record: BlockRecord; block: LoggedBlock }[] = [];
  let last: BlockRecord | undefined;
  const tail = scanLog(scan, startOf(head), (block) => {
    const record = decodeRecord(block.payload);
    if (record.height > head.height) redo.push({ record, block });
    last = record;
  });
  if (tail.height < head.height) throw ledgerError('blockLogDamaged', `block ${head.height} is missing`);
  if (tail.torn) await eraseTornTail(scan, tail);
  redoBlocks(state, tree, redo, nowMs);
  const { height, timeMs, appHash: expected } = last ?? { ...head, appHash: fromHex(head.appHash) };
  if (!equalBytes(tree.root(), expected)) throw ledgerError('directoryDamaged', 'the state tree has another root');
  // The last block's bytes lie in the segment that was read: a copy lets go of it.
  return { state, tree, last, head: { height, timeMs, appHash: new Uint8Array(expected) }, tail };
}

/** The log is read from the last block that the store has, which gives the tip where nothing follows it. */
function startOf(head: StoreHead): { segment: number; offset: number; height: number } | undefined {
  if (!head.tail) return undefined;
  return { segment: head.tail.segment, offset: head.tail.offset, height: head.height };
}

function redoBlocks(
  state: StateStore,
  tree: StateTree,
  redo: readonly { record: BlockRecord; block: LoggedBlock }[],
  nowMs: number,
): void {
  const merged = new Map<string, Uint8Array | undefined>();
  for (const { record } of redo) for (const [key, stored] of record.writes) merged.set(key, stored);
  const buckets = tree.update(merged);
  for (const [position, { record, block }] of redo.entries()) {
    state.push({
      height: record.height,
      timeMs: record.timeMs,
      appHash: record.appHash,
      writes: record.writes,
      // Buckets as they are after the last block: none in between was asked for.
      buckets: position === redo.length - 1 ? buckets : new Map(),
      replayIds: record.replayIds,
      transactions: recordedTransactions(record),
    });
    state.commit(block.location, nowMs);
  }
}

/** The chain's end as the embedded engine continues it. */
export function tipOf({ last: record, head }: Pick<Recovered, 'last' | 'head'>): ChainTip {
  if (!record) return genesisTip(head.timeMs, head.appHash);
  if (record.signed === '') throw ledgerError('directoryOtherEngine');
  const { commit } = decodeSigned(record.signed);
  const results = decodeResults(record.results);
  return {
    height: record.height,
    timeMs: record.timeMs,
    blockId: commit.blockId,
    commit,
    appHash: record.appHash,
    resultsHash: resultsHashOf(results.map(hashedResult)),
    isUnproven: record.transactions.length > 0,
  };
}
