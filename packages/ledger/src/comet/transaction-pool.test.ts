import { SalusError } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeNetwork, stampTransaction } from '../testing/fixture.ts';
import { Verifier } from '../verify/verifier.ts';
import { TransactionPool } from './transaction-pool.ts';

const network = makeNetwork(2);
let verifier: Verifier;
let pool: TransactionPool;

beforeEach(() => {
  const keys = new Map(network.participants.map(({ kid, jwk }) => [kid, jwk]));
  verifier = new Verifier(1, (kid) => ({ jwk: keys.get(kid)!, thumbprint: kid, isRegistered: true }));
  pool = new TransactionPool(verifier, 3);
});
afterEach(() => verifier.close());

const stamp = (label: string) => stampTransaction(network, network.participants[0]!, label);
const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

describe('R-LED-2 transactions that were verified', () => {
  it('are known again by their bytes alone, wherever those lie', async () => {
    const bytes = await stamp('one');
    const verdict = await pool.verify(bytes);
    expect(verdict).not.toBeInstanceOf(SalusError);
    const elsewhere = new Uint8Array(bytes.length + 9);
    elsewhere.set(bytes, 5);
    expect(pool.verify(elsewhere.subarray(5, 5 + bytes.length))).toBe(verdict);
  });

  it('vouch for nothing that only ends like them', async () => {
    const bytes = await stamp('one');
    const verdict = await pool.verify(bytes);
    for (const at of [0, 30, Math.floor(bytes.length / 2)]) {
      expect(await pool.verify(changed(bytes, at))).toBeInstanceOf(SalusError);
    }
    expect(await pool.verify(bytes.subarray(1))).toBeInstanceOf(SalusError);
    expect(await pool.verify(bytes.subarray(bytes.length - 10))).toBeInstanceOf(SalusError);
    expect(pool.verify(bytes)).toBe(verdict);
    expect(pool.size).toBe(1);
  });

  it('are verified once where they come twice at once, and apart from what ends like them', async () => {
    const bytes = await stamp('one');
    const other = changed(bytes, 30);
    const verdicts = [bytes, other, bytes, other].map((one) => pool.verify(one));
    expect(verdicts[2]).toBe(verdicts[0]);
    const [first, second, , fourth] = await Promise.all(verdicts);
    expect(first).not.toBeInstanceOf(SalusError);
    expect([second, fourth]).toEqual([expect.any(SalusError), expect.any(SalusError)]);
    expect(pool.size).toBe(1);
  });

  it('are forgotten one by one, and the oldest when they are too many', async () => {
    const all = await Promise.all(['a', 'b', 'c', 'd'].map(stamp));
    for (const bytes of all) await pool.verify(bytes);
    expect(pool.size).toBe(3);
    expect(pool.verify(all[0]!)).toBeInstanceOf(Promise);
    const last = pool.verify(all[3]!);
    if (last instanceof SalusError || last instanceof Promise) throw new Error('it is not known');
    pool.forget(last.hash);
    expect(pool.verify(all[3]!)).toBeInstanceOf(Promise);
    expect(pool.size).toBe(2);
  });
});
