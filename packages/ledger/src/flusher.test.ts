import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication } from './durable-application.ts';
import { LedgerErrorCodes } from './errors.ts';
import { Flusher } from './flusher.ts';
import { StateStore } from './state/state-store.ts';
import { Store } from './state/store.ts';
import { commitBlock, positionAfter, stamps } from './testing/blocks.ts';
import { makeKernel, makeNetwork } from './testing/fixture.ts';

const network = makeNetwork(4);
const { genesis } = network;
const blocksBefore = 60;
const blocksAfter = 5;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'salus-flusher.'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = (name: string) =>
  DurableApplication.open({ dir: join(dir, name), genesis, kernel: makeKernel(), clock: () => genesis.timeMs });

async function blocks(application: DurableApplication, count: number): Promise<void> {
  for (let block = 0; block < count; block += 1) {
    const labels = [0, 1, 2].map((index) => `${application.info().height} ${index}`);
    await commitBlock(application, await stamps(network, positionAfter(application.info()), labels));
  }
}

/** What a start does again from the log, where the process ended right after `after` blocks behind a flush. */
async function redone(name: string, before: number, after: number): Promise<number> {
  const application = await open(name);
  await blocks(application, before);
  await application.flush();
  cpSync(join(dir, name, 'store'), join(dir, `${name} store`), { recursive: true });
  await blocks(application, after);
  const { height } = application.info();
  await application.close();
  rmSync(join(dir, name, 'store'), { recursive: true });
  cpSync(join(dir, `${name} store`), join(dir, name, 'store'), { recursive: true });
  const again = await open(name);
  const { entries } = again.state.unflushed();
  expect(again.info().height).toBe(height);
  await again.close();
  return entries;
}

describe('R-LED-1 what a start does again from the log', () => {
  it('is what came since the last flush, however long the chain is', async () => {
    const short = await redone('short', 1, blocksAfter);
    const long = await redone('long', blocksBefore, blocksAfter);
    expect(short).toBeGreaterThan(0);
    expect(long).toBeLessThanOrEqual(short * 1.5);
  });

  it('has a bound: a store that lies behind makes those wait that cannot refuse', async () => {
    const store = new Store(join(dir, 'store'));
    const state = new StateStore(store);
    const flusher = new Flusher(state, 10);
    const push = (height: number): void => {
      const writes = new Map([[`kernel/test/${height}`, new Uint8Array(32)]]);
      const appHash = new Uint8Array(32);
      const layer = { height, timeMs: height, appHash, writes, buckets: new Map(), replayIds: [], transactions: [] };
      state.push(layer);
      state.commit({ segment: 1, offset: 64, bytes: 1 }, performance.now());
    };
    let height = 0;
    for (; !flusher.isBehind(); height += 1) push(height + 1);
    expect(height).toBeLessThanOrEqual(10);
    await flusher.room();
    expect(flusher.isBehind()).toBe(false);
    expect(store.head()?.height).toBe(height);
    for (; !flusher.isBehind(); height += 1) push(height + 1);
    await flusher.close();
    await expect(flusher.room()).rejects.toMatchObject({ code: LedgerErrorCodes.closed });
    await store.close();
  });
});
