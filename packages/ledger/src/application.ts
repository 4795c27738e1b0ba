import type { CheckResult, TransactionResult, VerifiedTransaction } from '@salus/contracts';
import type { SmtProof } from '@salus/protocol';

/**
 * What ordering needs of the state machine, in the phases of ABCI 2.0 (CometBFT specification, "ABCI++ methods"), so
 * that the embedded engine and a consensus of many drive the same code. Application hashes are the state's root: a
 * block that changes nothing leaves them as they are.
 */
export interface Application {
  info(): ApplicationInfo;
  /** Whether a transaction may wait for a block. */
  checkTx(transaction: VerifiedTransaction, block: BlockPosition): CheckResult;
  /** Executes the candidates on the present state and keeps those that may stand in a block. */
  prepareProposal(candidates: readonly VerifiedTransaction[], block: BlockPosition): PreparedProposal;
  /** Whether every transaction of a block that somebody else proposed may stand in it. */
  processProposal(transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean;
  /** Executes a decided block; the state shows it after `commit` only. */
  finalizeBlock(transactions: readonly VerifiedTransaction[], block: BlockPosition): FinalizedBlock;
  /** Presence or absence of a state key under the application hash of the last finalized block. */
  prove(stateKey: string): SmtProof;
}

export type ApplicationInfo = { chain: string; height: number; timeMs: number; appHash: Uint8Array };
export type BlockPosition = { height: number; blockTimeMs: number };

/** `refused` stand at the places of their candidates and in no block. */
export type PreparedProposal = { accepted: VerifiedTransaction[]; refused: Map<number, CheckResult> };

export type FinalizedBlock = {
  results: TransactionResult[];
  appHash: Uint8Array;
  /** Redo: absolute values of what changed, undefined for removed keys. */
  writes: ReadonlyMap<string, Uint8Array | undefined>;
  replayIds: readonly { minute: number; id: string; bytes: Uint8Array }[];
};
