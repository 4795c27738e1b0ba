import { createHash, createPrivateKey, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  didOfBytes,
  fromBase64url,
  keyPairOfScalar,
  type Message,
  type Signer,
  signTransaction,
  timestampOfMs,
  toHex,
} from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AbciClient } from '../testing/abci-client.ts';
import { makeKernel, makeNetwork } from '../testing/fixture.ts';
import { CometLedger } from './comet-ledger.ts';

const startMs = 1_800_000_000_000;
const { genesis, participants } = makeNetwork(1);
const [custodian] = participants;
const patient = didOfBytes(createHash('sha256').update('patient').digest().subarray(0, 20));
const kid = `${patient}#wallet`;
/** Order of P-256's group (SEC 2, §2.4.2). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const mod = (value: bigint): bigint => ((value % order) + order) % order;
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);
const bytesOf = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');

function inverse(value: bigint): bigint {
  let [power, base, left] = [1n, mod(value), order - 2n];
  for (; left > 0n; left >>= 1n) {
    if (left & 1n) power = mod(power * base);
    base = mod(base * base);
  }
  return power;
}

/** A signature by `scalar` that is good under a second key too: with nonce and point negated, s·k = z + r·d has another d. */
function signTwice(input: Uint8Array, scalar: bigint): { signature: Uint8Array; other: bigint } {
  const nonce = numberOf(createHash('sha256').update('nonce').digest());
  const r = mod(numberOf(fromBase64url(keyPairOfScalar(bytesOf(nonce)).publicJwk.x)));
  const z = numberOf(createHash('sha256').update(input).digest());
  const s = mod(inverse(nonce) * (z + r * scalar));
  const isHigh = 2n * s > order;
  const [low, k] = isHigh ? [order - s, order - nonce] : [s, nonce];
  return { signature: Buffer.concat([bytesOf(r), bytesOf(low)]), other: mod(inverse(r) * (-low * k - z)) };
}

const specOf = (scalar: bigint) => {
  const { publicJwk: jwk } = keyPairOfScalar(bytesOf(scalar));
  return { name: 'wallet', purpose: 'sign', suite: 'ES256', jwk };
};

function bind(scalar: bigint, signer: Signer): Promise<Uint8Array> {
  const messages = [{ type: 'identity/bindPatient', patient, keys: [specOf(scalar)] }] as unknown as Message[];
  const signers = [custodian!.signer, signer];
  return signTransaction({ chain: genesis.chain, messages, signers, validUntil: startMs + 300_000 });
}

let dir: string;
let ledger: CometLedger;
let client: AbciClient;

async function open(): Promise<void> {
  const abci = { path: join(dir, 'app.sock') };
  const parts = { genesis, kernel: makeKernel(), abci, rpcPort: 1, softwareVersion: 'test', verifyWorkers: 1 };
  ledger = await CometLedger.open({ dir: join(dir, 'ledger'), ...parts, clock: () => startMs });
  client = await AbciClient.connect(abci.path);
}

async function close(): Promise<void> {
  client.close();
  await ledger.close();
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-carried-'));
  await open();
});
afterEach(async () => {
  await close();
  rmSync(dir, { recursive: true, force: true });
});

async function finalize(height: number, txs: Uint8Array[]) {
  const { seconds, nanos } = timestampOfMs(startMs + height * 1_000);
  const time = { seconds: BigInt(seconds), nanos };
  const { txResults, appHash } = await client.call('finalizeBlock', { height: BigInt(height), time, txs });
  return { codes: txResults.map(({ code }) => code), appHash: toHex(appHash) };
}

describe('R-LED-2 a signature that is good under two keys', () => {
  it('is one of the same key for a member that saw it before the other key was registered and for one that did not', async () => {
    const scalar = numberOf(createHash('sha256').update('wallet').digest());
    let other = 0n;
    const twice = await bind(scalar, {
      kid,
      sign: (input) => {
        const made = signTwice(input, scalar);
        other = made.other;
        return made.signature;
      },
    });
    const { privateJwk } = keyPairOfScalar(bytesOf(other));
    const key = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
    const winner = await bind(other, {
      kid,
      sign: (input) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
    });
    const register = { type: 'identity/registerPatient', did: patient };
    const signers = [custodian!.signer];
    const registration = await signTransaction({
      chain: genesis.chain,
      messages: [register],
      signers,
      validUntil: startMs + 300_000,
    });
    expect((await finalize(1, [registration])).codes).toEqual([0]);
    await client.call('commit');
    expect((await client.call('checkTx', { tx: twice })).code).toBe(0);
    expect((await finalize(2, [winner])).codes).toEqual([0]);
    await client.call('commit');
    const known = await finalize(3, [twice]);
    await close();
    await open();
    expect(await finalize(3, [twice])).toEqual(known);
    // Good under the registered key, and too late.
    expect(known.codes).toEqual([2017]);
  });
});
