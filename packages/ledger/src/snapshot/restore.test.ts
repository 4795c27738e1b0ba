import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SalusError, toHex } from '@salus/protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication, LedgerErrorCodes, SnapshotRestore } from '../index.ts';
import { commitBlock, positionAfter, stamps } from '../testing/blocks.ts';
import { diskError, FaultyFiles } from '../testing/faulty-files.ts';
import { makeKernel, makeNetwork } from '../testing/fixture.ts';
import { preloadState } from '../testing/preload.ts';
import { type Carried, carry, restore, trustOf, writeCarried } from '../testing/snapshots.ts';

const CHILD = fileURLToPath(new URL('../testing/restore-child.ts', import.meta.url));
const network = makeNetwork(4);
const { genesis } = network;
/** Three chunks. */
const entries = 60_000;
const { directoryIncomplete, snapshotChunkDamaged, snapshotChunkOutOfOrder } = LedgerErrorCodes;

let base: string;
let carried: Carried;
let dir: string;
const open = (at: string) =>
  DurableApplication.open({ dir: at, genesis, kernel: makeKernel(), clock: () => genesis.timeMs });

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'salus-restore.'));
  const source = join(base, 'source');
  await (await open(source)).close();
  await preloadState(source, network, entries);
  const application = await open(source);
  await commitBlock(application, await stamps(network, positionAfter(application.info()), ['a', 'b']));
  carried = await carry(application.snapshots, await application.snapshots.create());
  await application.close();
  mkdirSync(join(base, 'carried'));
  writeCarried(carried, (name, bytes) => writeFileSync(join(base, 'carried', name), bytes));
}, 60_000);

beforeEach(() => {
  dir = join(base, 'target');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
afterAll(() => rmSync(base, { recursive: true }));

async function codeOf(promise: Promise<unknown>): Promise<number | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => (error instanceof SalusError ? error.code : -1),
  );
}

const begin = (files?: FaultyFiles) =>
  SnapshotRestore.begin({
    dir,
    genesis,
    snapshot: carried.snapshot,
    trusted: trustOf(carried),
    ...(files ? { files } : {}),
  });

async function expectWhole(): Promise<void> {
  const { height, appHash } = trustOf(carried);
  const application = await open(dir);
  const info = application.info();
  await application.close();
  expect([info.height, toHex(info.appHash)]).toEqual([height, toHex(appHash)]);
  expect(
    readdirSync(dir)
      .filter((name) => !name.startsWith('lock'))
      .sort(),
  ).toEqual(['blocks', 'chain.json', 'genesis.json', 'store']);
}

describe('R-LED-8 chunks', () => {
  it('flipped, cut, swapped, left out, repeated or too many are refused, and the right one is still taken', async () => {
    const { chunks } = carried;
    expect(chunks.length).toBe(3);
    const restoring = await begin();
    for (const [index, chunk] of chunks.entries()) {
      for (let share = 0; share < 4; share += 1) {
        const flipped = Buffer.from(chunk);
        const place = Math.min(chunk.length - 1, Math.floor((chunk.length * share) / 3));
        flipped[place] = (flipped[place] as number) ^ 16;
        expect(await codeOf(restoring.apply(index, flipped))).toBe(snapshotChunkDamaged);
      }
      expect(await codeOf(restoring.apply(index, chunk.subarray(1)))).toBe(snapshotChunkDamaged);
      expect(await codeOf(restoring.apply(index, new Uint8Array(0)))).toBe(snapshotChunkDamaged);
      for (const [other, wrong] of chunks.entries()) {
        if (other === index) continue;
        expect(await codeOf(restoring.apply(index, wrong))).toBe(snapshotChunkDamaged);
        expect(await codeOf(restoring.apply(other, wrong))).toBe(snapshotChunkOutOfOrder);
      }
      expect(restoring.next).toBe(index);
      expect(await codeOf(open(dir))).toBe(LedgerErrorCodes.directoryLocked);
      expect(await restoring.apply(index, chunk)).toBe(index === chunks.length - 1 ? 'whole' : 'more');
    }
    expect(await codeOf(restoring.apply(3, new Uint8Array(1)))).toBe(snapshotChunkOutOfOrder);
    await expectWhole();
  });

  it('that never come leave nothing behind', async () => {
    const [first] = carried.chunks as [Uint8Array];
    const restoring = await begin();
    await restoring.apply(0, first);
    await restoring.abort();
    expect(await codeOf(DurableApplication.open({ dir, kernel: makeKernel() }))).toBe(LedgerErrorCodes.directoryEmpty);
    expect(await codeOf(restoring.apply(1, first))).toBe(snapshotChunkOutOfOrder);
    expect(await restore(carried, { dir, genesis, trusted: trustOf(carried) })).toBe('whole');
    await expectWhole();
  });

  it('that find no room leave nothing behind', async () => {
    const files = new FaultyFiles();
    const restoring = await begin(files);
    files.fault = (operation, path) =>
      operation === 'write' && path.endsWith('.blocks') ? diskError('ENOSPC') : undefined;
    const applying = (async () => {
      for (const [index, chunk] of carried.chunks.entries()) await restoring.apply(index, chunk);
    })();
    expect(await codeOf(applying)).toBe(LedgerErrorCodes.diskFull);
    expect(readdirSync(dir).filter((name) => !name.startsWith('lock'))).toEqual([]);
    expect(await restore(carried, { dir, genesis, trusted: trustOf(carried) })).toBe('whole');
    await expectWhole();
  });
});

describe('R-LED-8 a restore that is killed', () => {
  /** Kills it `afterMs` after it said `line`. */
  async function killed(line: string, afterMs: number): Promise<void> {
    const child = spawn(process.execPath, [CHILD, dir, join(base, 'carried')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(child.stdout).on('line', (said) => {
      if (said === line) setTimeout(() => child.kill('SIGKILL'), afterMs);
    });
    await new Promise((resolve) => child.on('close', resolve));
  }

  it.each([
    ['begun', 0],
    ['more 0', 20],
    ['more 1', 60],
  ])('after "%s" and %i ms opens as nothing, and the next one goes through', async (line, afterMs) => {
    await killed(line, afterMs);
    const { height, appHash } = trustOf(carried);
    const code = await codeOf(
      open(dir).then(async (application) => {
        // Killed after its end: then it is whole.
        expect(application.info()).toMatchObject({ height, appHash });
        await application.close();
      }),
    );
    expect([undefined, directoryIncomplete]).toContain(code);
    if (code === undefined) return;
    expect(await restore(carried, { dir, genesis, trusted: trustOf(carried) })).toBe('whole');
    await expectWhole();
  });
});
