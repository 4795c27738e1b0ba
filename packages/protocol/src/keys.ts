import { p256 } from '@noble/curves/nist.js';
import { fromBase64url, isBase64url, sha256, toBase64url, utf8 } from './bytes.ts';
import { ProtocolErrorCodes, protocolError } from './errors.ts';

/** Public P-256 key as JWK (RFC 7518 §6.2.1): coordinates are base64url texts of 32 bytes. */
export type EcPublicJwk = { kty: 'EC'; crv: 'P-256'; x: string; y: string };
export type EcPrivateJwk = EcPublicJwk & { d: string };
export type KeyPair = { publicJwk: EcPublicJwk; privateJwk: EcPrivateJwk };

/** `did:salus:` and 20 bytes in base64url. */
export type Did = `did:salus:${string}`;
/** A participant's key: DID#name. */
export type Kid = { did: Did; keyName: string };

/** Whoever can sign for a key: software, a smart card, a wallet. Returns 64 bytes r‖s; high-S is normalised later. */
export type Signer = { kid: string; sign(signingInput: Uint8Array): Promise<Uint8Array> | Uint8Array };

type WebCryptoKey = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;
/** Web Crypto's types exclude shared memory. */
type BufferSource = Uint8Array<ArrayBuffer>;

export const didBytes = 20;
export const signatureBytes = 64;
const scalarBytes = 32;
/** base64url texts of 32 bytes. */
const coordinateLength = 43;

const DID_PREFIX = 'did:salus:';
// 20 bytes leave two unused bits in the 27th character, which must be zero: every fourth letter of the alphabet.
const DID = /^did:salus:[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048]$/;
const KID = /^(did:salus:[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048])#([a-z0-9-]{1,16})$/;

const ORDER = p256.Point.Fn.ORDER;
const HALF_ORDER = ORDER >> 1n;
const halfOrderBytes = scalarToBytes(HALF_ORDER);
const lastScalarBytes = scalarToBytes(ORDER - 1n);
const SIGN_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export function scalarToBytes(scalar: bigint): Uint8Array {
  const bytes = new Uint8Array(scalarBytes);
  let rest = scalar;
  for (let index = scalarBytes - 1; index >= 0; index -= 1) {
    bytes[index] = Number(rest & 255n);
    rest >>= 8n;
  }
  return bytes;
}

export function bytesToScalar(bytes: Uint8Array): bigint {
  let scalar = 0n;
  for (const byte of bytes) scalar = (scalar << 8n) | BigInt(byte);
  return scalar;
}

/** Whether big-endian `bytes` at `offset` is at most `limit`. */
function isAtMost(bytes: Uint8Array, offset: number, limit: Uint8Array): boolean {
  for (let index = 0; index < scalarBytes; index += 1) {
    const difference = (bytes[offset + index] ?? 0) - (limit[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return true;
}

function isZero(bytes: Uint8Array, offset: number): boolean {
  for (let index = 0; index < scalarBytes; index += 1) if (bytes[offset + index] !== 0) return false;
  return true;
}

function isCoordinate(value: unknown): value is string {
  return typeof value === 'string' && value.length === coordinateLength && isBase64url(value);
}

/** A public key with exactly kty, crv, x and y, whose point is on the curve. Throws `keyInvalid`. */
export function parsePublicJwk(value: unknown): EcPublicJwk {
  const jwk = value as Partial<Record<keyof EcPublicJwk, unknown>> | null;
  if (typeof jwk !== 'object' || jwk === null || Object.keys(jwk).length !== 4) {
    throw protocolError(ProtocolErrorCodes.keyInvalid);
  }
  const { kty, crv, x, y } = jwk;
  if (kty !== 'EC' || crv !== 'P-256' || !isCoordinate(x) || !isCoordinate(y)) {
    throw protocolError(ProtocolErrorCodes.keyInvalid);
  }
  try {
    const point = { x: bytesToScalar(fromBase64url(x)), y: bytesToScalar(fromBase64url(y)) };
    p256.Point.fromAffine(point).assertValidity();
  } catch (cause) {
    throw protocolError(ProtocolErrorCodes.keyInvalid, { cause });
  }
  return { kty, crv, x, y };
}

function thumbprintBytes(jwk: EcPublicJwk): Uint8Array {
  if (!isCoordinate(jwk.x) || !isCoordinate(jwk.y)) throw protocolError(ProtocolErrorCodes.keyInvalid);
  return sha256(utf8(`{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`));
}

/** RFC 7638 with SHA-256, as base64url. */
export function jwkThumbprint(jwk: EcPublicJwk): string {
  return toBase64url(thumbprintBytes(jwk));
}

/** The participant that is created together with this key: the first 20 bytes of its thumbprint. */
export function didOfKey(jwk: EcPublicJwk): Did {
  return didOfBytes(thumbprintBytes(jwk).subarray(0, didBytes));
}

/** The participant that 20 bytes name; random ones for a patient who has no wallet yet. */
export function didOfBytes(bytes: Uint8Array): Did {
  if (bytes.length !== didBytes) throw protocolError(ProtocolErrorCodes.didInvalid);
  return `${DID_PREFIX}${toBase64url(bytes)}`;
}

export function isDid(value: unknown): value is Did {
  return typeof value === 'string' && DID.test(value);
}

/** Throws `kidInvalid`. */
export function parseKid(kid: string): Kid {
  const match = KID.exec(kid);
  if (!match) throw protocolError(ProtocolErrorCodes.kidInvalid);
  return { did: match[1] as Did, keyName: match[2] as string };
}

/** The key pair of a secret scalar 1 … n−1 (32 bytes, big-endian). Throws `keyInvalid`. */
export function keyPairOfScalar(secret: Uint8Array): KeyPair {
  if (!p256.utils.isValidSecretKey(secret)) throw protocolError(ProtocolErrorCodes.keyInvalid);
  const point = p256.getPublicKey(secret, false);
  const x = toBase64url(point.subarray(1, 1 + scalarBytes));
  const y = toBase64url(point.subarray(1 + scalarBytes));
  const publicJwk: EcPublicJwk = { kty: 'EC', crv: 'P-256', x, y };
  return { publicJwk, privateJwk: { ...publicJwk, d: toBase64url(secret) } };
}

/** A new random P-256 key. */
export async function generateSigningKey(): Promise<KeyPair> {
  const { subtle } = globalThis.crypto;
  const pair = await subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const { x = '', y = '', d = '' } = await subtle.exportKey('jwk', pair.privateKey);
  const publicJwk: EcPublicJwk = { kty: 'EC', crv: 'P-256', x, y };
  return { publicJwk, privateJwk: { ...publicJwk, d } };
}

/** A signer in software; the key is imported once. Throws `kidInvalid` at once, `keyInvalid` on first use. */
export function signerFromJwk(kid: string, privateJwk: EcPrivateJwk): Signer {
  parseKid(kid);
  let key: Promise<WebCryptoKey> | undefined;
  return {
    kid,
    async sign(signingInput) {
      key ??= importPrivateKey(privateJwk);
      const signature = await globalThis.crypto.subtle.sign(SIGN_ALGORITHM, await key, signingInput as BufferSource);
      return normalizeLowS(new Uint8Array(signature));
    },
  };
}

async function importPrivateKey({ x, y, d }: EcPrivateJwk): Promise<WebCryptoKey> {
  try {
    const jwk = { kty: 'EC', crv: 'P-256', x, y, d };
    return await globalThis.crypto.subtle.importKey('jwk', jwk, KEY_ALGORITHM, false, ['sign']);
  } catch (cause) {
    throw protocolError(ProtocolErrorCodes.keyInvalid, { cause });
  }
}

/** Whether s ≤ n/2. The signature has 64 bytes. */
export function isLowS(signature: Uint8Array): boolean {
  return isAtMost(signature, scalarBytes, halfOrderBytes);
}

/** Whether r and s are in 1 … n−1. */
function isSignatureInRange(signature: Uint8Array): boolean {
  return [0, scalarBytes].every((offset) => !isZero(signature, offset) && isAtMost(signature, offset, lastScalarBytes));
}

/** The same signature with s ≤ n/2 (s replaced by n − s). Throws `signatureLength`, `signatureRange`. */
export function normalizeLowS(signature: Uint8Array): Uint8Array {
  checkSignature(signature);
  if (isLowS(signature)) return signature;
  const normalized = signature.slice();
  normalized.set(scalarToBytes(ORDER - bytesToScalar(signature.subarray(scalarBytes))), scalarBytes);
  return normalized;
}

/** Throws `signatureLength` or `signatureRange`. */
export function checkSignature(signature: Uint8Array): void {
  if (signature.length !== signatureBytes) throw protocolError(ProtocolErrorCodes.signatureLength);
  if (!isSignatureInRange(signature)) throw protocolError(ProtocolErrorCodes.signatureRange);
}

/** Whether an ES256 signature (64 bytes, low-S) is by this key. Throws `keyInvalid`. */
export async function verifySignature(
  jwk: EcPublicJwk,
  signingInput: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (signature.length !== signatureBytes || !isLowS(signature)) return false;
  const { subtle } = globalThis.crypto;
  const { x, y } = jwk;
  let key: WebCryptoKey;
  try {
    key = await subtle.importKey('jwk', { kty: 'EC', crv: 'P-256', x, y }, KEY_ALGORITHM, false, ['verify']);
  } catch (cause) {
    throw protocolError(ProtocolErrorCodes.keyInvalid, { cause });
  }
  return subtle.verify(SIGN_ALGORITHM, key, signature as BufferSource, signingInput as BufferSource);
}
