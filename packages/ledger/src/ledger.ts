import { type GenesisDocument, type IterableView, type Kernel, kernelErrors } from '@salus/contracts';
import {
  type Anchor,
  genesisAnchor,
  type Payload,
  type ReceiptState,
  SalusError,
  sha256,
  toHex,
  type Validator,
} from '@salus/protocol';
import { type Block, type BlockContent, BlockReader } from './block-reader.ts';
import { copyLedger } from './copy.ts';
import { genesisValidators } from './directory.ts';
import { examine } from './doctor.ts';
import { BlockBuilder, type ChainTip } from './embedded/block-builder.ts';
import { blocksUnsyncedMax, type CommittedBlock, EmbeddedEngine, type Submitted } from './embedded/engine.ts';
import { ledgerError } from './errors.ts';
import { type FindAnswer, type FindQuery, type LedgerTransaction, TransactionFinder } from './find.ts';
import { Flusher } from './flusher.ts';
import { lookUpKey } from './key-lookup.ts';
import { unflushedEntriesMax, verifyWorkers } from './limits.ts';
import type { BlockLog } from './log/block-log.ts';
import { type LedgerMeasures, measuresOf } from './measures.ts';
import { type LedgerMeasurement, Meter } from './meter.ts';
import { type OpenOptions, openLog, openSigning } from './open.ts';
import { stateReceipt, transactionReceipt } from './receipts.ts';
import { tipOf } from './recovery.ts';
import { type Report, replayChain, replayImpossible } from './replay.ts';
import { Snapshots } from './snapshot/snapshots.ts';
import { StateMachine } from './state-machine.ts';
import { upgradeProblem } from './upgrade.ts';
import type { KeyAnswer } from './verify/protocol.ts';
import { Verifier } from './verify/verifier.ts';

export type Head = { height: number; timeMs: number; appHash: string };

export type BlockListener = (block: CommittedBlock) => void;

type Opened = Awaited<ReturnType<typeof openSigning>>;

/** How long `receipt` and `stateProof` wait for the block that proves what they prove. */
const proofWaitMsMax = 5_000;
/** How long checks of the whole wait for a pause between transactions before they begin anyway. */
const quietWaitMsMax = 10_000;

/** One member's ledger: ordered, executed, durable and provable transactions. */
export class Ledger {
  readonly kernel: Kernel;
  readonly genesis: GenesisDocument;
  readonly snapshots: Snapshots;
  readonly #opened: Opened;
  readonly #validators: Validator[];
  readonly #blocks: BlockReader;
  readonly #finder: TransactionFinder;
  readonly #flusher: Flusher;
  readonly #verifier: Verifier;
  readonly #machine: StateMachine;
  readonly #engine: EmbeddedEngine;
  readonly #log: BlockLog;
  readonly #meter = new Meter();
  readonly #listeners = new Set<BlockListener>();
  readonly #proofWaiters = new Set<() => void>();
  #head: Head;
  #closing: Promise<void> | undefined;

  private constructor(opened: Opened, log: BlockLog, tip: ChainTip) {
    const { kernel, directory, state, tree } = opened;
    this.snapshots = new Snapshots(opened);
    this.#opened = opened;
    this.kernel = kernel;
    this.genesis = directory.genesis;
    this.#log = log;
    this.#validators = genesisValidators(directory.genesis);
    this.#blocks = new BlockReader(opened.scan, state);
    const firstHeight = directory.base?.height;
    this.#finder = new TransactionFinder(state, this.#blocks, () => this.#head.height, firstHeight);
    this.#flusher = new Flusher(state, unflushedEntriesMax, this.#meter);
    this.#head = { height: tip.height, timeMs: tip.timeMs, appHash: toHex(tip.appHash) };
    const info = { chain: this.genesis.chain, height: tip.height, timeMs: tip.timeMs, appHash: tip.appHash };
    this.#machine = new StateMachine(kernel, state, tree, info, tip.isUnproven ? tip.height : tip.height - 1);
    const workers = opened.verifyWorkers ?? verifyWorkers;
    this.#verifier = new Verifier(workers, (kid, payload) => this.#keyFor(kid, payload), this.#meter);
    this.#engine = new EmbeddedEngine({
      application: this.#machine,
      verifier: this.#verifier,
      log,
      builder: new BlockBuilder(this.genesis.chain, directory.seed, this.#validators),
      tip,
      clock: opened.clock,
      meter: this.#meter,
      onDurable: (block, location) => {
        state.commit(location, performance.now());
        this.#committed(block);
      },
      onFailed: () => state.dropPending(),
      problemAt: (height) => this.#flusher.failed() ?? upgradeProblem(kernel, state.execution, height),
      isBehind: () => this.#flusher.isBehind(),
    });
  }

  static async open(options: OpenOptions): Promise<Ledger> {
    const opened = await openSigning(options);
    try {
      const tip = tipOf(opened);
      const ledger = new Ledger(opened, await openLog(opened), tip);
      ledger.#engine.start();
      return ledger;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /**
   * Resolves when the transaction is in a block that is on the disk; `code` tells whether the contract accepted it.
   * Rejects with a SalusError where it is in no block. The same bytes again give the answer of the first time.
   */
  submit(bytes: Uint8Array): Promise<Submitted> {
    return this.#engine.submit(bytes).catch((error: unknown) => this.#alreadyCommitted(bytes, error));
  }

  /** Stored bytes (salt ‖ version ‖ CBOR) of durable state. */
  get(stateKey: string): Uint8Array | undefined {
    return this.view().get(stateKey);
  }

  view(): IterableView {
    return this.#opened.state.durable;
  }

  iterate(prefix: string): Iterable<[key: string, stored: Uint8Array]> {
    return this.view().iterate(prefix);
  }

  head(): Head {
    return this.#head;
  }

  validators(): readonly Validator[] {
    return this.#validators;
  }

  /** `ok`, or why nothing is accepted at present. */
  status(): { ok: boolean; problem: string | undefined } {
    const log = this.#log.status();
    if (log === 'full') return { ok: false, problem: ledgerError('diskFull').message };
    if (log === 'failed') return { ok: false, problem: ledgerError('degraded').message };
    if (this.#closing) return { ok: false, problem: ledgerError('closed').message };
    const stopped = this.#flusher.failed() ?? this.#engine.stopped();
    if (stopped) return { ok: false, problem: stopped.message };
    return { ok: true, problem: this.#flusher.problem()?.message };
  }

  /** Tells what it measures of itself from now on; returns what ends it. */
  observe(listener: (measurement: LedgerMeasurement) => void): () => void {
    return this.#meter.listen(listener);
  }

  measures(): LedgerMeasures {
    const { dir, state } = this.#opened;
    return measuresOf(dir, state, this.snapshots, this.#engine.waiting());
  }

  block(height: number): Promise<Block | undefined> {
    return this.#blocks.block(height);
  }

  /** What the block did, without header and votes. */
  content(height: number): Promise<BlockContent | undefined> {
    return this.#blocks.content(height);
  }

  /** By the hash of its bytes, 64 hex digits. */
  transaction(hash: string): Promise<LedgerTransaction | undefined> {
    return this.#finder.transaction(hash);
  }

  /** Transactions of a participant, of a type, of both, or all, in the order of the chain. */
  find(query: FindQuery): Promise<FindAnswer> {
    return this.#finder.find(query);
  }

  /** Committed blocks, in order, from the next one on; returns what ends it. */
  subscribe(listener: BlockListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Receipt of a transaction, with the state under `stateKey` right after its block where that can still be proven. */
  async receipt(hash: string, options: { stateKey?: string } = {}): Promise<Uint8Array> {
    const place = this.#opened.state.place(hash);
    if (!place) throw ledgerError('transactionUnknown', hash);
    const state = options.stateKey === undefined ? undefined : this.#proveAt(place.height, options.stateKey);
    await this.#proven(place.height);
    return transactionReceipt(this.#blocks, this.#validators, place, state);
  }

  /** Receipt of presence or absence under a state key at the head. */
  async stateProof(stateKey: string): Promise<Uint8Array> {
    // The tree is as of the last executed block, which may still be on its way to the disk. Every header behind the
    // last change says its root: the newest one is taken.
    const height = Math.max(this.#machine.changedHeight() + 1, this.#machine.info().height);
    const state = this.#proveExecuted(stateKey);
    await this.#proven(height - 1);
    return stateReceipt(await this.#blocks.existing(height), this.#validators, state);
  }

  /** What whoever checks receipts of this chain needs to trust: its genesis. */
  anchor(): Anchor {
    const { genesis, genesisHash } = this.#opened.directory;
    return genesisAnchor({ chain: genesis.chain, timeMs: genesis.timeMs, genesisHash, validators: this.#validators });
  }

  /** Whether everything on the disk fits together; waits for a moment without transactions. */
  async doctor(): Promise<Report> {
    await this.#quiet();
    const { kernel, directory, scan, state } = this.#opened;
    return examine({ kernel, directory, scan, state, validators: this.#validators, head: this.#head });
  }

  /** Executes every block from genesis again and compares every result and root. */
  async replay(): Promise<Report> {
    await this.#quiet();
    const { kernel, scan, directory } = this.#opened;
    if (directory.base) return replayImpossible(directory.base.height);
    return replayChain(kernel, this.genesis, this.#validators, scan, this.#head.height);
  }

  /** Everything durable is in the store when this resolves. */
  flush(): Promise<void> {
    return this.#flusher.drain();
  }

  /** Copies the ledger as of one moment while it goes on working; see `copyLedger`. */
  copyTo(dir: string, pinned: (head: Head) => void = () => undefined): Promise<Head> {
    const { dir: own, scan, state } = this.#opened;
    return copyLedger({ dir: own, scan, state, head: () => this.#head }, dir, pinned);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#engine.stop();
    await this.snapshots.close();
    await this.#verifier.close();
    await this.#flusher.close();
    try {
      if (this.#log.status() !== 'failed') await this.#flusher.drain();
    } finally {
      await this.#log.close();
      await this.#opened.close();
    }
  }

  #committed(block: CommittedBlock): void {
    const { height, timeMs } = block;
    this.#head = { height, timeMs, appHash: toHex(this.#opened.state.durableHash()) };
    this.#flusher.noteBlock();
    this.#meter.tell({ kind: 'block', timeMs, codes: block.results.map(({ code }) => code) });
    for (const wake of this.#proofWaiters) wake();
    for (const listener of this.#listeners) listener(block);
  }

  #keyFor(kid: string, payload: Payload): KeyAnswer {
    return lookUpKey(this.kernel, this.#opened.state.execution, kid, payload);
  }

  /** A client that sends again what is in a block already, or about to be, gets the answer of the first time. */
  async #alreadyCommitted(bytes: Uint8Array, error: unknown): Promise<Submitted> {
    if (!(error instanceof SalusError) || error.code !== kernelErrors.replayed.code) throw error;
    const hash = toHex(sha256(bytes));
    let known: LedgerTransaction | undefined;
    for (let round = 0; round <= blocksUnsyncedMax; round += 1) {
      // Asked before the look: what was not on its way to the disk then is either found now or was other bytes.
      const isSettled = this.#engine.isQuiet();
      known = await this.transaction(hash);
      if (known || isSettled) break;
      await this.#proven(this.#head.height).catch(() => undefined);
    }
    if (!known) throw error;
    const { height, index, code, log, cost, events, outputs, data } = known;
    return { hash, height, index, code, log, cost, events, outputs, data };
  }

  #proveExecuted(key: string): ReceiptState {
    const proof = this.#machine.prove(key);
    return { key, stored: this.#opened.state.execution.get(key), proof };
  }

  /** The tree is that of the last executed block: it proves an earlier one while nothing has changed since. */
  #proveAt(height: number, key: string): ReceiptState {
    const state = this.#proveExecuted(key);
    if (this.#machine.changedHeight() > height) throw ledgerError('stateMoved');
    return state;
  }

  async #quiet(): Promise<void> {
    const until = performance.now() + quietWaitMsMax;
    while (!this.#engine.isQuiet() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Waits until block `height` + 1 is on the disk. */
  async #proven(height: number): Promise<void> {
    const until = performance.now() + proofWaitMsMax;
    while (this.#head.height <= height) {
      const leftMs = until - performance.now();
      if (leftMs <= 0 || this.#closing) throw ledgerError('receiptNotReady');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#proofWaiters.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, leftMs);
        this.#proofWaiters.add(wake);
      });
    }
  }
}
