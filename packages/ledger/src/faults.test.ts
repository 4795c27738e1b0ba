import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SalusError } from '@salus/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LedgerErrorCodes, openLedger } from './index.ts';
import type { Ledger } from './ledger.ts';
import { diskError, FaultyFiles } from './testing/faulty-files.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const network = makeNetwork(4);
const powerCuts = Number(process.env.SALUS_POWER_CUTS ?? 12);

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'salus-fault-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = (files?: FaultyFiles, genesis = network.genesis): Promise<Ledger> =>
  openLedger({ dir, genesis, validatorKey: network.validatorKey, kernel: makeKernel(), ...(files ? { files } : {}) });

let counter = 0;
async function submit(ledger: Ledger): Promise<string> {
  counter += 1;
  const participant = network.participants[counter % 4]!;
  return (await ledger.submit(await stampTransaction(network, participant, `fault ${counter}`))).hash;
}

async function codeOf(promise: Promise<unknown>): Promise<number | undefined> {
  return promise.then(
    () => undefined,
    (error: SalusError) => error.code,
  );
}

async function expectWhole(hashes: readonly string[]): Promise<void> {
  const ledger = await open();
  for (const hash of hashes) expect((await ledger.transaction(hash))?.code, hash).toBe(0);
  expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
  await submit(ledger);
  await ledger.close();
}

describe('R-LED-1 power cuts', () => {
  it('lose nothing that was acknowledged, whichever unsynced sectors survive', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 60 }), async (seed, delayMs) => {
        rmSync(dir, { recursive: true });
        let state = seed >>> 0;
        const random = (): number => {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          return state / 2 ** 32;
        };
        const acknowledged: string[] = [];
        for (let round = 0; round < 3; round += 1) {
          const files = new FaultyFiles();
          const ledger = await open(files);
          let isCut = false;
          const lane = async (): Promise<void> => {
            while (!isCut) acknowledged.push(await submit(ledger));
          };
          const lanes = Promise.allSettled(Array.from({ length: 20 }, lane));
          await new Promise((resolve) => setTimeout(resolve, delayMs * (round + 1)));
          // From here on nothing reaches the disk, and what comes back is no acknowledgement of a synced block.
          isCut = true;
          files.cutPower(random);
          await lanes;
          await ledger.close().catch(() => undefined);
        }
        await expectWhole(acknowledged);
      }),
      { numRuns: powerCuts },
    );
  }, 240_000);
});

describe('R-LED-1 disk errors', () => {
  it('a full disk stops acceptance, loses nothing, and acceptance goes on when there is room', async () => {
    const files = new FaultyFiles();
    const ledger = await open(files);
    const before = await submit(ledger);
    files.fault = (operation) => (operation === 'write' ? diskError('ENOSPC') : undefined);
    const stuck = submit(ledger);
    await expect.poll(() => ledger.status().ok).toBe(false);
    expect(await codeOf(submit(ledger))).toBe(LedgerErrorCodes.diskFull);
    files.fault = () => undefined;
    const accepted = await stuck;
    // What waited is answered first; new ones are taken a moment later.
    await expect.poll(() => ledger.status().ok).toBe(true);
    const hashes = [before, accepted, await submit(ledger)];
    expect(ledger.status().ok).toBe(true);
    await ledger.close();
    await expectWhole(hashes);
  });

  it('after a failed sync nothing is acknowledged until the ledger is opened again', async () => {
    const files = new FaultyFiles();
    const ledger = await open(files);
    const before = await submit(ledger);
    files.fault = (operation) => (operation === 'datasync' ? diskError('EIO') : undefined);
    expect(await codeOf(submit(ledger))).toBe(LedgerErrorCodes.degraded);
    files.fault = () => undefined;
    expect(await codeOf(submit(ledger))).toBe(LedgerErrorCodes.degraded);
    expect((await ledger.transaction(before))?.code).toBe(0);
    await ledger.close();
    await expectWhole([before]);
  });
});

describe('R-LED-1 damaged and foreign directories are refused and left as they are', () => {
  async function filled(transactions: number): Promise<void> {
    const ledger = await open();
    for (let count = 0; count < transactions; count += 1) await submit(ledger);
    // Waits for the block that proves the last one.
    await ledger.doctor();
    await ledger.close();
  }

  const segment = () => join(dir, 'blocks', readdirSync(join(dir, 'blocks')).find((name) => name.endsWith('.blocks'))!);

  it('every flipped byte of the log is found', async () => {
    await filled(8);
    const whole = readFileSync(segment());
    const used = whole.findLastIndex((byte) => byte !== 0) + 1;
    for (let run = 0; run < 25; run += 1) {
      const at = 64 + Math.floor(Math.random() * (used - 64));
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] as number) ^ (1 << Math.floor(Math.random() * 8));
      writeFileSync(segment(), changed);
      let isFound = false;
      try {
        const ledger = await open();
        isFound = !(await ledger.doctor()).ok;
        await ledger.close();
      } catch (error) {
        isFound = (error as SalusError).code === LedgerErrorCodes.blockLogDamaged;
      }
      expect(isFound, `byte ${at}`).toBe(true);
      writeFileSync(segment(), whole);
    }
    await expectWhole([]);
  });

  it('a second process', async () => {
    const ledger = await open();
    expect(await codeOf(open())).toBe(LedgerErrorCodes.directoryLocked);
    await ledger.close();
    await (await open()).close();
  });

  it('another chain, another version, half a genesis, no genesis', async () => {
    expect(await codeOf(openLedger({ dir, kernel: makeKernel() }))).toBe(LedgerErrorCodes.directoryEmpty);
    await filled(1);
    const copy = (name: string): Buffer => readFileSync(join(dir, name));
    const files = { chain: copy('chain.json'), genesis: copy('genesis.json') };
    const other = makeNetwork(2, 'salus-other');
    expect(await codeOf(open(undefined, other.genesis))).toBe(LedgerErrorCodes.directoryOtherChain);
    const chain = join(dir, 'chain.json');
    writeFileSync(chain, files.chain.toString().replace('salus-ledger/1', 'salus-ledger/9'));
    expect(await codeOf(open())).toBe(LedgerErrorCodes.directoryOtherVersion);
    writeFileSync(chain, files.chain.subarray(0, 20));
    expect(await codeOf(open())).toBe(LedgerErrorCodes.directoryDamaged);
    rmSync(chain);
    expect(await codeOf(open())).toBe(LedgerErrorCodes.directoryIncomplete);
    writeFileSync(chain, files.chain);
    writeFileSync(join(dir, 'genesis.json'), files.genesis.subarray(0, 100));
    expect(await codeOf(open())).toBe(LedgerErrorCodes.directoryDamaged);
    writeFileSync(join(dir, 'genesis.json'), files.genesis);
    await expectWhole([]);
  });

  it('a state that is not the one of the chain', async () => {
    await filled(3);
    cpSync(join(dir, 'store'), join(dir, 'old-store'), { recursive: true });
    rmSync(join(dir, 'blocks'), { recursive: true });
    expect(await codeOf(open())).toBeDefined();
  });
});
