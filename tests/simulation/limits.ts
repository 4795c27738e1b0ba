/**
 * The ledger's limits, small: what only happens in a large ledger happens in a short run too (flushes while blocks go on,
 * snapshots of many chunks, lists in many parts, caches that are full), and a member's memory is small. None of them
 * changes a root or a result.
 */
export * from '../../packages/ledger/src/limits.ts';

export const treeUpperLevels = 9;
export const flushEntries = 500;
export const flushSliceEntries = 100;
export const postingChunkEntries = 8;
export const readCacheEntriesMax = 300;
export const snapshotChunkBytes = 16 * 1024;
export const snapshotSliceEntries = 50;
export const snapshotIdsPerRecordMax = 16;
export const restoreSliceEntries = 100;
export const restoreSliceBytes = 8 * 1024;
