import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerErrorCodes } from '../errors.ts';
import { nodeFiles } from '../files.ts';
import { BlockLog } from './block-log.ts';
import { type LogLocation, type LogScan, scanLog, segmentName } from './segment.ts';
import { checkSegments } from './segment-check.ts';

const genesisHash = new Uint8Array(32).fill(7);
const segmentBytes = 4_096;
const payloadBytes = 700;
const blocks = 23;

let dir: string;
let scan: LogScan;
let segments: number[];
const index = new Map<number, LogLocation>();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-log.'));
  scan = { files: nodeFiles, dir, genesisHash };
  const log = await BlockLog.open({ ...scan, segmentBytes });
  for (let height = 1; height <= blocks; height += 1) {
    index.set(height, await log.append(new Uint8Array(payloadBytes).fill(height), height));
  }
  await log.close();
  segments = readdirSync(dir).flatMap((name) => (name.endsWith('.blocks') ? [Number(name.slice(0, 15))] : []));
});
afterAll(() => rmSync(dir, { recursive: true }));

const check = (headHeight = blocks) =>
  checkSegments(scan, { firstHeight: 1, headHeight, location: (height) => index.get(height) });
const path = (segment: number) => join(dir, segmentName(segment));

/** Runs `examine` on a changed file and puts the file back. */
async function changed(segment: number, change: () => void, examine: () => Promise<void>): Promise<void> {
  const whole = readFileSync(path(segment));
  change();
  try {
    await examine();
  } finally {
    writeFileSync(path(segment), whole);
  }
}

describe('R-LED-1 the files of the block log at a start', () => {
  it('are in order as they were written, whatever of them is in the store already', async () => {
    expect(segments.length).toBeGreaterThan(3);
    for (let head = 0; head <= blocks; head += 1) await check(head);
  });

  it('one missing or shortened anywhere is found', async () => {
    for (const segment of segments) {
      await changed(
        segment,
        () => rmSync(path(segment)),
        () => expect(check()).rejects.toMatchObject({ code: LedgerErrorCodes.blockLogDamaged }),
      );
      for (const bytes of [0, 64, segmentBytes >> 1, segmentBytes - 1]) {
        await changed(
          segment,
          () => truncateSync(path(segment), bytes),
          () =>
            expect(check(), `${segment} ${bytes}`).rejects.toMatchObject({ code: LedgerErrorCodes.blockLogDamaged }),
        );
      }
    }
  });

  it('an end that was cut within a block is no torn write, even where the file does not say its length', async () => {
    const segment = segments.at(-1) as number;
    const { offset, bytes } = index.get(blocks) as LogLocation;
    for (const cut of [offset + bytes - 1, offset + 100, offset + 28, offset + 5]) {
      await changed(
        segment,
        () => {
          const unsaid = readFileSync(path(segment)).subarray(0, cut);
          unsaid.fill(0, 56, 64);
          writeFileSync(path(segment), unsaid);
        },
        async () => {
          expect(() => scanLog(scan, undefined, () => undefined), String(cut)).toThrow(/not what was written/);
        },
      );
    }
  });
});
