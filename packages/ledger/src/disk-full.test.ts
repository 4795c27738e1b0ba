import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SalusError } from '@salus/protocol';
import { afterAll, describe, expect, it } from 'vitest';
import { LedgerErrorCodes, openLedger } from './index.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const diskBytes = 8 * 1024 * 1024;
const segmentBytes = 1024 * 1024;
const lanes = 60;
const roundsMax = 100;
const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const disk = mkdtempSync(join(tmpdir(), 'salus-disk.'));

/** Whether this machine lets a test mount a small disk of its own. */
const isMounted = (() => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', disk], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: no disk of its own can be mounted here (needs the right to mount a tmpfs)');
    return false;
  }
})();
afterAll(() => {
  if (isMounted) execFileSync('umount', ['-l', disk]);
  rmSync(disk, { recursive: true, force: true });
});

const open = () =>
  openLedger({
    dir: join(disk, 'ledger'),
    genesis,
    validatorKey,
    kernel: makeKernel(),
    verifyWorkers: 1,
    segmentBytes,
  });

/** Takes all space that is left; gives back what frees it. */
function fillDisk(): () => void {
  const filler = join(disk, 'filler');
  for (let share = 1; share <= 1024; share *= 2) {
    const { bavail, bsize } = statfsSync(disk);
    const bytes = Math.floor((bavail * bsize) / 2);
    if (bytes > 0) writeFileSync(`${filler}-${share}`, Buffer.alloc(bytes, 1));
  }
  return () => {
    for (let share = 1; share <= 1024; share *= 2) rmSync(`${filler}-${share}`, { force: true });
  };
}

describe('R-LED-1 a disk that is really full', () => {
  it.skipIf(!isMounted)(
    'makes the ledger refuse with its number, lose nothing, end nothing, and go on when there is room',
    async () => {
      const rejections: unknown[] = [];
      const note = (error: unknown): number => rejections.push(error);
      process.on('unhandledRejection', note);
      const acknowledged: string[] = [];
      const refusals = new Set<number>();
      let ledger = await open();
      let count = 0;
      const submit = async (): Promise<void> => {
        count += 1;
        const bytes = await stampTransaction(network, network.participants[count % 4]!, `full ${count}`);
        await ledger.submit(bytes).then(
          ({ hash }) => acknowledged.push(hash),
          (error: unknown) => refusals.add(error instanceof SalusError ? error.code : -1),
        );
      };
      const round = () => Promise.all(Array.from({ length: lanes }, submit));
      await round();
      expect([...refusals]).toEqual([]);

      const free = fillDisk();
      const waiting: Promise<unknown>[] = [];
      // Some are taken while there is prepared room, then they wait for room, then they are refused.
      for (let n = 0; n < roundsMax && !refusals.has(LedgerErrorCodes.diskFull); n += 1) {
        waiting.push(round());
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect([...refusals]).toEqual([LedgerErrorCodes.diskFull]);
      expect(ledger.status()).toMatchObject({ ok: false });
      await expect(ledger.flush()).rejects.toMatchObject({ code: LedgerErrorCodes.storeUnwritable });
      expect((await ledger.transaction(acknowledged[0]!))?.code).toBe(0);

      free();
      await expect.poll(() => ledger.status().ok).toBe(true);
      await Promise.all(waiting);
      const before = acknowledged.length;
      await round();
      expect(acknowledged.length).toBe(before + lanes);
      expect([...refusals]).toEqual([LedgerErrorCodes.diskFull]);
      await ledger.close();
      ledger = await open();
      for (const hash of acknowledged) expect((await ledger.transaction(hash))?.code, hash).toBe(0);
      expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
      await ledger.close();
      process.off('unhandledRejection', note);
      expect(rejections).toEqual([]);
    },
    60_000,
  );
});
