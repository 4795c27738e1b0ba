import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAnchor, SalusError, verifyReceipt } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LedgerErrorCodes, openLedger } from './index.ts';
import type { Ledger } from './ledger.ts';
import { digestOf, makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const network = makeNetwork(4);
const [alice, bob] = network.participants as [Participant, Participant];
type Participant = (typeof network.participants)[number];

let dir: string;
let ledger: Ledger;
const open = () =>
  openLedger({ dir, genesis: network.genesis, validatorKey: network.validatorKey, kernel: makeKernel() });

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-ledger.'));
  ledger = await open();
});

afterEach(async () => {
  await ledger.close();
  rmSync(dir, { recursive: true });
});

const stampKey = (did: string, label: string) => `kernel/stamp/${did}/${digestOf(label)}`;

describe('R-LED-1 openLedger', () => {
  it('takes a transaction, answers when it is durable, proves it and its state', async () => {
    const submitted = await ledger.submit(await stampTransaction(network, alice, 'first'));
    expect(submitted).toMatchObject({ code: 0, index: 0 });
    const anchor = parseAnchor(JSON.stringify(ledger.anchor()));
    const report = verifyReceipt(await ledger.receipt(submitted.hash), anchor);
    expect(report.transaction?.hash).toBe(submitted.hash);
    expect(report.result?.code).toBe(0);
    const [key] = [...ledger.iterate('kernel/stamp')].map(([name]) => name);
    expect(verifyReceipt(await ledger.stateProof(key!), anchor).state).toMatchObject({ key, present: true });
    const absent = stampKey(bob.did, 'never');
    expect(verifyReceipt(await ledger.stateProof(absent), anchor).state).toMatchObject({ key: absent, present: false });
    const both = verifyReceipt(await ledger.receipt(submitted.hash, { stateKey: key! }), anchor);
    expect(both.state?.present).toBe(true);
  });

  it('answers the same bytes again as the first time, at once and later, and refuses what is in no block', async () => {
    const bytes = await stampTransaction(network, alice, 'twice');
    const [one, two] = await Promise.all([ledger.submit(bytes), ledger.submit(bytes)]);
    expect(two).toEqual(one);
    expect(await ledger.submit(bytes)).toEqual(one);
    const foreign = await stampTransaction(makeNetwork(1, 'salus-other'), alice, 'other chain');
    const late = await stampTransaction(network, alice, 'late', { nowMs: Date.now() - 3_600_000 });
    const changed = Buffer.from(bytes);
    changed[changed.length - 10] = changed[changed.length - 10] === 65 ? 66 : 65;
    for (const bad of [foreign, late, changed, Buffer.from('{}'), Buffer.alloc(2_000_000, 32)]) {
      const root = ledger.head().appHash;
      await expect(ledger.submit(bad)).rejects.toBeInstanceOf(SalusError);
      expect(ledger.head().appHash).toBe(root);
    }
    expect((await ledger.doctor()).transactions).toBe(1);
  });

  it('refuses other bytes of a used id at once, on a chain where nothing else happens', async () => {
    const bytes = await stampTransaction(network, alice, 'other bytes');
    await ledger.submit(bytes);
    const spaced = Buffer.concat([bytes, Buffer.from(' ')]);
    const { height } = ledger.head();
    await expect(ledger.submit(spaced)).rejects.toMatchObject({ code: 1004 });
    expect(ledger.head().height - height, 'blocks that the refusal waited for, besides the proof').toBeLessThan(2);
  });

  it('finds transactions by participant and type, page by page, before and after a flush', async () => {
    for (let n = 0; n < 7; n += 1)
      await ledger.submit(await stampTransaction(network, n % 2 ? alice : bob, `find ${n}`));
    for (const flushed of [false, true]) {
      if (flushed) await ledger.flush();
      expect((await ledger.find({ participant: alice.did })).items).toHaveLength(3);
      expect((await ledger.find({ participant: bob.did, type: 'kernel/stamp' })).items).toHaveLength(4);
      expect((await ledger.find({ participant: bob.did, type: 'kernel/other' })).items).toHaveLength(0);
      for (const query of [{}, { type: 'kernel/stamp' }]) {
        const places: string[] = [];
        let after: string | undefined;
        do {
          const page = await ledger.find({ ...query, limit: 2, ...(after ? { after } : {}) });
          places.push(...page.items.map(({ cursor }) => cursor));
          after = page.next;
        } while (after);
        expect(places).toHaveLength(7);
        expect(places).toEqual([...places].sort());
      }
    }
    await expect(ledger.find({ after: 'nonsense' })).rejects.toMatchObject({ code: LedgerErrorCodes.cursorInvalid });
  });

  it('keeps everything over a restart', async () => {
    const sent = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => ledger.submit(await stampTransaction(network, alice, `many ${n}`))),
    );
    const head = ledger.head();
    await ledger.close();
    ledger = await open();
    expect(ledger.head().appHash).toBe(head.appHash);
    for (const { hash, height, index } of sent) expect(await ledger.transaction(hash)).toMatchObject({ height, index });
    const again = await ledger.submit(await stampTransaction(network, bob, 'after'));
    expect(again.code).toBe(0);
    verifyReceipt(await ledger.receipt(sent[7]!.hash), ledger.anchor());
    expect(await ledger.doctor()).toMatchObject({ ok: true, transactions: 301, problems: [] });
    expect(await ledger.replay()).toMatchObject({ ok: true, transactions: 301, problems: [] });
  });
});

describe('R-LED-5 stateProof', () => {
  it('of absence shows its neighbours as hashes of salted values only', async () => {
    for (let n = 0; n < 5; n += 1) await ledger.submit(await stampTransaction(network, alice, `private ${n}`));
    const receipt = Buffer.from(await ledger.stateProof(stampKey(bob.did, 'never'))).toString();
    const { state } = JSON.parse(receipt) as { state: { proof: string } };
    const shown = receipt + Buffer.from(state.proof, 'base64url').toString('latin1');
    for (const [key, stored] of ledger.iterate('')) {
      expect(shown).not.toContain(key);
      expect(shown).not.toContain(Buffer.from(stored).toString('latin1'));
      expect(shown).not.toContain(Buffer.from(stored).toString('base64url'));
    }
  });
});
