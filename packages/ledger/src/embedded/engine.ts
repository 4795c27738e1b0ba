import { StateUnreadableError } from '@salus/contracts';
import { SalusError } from '@salus/protocol';
import type { Application, FinalizedBlock } from '../application.ts';
import { ledgerError } from '../errors.ts';
import {
  blockBytesMax,
  blockGatherMs,
  blockGatherTransactions,
  blockRetriesMax,
  blockTransactionsMax,
  diskRetryMs,
  heartbeatMs,
  waitingBytesMax,
  waitingTransactionsMax,
} from '../limits.ts';
import { encodeResults, encodeSigned, type ResultJson, resultJson } from '../log/block-codec.ts';
import type { BlockLog } from '../log/block-log.ts';
import { encodeRecord } from '../log/record.ts';
import type { LogLocation } from '../log/segment.ts';
import type { Meter } from '../meter.ts';
import type { VerifiedBytes, Verifier } from '../verify/verifier.ts';
import { type BlockBuilder, type BuiltBlock, type ChainTip, resultsHashOf } from './block-builder.ts';

/** Milliseconds since 1970. */
export type Clock = () => number;

export type Submitted = ResultJson & { hash: string; height: number; index: number };

export type CommittedBlock = BuiltBlock & {
  height: number;
  timeMs: number;
  transactions: readonly { hash: string; bytes: Uint8Array }[];
  results: readonly ResultJson[];
};

type Waiting = { verified: VerifiedBytes; resolve: (result: Submitted) => void; reject: (error: Error) => void };

export type EngineParts = {
  application: Application;
  verifier: Verifier;
  log: BlockLog;
  builder: BlockBuilder;
  tip: ChainTip;
  clock: Clock;
  meter: Meter;
  /** Moves the oldest executed block into the state that readers see. */
  onDurable(block: CommittedBlock, location: LogLocation): void;
  /** Executed blocks will never be durable. */
  onFailed(): void;
  /** Why the next block may not be executed by this program. */
  problemAt(height: number): SalusError | undefined;
  /** Whether the flush has fallen too far behind to accept more. */
  isBehind(): boolean;
};

/** Blocks that are executed and not yet on the disk: one syncs while the next is made. */
export const blocksUnsyncedMax = 2;

/**
 * Orders transactions for one validator in this process. A block is a group commit: while one is synced, the next one
 * gathers. Answers wait for the sync, nothing else does.
 */
export class EmbeddedEngine {
  readonly #parts: EngineParts;
  #tip: ChainTip;
  #queue: Waiting[] = [];
  #waiting = 0;
  #waitingBytes = 0;
  #verifying = 0;
  #unsynced = 0;
  #lastBlockMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #isKicked = false;
  #retry: NodeJS.Timeout | undefined;
  #retries = 0;
  #stopped: SalusError | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#tip = parts.tip;
    parts.log.onStatus(() => this.#kick());
  }

  start(): void {
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs / 10);
    this.#heartbeat.unref();
    this.#kick();
  }

  /** Resolves when the transaction's block is on the disk. Rejects with a SalusError when it is in no block. */
  submit(bytes: Uint8Array): Promise<Submitted> {
    const refusal = this.#refusal(bytes.length);
    if (refusal) return Promise.reject(refusal);
    this.#waiting += 1;
    this.#waitingBytes += bytes.length;
    this.#verifying += 1;
    return new Promise<Submitted>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting -= 1;
        this.#waitingBytes -= bytes.length;
      };
      this.#parts.verifier.verify(bytes, (verified) => {
        this.#verifying -= 1;
        const waiting: Waiting = {
          verified: verified as VerifiedBytes,
          resolve: (result) => {
            leave();
            resolve(result);
          },
          reject: (error) => {
            leave();
            reject(error);
          },
        };
        if (verified instanceof SalusError) waiting.reject(verified);
        else if (this.#stopped) waiting.reject(this.#stopped);
        else this.#queue.push(waiting);
        this.#kick();
      });
    });
  }

  /** Accepted and in no durable block yet. */
  waiting(): number {
    return this.#waiting;
  }

  tip(): ChainTip {
    return this.#tip;
  }

  /** Time of the next block, were it made now. */
  nextTimeMs(): number {
    return Math.max(this.#tip.timeMs + 1, this.#parts.clock());
  }

  /** Why it takes nothing more. */
  stopped(): SalusError | undefined {
    return this.#stopped;
  }

  /** Nothing waits, nothing is on its way to the disk. */
  isQuiet(): boolean {
    return this.#waiting === 0 && this.#unsynced === 0 && !this.#tip.isUnproven;
  }

  /** Accepts nothing more; what is executed goes to the disk, what waits is refused. */
  async stop(): Promise<void> {
    this.#stopped ??= ledgerError('closed');
    clearInterval(this.#heartbeat);
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#rejectQueue(this.#stopped);
    while (this.#unsynced > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  #refusal(bytes: number): SalusError | undefined {
    if (this.#stopped) return this.#stopped;
    if (this.#parts.log.status() === 'full') return ledgerError('diskFull');
    const isFull = this.#waiting >= waitingTransactionsMax || this.#waitingBytes + bytes > waitingBytesMax;
    if (isFull || this.#parts.isBehind()) return ledgerError('overloaded');
    return undefined;
  }

  #kick(): void {
    if (this.#isKicked) return;
    this.#isKicked = true;
    setImmediate(() => {
      this.#isKicked = false;
      this.#advance();
    });
  }

  /** Makes a block where one is due; called after everything that may make one due. */
  #advance(): void {
    if (this.#retry) return;
    try {
      this.#makeDue();
    } catch (error) {
      this.#postpone(error);
    }
  }

  /** State that cannot be read gives no result: nothing more can be executed. */
  #postpone(error: unknown): void {
    if (!(error instanceof StateUnreadableError)) throw error;
    this.#retries += 1;
    if (this.#retries > blockRetriesMax) {
      this.#stopped ??= ledgerError('storeFailed', error.message, { cause: error });
      this.#rejectQueue(this.#stopped);
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#advance();
    }, diskRetryMs);
  }

  #makeDue(): void {
    if (this.#stopped || this.#unsynced >= blocksUnsyncedMax || this.#isOutdated()) return;
    if (this.#queue.length === 0) {
      if (this.#tip.isUnproven && this.#verifying === 0 && this.#unsynced === 0) this.#makeBlock();
      return;
    }
    // Without room on the disk what is verified waits; it was accepted when there was room.
    if (this.#parts.log.status() !== 'ok' && this.#unsynced > 0) return;
    const sinceMs = performance.now() - this.#lastBlockMs;
    const hasCompany = this.#verifying > 0;
    if (this.#queue.length < blockGatherTransactions && hasCompany && sinceMs < blockGatherMs) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#advance();
      }, blockGatherMs - sinceMs);
      return;
    }
    this.#lastBlockMs = performance.now();
    this.#makeBlock();
    if (this.#queue.length > 0) this.#kick();
  }

  #beat(): void {
    const isDue = this.#parts.clock() - this.#tip.timeMs >= heartbeatMs;
    const isIdle = !this.#stopped && !this.#retry && this.#queue.length === 0 && this.#unsynced === 0;
    if (!isDue || !isIdle) return;
    try {
      if (!this.#isOutdated()) this.#makeBlock();
    } catch (error) {
      this.#postpone(error);
    }
  }

  /** Before the block, with everything as it is: what waits is refused, what is read is still answered. */
  #isOutdated(): boolean {
    const problem = this.#parts.problemAt(this.#tip.height + 1);
    if (!problem) return false;
    this.#stopped = problem;
    this.#rejectQueue(problem);
    return true;
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { verified } of this.#queue) {
      bytes += verified.tx.bytes.length;
      if (count > 0 && (bytes > blockBytesMax || count >= blockTransactionsMax)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #makeBlock(): void {
    const { application, meter } = this.#parts;
    const sinceMs = performance.now();
    const position = { height: this.#tip.height + 1, blockTimeMs: this.nextTimeMs() };
    const taken = this.#take();
    const { accepted, refused } = this.#orBack(taken, () =>
      application.prepareProposal(
        taken.map(({ verified }) => verified),
        position,
      ),
    );
    for (const [place, { code, log }] of refused) taken[place]?.reject(new SalusError(code, log));
    const kept = refused.size === 0 ? taken : taken.filter((_waiting, place) => !refused.has(place));
    if (kept.length === 0 && taken.length > 0) {
      this.#kick();
      return;
    }
    const finalized = this.#orBack(kept, () => application.finalizeBlock(accepted, position));
    this.#retries = 0;
    meter.time('execute', sinceMs);
    this.#seal(kept, finalized, position.blockTimeMs);
  }

  /** What cannot be executed now waits on, in front. */
  #orBack<T>(taken: readonly Waiting[], work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#queue.unshift(...taken);
      throw error;
    }
  }

  /** Header and votes over an executed block, then the log. */
  #seal(kept: readonly Waiting[], finalized: FinalizedBlock, timeMs: number): void {
    const { builder, log } = this.#parts;
    const { appHash, writes, replayIds } = finalized;
    const transactions = kept.map(({ verified }) => verified.tx.bytes);
    const built = builder.build(
      this.#tip,
      timeMs,
      transactions,
      kept.map(({ verified }) => verified.tx.hash),
    );
    const results = finalized.results.map(resultJson);
    const height = built.header.height;
    const record = {
      height,
      timeMs,
      signed: encodeSigned(built),
      appHash,
      transactions,
      results: encodeResults(results),
      writes,
      replayIds,
    };
    this.#tip = {
      height,
      timeMs,
      blockId: built.commit.blockId,
      commit: built.commit,
      appHash,
      resultsHash: resultsHashOf(finalized.results),
      isUnproven: kept.length > 0,
    };
    this.#unsynced += 1;
    const sinceMs = performance.now();
    const block: CommittedBlock = {
      ...built,
      height,
      timeMs,
      transactions: kept.map(({ verified }) => ({ hash: verified.hash, bytes: verified.tx.bytes })),
      results,
    };
    log.append(encodeRecord(record), height).then(
      (location) => {
        this.#parts.meter.time('commit', sinceMs);
        this.#durable(block, kept, location);
      },
      (error: SalusError) => this.#failed(kept, error),
    );
  }

  #durable(block: CommittedBlock, kept: readonly Waiting[], location: LogLocation): void {
    this.#unsynced -= 1;
    this.#parts.onDurable(block, location);
    const { height } = block;
    for (const [index, waiting] of kept.entries()) {
      const result = block.results[index] as ResultJson;
      waiting.resolve({ hash: waiting.verified.hash, height, index, ...result });
    }
    this.#kick();
  }

  #failed(kept: readonly Waiting[], error: SalusError): void {
    this.#unsynced -= 1;
    if (!this.#stopped) {
      this.#stopped = error;
      this.#parts.onFailed();
    }
    for (const waiting of kept) waiting.reject(error);
    this.#rejectQueue(error);
  }

  #rejectQueue(error: SalusError): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const waiting of queue) waiting.reject(error);
  }
}
