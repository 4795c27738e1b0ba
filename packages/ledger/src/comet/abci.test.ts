import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { genesisHash } from '@salus/contracts';
import {
  decodeCommitmentProof,
  fromBase64url,
  proofKeyOf,
  proofValueOf,
  timestampOfMs,
  toHex,
  verifyMembership,
  verifyNonMembership,
} from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LedgerErrorCodes } from '../errors.ts';
import { AbciClient } from '../testing/abci-client.ts';
import { makeKernel, makeNetwork, type Network, stampTransaction } from '../testing/fixture.ts';
import { CometLedger } from './comet-ledger.ts';
import { CometErrorCodes } from './errors.ts';
import {
  ResponseProcessProposal_ProposalStatus as ProposalStatus,
  type ResponseFinalizeBlock,
} from './generated/tendermint/abci/types_pb.ts';
import { abciFrameBytesMax, proposalTransactionsMax } from './limits.ts';

const startMs = 1_800_000_000_000;
const blockMs = 1_000;
const network: Network = makeNetwork(3);
let dir: string;
let ledger: CometLedger;
let client: AbciClient;
let logged: { event: string; fields: Readonly<Record<string, string | number>> }[];

async function open(): Promise<void> {
  ledger = await CometLedger.open({
    dir: join(dir, 'ledger'),
    genesis: network.genesis,
    kernel: makeKernel(),
    abci: { path: join(dir, 'app.sock') },
    rpcPort: 1,
    softwareVersion: 'test',
    verifyWorkers: 1,
    clock: () => startMs,
    log: (event, fields) => logged.push({ event, fields }),
  });
  client = await AbciClient.connect(join(dir, 'app.sock'));
}

/** As a process that is killed: what was not committed is gone. */
async function reopen(): Promise<void> {
  client.close();
  await ledger.close();
  await open();
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-abci-'));
  logged = [];
  await open();
});
afterEach(async () => {
  client.close();
  await ledger.close();
  rmSync(dir, { recursive: true, force: true });
});

function time(ms: number): { seconds: bigint; nanos: number } {
  const { seconds, nanos } = timestampOfMs(ms);
  return { seconds: BigInt(seconds), nanos };
}

function block(height: number, txs: readonly Uint8Array[]): object {
  return { height: BigInt(height), time: time(startMs + height * blockMs), txs: [...txs] };
}

function stamp(label: string, member = 0): Promise<Uint8Array> {
  const participant = network.participants[member]!;
  return stampTransaction(network, participant, label, { nowMs: startMs + blockMs });
}

const garbage = Buffer.from('{"no":"transaction"}');

/** The last signature with one character changed: the form is right, the signature is not. */
function forged(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString();
  const at = text.indexOf('"signature":"') + '"signature":"'.length + 20;
  return Buffer.from(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
}

function initChain(more: object = {}): object {
  const { chain, validators } = network.genesis;
  return {
    chainId: chain,
    initialHeight: 1n,
    time: time(network.genesis.timeMs + 1),
    validators: validators.map(({ publicKey, power }) => ({
      pubKey: { sum: { case: 'ed25519' as const, value: fromBase64url(publicKey) } },
      power: BigInt(power),
    })),
    appStateBytes: Buffer.from(JSON.stringify({ genesisHash: toHex(genesisHash(network.genesis)) })),
    ...more,
  };
}

async function finalize(height: number, txs: readonly Uint8Array[]): Promise<ResponseFinalizeBlock> {
  return client.call('finalizeBlock', block(height, txs));
}

async function accepts(height: number, txs: readonly Uint8Array[]): Promise<boolean> {
  const { status } = await client.call('processProposal', block(height, txs));
  return status === ProposalStatus.ACCEPT;
}

describe('R-LED-2 ABCI: handshake', () => {
  it('info names the last committed block, nothing before the first', async () => {
    const info = await client.call('info');
    expect(info.lastBlockHeight).toBe(0n);
    expect(info.lastBlockAppHash).toHaveLength(0);
  });

  it('initChain answers the root of genesis', async () => {
    const { appHash } = await client.call('initChain', initChain());
    expect(toHex(appHash)).toBe(ledger.head().appHash);
  });

  it.each([
    ['chain', { chainId: 'other' }],
    ['validators', { validators: [] }],
    ['genesis document', { appStateBytes: Buffer.from('{"genesisHash":"00"}') }],
    ['first height', { initialHeight: 7n }],
  ])('initChain refuses another %s', async (name, more) => {
    await expect(client.call('initChain', initChain(more))).rejects.toThrow(`(${name})`);
  });

  it('a crash between FinalizeBlock and Commit leaves the block undone; again it gives the same root', async () => {
    const txs = await Promise.all(['a', 'b'].map((label) => stamp(label)));
    const { appHash } = await finalize(1, txs);
    await reopen();
    expect((await client.call('info')).lastBlockHeight).toBe(0n);
    expect(toHex((await finalize(1, txs)).appHash)).toBe(toHex(appHash));
    await client.call('commit');
    await reopen();
    const info = await client.call('info');
    expect(info.lastBlockHeight).toBe(1n);
    expect(toHex(info.lastBlockAppHash)).toBe(toHex(appHash));
    await expect(finalize(1, txs)).rejects.toThrow('does not follow');
  });

  it('an empty block leaves the application hash as it is', async () => {
    const { appHash } = await finalize(1, [await stamp('a')]);
    await client.call('commit');
    const empty = await finalize(2, []);
    await client.call('commit');
    expect(toHex(empty.appHash)).toBe(toHex(appHash));
    expect(ledger.head()).toMatchObject({ height: 2, appHash: toHex(appHash) });
  });
});

describe('R-LED-2 ABCI: CheckTx', () => {
  it('takes a good transaction once, refuses garbage, a forged signature, an expired one and a used id', async () => {
    const good = await stamp('good');
    const expired = await stampTransaction(network, network.participants[0]!, 'old', { nowMs: startMs - 400_000 });
    expect((await client.call('checkTx', { tx: good })).code).toBe(0);
    for (const tx of [garbage, forged(good), expired, new Uint8Array(0)]) {
      expect((await client.call('checkTx', { tx })).code).not.toBe(0);
    }
    await finalize(1, [good]);
    await client.call('commit');
    expect((await client.call('checkTx', { tx: good })).code).not.toBe(0);
  });

  it('answers in the order of the requests, whichever verification ends first', async () => {
    const good = await Promise.all(Array.from({ length: 40 }, (_, index) => stamp(`order ${index}`)));
    const mixed = good.flatMap((tx, index) => (index % 3 === 0 ? [tx, garbage] : [tx]));
    const answers = mixed.map((tx) => client.call('checkTx', { tx }));
    const flushed = client.call('flush');
    const codes = (await Promise.all(answers)).map(({ code }) => code === 0);
    await flushed;
    expect(codes).toEqual(mixed.map((tx) => tx !== garbage));
  });
});

describe('R-LED-2 ABCI: proposals', () => {
  it('a proposal leaves out what cannot verify, what comes twice and what does not fit the size', async () => {
    const [one, two, three] = await Promise.all(['1', '2', '3'].map((label) => stamp(label)));
    const txs = [garbage, one!, one!, forged(two!), two!, three!];
    const room = one!.length + two!.length + 20;
    const request = { ...block(1, txs), maxTxBytes: BigInt(room) };
    const { txs: kept } = await client.call('prepareProposal', request);
    expect(kept.map((tx) => Buffer.from(tx))).toEqual([one, two].map((tx) => Buffer.from(tx!)));
    expect(await accepts(1, kept)).toBe(true);
  });

  it('refuses a proposal with garbage, a forged signature, a transaction twice, a used id or too much', async () => {
    const [one, two] = await Promise.all(['1', '2'].map((label) => stamp(label)));
    expect(await accepts(1, [one!, garbage])).toBe(false);
    expect(await accepts(1, [forged(one!)])).toBe(false);
    expect(await accepts(1, [one!, one!])).toBe(false);
    expect(
      await accepts(
        1,
        Array.from({ length: proposalTransactionsMax + 1 }, () => one!),
      ),
    ).toBe(false);
    expect(
      await accepts(
        1,
        Array.from({ length: 5 }, () => new Uint8Array(1024 * 1024)),
      ),
    ).toBe(false);
    expect(await accepts(1, [one!, two!])).toBe(true);
    await finalize(1, [one!]);
    await client.call('commit');
    expect(await accepts(2, [one!])).toBe(false);
    expect(await accepts(2, [two!])).toBe(true);
    expect(logged.filter(({ event }) => event === 'proposal-refused')).toHaveLength(6);
  });

  it('extends no votes and accepts no extension', async () => {
    expect((await client.call('extendVote', { height: 1n })).voteExtension).toHaveLength(0);
    const { status } = await client.call('verifyVoteExtension', { voteExtension: new Uint8Array([1]) });
    expect(status).toBe(2);
  });
});

describe('R-LED-2 ABCI: decided blocks', () => {
  it('what has no good signature in a decided block gets a code; the others go on, also after a restart', async () => {
    const [one, two] = await Promise.all(['1', '2'].map((label) => stamp(label)));
    const { txResults } = await finalize(1, [garbage, one!, forged(two!), two!]);
    const unverified = LedgerErrorCodes.transactionUnfit;
    expect(txResults.map(({ code }) => code)).toEqual([unverified, 0, unverified, 0]);
    await client.call('commit');
    const { appHash } = ledger.head();
    await reopen();
    expect(ledger.head()).toMatchObject({ height: 1, appHash });
    const hash = createHash('sha256').update(garbage).digest('hex');
    expect((await ledger.content(1))?.results[0]).toMatchObject({ code: unverified, events: [] });
    // Nobody's signature stands behind it: no index says that somebody sent it.
    expect(await ledger.transaction(hash)).toBeUndefined();
  });

  it('gives what is unfit the same result whether its signature was seen before or not', async () => {
    const used = await stamp('used');
    await finalize(1, [used]);
    await client.call('commit');
    const known = (await finalize(2, [used])).txResults[0];
    await reopen();
    const fresh = (await finalize(2, [used])).txResults[0];
    expect(known).toEqual(fresh);
    expect(known?.code).toBe(LedgerErrorCodes.transactionUnfit);
  });
});

describe('R-LED-7 ABCI: queries', () => {
  it('proves presence and absence of a state key under the application hash', async () => {
    await finalize(1, [await stamp('a')]);
    await client.call('commit');
    const root = Buffer.from(ledger.head().appHash, 'hex');
    const key = 'kernel/chain';
    const present = await client.call('query', { path: '/state', data: Buffer.from(key), prove: true });
    const proof = decodeCommitmentProof(present.proofOps!.ops[0]!.data);
    expect(present.proofOps?.ops[0]?.type).toBe('ics23:smt');
    expect(Buffer.from(present.value)).toEqual(Buffer.from(ledger.get(key)!));
    if (proof.kind !== 'existence') throw new Error('no proof of presence');
    expect(verifyMembership(root, proof, proofKeyOf(key), proofValueOf(present.value))).toBe(true);
    expect(verifyMembership(root, proof, proofKeyOf(key), proofValueOf(garbage))).toBe(false);
    const missing = await client.call('query', { path: '/state', data: Buffer.from('kernel/none'), prove: true });
    expect(missing.value).toHaveLength(0);
    const absence = decodeCommitmentProof(missing.proofOps!.ops[0]!.data);
    if (absence.kind !== 'absence') throw new Error('no proof of absence');
    expect(verifyNonMembership(root, absence, proofKeyOf('kernel/none'))).toBe(true);
  });

  it.each([
    ['another path', { path: '/store', data: Buffer.from('a') }],
    ['no key', { path: '/state' }],
    ['an old height', { path: '/state', data: Buffer.from('a'), height: 7n }],
  ])('refuses %s', async (_name, query) => {
    expect((await client.call('query', query)).code).toBe(CometErrorCodes.queryInvalid);
  });
});

describe('R-LED-2 ABCI: what is no ABCI', () => {
  const oversized = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]);
  it.each([
    ['a length above the limit', oversized],
    ['a length without end', Buffer.alloc(6, 0xff)],
    ['bytes that are no message', Buffer.from([3, 0xff, 0xff, 0xff])],
    ['a request of no kind', Buffer.from([0])],
  ])('%s ends that connection with a line in the log, and no other', async (_name, bytes) => {
    const other = await AbciClient.connect(join(dir, 'app.sock'));
    other.socket.write(bytes);
    await other.closed;
    expect(logged.map(({ event }) => event)).toContain('abci-connection-ended');
    expect((await client.call('echo', { message: 'here' })).message).toBe('here');
  });

  it('reads requests that arrive byte by byte, and many at once', async () => {
    const bytes = AbciClient.bytesOf({ case: 'echo', value: { message: 'x'.repeat(300) } });
    const answer = client.send({ case: 'echo', value: { message: 'first' } });
    await answer;
    for (const byte of bytes) client.socket.write(Uint8Array.of(byte));
    const later = await Promise.all(
      Array.from({ length: 50 }, (_, index) => client.send({ case: 'echo', value: { message: `${index}` } })),
    );
    // The answer to the request written by hand comes before those of the fifty.
    expect(later[0]).toMatchObject({ case: 'echo', value: { message: 'x'.repeat(300) } });
    expect(later[49]).toMatchObject({ case: 'echo', value: { message: '48' } });
  });

  it('a peer that leaves in the middle harms nobody', async () => {
    const other = await AbciClient.connect(join(dir, 'app.sock'));
    other.socket.write(AbciClient.bytesOf({ case: 'checkTx', value: { tx: await stamp('gone') } }));
    other.close();
    await other.closed;
    expect((await client.call('checkTx', { tx: await stamp('here') })).code).toBe(0);
    expect(abciFrameBytesMax).toBeGreaterThan(4 * 1024 * 1024);
  });
});
