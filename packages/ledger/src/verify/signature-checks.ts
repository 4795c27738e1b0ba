import { createPublicKey, type KeyObject } from 'node:crypto';
import {
  type ParsedTransaction,
  ProtocolErrorCodes,
  parseTransaction,
  protocolError,
  SalusError,
  sha256,
} from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import { keyCacheEntriesMax } from '../limits.ts';
import { isSignedBy } from './es256.ts';
import type { FoundKey, FromWorker, KeyAnswer, Outcome, Refused, ToWorker, VerifyRequest } from './protocol.ts';

type Key = { object: KeyObject; thumbprint: string };
type Item = {
  transaction: ParsedTransaction | undefined;
  refused: Refused | undefined;
  keys: Key[];
  isLasting: boolean;
};
type Wanted = { item: Item; signature: number; kid: string };
type Batch = { items: Item[]; hashes: Uint8Array; wanted: Wanted[] };
type Post = (message: FromWorker, transfer: ArrayBuffer[]) => void;

const hashBytes = 32;

function refusal(thrown: unknown): Refused {
  if (thrown instanceof SalusError) return { code: thrown.code, log: thrown.message };
  const error = ledgerError('refused', 'the verifier failed on it');
  return { code: error.code, log: error.message };
}

function parse(bytes: Uint8Array): Item {
  try {
    return { transaction: parseTransaction(bytes), refused: undefined, keys: [], isLasting: true };
  } catch (thrown) {
    return { transaction: undefined, refused: refusal(thrown), keys: [], isLasting: true };
  }
}

function hasSigned(key: Key, { signatures }: ParsedTransaction, index: number): boolean {
  const signed = signatures[index];
  return signed !== undefined && isSignedBy(key.object, signed.signingInput, signed.signature);
}

function outcomeOf({ transaction, refused, keys: used, isLasting }: Item): Outcome {
  if (refused || !transaction) return refused ?? refusal(undefined);
  return {
    chain: transaction.chain,
    payload: transaction.payload,
    kids: transaction.signatures.map(({ kid }) => kid),
    keys: used.map(({ thumbprint }) => thumbprint),
    isLasting,
  };
}

/** The other side of `Verifier`: parses batches and checks their signatures; asks for the keys that it does not have. */
export class SignatureChecks {
  readonly #post: Post;
  /** Importing a key costs three times a verification: keep them. */
  readonly #keys = new Map<string, Key>();
  readonly #batches = new Map<number, Batch>();

  constructor(post: Post) {
    this.#post = post;
  }

  receive(message: ToWorker): void {
    if (message.kind === 'verify') {
      this.#start(message);
      return;
    }
    const batch = this.#batches.get(message.batch);
    if (!batch) return;
    this.#batches.delete(message.batch);
    for (const [index, wanted] of batch.wanted.entries()) this.#checkAnswered(wanted, message.keys[index]);
    this.#finish(message.batch, batch);
  }

  #start({ batch, bytes, lengths }: VerifyRequest): void {
    const items: Item[] = [];
    const hashes = new Uint8Array(lengths.length * hashBytes);
    const wanted: Wanted[] = [];
    let at = 0;
    for (const [index, length] of lengths.entries()) {
      const transaction = new Uint8Array(bytes, at, length);
      at += length;
      const item = parse(transaction);
      hashes.set(item.transaction?.hash ?? sha256(transaction), index * hashBytes);
      this.#checkCached(item, wanted);
      items.push(item);
    }
    const state = { items, hashes, wanted };
    if (wanted.length === 0) {
      this.#finish(batch, state);
      return;
    }
    this.#batches.set(batch, state);
    const requests = wanted.map(({ item, kid }) => ({ kid, payload: (item.transaction as ParsedTransaction).payload }));
    this.#post({ kind: 'keys', batch, wanted: requests }, []);
  }

  #remember(kid: string, key: Key): void {
    this.#keys.delete(kid);
    if (this.#keys.size >= keyCacheEntriesMax) {
      const [oldest] = this.#keys.keys();
      if (oldest !== undefined) this.#keys.delete(oldest);
    }
    this.#keys.set(kid, key);
  }

  /** Checks what the cached keys can; the rest is wanted from the main thread, as is a key that did not fit. */
  #checkCached(item: Item, wanted: Wanted[]): void {
    const { transaction } = item;
    if (!transaction) return;
    for (const [index, { kid }] of transaction.signatures.entries()) {
      const key = this.#keys.get(kid);
      if (key && hasSigned(key, transaction, index)) item.keys[index] = key;
      else wanted.push({ item, signature: index, kid });
    }
  }

  #checkAnswered({ item, signature, kid }: Wanted, answer: KeyAnswer | undefined): void {
    if (!item.transaction || item.refused) return;
    if (!answer || 'code' in answer) {
      item.refused = answer ?? refusal(undefined);
      return;
    }
    try {
      const key = this.#imported(kid, answer);
      if (answer.isRegistered) this.#remember(kid, key);
      else item.isLasting = false;
      const { carried } = answer;
      if (hasSigned(key, item.transaction, signature)) item.keys[signature] = key;
      else if (carried) this.#checkCarried(item, signature, this.#imported(kid, carried));
      else item.refused = refusal(protocolError(ProtocolErrorCodes.signatureInvalid));
    } catch {
      item.refused = refusal(protocolError(ProtocolErrorCodes.signatureInvalid));
    }
  }

  #checkCarried(item: Item, signature: number, key: Key): void {
    item.isLasting = false;
    if (item.transaction && hasSigned(key, item.transaction, signature)) item.keys[signature] = key;
    else item.refused = refusal(protocolError(ProtocolErrorCodes.signatureInvalid));
  }

  #imported(kid: string, { jwk, thumbprint }: FoundKey): Key {
    const cached = this.#keys.get(kid);
    if (cached?.thumbprint === thumbprint) return cached;
    return { object: createPublicKey({ key: { ...jwk }, format: 'jwk' }), thumbprint };
  }

  #finish(batch: number, { items, hashes }: Batch): void {
    const outcomes = JSON.stringify(items.map(outcomeOf));
    const buffer = hashes.buffer as ArrayBuffer;
    this.#post({ kind: 'verified', batch, hashes: buffer, outcomes }, [buffer]);
  }
}
