import { type GenesisDocument, genesisHash, type IterableView, type Kernel, kernelErrors } from '@salus/contracts';
import {
  type Anchor,
  equalBytes,
  genesisAnchor,
  type Handover,
  type LightBlock,
  parseTransaction,
  type ReceiptState,
  SalusError,
  type TrustStep,
  toHex,
} from '@salus/protocol';
import { type Block, type BlockContent, BlockReader } from '../block-reader.ts';
import { directoryState, genesisValidators } from '../directory.ts';
import { DurableApplication } from '../durable-application.ts';
import type { Submitted } from '../embedded/engine.ts';
import { ledgerError } from '../errors.ts';
import { type Files, nodeFiles } from '../files.ts';
import { type FindAnswer, type FindQuery, type LedgerTransaction, TransactionFinder } from '../find.ts';
import { verifyWorkers } from '../limits.ts';
import { decodeSigned } from '../log/block-codec.ts';
import type { LedgerMeasures } from '../measures.ts';
import type { LedgerMeasurement } from '../meter.ts';
import { stateReceipt, transactionReceipt } from '../receipts.ts';
import { upgradeProblem } from '../upgrade.ts';
import { Verifier } from '../verify/verifier.ts';
import { AbciApplication, type CommittedTransactions } from './abci-application.ts';
import type { AbciHandler, AbciLog } from './connection.ts';
import { type ConsensusReport, consensusReport } from './consensus-report.ts';
import { cometError } from './errors.ts';
import { proofWaitMsMax, snapshotEveryBlocksDefault } from './limits.ts';
import { CometRpc } from './rpc.ts';
import { type AbciAddress, AbciServer } from './server.ts';
import { SignedBlocks } from './signed-blocks.ts';
import { StateSyncApplication } from './state-sync.ts';
import { Submissions } from './submissions.ts';
import { TransactionPool } from './transaction-pool.ts';

export type CometLedgerOptions = {
  dir: string;
  /** Needed for a new directory; for an existing one it must be the same. */
  genesis?: GenesisDocument;
  kernel: Kernel;
  /** How the chain came from its former validators to CometBFT; earlier blocks have their votes in the log. */
  handover?: Handover | undefined;
  /** Where CometBFT connects as `proxy_app`. */
  abci: AbciAddress;
  /** CometBFT's RPC on the loopback interface. */
  rpcPort: number;
  softwareVersion: string;
  log?: AbciLog;
  /** Called when no block can be executed any more, and why: whoever runs the ledger closes it. */
  onFatal?: (problem: SalusError) => void;
  /** Called with what CometBFT's `proxy_app` must say, as soon as it can connect. */
  onListening?: (proxyApp: string) => void | Promise<void>;
  /** Without a ledger in the directory it is made of another member's snapshot instead of genesis. */
  isJoining?: boolean;
  /** At heights that this divides a snapshot is made; 0 for never. */
  snapshotEveryBlocks?: number;
  verifyWorkers?: number;
  clock?: () => number;
  files?: Files;
};

type Head = { height: number; timeMs: number; appHash: string };
type Parts = {
  application: DurableApplication;
  handover: Handover | undefined;
  verifier: Verifier;
  pool: TransactionPool;
  rpc: CometRpc;
};

/** State keys under which governance keeps what FinalizeBlock returned, by height. */
const updatesPrefix = 'governance/updates/';

const quiet: AbciLog = () => undefined;

/**
 * One member's ledger where CometBFT orders transactions among several: the application that its CometBFT drives, and
 * the same reading, proving and submitting that the embedded engine offers. CometBFT itself runs beside it.
 */
export class CometLedger {
  readonly kernel: Kernel;
  readonly genesis: GenesisDocument;
  readonly #parts: Parts;
  readonly #blocks: BlockReader;
  readonly #signed: SignedBlocks;
  readonly #finder: TransactionFinder;
  readonly #submissions: Submissions;
  readonly #genesisHash: Uint8Array;
  readonly #listeners = new Set<(block: CommittedTransactions) => void>();
  readonly #proofWaiters = new Set<() => void>();
  #server: AbciServer | undefined;
  #closing: Promise<void> | undefined;

  private constructor(parts: Parts) {
    const { application, rpc } = parts;
    this.#parts = parts;
    this.kernel = application.kernel;
    this.genesis = application.genesis;
    this.#genesisHash = genesisHash(application.genesis);
    this.#signed = new SignedBlocks(rpc, this.genesis.chain);
    this.#blocks = new BlockReader(application.scan, application.state, (height, signed) =>
      signed === '' ? this.#signed.block(height) : decodeSigned(signed),
    );
    const { state, firstHeight } = application;
    this.#finder = new TransactionFinder(state, this.#blocks, () => application.info().height, firstHeight);
    this.#submissions = new Submissions(rpc);
  }

  /**
   * Opens the directory and listens for CometBFT, which `onListening` may start. With `isJoining` and no ledger in the
   * directory it resolves when a snapshot of another member has become one. Throws SalusErrors 400–411.
   */
  static async open(options: CometLedgerOptions): Promise<CometLedger> {
    const { dir, genesis, abci, files = nodeFiles, log = quiet, softwareVersion, onListening } = options;
    const whole = Promise.withResolvers<CometLedger>();
    const opened: { ledger?: CometLedger } = {};
    let handle: AbciHandler;
    const begin = async (): Promise<void> => {
      opened.ledger = await CometLedger.#of(options);
      handle = opened.ledger.#handler(options);
      whole.resolve(opened.ledger);
    };
    const isJoining = options.isJoining === true && genesis !== undefined && directoryState(files, dir) !== 'whole';
    if (isJoining) {
      handle = new StateSyncApplication({ dir, genesis, softwareVersion, files, log, onWhole: begin }).handle;
    } else await begin();
    let server: AbciServer | undefined;
    try {
      server = await AbciServer.listen(abci, (request) => handle(request), log);
      await onListening?.(server.proxyApp());
      const ledger = await whole.promise;
      ledger.#server = server;
      return ledger;
    } catch (error) {
      await server?.close();
      await opened.ledger?.close();
      throw error;
    }
  }

  static async #of(options: CometLedgerOptions): Promise<CometLedger> {
    const { dir, genesis, handover, kernel, clock, files } = options;
    const application = await DurableApplication.open({ dir, genesis, kernel, clock, files });
    const problem = upgradeProblem(kernel, application.state.execution, application.info().height + 1);
    if (problem) {
      await application.close();
      throw problem;
    }
    const workers = options.verifyWorkers ?? verifyWorkers;
    const verifier = new Verifier(workers, (kid, payload) => application.keyFor(kid, payload), application.meter);
    const pool = new TransactionPool(verifier);
    return new CometLedger({ application, handover, verifier, pool, rpc: new CometRpc(options.rpcPort) });
  }

  #handler(options: CometLedgerOptions): AbciHandler {
    const { softwareVersion, log = quiet, snapshotEveryBlocks = snapshotEveryBlocksDefault } = options;
    const { application, handover, pool } = this.#parts;
    return new AbciApplication({
      application,
      handover,
      pool,
      genesisHash: this.#genesisHash,
      softwareVersion,
      snapshotEveryBlocks,
      log,
      onCommitted: (block) => this.#committed(block),
      onUpgradeNeeded: (problem) => {
        log('upgrade-needed', { error: problem.message });
        options.onFatal?.(problem);
      },
      onDropped: (hash, reason) => this.#submissions.refuse(hash, reason),
    }).handle;
  }

  /** What CometBFT's `proxy_app` must say. */
  proxyApp(): string {
    return this.#server?.proxyApp() ?? '';
  }

  /**
   * Resolves when the transaction is in a block that is on this member's disk; `code` tells whether the contract
   * accepted it. Rejects with a SalusError: `undecided` where that is not known yet, any other where no block has it.
   */
  async submit(bytes: Uint8Array): Promise<Submitted> {
    if (this.#closing) throw ledgerError('closed');
    const { payload, hash: digest } = parseTransaction(bytes);
    const hash = toHex(digest);
    const before = await this.#finder.transaction(hash);
    if (before) return submittedOf(before);
    try {
      return await this.#submissions.add(hash, bytes, payload.validUntil);
    } catch (error) {
      const isReplayed = error instanceof SalusError && error.code === kernelErrors.replayed.code;
      const committed = isReplayed ? await this.#finder.transaction(hash) : undefined;
      if (committed) return submittedOf(committed);
      throw error;
    }
  }

  /** Stored bytes (salt ‖ version ‖ CBOR) of committed state. */
  get(stateKey: string): Uint8Array | undefined {
    return this.view().get(stateKey);
  }

  view(): IterableView {
    return this.#parts.application.state.durable;
  }

  iterate(prefix: string): Iterable<[key: string, stored: Uint8Array]> {
    return this.view().iterate(prefix);
  }

  head(): Head {
    const { height, timeMs, appHash } = this.#parts.application.info();
    return { height, timeMs, appHash: toHex(appHash) };
  }

  /** `ok`, or why nothing is accepted at present. */
  status(): { ok: boolean; problem: string | undefined } {
    if (this.#closing) return { ok: false, problem: ledgerError('closed').message };
    if (this.#server?.connections() === 0) return { ok: false, problem: cometError('consensusUnreachable').message };
    return this.#parts.application.status();
  }

  /** With header and votes out of CometBFT's block store. */
  block(height: number): Promise<Block | undefined> {
    return this.#blocks.block(height);
  }

  /** What the block did, without header and votes. */
  content(height: number): Promise<BlockContent | undefined> {
    return this.#blocks.content(height);
  }

  transaction(hash: string): Promise<LedgerTransaction | undefined> {
    return this.#finder.transaction(hash);
  }

  find(query: FindQuery): Promise<FindAnswer> {
    return this.#finder.find(query);
  }

  /** Committed blocks, in order, from the next one on; returns what ends it. */
  subscribe(listener: (block: CommittedTransactions) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Receipt of a transaction, with the state under `stateKey` right after its block where that can still be proven. */
  async receipt(hash: string, options: { stateKey?: string } = {}): Promise<Uint8Array> {
    const place = this.#parts.application.state.place(hash);
    if (!place) throw ledgerError('transactionUnknown', hash);
    await this.#reaches(place.height + 1);
    const proving = await this.#light(place.height + 1);
    const state = options.stateKey === undefined ? undefined : this.#prove(options.stateKey);
    if (state && !equalBytes(state.root, proving.header.appHash)) throw ledgerError('stateMoved');
    const trust = await this.#trustSteps(proving);
    return transactionReceipt(this.#blocks, proving.validators, place, state?.proof, trust);
  }

  /** Receipt of presence or absence under a state key at the head. */
  async stateProof(stateKey: string): Promise<Uint8Array> {
    const { root, proof, height } = this.#prove(stateKey);
    const proving = await this.#provingBlock(height, root);
    return stateReceipt(proving, proving.validators, proof, await this.#trustSteps(proving));
  }

  /** What whoever checks receipts of this chain needs to trust: its genesis. */
  anchor(): Anchor {
    const { chain, timeMs } = this.genesis;
    return genesisAnchor({
      chain,
      timeMs,
      genesisHash: this.#genesisHash,
      validators: genesisValidators(this.genesis),
    });
  }

  /** What CometBFT says of itself, its peers and what waits in its mempool. */
  consensus(): Promise<ConsensusReport> {
    return consensusReport(this.#parts.rpc);
  }

  /** Tells what it measures of itself from now on; returns what ends it. */
  observe(listener: (measurement: LedgerMeasurement) => void): () => void {
    return this.#parts.application.meter.listen(listener);
  }

  measures(): LedgerMeasures {
    return this.#parts.application.measures(this.#submissions.size);
  }

  /** Copies state and blocks into a new directory, as of one moment; see `copyLedger`. */
  copyTo(dir: string, pinned: (head: Head) => void = () => undefined): Promise<Head> {
    return this.#parts.application.copyTo(dir, pinned);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { application, verifier, rpc } = this.#parts;
    this.#submissions.close();
    await this.#server?.close();
    await verifier.close();
    rpc.close();
    await application.close();
  }

  #committed(block: CommittedTransactions): void {
    const { lastBlock } = this.#parts.application;
    if (lastBlock) this.#blocks.note({ ...lastBlock, hashes: block.hashes }, '');
    this.#submissions.committed(block);
    const codes = block.results.map(({ code }) => code);
    this.#parts.application.meter.tell({ kind: 'block', timeMs: block.timeMs, codes });
    for (const wake of this.#proofWaiters) wake();
    for (const listener of this.#listeners) listener(block);
  }

  #prove(stateKey: string): { proof: ReceiptState; root: Uint8Array; height: number } {
    const { key, stored, proof, appHash, height } = this.#parts.application.query(stateKey);
    return { proof: { key, stored, proof }, root: appHash, height };
  }

  /** The block of a height that this member has; before the handover with the votes of those who handed over. */
  async #light(height: number): Promise<LightBlock> {
    const { handover } = this.#parts;
    if (!handover || height >= handover.next.height) return this.#signed.block(height);
    const { header, commit } = await this.#blocks.existing(height);
    return { header, commit, validators: handover.last.validators };
  }

  /**
   * What leads from genesis to this block: a handover before it, and the blocks whose header names another set for what
   * follows, each the one after the decision.
   */
  async #trustSteps({ header: { height } }: LightBlock): Promise<TrustStep[]> {
    const { handover } = this.#parts;
    const firstHeight = handover?.next.height ?? 1;
    if (height < firstHeight) return [];
    const heights: number[] = [];
    for (const [key] of this.view().iterate(updatesPrefix)) {
      const announced = Number(key.slice(updatesPrefix.length)) + 1;
      if (announced > firstHeight && announced < height) heights.push(announced);
    }
    const blocks = await Promise.all(heights.sort((left, right) => left - right).map((at) => this.#signed.block(at)));
    return handover ? [handover, ...blocks] : blocks;
  }

  /** The earliest block at hand whose header says `root`: an idle chain makes none for a while. */
  async #provingBlock(height: number, root: Uint8Array): Promise<LightBlock> {
    if (height > 0 && this.head().height >= height) {
      const block = await this.#light(height);
      if (equalBytes(block.header.appHash, root)) return block;
    }
    await this.#reaches(height + 1);
    return this.#light(height + 1);
  }

  /** Waits until this member has committed the block. */
  async #reaches(height: number): Promise<void> {
    const until = performance.now() + proofWaitMsMax;
    while (this.head().height < height) {
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

function submittedOf({ hash, height, index, code, log, cost, events, outputs, data }: LedgerTransaction): Submitted {
  return { hash, height, index, code, log, cost, events, outputs, data };
}
