import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type Did, didOfKey, type EcPublicJwk, toBase64url } from '@salus/protocol';
import { readOrganization } from '@salus/server';

/** Order of P-256. */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const halfBytes = 32;
const validityMs = 300_000;

export type Json = { [name: string]: unknown };

export interface RawSigner {
  kid: string;
  did: Did;
  key: KeyObject;
}

/** The key that an organisation of this directory signs with. */
export function signerOf(dataDir: string, slug: string): RawSigner {
  const { keys } = readOrganization(dataDir, slug);
  const stored = keys.all.find(({ name }) => name === 'sign-1');
  if (stored === undefined) throw new Error(`${slug} has no key`);
  const { did } = keys.profile;
  return { kid: `${did}#sign-1`, did, key: createPrivateKey({ key: { ...stored.privateJwk }, format: 'jwk' }) };
}

/** A key that nobody registered, and the DID that it would have. */
export function stranger(name = 'sign-1'): RawSigner & { jwk: EcPublicJwk } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const jwk: EcPublicJwk = { kty: 'EC', crv: 'P-256', x, y };
  const did = didOfKey(jwk);
  return { kid: `${did}#${name}`, did, key: privateKey, jwk };
}

function withS(signature: Buffer, high: boolean): Buffer {
  const s = BigInt(`0x${signature.subarray(halfBytes).toString('hex')}`);
  const isHigh = s > order / 2n;
  if (isHigh === high) return signature;
  const other = (order - s).toString(16).padStart(2 * halfBytes, '0');
  return Buffer.concat([signature.subarray(0, halfBytes), Buffer.from(other, 'hex')]);
}

export interface RawOptions {
  header?: Json;
  payload?: Json;
  /** The payload's bytes as they are, whatever they hold. */
  payloadBytes?: Uint8Array | string;
  headerText?: string;
  high?: boolean;
}

export function payloadOf(messages: readonly unknown[], more: Json = {}): Json {
  const id = toBase64url(crypto.getRandomValues(new Uint8Array(16)));
  return { v: 1, id, validUntil: Date.now() + validityMs, messages, ...more };
}

export const stamp = (): Json => ({
  type: 'kernel/stamp',
  digest: toBase64url(crypto.getRandomValues(new Uint8Array(32))),
});

/** A signed envelope that is right in everything but what the options say. */
export function envelope(chain: string, signer: RawSigner, options: RawOptions = {}): Json {
  const header = { alg: 'ES256', typ: 'salus-tx+jws', kid: signer.kid, chain, ...options.header };
  const encoded = toBase64url(Buffer.from(options.headerText ?? JSON.stringify(header)));
  const bytes = options.payloadBytes ?? JSON.stringify(options.payload ?? payloadOf([stamp()]));
  const payload = toBase64url(Buffer.from(bytes as string));
  const input = Buffer.from(`${encoded}.${payload}`);
  const raw = sign('sha256', input, { key: signer.key, dsaEncoding: 'ieee-p1363' });
  const signature = toBase64url(withS(raw, options.high ?? false));
  return { payload, protected: encoded, signature };
}
