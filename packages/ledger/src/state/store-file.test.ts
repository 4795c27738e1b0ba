import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFiles } from '../files.ts';
import { LedgerErrorCodes, openLedger } from '../index.ts';
import { makeKernel, makeNetwork } from '../testing/fixture.ts';
import { preloadState } from '../testing/preload.ts';
import { storeFileProblem } from './store-file.ts';

const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const pageBytes = 4_096;
const entries = 1_500;

let dir: string;
const open = () => openLedger({ dir, genesis, validatorKey, kernel: makeKernel(), verifyWorkers: 1 });
const storeDir = () => join(dir, 'store');
const file = () => join(dir, 'store', 'data.mdb');

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-store.'));
  await (await open()).close();
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('R-LED-1 a store whose file has lost its end', () => {
  it('is refused before it is mapped, at every length, and left as it is', async () => {
    const whole = readFileSync(file());
    for (const bytes of [
      0,
      1,
      100,
      pageBytes,
      2 * pageBytes,
      whole.length >> 1,
      whole.length - pageBytes,
      whole.length - 1,
    ]) {
      writeFileSync(file(), whole.subarray(0, bytes));
      await expect(open(), String(bytes)).rejects.toMatchObject({ code: LedgerErrorCodes.storeTruncated });
      expect(readFileSync(file()).length).toBe(bytes);
    }
    rmSync(file());
    await expect(open()).rejects.toMatchObject({ code: LedgerErrorCodes.storeTruncated });
    writeFileSync(file(), whole);
    await (await open()).close();
  });

  it('and whose pages lead nowhere is found where every page is looked at', async () => {
    await preloadState(dir, network, entries);
    const whole = readFileSync(file());
    expect(await storeFileProblem(nodeFiles, storeDir(), true)).toBeUndefined();
    // The root of the main table, in both of the first pages, then the kind of the page that the root is.
    const root = Number(whole.readBigUInt64LE(136));
    for (const change of [
      (bytes: Buffer) => [0, pageBytes].map((page) => bytes.writeBigUInt64LE(2n ** 40n, page + 136)),
      (bytes: Buffer) =>
        [0, pageBytes].map((page) =>
          bytes.writeUInt16LE(0, Number(bytes.readBigUInt64LE(page + 136)) * pageBytes + 18),
        ),
      (bytes: Buffer) => bytes.fill(0xff, root * pageBytes + 24, root * pageBytes + 40),
    ]) {
      const damaged = Buffer.from(whole);
      change(damaged);
      writeFileSync(file(), damaged);
      const examined = openLedger({ dir, genesis, validatorKey, kernel: makeKernel(), everyPage: true });
      await expect(examined).rejects.toMatchObject({ code: LedgerErrorCodes.storeTruncated });
    }
  });

  it('is told from one whose last pages are free and were never written', async () => {
    await preloadState(dir, network, entries);
    const whole = readFileSync(file());
    expect(whole.length).toBeGreaterThan(100 * pageBytes);
    // A store of more pages than its file has, in both of its first pages: nothing that a table uses is missing.
    const more = Buffer.from(whole);
    for (const page of [0, pageBytes]) {
      more.writeBigUInt64LE(more.readBigUInt64LE(page + 144) + 3n, page + 144);
    }
    writeFileSync(file(), more);
    expect(await storeFileProblem(nodeFiles, storeDir())).toBeUndefined();
    copyFileSync(file(), `${file()}.more`);
    for (let pages = 3; pages * pageBytes < whole.length; pages += 11) {
      copyFileSync(`${file()}.more`, file());
      truncateSync(file(), pages * pageBytes);
      expect(await storeFileProblem(nodeFiles, storeDir()), `${pages} pages`).toContain(
        `${pages * pageBytes} bytes of`,
      );
    }
  });
});
