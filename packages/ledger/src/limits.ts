/** Every bound of the ledger, unit last. */

/** A block closes at this size; one transaction larger than it still gets a block of its own. */
export const blockBytesMax = 1024 * 1024;
export const blockTransactionsMax = 500;
/** Transactions that can run no more and leave the mempools of several members through one block. */
export const unfitTransactionsMax = 500;
/** Under load a block waits this long for company: fewer signatures, headers and syncs per transaction. */
export const blockGatherMs = 6;
/** With this many waiting a block is made at once. */
export const blockGatherTransactions = 250;
export const heartbeatMs = 15_000;
/** Verified or not, accepted but not yet in a durable block. */
export const waitingTransactionsMax = 20_000;
export const waitingBytesMax = 64 * 1024 * 1024;

/** Transactions that travel to a verify worker together. */
export const verifyBatchTransactions = 32;
/** A long queue goes in larger batches: fewer messages between threads. */
export const verifyBatchTransactionsMax = 64;
/** Under load what comes within this time goes to a worker together. */
export const verifyGatherMs = 2;
/** Batches that one worker holds at a time: enough that none runs dry while the main thread executes a block. */
export const verifyBatchesPerWorker = 5;
export const verifyWorkers = 2;
export const keyCacheEntriesMax = 50_000;

export const logSegmentBytes = 16 * 1024 * 1024;
/** Room is made in pieces, so that a sync of the log in use is not held up behind one long write. */
export const logPreallocateSliceBytes = 512 * 1024;
export const diskRetryMs = 500;
/** A block whose state cannot be read is made this often again, `diskRetryMs` apart: long enough for what ends by itself. */
export const blockRetriesMax = 20;
/** A flush that the library gave up by itself is tried this often again. */
export const storeRetriesMax = 3;

/** Upper levels of the state tree that stay in memory: 2^18 buckets. */
export const treeUpperLevels = 18;

/** A flush begins at this many changed entries … */
export const flushEntries = 50_000;
/** … or when something lay unflushed for this long. */
export const flushIdleMs = 2_000;
/** Entries that go to the store in one durable step: bounds how long the flush holds the main thread and the disk. */
export const flushSliceEntries = 1_000;
/** Above this nothing more is accepted until the flush has caught up. */
export const unflushedEntriesMax = 1_500_000;

/** All chunks of a snapshot but the last; below the 16 MB that CometBFT lets a chunk have. Part of the format. */
export const snapshotChunkBytes = 4 * 1024 * 1024;
/** Their hashes stay below the 4 MB that CometBFT lets an offer have; together more than 200 GB. */
export const snapshotChunksMax = 50_000;
export const snapshotValueBytesMax = 16 * 1024 * 1024;
export const snapshotBlockBytesMax = 64 * 1024 * 1024;
export const snapshotIdsPerRecordMax = 4_096;
/** Entries between two pauses while a snapshot is made: blocks go first. */
export const snapshotSliceEntries = 500;
/** Entries that a restore writes in one durable step. */
export const restoreSliceEntries = 20_000;
export const restoreSliceBytes = 16 * 1024 * 1024;
/** Older ones are removed when a new one is whole. */
export const snapshotsKeptMax = 3;

/** Entries of one list of the transaction index that are stored together. */
export const postingChunkEntries = 400;
/** State values kept in memory for reading: those that many transactions need. */
export const readCacheEntriesMax = 40_000;
export const readCacheValueBytesMax = 4_096;
export const storeMapBytes = 64 * 1024 * 1024 * 1024;
export const findLimitMax = 1_000;
