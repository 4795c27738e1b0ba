import { createHash, createPrivateKey, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelErrors } from '@salus/contracts';
import {
  type Did,
  didOfBytes,
  keyPairOfScalar,
  type Message,
  type Signer,
  signTransaction,
  timestampOfMs,
  toHex,
} from '@salus/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication } from '../durable-application.ts';
import { LedgerErrorCodes } from '../errors.ts';
import { unfitTransactionsMax } from '../limits.ts';
import { AbciClient } from '../testing/abci-client.ts';
import { digestOf, makeKernel, makeNetwork, type Network } from '../testing/fixture.ts';
import { CometLedger } from './comet-ledger.ts';
import { ResponseProcessProposal_ProposalStatus as ProposalStatus } from './generated/tendermint/abci/types_pb.ts';

const startMs = 1_800_000_000_000;
const blockMs = 1_000;
const network: Network = makeNetwork(3);
const { genesis, participants } = network;
const [first, second, third] = participants as [
  Network['participants'][number],
  Network['participants'][number],
  Network['participants'][number],
];
const unfitCode = LedgerErrorCodes.transactionUnfit;

let dir: string;
let ledger: CometLedger;
let client: AbciClient;
let height: number;
let labels = 0;

async function open(): Promise<void> {
  ledger = await CometLedger.open({
    dir: join(dir, 'ledger'),
    genesis,
    kernel: makeKernel(),
    abci: { path: join(dir, 'app.sock') },
    rpcPort: 1,
    softwareVersion: 'test',
    verifyWorkers: 1,
    clock: () => startMs,
  });
  client = await AbciClient.connect(join(dir, 'app.sock'));
}

async function reopen(): Promise<void> {
  client.close();
  await ledger.close();
  await open();
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-unfit-'));
  height = 1;
  await open();
});
afterEach(async () => {
  client.close();
  await ledger.close();
  rmSync(dir, { recursive: true, force: true });
});

const nowMs = (): number => startMs + height * blockMs;

function request(txs: readonly Uint8Array[]): object {
  const { seconds, nanos } = timestampOfMs(nowMs());
  return { height: BigInt(height), time: { seconds: BigInt(seconds), nanos }, txs: [...txs] };
}

type Wanted = { id?: string; validForMs?: number; chain?: string; messages?: Message[]; signers?: Signer[] };

function transaction(wanted: Wanted = {}): Promise<Uint8Array> {
  labels += 1;
  const { id, validForMs = 300_000, chain = genesis.chain, signers = [first.signer] } = wanted;
  const messages = wanted.messages ?? [{ type: 'kernel/stamp', digest: digestOf(`${labels}`) }];
  return signTransaction({ chain, messages, signers, validUntil: nowMs() + validForMs, ...(id && { id }) });
}

const expired = (): Promise<Uint8Array> => transaction({ validForMs: 0 });

function forged(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString();
  const at = text.indexOf('"signature":"') + '"signature":"'.length + 20;
  return Buffer.from(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function proposed(txs: readonly Uint8Array[]): Promise<string[]> {
  const answer = await client.call('prepareProposal', { ...request(txs), maxTxBytes: 4_000_000n });
  return answer.txs.map(hashOf);
}

async function accepts(txs: readonly Uint8Array[]): Promise<boolean> {
  return (await client.call('processProposal', request(txs))).status === ProposalStatus.ACCEPT;
}

/** Result codes of a decided block. */
async function decide(txs: readonly Uint8Array[]): Promise<number[]> {
  const { txResults } = await client.call('finalizeBlock', request(txs));
  await client.call('commit');
  height += 1;
  return txResults.map(({ code }) => code);
}

/** Everything on the disk fits together, and the blocks give the same when they are executed again. */
async function expectWhole(): Promise<void> {
  client.close();
  await ledger.close();
  const application = await DurableApplication.open({ dir: join(dir, 'ledger'), genesis, kernel: makeKernel() });
  try {
    expect(application.doctor().problems).toEqual([]);
    expect(application.replay().problems).toEqual([]);
  } finally {
    await application.close();
    await open();
  }
}

function walletKey(label: string, did: Did) {
  const { publicJwk: jwk, privateJwk } = keyPairOfScalar(createHash('sha256').update(label).digest());
  const key = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
  const signer: Signer = {
    kid: `${did}#wallet`,
    sign: (input) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
  };
  return { signer, spec: { name: 'wallet', purpose: 'sign', suite: 'ES256', jwk } };
}

/** Two wallets want to be the same patient's: both good until one of them is. */
async function twoWallets(): Promise<[Uint8Array, Uint8Array]> {
  const patient = didOfBytes(createHash('sha256').update('patient').digest().subarray(0, 20));
  expect(await decide([await transaction({ messages: [{ type: 'identity/registerPatient', did: patient }] })])).toEqual(
    [0],
  );
  const bind = (label: string): Promise<Uint8Array> => {
    const { signer, spec } = walletKey(label, patient);
    const messages = [{ type: 'identity/bindPatient', patient, keys: [spec] }] as unknown as Message[];
    return transaction({ messages, signers: [first.signer, signer] });
  };
  return [await bind('one'), await bind('two')];
}

describe('R-LED-2 what can run no more leaves the mempools through a block', () => {
  it('stands behind what runs, as refused, changes nothing, and no index has it', async () => {
    const [dead, good] = [await expired(), await transaction()];
    expect(await proposed([dead, good])).toEqual([good, dead].map(hashOf));
    expect(await accepts([good, dead])).toBe(true);
    expect(await decide([good, dead])).toEqual([0, unfitCode]);
    const { appHash } = ledger.head();
    const alone = [await expired()];
    expect(await proposed(alone)).toEqual(alone.map(hashOf));
    expect(await accepts(alone)).toBe(true);
    expect(await decide(alone)).toEqual([unfitCode]);
    expect(ledger.head().appHash).toBe(appHash);
    const again = async (): Promise<void> => {
      expect(await ledger.transaction(hashOf(good))).toMatchObject({ height: 1, index: 0, code: 0 });
      expect(await ledger.transaction(hashOf(dead))).toBeUndefined();
      expect((await ledger.find({ participant: first.did })).items).toHaveLength(1);
      expect((await ledger.content(2))?.results).toMatchObject([{ code: unfitCode, events: [], cost: 0 }]);
    };
    await again();
    await reopen();
    await again();
    await expectWhole();
    await again();
  });

  it('runs all the same where it can, wherever a proposer puts it', async () => {
    const [dead, good] = [await expired(), await transaction()];
    expect(await accepts([dead, good])).toBe(true);
    expect(await decide([dead, good])).toEqual([unfitCode, 0]);
    expect(await ledger.transaction(hashOf(good))).toMatchObject({ code: 0 });
  });

  it('whose id another one used leaves, and tells whoever submitted it so', async () => {
    const id = Buffer.alloc(16, 7).toString('base64url');
    const [one, other] = [await transaction({ id }), await transaction({ id })];
    const outcome = ledger.submit(other).catch((error: unknown) => error);
    expect(await proposed([one, other])).toEqual([one, other].map(hashOf));
    expect(await decide([one, other])).toEqual([0, unfitCode]);
    expect(await outcome).toMatchObject({ code: kernelErrors.replayed.code });
  });

  it('that expired on the way tells whoever submitted it so', async () => {
    const late = await expired();
    const outcome = ledger.submit(late).catch((error: unknown) => error);
    expect(await decide([late])).toEqual([unfitCode]);
    expect(await outcome).toMatchObject({ code: kernelErrors.expired.code });
  });

  it('whose key is revoked leaves', async () => {
    const revoke = { type: 'identity/revokeKey', participant: second.did, name: 'main', reason: 'lost' };
    const signers = [second.signer];
    const [revoking, late] = [await transaction({ messages: [revoke], signers }), await transaction({ signers })];
    expect(await proposed([revoking, late])).toEqual([revoking, late].map(hashOf));
    expect(await accepts([revoking, late])).toBe(true);
    expect(await decide([revoking, late])).toEqual([0, unfitCode]);
    await expectWhole();
  });

  it('the second of two that register the same participant leaves, whoever has seen it before and whoever has not', async () => {
    const [winner, loser] = await twoWallets();
    expect((await client.call('checkTx', { tx: loser })).code).toBe(0);
    expect(await decide([winner])).toEqual([0]);
    const answers = async () => ({
      check: (await client.call('checkTx', { tx: loser })).code,
      proposed: await proposed([loser]),
      isAccepted: await accepts([loser]),
    });
    const known = await answers();
    expect(known).toEqual({
      check: kernelErrors.signerKeyChanged.code,
      proposed: [hashOf(loser)],
      isAccepted: true,
    });
    await reopen();
    expect(await answers()).toEqual(known);
    expect(await accepts([forged(loser)])).toBe(false);
    expect(await decide([loser])).toEqual([unfitCode]);
    await expectWhole();
  });

  it('whose time is still to come stays where it is, and runs when it has come', async () => {
    const early = await transaction({ validForMs: 600_000 + blockMs });
    expect(await proposed([early])).toEqual([]);
    expect(await accepts([early])).toBe(false);
    expect(await decide([])).toEqual([]);
    expect(await proposed([early])).toEqual([hashOf(early)]);
    expect(await decide([early])).toEqual([0]);
  });

  it('goes a bounded number at a time', async () => {
    const dead = await Promise.all(Array.from({ length: unfitTransactionsMax + 1 }, expired));
    const good = await transaction();
    const offered = await proposed([...dead, good]);
    expect(offered).toEqual([good, ...dead.slice(0, unfitTransactionsMax)].map(hashOf));
    expect(await accepts([good, ...dead])).toBe(false);
    expect(await accepts([good, ...dead.slice(1)])).toBe(true);
  });
});

describe('R-LED-2 a proposal with anything else is refused', () => {
  it.each<[string, (dead: Uint8Array) => Promise<Uint8Array[]>]>([
    ['an expired one twice', async (dead) => [dead, dead]],
    ['an expired one with a forged signature', async (dead) => [dead, forged(dead)]],
    ['an expired one by nobody', async () => [await transaction({ validForMs: 0, signers: [stranger()] })]],
    ['no transaction', async (dead) => [dead, Buffer.from('{"no":"transaction"}')]],
    ['one of another chain', async (dead) => [dead, await transaction({ chain: 'another' })]],
    ['one valid for too long', async (dead) => [dead, await transaction({ validForMs: 700_000 })]],
  ])('%s', async (_name, make) => {
    const dead = await expired();
    const txs = await make(dead);
    expect(await accepts([dead])).toBe(true);
    expect(await accepts(txs)).toBe(false);
    const kept = await proposed([...txs, await transaction()]);
    expect(kept.every((hash, index) => index === 0 || hash === hashOf(dead))).toBe(true);
  });

  it('one that has run', async () => {
    const ran = await transaction();
    expect(await decide([ran])).toEqual([0]);
    expect(await accepts([ran])).toBe(false);
    expect(await ledger.transaction(hashOf(ran))).toMatchObject({ height: 1, code: 0 });
  });

  function stranger(): Signer {
    return walletKey('stranger', didOfBytes(Buffer.alloc(20, 9))).signer;
  }
});

describe('R-LED-2 whatever waits in a mempool', () => {
  const kinds = ['good', 'expired', 'used', 'early', 'forged', 'garbage', 'foreign'] as const;
  type Kind = (typeof kinds)[number];
  const wrong: readonly Kind[] = ['early', 'forged', 'garbage', 'foreign'];
  const used = Buffer.alloc(16, 5).toString('base64url');

  function make(kind: Kind): Promise<Uint8Array> | Uint8Array {
    const { signer } = labels % 2 === 0 ? second : third;
    switch (kind) {
      case 'good':
        return transaction({ signers: [signer] });
      case 'expired':
        return transaction({ validForMs: -(labels % 3), signers: [signer] });
      case 'used':
        return transaction({ id: used, validForMs: startMs + 290_000 - nowMs() });
      case 'early':
        return transaction({ validForMs: 700_000 });
      case 'foreign':
        return transaction({ chain: 'another' });
      case 'forged':
        return Promise.resolve(transaction()).then(forged);
      default:
        labels += 1;
        return Buffer.from(`{"garbage":${labels}}`);
    }
  }

  it('a member proposes what every member accepts, all that runs runs, and the rest is refused alike', async () => {
    expect(await decide([await transaction({ id: used, validForMs: startMs + 290_000 - nowMs() })])).toEqual([0]);
    const waiting = fc.array(fc.constantFrom(...kinds), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(waiting, fc.nat(), async (list, turn) => {
        const txs = await Promise.all(list.map(make));
        const kindOf = new Map(txs.map((tx, index) => [hashOf(tx), list[index] as Kind]));
        const byHash = new Map(txs.map((tx) => [hashOf(tx), tx]));
        const hashes = await proposed([...txs, ...txs]);
        const expectedKinds = [
          ...list.filter((kind) => kind === 'good'),
          ...list.filter((kind) => kind === 'expired' || kind === 'used'),
        ];
        expect(hashes.map((hash) => kindOf.get(hash))).toEqual(expectedKinds);
        const block = hashes.map((hash) => byHash.get(hash) as Uint8Array);
        expect(await accepts(block)).toBe(true);
        const turned = [...block.slice(turn % (block.length + 1)), ...block.slice(0, turn % (block.length + 1))];
        expect(await accepts(turned)).toBe(true);
        expect(await accepts(txs)).toBe(!list.some((kind) => wrong.includes(kind)));
        const codes = await decide(turned);
        expect(codes).toEqual(turned.map((tx) => (kindOf.get(hashOf(tx)) === 'good' ? 0 : unfitCode)));
        for (const [hash, kind] of kindOf)
          expect(await ledger.transaction(hash)).toEqual(kind === 'good' ? expect.anything() : undefined);
      }),
      { numRuns: 40 },
    );
    await expectWhole();
    expect(toHex(Buffer.from(ledger.head().appHash, 'hex'))).toBe(ledger.head().appHash);
  });
});
