import { describe, expect, it } from 'vitest';
import { spreadMsMax, spreadTimeMs } from './schedule.ts';

const nowMs = 1_800_000_000_000;

describe('R-LED-5 writes of one person in several contexts', () => {
  it('are due between now and the end of the span, everywhere in it', () => {
    const due = Array.from({ length: 4_000 }, () => spreadTimeMs(nowMs) - nowMs);
    expect(Math.min(...due)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...due)).toBeLessThan(spreadMsMax);
    const counts = Array.from(
      { length: 8 },
      (_, part) => due.filter((ms) => Math.floor((ms / spreadMsMax) * 8) === part).length,
    );
    // 500 are expected in each eighth; six standard deviations are about 125.
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(125);
  });

  it('are drawn alone: one does not tell the next', () => {
    const due = Array.from({ length: 4_000 }, () => spreadTimeMs(nowMs) - nowMs);
    const near = due.slice(1).filter((ms, at) => Math.abs(ms - (due[at] ?? 0)) < spreadMsMax / 100).length;
    expect(near / due.length).toBeLessThan(0.04);
  });

  it('follow what is drawn, to the ends of the span', () => {
    expect(spreadTimeMs(nowMs, () => 0)).toBe(nowMs);
    expect(spreadTimeMs(nowMs, (max) => max - 1)).toBeLessThan(nowMs + spreadMsMax);
  });
});
