import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long work goes on before requests get their turn of the event loop. */
const turnMsMax = 10;

/** Keeps long work from holding up the event loop. */
export class Turn {
  #startMs = performance.now();

  async yieldWhenLong(): Promise<void> {
    if (performance.now() - this.#startMs < turnMsMax) return;
    await nextTurn();
    this.#startMs = performance.now();
  }
}
