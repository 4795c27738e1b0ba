import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { utf8, utf8Text } from '@salus/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logEntryBytesMax, openSyncedLog, type SyncedLog } from './synced-log.ts';
import { filesContaining, flipInFile, refusal, runModule, smallDisk, temporaryDirectory } from './testing.ts';

const key = randomBytes(32);
const name = 'did:salus:organisation';
const segmentBytes = 262_144;
let temporary: ReturnType<typeof temporaryDirectory>;
let dir: string;
let opened: SyncedLog | undefined;

beforeEach(() => {
  temporary = temporaryDirectory();
  dir = join(temporary.path, 'log');
});
afterEach(async () => {
  await close();
  temporary.remove();
});

async function close(): Promise<void> {
  await opened?.close();
  opened = undefined;
}

async function open(changed: Partial<Parameters<typeof openSyncedLog>[0]> = {}): Promise<SyncedLog> {
  await close();
  opened = await openSyncedLog({ dir, key, name, segmentBytes, ...changed });
  return opened;
}

const entry = (i: number) => utf8(JSON.stringify({ who: `did:salus:doctor-${i}`, what: `record-${i}`, why: 'TREAT' }));
const segment = (number: number) => join(dir, `${String(number).padStart(8, '0')}.log`);

async function texts(log: SyncedLog, after = 0): Promise<string[]> {
  const found: string[] = [];
  for await (const { bytes } of log.read(after)) found.push(utf8Text(bytes));
  return found;
}

/** `count` entries in batches of `batch`. */
async function fill(log: SyncedLog, count: number, batch = 5): Promise<void> {
  for (let i = 0; i < count; i += batch) {
    await Promise.all(Array.from({ length: Math.min(batch, count - i) }, (_, j) => log.append(entry(i + j))));
  }
}

/** End of what is written in the only segment. */
function writtenEnd(): number {
  const bytes = readFileSync(segment(1));
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

describe('R-CON-3 synced log: what was altered is refused', () => {
  it('one flipped bit anywhere before the last frame', async () => {
    const log = await open();
    await fill(log, 40);
    const lastFrame = (await framesOf(log)).at(-1)!.start;
    await close();
    await fc.assert(
      fc.asyncProperty(fc.nat(lastFrame - 1), fc.nat(7), async (position, bit) => {
        flipInFile(segment(1), position, bit);
        expect(await refusal(() => open())).toBe('logDamaged');
        flipInFile(segment(1), position, bit);
      }),
      { numRuns: 80 },
    );
    expect(await texts(await open())).toHaveLength(40);
  });

  it('a flipped bit in the last frame once it is anchored', async () => {
    const log = await open();
    await fill(log, 10);
    await log.markAnchored(log.head());
    const { start, end } = (await framesOf(log)).at(-1)!;
    await close();
    for (const position of [start, start + 5, start + 70, end - 1]) {
      flipInFile(segment(1), position, 2);
      expect(await refusal(() => open())).toMatch(/^log(Cut|Damaged)$/);
      flipInFile(segment(1), position, 2);
    }
    await open();
  });

  it('an anchored end that was cut off, a missing segment, an older copy, another log', async () => {
    const log = await open();
    await fill(log, 10);
    await close();
    copyFileSync(segment(1), join(temporary.path, 'older'));
    const more = await open();
    await fill(more, 10);
    await more.markAnchored(more.head());
    await close();
    const whole = readFileSync(segment(1));
    copyFileSync(join(temporary.path, 'older'), segment(1));
    expect(await refusal(() => open())).toBe('logCut');
    rmSync(segment(1));
    expect(await refusal(() => open())).toBe('logCut');
    writeFileSync(segment(1), whole);
    expect(await texts(await open())).toHaveLength(20);
    await close();
    renameSync(dir, join(temporary.path, 'first'));
    const other = await open();
    await fill(other, 20);
    await close();
    copyFileSync(segment(1), join(temporary.path, 'first', '00000001.log'));
    rmSync(dir, { recursive: true });
    renameSync(join(temporary.path, 'first'), dir);
    expect(await refusal(() => open())).toBe('logDamaged');
  });

  it('a missing or exchanged segment among several', async () => {
    const log = await open();
    for (let i = 0; i < 60; i++) await log.append(randomBytes(15_000));
    await close();
    expect(readdirSync(dir).filter((file) => /^\d+\.log$/.test(file)).length).toBeGreaterThan(3);
    renameSync(segment(2), join(temporary.path, 'two'));
    expect(await refusal(() => open())).toBe('logCut');
    copyFileSync(segment(3), segment(2));
    expect(await refusal(() => open())).toBe('logDamaged');
    copyFileSync(join(temporary.path, 'two'), segment(2));
    expect(await (await open()).verify()).toMatchObject({ entries: 60 });
  });

  it('another key or name cannot read; an entry that is too large; a head of another log', async () => {
    const log = await open();
    await fill(log, 3);
    expect(await refusal(() => log.append(new Uint8Array(logEntryBytesMax + 1)))).toBe('logEntryTooLarge');
    expect(await refusal(() => log.markAnchored({ sequence: 3, hash: '0'.repeat(64) }))).toBe('logCursor');
    expect(await refusal(() => log.markAnchored({ sequence: 9, hash: log.head().hash }))).toBe('logCursor');
    expect(await refusal(async () => texts(await open({ key: randomBytes(32) })))).toBe('logDamaged');
    expect(await refusal(async () => (await open({ name: 'did:salus:other' })).verify())).toBe('logDamaged');
    expect(await refusal(async () => (await open()).verify())).toBe('nothing thrown');
  });

  it('a second opener, here or in another process', async () => {
    await open();
    expect(await refusal(() => openSyncedLog({ dir, key, name }))).toBe('storeInUse');
    const child = runModule(
      `import { openSyncedLog } from 'DIRECTORY/synced-log.ts';
       await openSyncedLog({ dir: process.argv.at(-1), key: new Uint8Array(32), name: 'x' })
         .catch((error) => console.log(error.code));`,
      [dir],
    );
    await child.exited;
    expect(child.lines).toEqual(['210']);
  });
});

describe('R-CON-3 synced log: what was acknowledged stays', () => {
  it('a torn last batch is cut off, wherever it was torn, and the log goes on', async () => {
    const log = await open();
    await fill(log, 10);
    const { start } = (await framesOf(log)).at(-1)!;
    const end = writtenEnd();
    await close();
    const whole = readFileSync(segment(1));
    const tears: [number, number][] = [
      [start + 64, end],
      [start + 100, end],
      [end - 1, end],
      [start, start + 64],
      [start, end],
    ];
    for (const [from, to] of tears) {
      writeFileSync(segment(1), Buffer.from(whole).fill(0, from, to));
      const again = await open();
      expect(await texts(again)).toHaveLength(5);
      await again.append(entry(77));
      expect((await texts(await open())).at(-1)).toContain('doctor-77');
      expect((await opened!.verify()).entries).toBe(6);
      await close();
      writeFileSync(segment(1), whole);
    }
  });

  it('a killed process loses nothing that it acknowledged', async () => {
    const script = `
      import { openSyncedLog } from 'DIRECTORY/synced-log.ts';
      const log = await openSyncedLog({ dir: process.argv.at(-1), key: new Uint8Array(32), name: 'x', segmentBytes: 262144 });
      for (;;) {
        const done = await Promise.all(Array.from({ length: 7 }, () => log.append(new Uint8Array(900))));
        console.log(done.at(-1).sequence + ' ' + done.at(-1).head.hash);
      }`;
    for (let round = 1; round <= 3; round++) {
      const child = runModule(script, [dir]);
      while (child.lines.length < 30 * round) await new Promise((resolve) => setTimeout(resolve, 2));
      child.kill();
      await child.exited;
      const [sequence, hash] = child.lines.at(-1)!.split(' ');
      const log = await open({ key: new Uint8Array(32), name: 'x' });
      const { entries } = await log.verify();
      expect(entries).toBeGreaterThanOrEqual(Number(sequence));
      const hashes: string[] = [];
      for await (const { head } of log.readBatches()) hashes.push(head.hash);
      expect(hashes).toContain(hash);
      await close();
    }
  });

  it('keeps order, time and content over restarts and segments', async () => {
    const expected: string[] = [];
    let log = await open();
    for (let i = 0; i < 40; i++) {
      const text = `${i}:${'x'.repeat(i * 600)}`;
      expected.push(text);
      const { sequence } = await log.append(utf8(text), 1_000 + i);
      expect(sequence).toBe(i + 1);
      if (i % 9 === 0) log = await open();
    }
    expect(await texts(log)).toEqual(expected);
    expect(await texts(log, 33)).toEqual(expected.slice(33));
    const times: number[] = [];
    for await (const { timeMs } of log.read()) times.push(timeMs);
    expect(times).toEqual(expected.map((_, i) => 1_000 + i));
  });

  it('entries that arrive together share a sync', async () => {
    const log = await open();
    const results = await Promise.all(Array.from({ length: 500 }, (_, i) => log.append(entry(i))));
    expect(new Set(results.map(({ head }) => head.hash)).size).toBeLessThan(5);
    expect(results.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  it('remembers what was anchored, also when the last cursor write was torn', async () => {
    const log = await open();
    await fill(log, 10);
    const batch = (await log.pending())!;
    expect(batch.entries).toHaveLength(10);
    await log.markAnchored(batch.head);
    expect(await log.pending()).toBeUndefined();
    await fill(log, 10);
    expect((await log.pending())!.entries.map(({ sequence }) => sequence)).toEqual([
      11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ]);
    expect((await log.pending(3))!.head.sequence).toBe(15);
    const again = await open();
    expect(again.anchored()).toEqual(batch.head);
    await again.markAnchored((await again.pending())!.head);
    await close();
    flipInFile(join(dir, 'cursor'), 20, 1);
    expect((await open()).anchored()).toEqual(batch.head);
    expect((await opened!.pending())!.entries).toHaveLength(10);
  });

  it('holds nothing in clear', async () => {
    await fill(await open(), 10);
    expect(filesContaining(dir, utf8('doctor'))).toBe(0);
  });

  const disk = temporaryDirectory();
  const possible = smallDisk(disk.path, 2) !== undefined;
  disk.remove();
  it.skipIf(!possible)('goes on when the disk is full, until its reserve ends, and after space was freed', async () => {
    mkdirSync(dir);
    const script = `
      import { openSyncedLog } from 'DIRECTORY/synced-log.ts';
      import { unlinkSync, writeFileSync, appendFileSync } from 'node:fs';
      const disk = process.argv.at(-1);
      const options = { dir: disk + '/log', key: new Uint8Array(32), name: 'x', segmentBytes: 262144 };
      let log = await openSyncedLog(options);
      await log.append(new Uint8Array(1000));
      writeFileSync(disk + '/junk', '');
      try { for (;;) appendFileSync(disk + '/junk', Buffer.alloc(4096)); } catch {}
      let stored = 1, code = 0;
      const more = async () => {
        try { for (;;) { await log.append(new Uint8Array(1000)); stored += 1; if (stored > 5000) break; } }
        catch (error) { code = error.code; }
      };
      for (let i = 0; i < 20; i++) { await log.append(new Uint8Array(1000)); stored += 1; }
      await log.markAnchored(log.head());
      await log.close();
      log = await openSyncedLog(options);
      await more();
      const whileFull = stored;
      unlinkSync(disk + '/junk');
      await log.append(new Uint8Array(1000)); stored += 1;
      const { entries } = await log.verify();
      console.log(JSON.stringify({ whileFull, code, entries, stored }));`;
    const child = runModule(script, [dir], smallDisk(dir, 2));
    const { stderr } = await child.exited;
    expect(stderr).toBe('');
    const result = JSON.parse(child.lines[0]!);
    expect(result.code).toBe(251);
    expect(result.whileFull).toBeGreaterThan((2 * segmentBytes) / 1_300);
    expect(result.entries).toBe(result.stored);
  });
});

/** Where the frames lie in segment 1: every batch was one frame. */
async function framesOf(log: SyncedLog): Promise<{ start: number; end: number }[]> {
  const bytes = readFileSync(segment(1));
  const frames: { start: number; end: number }[] = [];
  let start = 64;
  for await (const _ of log.readBatches()) {
    const body = bytes.readUInt32BE(start + 4);
    const end = start + Math.ceil((64 + body) / 64) * 64;
    frames.push({ start, end: start + 64 + body });
    start = end;
  }
  return frames;
}
