import { ledgerError } from './errors.ts';
import { diskRetryMs, flushEntries, flushIdleMs, unflushedEntriesMax } from './limits.ts';
import type { Meter } from './meter.ts';
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
   * Resolves when another block may come: for whoever cannot refuse one. Waits for as long as the store cannot be
   * written. Throws `closed`.
   */
  async room(): Promise<void> {
    while (this.isBehind()) {
      if (this.#isClosed) throw ledgerError('closed');
      if (!this.#running) this.#start();
      await this.#running;
    }
  }

  /** Why the last flush did not end: what it holds stays in the log and in memory, and is tried again. */
  problem(): Error | undefined {
    return this.#problem;
  }

  /** Everything that is durable now is in the store when this resolves. */
  async drain(): Promise<void> {
    await this.#running;
    while (await flush(this.#state, () => Promise.resolve())) {
      // Blocks that became durable meanwhile go with the next round.
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  #check(): void {
    if (!this.#running && performance.now() - this.#state.unflushed().sinceMs >= flushIdleMs) this.#start();
  }

  #start(): void {
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    const sinceMs = performance.now();
    try {
      // The event loop and the disk go to the blocks between the steps.
      await flush(this.#state, () => sleep(1));
      this.#problem = undefined;
      this.#meter?.time('flush', sinceMs);
    } catch (error) {
      this.#problem = error as Error;
      await sleep(diskRetryMs);
    }
  }
}
