import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLedger } from './index.ts';
import type { Head, Ledger } from './ledger.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const network = makeNetwork(2);
const [alice] = network.participants as [Participant];
type Participant = (typeof network.participants)[number];
const { genesis, validatorKey } = network;

let root: string;
let ledger: Ledger;
const open = (name: string) => openLedger({ dir: join(root, name), genesis, validatorKey, kernel: makeKernel() });

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'salus-copy.'));
  ledger = await open('original');
});

afterEach(async () => {
  await ledger.close();
  rmSync(root, { recursive: true });
});

describe('R-LED-8 copyLedger', () => {
  it('copies an empty ledger', async () => {
    const head = await ledger.copyTo(join(root, 'copy'));
    const copy = await open('copy');
    expect(copy.head()).toMatchObject({ height: head.height, appHash: head.appHash });
    await copy.close();
  });

  it.each([false, true])('copies a working one as of the pinned head (flushed: %s)', async (isFlushed) => {
    for (let n = 0; n < 5; n += 1) await ledger.submit(await stampTransaction(network, alice, `before ${n}`));
    if (isFlushed) await ledger.flush();
    const late: Promise<unknown>[] = [];
    let pinned: Head | undefined;
    const more = async (n: number): Promise<void> => {
      await ledger.submit(await stampTransaction(network, alice, `during ${n}`));
    };
    for (let n = 0; n < 20; n += 1) late.push(more(n));
    const head = await ledger.copyTo(join(root, 'copy'), (at) => {
      pinned = at;
      for (let n = 20; n < 40; n += 1) late.push(more(n));
    });
    await Promise.all(late);
    expect(head).toEqual(pinned);
    expect(ledger.head().height).toBeGreaterThan(head.height);
    expect(readdirSync(join(root, 'copy')).sort()).toEqual(['blocks', 'chain.json', 'genesis.json', 'store']);

    const copy = await open('copy');
    expect((await copy.block(head.height))?.appHash).toEqual((await ledger.block(head.height))?.appHash);
    expect(await copy.doctor()).toMatchObject({ ok: true, problems: [] });
    expect(await copy.replay()).toMatchObject({ ok: true, problems: [] });
    // What came after the moment of the copy is not in it, and is taken there as new.
    const { hash } = await copy.submit(await stampTransaction(network, alice, 'after'));
    expect(await copy.transaction(hash)).toBeDefined();
    expect((await copy.find({})).items.length).toBeLessThan((await ledger.find({})).items.length + 1);
    await copy.close();
  });
});
