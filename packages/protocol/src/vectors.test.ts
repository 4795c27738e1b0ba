import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromBase64url, fromHex, sha256, toBase64url, toHex, utf8 } from './bytes.ts';
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import { blind, commit, verifyCommitment } from './commitment.ts';
import { errors, ProtocolErrorCodes, protocolError, SalusError } from './errors.ts';
import { canonicalJson, type JsonValue } from './json.ts';
import { didOfKey, type EcPublicJwk, jwkThumbprint, normalizeLowS, parsePublicJwk, verifySignature } from './keys.ts';
import { deriveContext, recoveryCommitment } from './pseudonyms.ts';
import { type Payload, parseTransaction } from './transaction.ts';

type Refusal = { error: string; code: number; reason: string };
type TransactionCase = { name: string; text?: string; base64url?: string; padSpacesTo?: number };
type Accepted = TransactionCase & { hash: string; chain: string; signers: string[]; payload: Payload };
type TransactionVectors = {
  keys: { kid: string; publicJwk: EcPublicJwk; d: string }[];
  accept: Accepted[];
  reject: (TransactionCase & Refusal)[];
};
type PrivateJwk = EcPublicJwk & { d: string };
type EncodingVectors = {
  base64url: { accept: { hex: string; text: string }[]; reject: ({ text: string } & Refusal)[] };
  cbor: { accept: { value: JsonValue; hex: string }[]; reject: ({ hex: string } & Refusal)[] };
  canonicalJson: { input: string; canonical: string }[];
  keys: { publicJwk: EcPublicJwk; thumbprint: string; did: string }[];
  rejectedKeys: ({ publicJwk: JsonValue } & Refusal)[];
  lowS: { signature: string; normalized: string }[];
  contexts: {
    root: string;
    contextId: string;
    did: string;
    signing: PrivateJwk;
    sealing: PrivateJwk;
    blinding: string;
  }[];
  commitments: { content: string; salt: string; commitment: string }[];
  blinds: { key: string; label: string; value: string; blind: string }[];
  recoveryCommitments: { publicJwk: EcPublicJwk; commitment: string }[];
  storedValues: {
    transactionHash: string;
    stateKey: string;
    version: number;
    value: JsonValue;
    salt: string;
    stored: string;
    proofKey: string;
    proofValue: string;
    path: string;
  }[];
};

function load<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8'));
}

const transactions = load<TransactionVectors>('transactions.json');
const encoding = load<EncodingVectors>('encoding.json');
const keys = new Map(transactions.keys.map(({ kid, publicJwk }) => [kid, publicJwk]));

function bytesOf({ text, base64url, padSpacesTo }: TransactionCase): Uint8Array {
  const bytes = base64url === undefined ? utf8(text ?? '') : fromBase64url(base64url);
  if (padSpacesTo === undefined) return bytes;
  return concatBytes(bytes, new Uint8Array(padSpacesTo - bytes.length).fill(0x20));
}

/** What a node does with a transaction's bytes before any contract sees them. */
async function check(bytes: Uint8Array) {
  const parsed = parseTransaction(bytes);
  for (const { kid, signingInput, signature } of parsed.signatures) {
    if (!(await verifySignature(keys.get(kid) as EcPublicJwk, signingInput, signature))) {
      throw protocolError(ProtocolErrorCodes.signatureInvalid);
    }
  }
  return parsed;
}

function codeOf(action: () => unknown): number | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof SalusError) return error.code;
    throw error;
  }
}

/** The vectors write bytes as {"$bytes": hex}. */
function untag(value: JsonValue): CborValue {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(untag);
  if (typeof value.$bytes === 'string') return fromHex(value.$bytes);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, untag(item)]));
}

describe('R-LED-1 vectors/transactions.json', () => {
  it.each(transactions.accept)('accepts $name', async (vector) => {
    const parsed = await check(bytesOf(vector));
    expect(toHex(parsed.hash)).toBe(vector.hash);
    expect(parsed.chain).toBe(vector.chain);
    expect(parsed.signatures.map(({ kid }) => kid)).toEqual(vector.signers);
    expect(parsed.sender).toBe(vector.signers[0]?.split('#')[0]);
    expect(parsed.payload).toEqual(vector.payload);
  });

  it.each(transactions.reject)('refuses $name: $error', async (vector) => {
    const refusal = await check(bytesOf(vector)).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(SalusError);
    const { code, message } = refusal as SalusError;
    expect([code, errors.get(code)?.name]).toEqual([vector.code, vector.error]);
    expect(message).toBe(errors.get(code)?.advice);
  });

  it('shows every error of transactions', () => {
    const shown = new Set(transactions.reject.map(({ code }) => code));
    const missing = [...errors].filter(([code]) => code <= ProtocolErrorCodes.signatureInvalid && !shown.has(code));
    expect(missing).toEqual([]);
  });
});

describe('R-LED-1 vectors/encoding.json', () => {
  it.each(encoding.base64url.accept)('base64url $text', ({ hex, text }) => {
    expect(toBase64url(fromHex(hex))).toBe(text);
    expect(toHex(fromBase64url(text))).toBe(hex);
  });

  it.each(encoding.base64url.reject)('refuses base64url with $reason', ({ text, code }) => {
    expect(codeOf(() => fromBase64url(text))).toBe(code);
  });

  it('encodes and decodes CBOR', () => {
    for (const { value, hex } of encoding.cbor.accept) {
      expect(toHex(encodeCbor(untag(value)))).toBe(hex);
      expect(decodeCbor(fromHex(hex))).toEqual(untag(value));
    }
  });

  it.each(encoding.cbor.reject)('refuses CBOR: $reason', ({ hex, code }) => {
    expect(codeOf(() => decodeCbor(fromHex(hex)))).toBe(code);
  });

  it.each(encoding.canonicalJson)('canonical JSON $canonical', ({ input, canonical }) => {
    expect(canonicalJson(JSON.parse(input))).toBe(canonical);
  });

  it('names keys', () => {
    for (const { publicJwk, thumbprint, did } of encoding.keys) {
      expect(parsePublicJwk(publicJwk)).toEqual(publicJwk);
      expect([jwkThumbprint(publicJwk), didOfKey(publicJwk)]).toEqual([thumbprint, did]);
    }
  });

  it.each(encoding.rejectedKeys)('refuses a key: $reason', ({ publicJwk, code }) => {
    expect(codeOf(() => parsePublicJwk(publicJwk))).toBe(code);
  });

  it('normalises high-S signatures', () => {
    for (const { signature, normalized } of encoding.lowS) {
      expect(toHex(normalizeLowS(fromHex(signature)))).toBe(normalized);
    }
  });
});

describe('R-LED-5 vectors/encoding.json', () => {
  it.each(encoding.contexts)('derives $did', async ({ root, contextId, did, signing, sealing, blinding }) => {
    const context = await deriveContext(fromHex(root), contextId);
    expect(context.did).toBe(did);
    expect(context.signing.privateJwk).toEqual(signing);
    expect(context.sealing.privateJwk).toEqual(sealing);
    expect(toHex(context.blinding)).toBe(blinding);
  });

  it('commits, blinds and commits to recovery keys', () => {
    for (const { content, salt, commitment } of encoding.commitments) {
      expect(commit(fromHex(content), fromBase64url(salt))).toEqual({ commitment, salt });
      expect(verifyCommitment({ commitment, salt }, fromHex(content))).toBe(true);
    }
    for (const { key, label, value, blind: expected } of encoding.blinds) {
      expect(blind(fromHex(key), label, value)).toBe(expected);
    }
    for (const { publicJwk, commitment } of encoding.recoveryCommitments) {
      expect(recoveryCommitment(publicJwk)).toBe(commitment);
    }
  });

  it('salts and hashes stored values', () => {
    for (const vector of encoding.storedValues) {
      const key = utf8(vector.stateKey);
      const salt = sha256(utf8('salus-salt-v1'), fromHex(vector.transactionHash), key).subarray(0, 16);
      const stored = concatBytes(salt, Uint8Array.of(vector.version), encodeCbor(untag(vector.value)));
      expect([toHex(salt), toHex(stored)]).toEqual([vector.salt, vector.stored]);
      expect(toHex(sha256(key))).toBe(vector.proofKey);
      expect(toHex(sha256(stored))).toBe(vector.proofValue);
      expect(toHex(sha256(sha256(key)))).toBe(vector.path);
    }
  });
});
