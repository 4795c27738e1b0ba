import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { genesisHash } from '@salus/contracts';
import {
  anchorOfHandover,
  ed25519PublicKey,
  equalBytes,
  type Handover,
  handoverHash,
  msOfTimestamp,
  signHandover,
  timestampOfMs,
  toHex,
  verifyReceipt,
} from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CometLedger, DurableApplication, draftLedgerHandover, type Ledger, openLedger } from './index.ts';
import { AbciClient } from './testing/abci-client.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const [member] = network.participants;
const validators = ['a', 'b', 'c', 'd'].map((name) => ({
  publicKey: ed25519PublicKey(createHash('sha256').update(name).digest()),
  power: 10,
}));
const kernel = makeKernel();

let dir: string;
let handover: Handover;
let hash: string;
let receipt: Uint8Array;
let anchor: ReturnType<Ledger['anchor']>;

/** An embedded chain whose ledger was copied and handed over. */
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-handover.'));
  const source = join(dir, 'source');
  const embedded = await openLedger({ dir: source, genesis, validatorKey, kernel });
  ({ hash } = await embedded.submit(await stampTransaction(network, member!, 'before')));
  receipt = await embedded.receipt(hash);
  anchor = embedded.anchor();
  await embedded.close();
  const application = await DurableApplication.open({ dir: source, genesis, kernel });
  const draft = await draftLedgerHandover(application, validators);
  expect(await draftLedgerHandover(application, [...validators].reverse())).toEqual(draft);
  handover = signHandover(draft, { seed: validatorKey, publicKey: ed25519PublicKey(validatorKey) });
  await application.copyTo(join(dir, 'member'));
  await application.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function opened<T>(work: (client: AbciClient, ledger: CometLedger) => Promise<T>): Promise<T> {
  const path = join(dir, 's');
  const options = { dir: join(dir, 'member'), genesis, kernel, handover, abci: { path }, rpcPort: 1 };
  const ledger = await CometLedger.open({ ...options, softwareVersion: 'test', verifyWorkers: 1 });
  const client = await AbciClient.connect(path);
  try {
    return await work(client, ledger);
  } finally {
    client.close();
    await ledger.close();
  }
}

function initChain(more: object = {}): object {
  const hashes = { genesisHash: toHex(genesisHash(genesis)), handoverHash: toHex(handoverHash(handover)) };
  return {
    chainId: genesis.chain,
    initialHeight: BigInt(handover.next.height),
    validators: handover.next.validators.map(({ publicKey, power }) => ({
      pubKey: { sum: { case: 'ed25519' as const, value: publicKey } },
      power: BigInt(power),
    })),
    appStateBytes: Buffer.from(JSON.stringify(hashes)),
    ...more,
  };
}

describe('R-PPL-5 an embedded ledger that was handed over', () => {
  it('begins one millisecond after its last block, with that block’s state', () => {
    const { last, next } = handover;
    expect(next.timeMs).toBe(msOfTimestamp(last.header.time) + 1);
    expect(next.height).toBe(last.header.height + 1);
    expect(anchorOfHandover(handover)).toMatchObject({ height: last.header.height, timeMs: next.timeMs });
  });

  it.each([
    ['validators', { validators: [] }],
    ['handover', { appStateBytes: Buffer.from(JSON.stringify({ genesisHash: toHex(genesisHash(genesis)) })) }],
    ['first height', { initialHeight: 1n }],
  ])('takes no CometBFT with another %s', async (name, more) => {
    await opened(async (client) => {
      await expect(client.call('initChain', initChain(more))).rejects.toThrow(`(${name})`);
    });
  });

  it('tells CometBFT of no block before its first, takes that one, and from then on its own height', async () => {
    const { height, timeMs, appHash } = handover.next;
    await opened(async (client, ledger) => {
      expect(ledger.head().height).toBe(height - 1);
      expect((await client.call('info')).lastBlockHeight).toBe(0n);
      const answer = await client.call('initChain', initChain());
      expect(equalBytes(answer.appHash, appHash)).toBe(true);
      const { seconds, nanos } = timestampOfMs(timeMs);
      const time = { seconds: BigInt(seconds), nanos };
      const finalized = await client.call('finalizeBlock', { height: BigInt(height), time, txs: [] });
      expect(equalBytes(finalized.appHash, appHash)).toBe(true);
      await client.call('commit');
    });
    await opened(async (client) => {
      expect((await client.call('info')).lastBlockHeight).toBe(BigInt(height));
      await expect(client.call('initChain', initChain())).rejects.toThrow('(first height)');
    });
  });

  it('R-LED-7 still gives out the receipts of before, to the byte, without CometBFT', async () => {
    await opened(async (_client, ledger) => {
      expect(toHex(await ledger.receipt(hash))).toBe(toHex(receipt));
      expect(verifyReceipt(receipt, ledger.anchor()).transaction?.hash).toBe(hash);
      expect(ledger.anchor()).toEqual(anchor);
      expect((await ledger.block(1))?.transactions).toHaveLength(1);
    });
    const application = await DurableApplication.open({ dir: join(dir, 'member'), genesis, kernel });
    expect(application.doctor().problems).toEqual([]);
    expect(application.replay().problems).toEqual([]);
    await application.close();
  });
});
