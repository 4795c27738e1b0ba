import type { CheckResult, GenesisDocument, Kernel, VerifiedTransaction } from '@salus/contracts';
import { equalBytes, type Payload, toHex, type Validator } from '@salus/protocol';
import type {
  Application,
  ApplicationInfo,
  BlockPosition,
  FinalizedBlock,
  PreparedProposal,
  QueryAnswer,
} from './application.ts';
import type { BlockContent } from './block-reader.ts';
import { copyLedger } from './copy.ts';
import { genesisValidators } from './directory.ts';
import { examine } from './doctor.ts';
import { ledgerError } from './errors.ts';
import { Flusher } from './flusher.ts';
import { lookUpKey, unreadable } from './key-lookup.ts';
import type { Head } from './ledger.ts';
import { unfitTransactionsMax, unflushedEntriesMax } from './limits.ts';
import { encodeResults, resultJson } from './log/block-codec.ts';
import type { BlockLog } from './log/block-log.ts';
import { encodeRecord } from './log/record.ts';
import { type LedgerMeasures, measuresOf } from './measures.ts';
import { Meter } from './meter.ts';
import { type Opened, type OpenOptions, openLog, openParts } from './open.ts';
import { type Report, replayChain, replayImpossible } from './replay.ts';
import { Snapshots } from './snapshot/snapshots.ts';
import type { StateStore } from './state/state-store.ts';
import { StateMachine } from './state-machine.ts';
import type { KeyAnswer } from './verify/protocol.ts';

export type ApplicationOptions = Omit<OpenOptions, 'validatorKey' | 'verifyWorkers'>;

type Finalized = { transactions: readonly VerifiedTransaction[]; block: BlockPosition; answer: FinalizedBlock };

/**
 * The application that a consensus of several drives over ABCI 2.0 (CometBFT specification, "ABCI++ methods"): the
 * state machine, and below it the same log and store that the embedded engine uses. Calls of one connection come in
 * order; `query`, `checkTx` and `keyFor` may come at any time between them.
 *
 * After a crash it stands at its last commit: the consensus engine asks `info` and gives the blocks that are missing
 * to `finalizeBlock` and `commit` again.
 */
export class DurableApplication {
  readonly kernel: Kernel;
  readonly genesis: GenesisDocument;
  /** ABCI ListSnapshots and LoadSnapshotChunk, and what makes them. `SnapshotRestore` takes them. */
  readonly snapshots: Snapshots;
  readonly meter = new Meter();
  readonly #opened: Opened;
  readonly #log: BlockLog;
  readonly #machine: Application;
  readonly #flusher: Flusher;
  #committed: ApplicationInfo;
  #finalized: Finalized | undefined;
  #lastBlock: BlockContent | undefined;

  private constructor(opened: Opened, log: BlockLog) {
    const { kernel, directory, state, tree, head, last } = opened;
    this.kernel = kernel;
    this.genesis = directory.genesis;
    this.snapshots = new Snapshots(opened);
    this.#opened = opened;
    this.#log = log;
    this.#committed = { chain: directory.genesis.chain, ...head };
    const changedHeight = last && last.transactions.length > 0 ? head.height : Math.max(0, head.height - 1);
    this.#machine = new StateMachine(kernel, state, tree, this.#committed, changedHeight);
    this.#flusher = new Flusher(state, unflushedEntriesMax, this.meter);
  }

  /**
   * Opens a data directory, or makes the state of `genesis` where the directory is empty (ABCI InitChain then checks
   * chain and root only). Throws SalusErrors 400–411.
   */
  static async open(options: ApplicationOptions): Promise<DurableApplication> {
    const opened = await openParts(options);
    try {
      return new DurableApplication(opened, await openLog(opened));
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /** ABCI Info: the last committed block, which survives whatever happens. */
  info(): ApplicationInfo {
    return this.#committed;
  }

  /** The last block that was committed since this was opened. */
  get lastBlock(): BlockContent | undefined {
    return this.#lastBlock;
  }

  /** What readers see: committed state, the index of committed transactions. */
  get state(): StateStore {
    return this.#opened.state;
  }

  /** Of the first block that is here: a ledger that was made of a snapshot has none from before. */
  get firstHeight(): number {
    return this.#opened.directory.base?.height ?? 1;
  }

  /** Where committed blocks are read back from; see `BlockReader`. */
  get scan(): Opened['scan'] {
    return this.#opened.scan;
  }

  /** Where the next transaction would stand, were its block made now. */
  next(): BlockPosition {
    const { height, timeMs } = this.#machine.info();
    return { height: height + 1, blockTimeMs: Math.max(timeMs + 1, this.#opened.clock()) };
  }

  /** Key that the signature of `kid` must verify with at present; for `Verifier`. */
  keyFor(kid: string, payload: Payload): KeyAnswer {
    return lookUpKey(this.kernel, this.state.execution, kid, payload);
  }

  /** ABCI CheckTx. A full disk refuses here already (420): what is in no block can still be sent elsewhere. */
  checkTx(transaction: VerifiedTransaction): CheckResult {
    const refusal = this.#refusal();
    if (refusal) return { code: refusal.code, log: refusal.message };
    try {
      return this.#machine.checkTx(transaction, this.next());
    } catch (error) {
      return unreadable(error);
    }
  }

  /** ABCI PrepareProposal. Sizes are the caller's business: candidates are tried in their order. */
  prepareProposal(candidates: readonly VerifiedTransaction[], block: BlockPosition): PreparedProposal {
    return this.#machine.prepareProposal(candidates, block, unfitTransactionsMax);
  }

  /** ABCI ProcessProposal. */
  processProposal(transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean {
    return this.#machine.processProposal(transactions, block);
  }

  /**
   * ABCI FinalizeBlock. The same block again before its commit (a consensus engine that was restarted) gives the same
   * answer; anything else that does not follow the last committed block throws `blockOutOfOrder`.
   */
  finalizeBlock(transactions: readonly VerifiedTransaction[], block: BlockPosition): FinalizedBlock {
    const before = this.#finalized;
    if (before && isSameBlock(before, transactions, block)) return before.answer;
    const { height } = this.#committed;
    if (before || block.height !== height + 1) {
      throw ledgerError('blockOutOfOrder', `block ${block.height} after ${before?.block.height ?? height}`);
    }
    const sinceMs = performance.now();
    const answer = this.#machine.finalizeBlock(transactions, block);
    this.meter.time('execute', sinceMs);
    this.#finalized = { transactions, block, answer };
    return answer;
  }

  /**
   * ABCI Commit: the finalized block is on the disk and visible when this resolves. It waits on a full disk, and where
   * the store lies too far behind the log. It rejects when the disk fails, and nothing can be committed until the
   * directory is opened again.
   *
   * `signed` is kept with the block and is part of snapshots: only what every member has alike may stand there.
   */
  async commit(signed = ''): Promise<ApplicationInfo> {
    const finalized = this.#finalized;
    if (!finalized) return this.#committed;
    const sinceMs = performance.now();
    await this.#flusher.room();
    const { transactions, block, answer } = finalized;
    const { appHash, results, writes, replayIds } = answer;
    const { height, blockTimeMs: timeMs } = block;
    const bytes = transactions.map(({ tx }) => tx.bytes);
    const written = results.map(resultJson);
    const record = {
      height,
      timeMs,
      signed,
      appHash,
      transactions: bytes,
      results: encodeResults(written),
      writes,
      replayIds,
    };
    const location = await this.#log.append(encodeRecord(record), height);
    this.state.commit(location, performance.now());
    this.#flusher.noteBlock();
    this.#finalized = undefined;
    this.#lastBlock = { height, timeMs, appHash, transactions: bytes, results: written };
    this.#committed = { chain: this.genesis.chain, height, timeMs, appHash };
    this.meter.time('commit', sinceMs);
    return this.#committed;
  }

  /** ABCI Query of one state key, proven. Between FinalizeBlock and Commit it answers for the finalized block. */
  query(stateKey: string): QueryAnswer {
    const { height, appHash } = this.#machine.info();
    const stored = this.state.execution.get(stateKey);
    return { key: stateKey, stored, proof: this.#machine.prove(stateKey), height, appHash };
  }

  /** `ok`, or why nothing is accepted at present. */
  status(): { ok: boolean; problem: string | undefined } {
    const refusal = this.#refusal();
    return { ok: !refusal, problem: refusal?.message ?? this.#flusher.problem()?.message };
  }

  /** `waiting`: how many transactions the consensus engine holds for it. */
  measures(waiting: number): LedgerMeasures {
    return measuresOf(this.#opened.dir, this.state, this.snapshots, waiting);
  }

  /** Whether everything on the disk fits together; the consensus engine is stopped. */
  doctor(): Report {
    const { kernel, directory, scan, state } = this.#opened;
    return examine({ kernel, directory, scan, state, validators: this.#firstValidators(), head: this.#head() });
  }

  /** Executes every block from genesis again and compares every result and root. */
  replay(): Report {
    const { kernel, directory, scan } = this.#opened;
    if (directory.base) return replayImpossible(directory.base.height);
    return replayChain(kernel, this.genesis, this.#firstValidators(), scan, this.#committed.height);
  }

  /** Copies the ledger as of one moment; see `copyLedger`. */
  copyTo(to: string, pinned: (head: Head) => void = () => undefined): Promise<Head> {
    const { dir, scan, state } = this.#opened;
    return copyLedger({ dir, scan, state, head: () => this.#head() }, to, pinned);
  }

  /** Everything committed is in the store when this resolves. */
  flush(): Promise<void> {
    return this.#flusher.drain();
  }

  /** What is finalized and not committed is forgotten: the consensus engine gives it again. */
  async close(): Promise<void> {
    await this.snapshots.close();
    await this.#flusher.close();
    this.state.dropPending();
    try {
      if (this.#log.status() !== 'failed') await this.#flusher.drain();
    } finally {
      await this.#log.close();
      await this.#opened.close();
    }
  }

  #head(): Head {
    const { height, timeMs, appHash } = this.#committed;
    return { height, timeMs, appHash: toHex(appHash) };
  }

  /** Of the blocks whose votes the log has: those of a chain that was handed over, from before. */
  #firstValidators(): Validator[] {
    return genesisValidators(this.genesis);
  }

  #refusal() {
    const status = this.#log.status();
    if (status === 'full') return ledgerError('diskFull');
    if (status === 'failed') return ledgerError('degraded');
    return this.#flusher.failed() ?? (this.#flusher.isBehind() ? ledgerError('overloaded') : undefined);
  }
}

/** Keys are left out: checked again after the block they may already be those that the block itself registered. */
function isSameBlock(before: Finalized, transactions: readonly VerifiedTransaction[], block: BlockPosition): boolean {
  const { height, blockTimeMs } = before.block;
  if (height !== block.height || blockTimeMs !== block.blockTimeMs) return false;
  if (transactions.length !== before.transactions.length) return false;
  return transactions.every(({ tx }, index) => {
    const known = before.transactions[index];
    return known !== undefined && equalBytes(known.tx.hash, tx.hash);
  });
}
