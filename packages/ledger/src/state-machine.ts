import {
  type BlockContext,
  type BlockResult,
  type CheckResult,
  type Kernel,
  kernelErrors,
  type ReplayId,
  replayIdOf,
  type TransactionResult,
  type VerifiedTransaction,
} from '@salus/contracts';
import { equalBytes, resultData, type SmtProof, toHex } from '@salus/protocol';
import type { Application, ApplicationInfo, BlockPosition, FinalizedBlock, PreparedProposal } from './application.ts';
import { ledgerError } from './errors.ts';
import { unfitTransactionsMax } from './limits.ts';
import type { IndexedTransaction } from './state/layer.ts';
import type { StateStore } from './state/state-store.ts';
import type { StateTree } from './tree/state-tree.ts';

const DID_PREFIX = 'did:salus:';

type Prepared = { transactions: readonly VerifiedTransaction[]; block: BlockPosition; result: BlockResult };

/** The kernel over the layered state and its tree. */
export class StateMachine implements Application {
  readonly #kernel: Kernel;
  readonly #state: StateStore;
  readonly #tree: StateTree;
  #info: ApplicationInfo;
  #prepared: Prepared | undefined;
  #changedHeight: number;

  constructor(kernel: Kernel, state: StateStore, tree: StateTree, info: ApplicationInfo, changedHeight: number) {
    this.#kernel = kernel;
    this.#state = state;
    this.#tree = tree;
    this.#info = info;
    this.#changedHeight = changedHeight;
  }

  info(): ApplicationInfo {
    return this.#info;
  }

  checkTx(transaction: VerifiedTransaction, block: BlockPosition): CheckResult {
    return this.#kernel.checkTransaction(transaction, this.#state.execution, this.#context(block));
  }

  prepareProposal(candidates: readonly VerifiedTransaction[], block: BlockPosition, unfitMax = 0): PreparedProposal {
    const refused = new Map<number, CheckResult>();
    let fit = candidates.map((_candidate, index) => index);
    const leaving: number[] = [];
    for (;;) {
      const accepted = [...fit, ...leaving].map((place) => candidates[place] as VerifiedTransaction);
      const result = this.#kernel.executeBlock(accepted, this.#state.execution, this.#context(block));
      const unfit = unfitForBlock(accepted, result).filter((index) => index < fit.length);
      if (unfit.length === 0) {
        this.#prepared = { transactions: accepted, block, result };
        return { accepted, refused };
      }
      // The others run again without them: they may have moved up a place.
      for (const index of unfit) {
        const [place, why] = [fit[index] as number, result.results[index] as TransactionResult];
        const hasRoom = leaving.length < unfitMax;
        if (hasRoom && mayLeave(accepted, result, index) && !this.#hasRun(accepted[index])) leaving.push(place);
        else refused.set(place, why);
      }
      const gone = new Set(unfit);
      fit = fit.filter((_place, index) => !gone.has(index));
    }
  }

  processProposal(transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean {
    // Whoever proposed it has just executed it.
    const result = this.#execute(transactions, block);
    this.#prepared = { transactions, block, result };
    const haveRun = unfitForBlock(transactions, result).some((index) => this.#hasRun(transactions[index]));
    return isFitting(transactions, result) && !haveRun;
  }

  finalizeBlock(transactions: readonly VerifiedTransaction[], block: BlockPosition): FinalizedBlock {
    const executed = this.#execute(transactions, block);
    const { writes, replayIds } = executed;
    const { results, unfit } = settled(transactions, executed);
    const buckets = this.#tree.update(writes);
    const appHash = buckets.size > 0 ? this.#tree.root() : this.#info.appHash;
    if (buckets.size > 0) this.#changedHeight = block.height;
    this.#info = { ...this.#info, height: block.height, timeMs: block.blockTimeMs, appHash };
    this.#state.push({
      height: block.height,
      timeMs: block.blockTimeMs,
      appHash,
      writes,
      buckets,
      replayIds,
      transactions: transactions.flatMap(({ tx }, index) => {
        return unfit.has(index) ? [] : [indexed(tx, results[index], block.height, index)];
      }),
    });
    return { results, appHash, writes, replayIds, unfit };
  }

  /** Height of the last block that changed the state; no block after it did. */
  changedHeight(): number {
    return this.#changedHeight;
  }

  prove(stateKey: string): SmtProof {
    return this.#tree.prove(stateKey);
  }

  /** What was executed for the proposal need not be executed again for the decision. */
  #execute(transactions: readonly VerifiedTransaction[], block: BlockPosition): BlockResult {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const isSame =
      prepared !== undefined &&
      prepared.block.height === block.height &&
      prepared.block.blockTimeMs === block.blockTimeMs &&
      sameTransactions(prepared.transactions, transactions);
    if (isSame) return prepared.result;
    return this.#kernel.executeBlock(transactions, this.#state.execution, this.#context(block));
  }

  /**
   * What an earlier block has run stands in no later one as refused. No correct member would propose it: it left the mempools
   * with its block. A member that began with a snapshot knows it of the blocks since.
   */
  #hasRun(transaction: VerifiedTransaction | undefined): boolean {
    return transaction !== undefined && this.#state.place(toHex(transaction.tx.hash)) !== undefined;
  }

  #context({ height, blockTimeMs }: BlockPosition): BlockContext {
    return { chain: this.#info.chain, height, blockTimeMs };
  }
}

function sameTransactions(left: readonly VerifiedTransaction[], right: readonly VerifiedTransaction[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((item, index) => isSame(item, right[index] as VerifiedTransaction));
}

/** The result depends on the bytes and on the keys that the signatures were checked with. */
function isSame(left: VerifiedTransaction, right: VerifiedTransaction): boolean {
  if (left === right) return true;
  return equalBytes(left.tx.hash, right.tx.hash) && left.keysUsed.join() === right.keysUsed.join();
}

/**
 * Places of the transactions that used no id: the kernel found their form, time, signers or id wrong, so that they did
 * not run. A contract's refusal is a result of having run.
 */
function unfitForBlock(
  transactions: readonly VerifiedTransaction[],
  result: { readonly replayIds: readonly ReplayId[] },
): number[] {
  if (result.replayIds.length === transactions.length) return [];
  const unfit: number[] = [];
  let used = 0;
  for (const [index, { tx }] of transactions.entries()) {
    const next = result.replayIds[used];
    if (next && equalBytes(next.bytes, replayIdOf(tx).bytes)) used += 1;
    else unfit.push(index);
  }
  return unfit;
}

/**
 * What CheckTx let in and what cannot run any more leaves the mempools through a block, once. But one whose time is still
 * to come will run, and one of another chain was never let in.
 */
function mayLeave(transactions: readonly VerifiedTransaction[], { results }: BlockResult, index: number): boolean {
  const { tx } = transactions[index] as VerifiedTransaction;
  const { code } = results[index] as TransactionResult;
  if (code === kernelErrors.validityTooLong.code || code === kernelErrors.chainDiffers.code) return false;
  return transactions.findIndex((other) => equalBytes(other.tx.hash, tx.hash)) === index;
}

/** Whether a block of several members' consensus may have these: what runs, and a few that leave. */
export function isFitting(transactions: readonly VerifiedTransaction[], result: BlockResult): boolean {
  const unfit = unfitForBlock(transactions, result);
  return unfit.length <= unfitTransactionsMax && unfit.every((index) => mayLeave(transactions, result, index));
}

/** The same for all that did not run, whatever each member knew of their signers before. */
function unfitResult(): TransactionResult {
  const { code, message } = ledgerError('transactionUnfit');
  return { code, log: message, data: resultData([], []), cost: 0, events: [], outputs: [] };
}

/** The results that a block has, and why some of its transactions did not run. */
export function settled(
  transactions: readonly VerifiedTransaction[],
  executed: BlockResult,
): Pick<FinalizedBlock, 'results' | 'unfit'> {
  const unfit = new Map<number, CheckResult>();
  for (const index of unfitForBlock(transactions, executed)) unfit.set(index, executed.results[index] as CheckResult);
  if (unfit.size === 0) return { results: executed.results, unfit };
  const results = executed.results.map((result, index) => (unfit.has(index) ? unfitResult() : result));
  return { results, unfit };
}

/** Whom a transaction is listed under: who signed it, and whom its events name. */
export function indexed(
  tx: VerifiedTransaction['tx'],
  result: Pick<TransactionResult, 'events'> | undefined,
  height: number,
  index: number,
): IndexedTransaction {
  const participants = new Set<string>();
  for (const { did } of tx.signatures) participants.add(did);
  for (const { attributes } of result?.events ?? []) {
    for (const name in attributes) {
      const value = attributes[name];
      if (typeof value === 'string' && value.startsWith(DID_PREFIX)) participants.add(value);
    }
  }
  return { hash: toHex(tx.hash), height, index, participants: [...participants], types: typesOf(tx.payload.messages) };
}

const singleTypes = new Map<string, readonly string[]>();

/** Most transactions have one message: their lists are shared, so that the index holds one per type. */
function typesOf(messages: VerifiedTransaction['tx']['payload']['messages']): readonly string[] {
  const [first, ...others] = messages;
  if (!first || others.length > 0) return [...new Set(messages.map(({ type }) => type))];
  let types = singleTypes.get(first.type);
  if (!types) {
    types = [first.type];
    // Types that no contract has get no further than a refusal; the kernel's table bounds this one.
    singleTypes.set(first.type, types);
  }
  return types;
}
