import type { SalusError } from '@salus/protocol';
import { ledgerError } from './errors.ts';
import { diskRetryMs, flushEntries, flushIdleMs, storeRetriesMax, unflushedEntriesMax } from './limits.ts';
import type { Meter } from './meter.ts';
import { isRepeatable, isSpaceFailure } from './state/environment.ts';
import { flush } from './state/flush.ts';
import type { StateStore } from './state/state-store.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Brings what is durable in the log into the store, behind the blocks and in small steps. How far the store may lie
 * behind bounds both memory and what a start has to read and do again from the log.
 */
export class Flusher {
  readonly #state: StateStore;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout;
  #problem: Error | undefined;
  #failed: SalusError | undefined;
  #isClosed = false;
  readonly #entriesMax: number;
  readonly #meter: Meter | undefined;

  constructor(state: StateStore, entriesMax = unflushedEntriesMax, meter?: Meter) {
    this.#state = state;
    this.#meter = meter;
    this.#entriesMax = entriesMax;
    this.#timer = setInterval(() => this.#check(), flushIdleMs / 2);
    this.#timer.unref();
  }

  /** Called after each durable block. */
  noteBlock(): void {
    if (!this.#running && this.#state.unflushed().entries >= flushEntries) this.#start();
  }

  isBehind(): boolean {
    return this.#state.unflushed().entries >= this.#entriesMax;
  }

  /**
   * Resolves when another block may come: for whoever cannot refuse one. Waits for as long as the disk is full. Throws
   * `closed`, `storeFailed`.
   */
  async room(): Promise<void> {
    if (this.#failed) throw this.#failed;
    while (this.isBehind()) {
      if (this.#isClosed) throw ledgerError('closed');
      if (!this.#running) this.#start();
      await this.#running;
      if (this.#failed) throw this.#failed;
    }
  }

  /** Why nothing more comes into the store before the next start; what is durable is in the log. */
  failed(): SalusError | undefined {
    return this.#failed;
  }

  /** Why the last flush did not end: what it holds stays in the log and in memory, and is tried again. */
  problem(): Error | undefined {
    return this.#problem;
  }

  /** Everything that is durable now is in the store when this resolves. Throws `storeUnwritable`, `storeFailed`. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running;
    const draining = this.#drain();
    // Two that flush at a time would end each other's.
    this.#running = draining
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
    await draining;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  #check(): void {
    if (this.#running || this.#failed) return;
    // After a failure what it held is there still, whether or not blocks came since.
    const isDue = performance.now() - this.#state.unflushed().sinceMs >= flushIdleMs;
    if (isDue || this.#problem) this.#start();
  }

  #start(): void {
    if (this.#failed) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    const sinceMs = performance.now();
    try {
      // The event loop and the disk go to the blocks between the steps.
      await this.#flush(() => sleep(1));
      this.#meter?.time('flush', sinceMs);
    } catch {
      await sleep(diskRetryMs);
    }
  }

  async #drain(): Promise<void> {
    while (await this.#flush(() => Promise.resolve())) {
      // Blocks that became durable meanwhile go with the next round.
    }
  }

  /**
   * One flush; false where there was nothing. A failure for want of room is thrown at once, and what the flush holds is
   * tried again when there is some. After any other one nobody knows what state the library is in (MDB_PANIC, lmdb.h: it
   * refuses every later transaction, and waits for ever): nothing more comes into the store before the next start.
   */
  async #flush(pause: () => Promise<void>): Promise<boolean> {
    for (let retries = 0; ; retries += 1) {
      if (this.#failed) throw this.#failed;
      try {
        const hasFlushed = await flush(this.#state, pause);
        this.#problem = undefined;
        return hasFlushed;
      } catch (error) {
        const problem = error as Error;
        this.#problem = problem;
        if (isSpaceFailure(problem)) throw problem;
        if (!isRepeatable(problem) || retries >= storeRetriesMax)
          this.#failed = ledgerError('storeFailed', problem.message, { cause: problem });
        else await sleep(diskRetryMs);
      }
    }
  }
}
