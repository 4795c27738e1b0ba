import { setTimeout as sleep } from 'node:timers/promises';
import { retryDelayMsMax, retryDelayMsMin } from './peer-outbox.ts';

/**
 * Says something to somebody once, as soon as they listen: tries with growing pauses until it succeeded or the signal ends
 * it. Never rejects.
 */
export async function greet(say: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let delayMs = retryDelayMsMin; !signal.aborted; delayMs = Math.min(2 * delayMs, retryDelayMsMax)) {
    try {
      await say();
      return;
    } catch {
      // Not there yet, or not willing: a delivery of theirs would ask the same question.
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
