import type { CheckResult, TransactionResult, VerifiedTransaction } from '@salus/contracts';
import type { SmtProof } from '@salus/protocol';

/**
 * What ordering needs of the state machine, in the phases of ABCI 2.0 (CometBFT specification, "ABCI++ methods"), so
 * that the embedded engine and a consensus of many drive the same code. Application hashes are the state's root: a
 * block that changes nothing leaves them as they are.
 *
 * `StateMachine` is the application without a disk: the embedded engine seals and logs what it finalizes.
 * `DurableApplication` adds what ABCI asks beyond that: `commit` (durable before it answers), `query`, and an `info`
 * that tells of committed blocks only.
 */
export interface Application {
  /** The state after the last finalized block. */
  info(): ApplicationInfo;
  /** Whether a transaction may wait for a block. */
  checkTx(transaction: VerifiedTransaction, block: BlockPosition): CheckResult;
  /**
   * Executes the candidates on the present state and keeps those that may stand in a block; behind them up to `unfitMax`
   * of those that can run no more, so that they leave the mempools (ADR 13).
   */
  prepareProposal(
    candidates: readonly VerifiedTransaction[],
    block: BlockPosition,
    unfitMax?: number,
  ): PreparedProposal;
  /** Whether a block that somebody else proposed may stand: what cannot run there may leave, and not too many do. */
  processProposal(transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean;
  /** Executes a decided block; readers see it after its commit only. */
  finalizeBlock(transactions: readonly VerifiedTransaction[], block: BlockPosition): FinalizedBlock;
  /** Presence or absence of a state key under the application hash of the last finalized block. */
  prove(stateKey: string): SmtProof;
}

/** `height` 0 before the first block; `timeMs`: block time, milliseconds since 1970; `appHash`: root after `height`. */
export type ApplicationInfo = { chain: string; height: number; timeMs: number; appHash: Uint8Array };
export type BlockPosition = { height: number; blockTimeMs: number };

/** `refused` stand at the places of their candidates and in no block. */
export type PreparedProposal = { accepted: VerifiedTransaction[]; refused: Map<number, CheckResult> };

export type FinalizedBlock = {
  /** One per transaction, in their order. */
  results: TransactionResult[];
  appHash: Uint8Array;
  /** Redo: absolute values of what changed, undefined for removed keys. */
  writes: ReadonlyMap<string, Uint8Array | undefined>;
  replayIds: readonly { minute: number; id: string; bytes: Uint8Array }[];
  /** By place why a transaction did not run. Its result is `transactionUnfit`, and no index has it. */
  unfit: ReadonlyMap<number, CheckResult>;
};

/** A state key as of `height`: the header of `height` + 1 says `appHash`, under which `proof` verifies (ICS-23). */
export type QueryAnswer = {
  key: string;
  /** salt ‖ version ‖ CBOR (ADR 1), undefined where the key is absent. */
  stored: Uint8Array | undefined;
  proof: SmtProof;
  height: number;
  appHash: Uint8Array;
};
