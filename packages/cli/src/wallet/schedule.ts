import { randomInt } from 'node:crypto';

/**
 * What a patient decides for several contexts goes out at random times within this span, so that an onlooker cannot tell
 * by the clock that these contexts belong to one person. Revocations go out at once: safety comes first (decisions).
 */
export const spreadMsMax = 72 * 3_600_000;
const stepMs = 1_000;

/** A random moment within the span; each context draws its own. */
export function spreadTimeMs(nowMs: number, draw: (max: number) => number = (max) => randomInt(max)): number {
  return nowMs + draw(spreadMsMax / stepMs) * stepMs;
}
