import { SalusError } from '@salus/protocol';

/** Stable numbers of what the ledger refuses: 400–499. A number is never reused for another meaning. */
export const LedgerErrorCodes = {
  directoryLocked: 400,
  directoryOtherChain: 401,
  directoryOtherVersion: 402,
  directoryIncomplete: 403,
  directoryDamaged: 404,
  directoryEmpty: 405,
  validatorKeyMismatch: 406,
  directoryOtherEngine: 407,
  directoryNotEmpty: 408,
  storeTruncated: 409,
  blockLogDamaged: 410,
  blockNotHere: 411,
  diskFull: 420,
  degraded: 421,
  closed: 422,
  overloaded: 423,
  storeUnwritable: 424,
  storeFailed: 425,
  transactionUnknown: 430,
  receiptNotReady: 431,
  stateMoved: 432,
  cursorInvalid: 433,
  refused: 440,
  blockOutOfOrder: 441,
  upgradeNeeded: 442,
  rollbackUnable: 443,
  snapshotInvalid: 450,
  snapshotOtherFormat: 451,
  snapshotOtherChain: 452,
  snapshotChunkDamaged: 453,
  snapshotChunkOutOfOrder: 454,
  snapshotUnknown: 455,
  snapshotBusy: 456,
  snapshotNotNow: 457,
  transactionUnfit: 466,
} as const;

export type LedgerErrorName = keyof typeof LedgerErrorCodes;

const ADVICE: Record<LedgerErrorName, string> = {
  directoryLocked: 'another process uses this data directory; stop it, or choose another directory',
  directoryOtherChain: 'this data directory belongs to another chain; choose another directory or the right genesis',
  directoryOtherVersion: 'this data directory was written by another version of the format; use that version',
  directoryIncomplete:
    'the first start or a restore in this directory was interrupted; remove the directory and start again',
  directoryDamaged: 'the data directory is damaged; restore it from a backup or from another member',
  directoryEmpty: 'there is no ledger in this directory; give a genesis document to create one',
  storeTruncated:
    'the file of the state store is damaged or has lost its end; restore the directory from a backup or another member',
  directoryNotEmpty: 'a snapshot is restored into an empty directory; choose another one',
  validatorKeyMismatch: 'the validator key is not the one that the genesis document names; use that key',
  directoryOtherEngine: 'the blocks here were ordered by a consensus of several; start this member with that engine',
  blockLogDamaged: 'the block log does not read back as it was written; restore it from a backup or another member',
  blockNotHere: 'there is no such block yet; ask for a height up to the head',
  diskFull: 'the disk is full; make room, the ledger goes on by itself',
  degraded: 'the disk reported an error; what was not acknowledged may be lost. Check the disk and start again',
  closed: 'the ledger is closed; open it again',
  overloaded: 'too many transactions are waiting; send it again in a moment',
  storeUnwritable:
    'the state store cannot be written; what was acknowledged is safe in the log and is tried again: make room or check the disk',
  storeFailed:
    'the state store cannot be written in this process any more; what was acknowledged is safe in the log: check ' +
    'the disk and start again; if that does not help, run the doctor and restore from a backup or another member',
  transactionUnknown: 'no such transaction is in a block; check the hash or wait for it',
  receiptNotReady: 'the block that proves this transaction is not there yet; ask again in a moment',
  stateMoved: 'the state changed since that block; ask for a proof of the present state',
  cursorInvalid: 'use the cursor of an earlier answer as it is',
  refused: 'the transaction was not accepted',
  blockOutOfOrder: 'this block does not follow the last one; stop this member and examine it before it goes on',
  upgradeNeeded:
    'the chain went over to a version that this program does not know; install the release that was announced and start ' +
    'it on the same directory, in which nothing was changed',
  rollbackUnable: 'the blocks from genesis on are not all here; take the state from other members instead',
  snapshotInvalid: 'the snapshot does not match the state that the chain proves; take another one',
  snapshotOtherFormat: 'this snapshot has another version of the format; take one of this version',
  snapshotOtherChain: 'this snapshot is of another chain or another height; take one of this chain',
  snapshotChunkDamaged: 'this chunk is not the one that the snapshot lists; fetch it again, from another member',
  snapshotChunkOutOfOrder: 'chunks come one after the other, each once; give the one that is asked for',
  snapshotUnknown: 'there is no such snapshot or chunk here; ask which there are',
  snapshotBusy: 'a snapshot is being made already; wait for it',
  snapshotNotNow: 'no snapshot can be made of this state; make one after the next transaction',
  transactionUnfit: 'this block has the transaction as refused: it could not run there and changed nothing',
};

export function ledgerError(name: LedgerErrorName, detail?: string, options?: ErrorOptions): SalusError {
  const text = detail === undefined ? ADVICE[name] : `${ADVICE[name]} (${detail})`;
  return new SalusError(LedgerErrorCodes[name], text, options);
}
