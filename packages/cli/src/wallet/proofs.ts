import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Client } from '@salus/api';
import { type CborValue, canonicalJson, type JsonValue, parseAnchor, utf8, verifyReceipt } from '@salus/protocol';
import { walletError } from './errors.ts';

/** The block that proves something comes right behind it. */
const triesMax = 20;
const pauseMs = 100;

/** Where the wallet's belief in a chain begins, and how far it has come. */
export interface Trust {
  /** `salus-anchor/1`, pinned when the wallet was linked. */
  anchor: string;
  /** Height of the latest state that was proven: an older one is not shown to it as the present. */
  seenHeight?: number;
}

/** Asks again while the proof is not there yet. */
async function whenProven<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 503 || tries >= triesMax) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Proof of a state key, for whoever verifies it. */
export async function stateProof(client: Client, stateKey: string): Promise<Uint8Array> {
  const [contract = '', ...rest] = stateKey.split('/');
  const params = { contract, key: rest.join('/') };
  const answer = await whenProven(() => client.getState({ params, query: { proof: true } }));
  if (!('proof' in answer) || answer.proof === undefined) throw walletError('proofMissing');
  return utf8(canonicalJson(answer.proof as JsonValue));
}

export async function receiptOf(client: Client, transaction: string): Promise<Uint8Array> {
  return utf8(await whenProven(() => client.getReceipt({ params: { id: transaction } })));
}

/** A value of the ledger's state; `timeMs` is when the validators confirmed it, after block `height`. */
export interface Proven {
  /** Undefined where the receipt proves that there is none. */
  value: CborValue | undefined;
  height: number;
  timeMs: number;
}

/** Believed because a receipt proves it under the wallet's own anchor, and not because the node says so. */
export async function provenEntry(client: Client, trust: Trust, stateKey: string): Promise<Proven> {
  const proof = await stateProof(client, stateKey);
  const minHeight = trust.seenHeight ?? 0;
  const { state, height, timeMs } = verifyReceipt(proof, parseAnchor(utf8(trust.anchor)), { minHeight });
  if (state?.key !== stateKey) throw walletError('proofMissing');
  trust.seenHeight = height;
  return { value: state.value, height, timeMs };
}

export async function provenValue(client: Client, trust: Trust, stateKey: string): Promise<CborValue | undefined> {
  return (await provenEntry(client, trust, stateKey)).value;
}
