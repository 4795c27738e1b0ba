import {
  type BlockContext,
  type BlockResult,
  type CheckResult,
  type Kernel,
  type ReplayId,
  replayIdOf,
  type TransactionResult,
  type VerifiedTransaction,
} from '@salus/contracts';
import { equalBytes, type SmtProof, toHex } from '@salus/protocol';
import type { Application, ApplicationInfo, BlockPosition, FinalizedBlock, PreparedProposal } from './application.ts';
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

  checkTx({ tx }: VerifiedTransaction, block: BlockPosition): CheckResult {
    return this.#kernel.checkTransaction(tx, this.#state.execution, this.#context(block));
  }

  prepareProposal(candidates: readonly VerifiedTransaction[], block: BlockPosition): PreparedProposal {
    const refused = new Map<number, CheckResult>();
    let places = candidates.map((_candidate, index) => index);
    for (;;) {
      const accepted = places.map((place) => candidates[place] as VerifiedTransaction);
      const result = this.#kernel.executeBlock(accepted, this.#state.execution, this.#context(block));
      const unfit = unfitForBlock(accepted, result);
      if (unfit.length === 0) {
        this.#prepared = { transactions: accepted, block, result };
        return { accepted, refused };
      }
      // The others run again without them: they may have moved up a place.
      for (const index of unfit) refused.set(places[index] as number, result.results[index] as TransactionResult);
      const gone = new Set(unfit);
      places = places.filter((_place, index) => !gone.has(index));
    }
  }

  processProposal(transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean {
    // Whoever proposed it has just executed it.
    const result = this.#execute(transactions, block);
    this.#prepared = { transactions, block, result };
    return unfitForBlock(transactions, result).length === 0;
  }

  finalizeBlock(transactions: readonly VerifiedTransaction[], block: BlockPosition): FinalizedBlock {
    const { results, writes, replayIds } = this.#execute(transactions, block);
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
      transactions: transactions.map(({ tx }, index) => indexed(tx, results[index], block.height, index)),
    });
    return { results, appHash, writes, replayIds };
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
 * Places of the transactions that used no id: the kernel found their form, time, signers or id wrong, so that they
 * stand in no block. A contract's refusal is a result and stands in the block.
 */
export function unfitForBlock(
  transactions: readonly VerifiedTransaction[],
  result: { readonly replayIds: readonly Pick<ReplayId, 'bytes'>[] },
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
