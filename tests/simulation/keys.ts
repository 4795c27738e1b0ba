import { createHash } from 'node:crypto';
import {
  bytesToScalar,
  type Did,
  didOfKey,
  type EcPublicJwk,
  fromBase64url,
  jwkThumbprint,
  keyPairOfScalar,
  type Signer,
  scalarToBytes,
} from '@salus/protocol';

/** Order of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3). */
const order = 0xffffffff_00000000_ffffffff_ffffffff_bce6faad_a7179e84_f3b9cac2_fc632551n;
const noncesCount = 64;

/** A key pair that follows from its label, with a signature that follows from what is signed. */
export type SimulatedKey = { label: string; jwk: EcPublicJwk; thumbprint: string; did: Did; secret: bigint };

type Nonce = { r: bigint; inverse: bigint };

const sha256 = (text: string | Uint8Array): Buffer => createHash('sha256').update(text).digest();

function inverseOf(value: bigint): bigint {
  let [before, after, left, right] = [0n, 1n, order, value % order];
  while (right !== 0n) {
    const quotient = left / right;
    [before, after] = [after, before - quotient * after];
    [left, right] = [right, left - quotient * right];
  }
  return ((before % order) + order) % order;
}

let nonces: Nonce[] | undefined;

/**
 * Points are made once: a signature then costs three multiplications. Whoever saw two with one nonce could find the
 * keys, which is of no matter for keys that follow from labels.
 */
function noncePool(): Nonce[] {
  nonces ??= Array.from({ length: noncesCount }, (_, index) => {
    const secret = sha256(`simulated nonce ${index}`);
    const r = bytesToScalar(fromBase64url(keyPairOfScalar(secret).publicJwk.x)) % order;
    return { r, inverse: inverseOf(bytesToScalar(secret)) };
  });
  return nonces;
}

const keys = new Map<string, SimulatedKey>();

export function simulatedKey(label: string): SimulatedKey {
  const known = keys.get(label);
  if (known) return known;
  const secret = sha256(`simulated key ${label}`);
  const { publicJwk: jwk } = keyPairOfScalar(secret);
  const made = { label, jwk, thumbprint: jwkThumbprint(jwk), did: didOfKey(jwk), secret: bytesToScalar(secret) };
  keys.set(label, made);
  return made;
}

/** ECDSA (FIPS 186-5 §6.4.1), low-S. */
export function signerOf(key: SimulatedKey, kid: string): Signer {
  return {
    kid,
    sign: (input) => {
      const digest = sha256(input);
      const { r, inverse } = noncePool()[digest.readUInt32LE(0) % noncesCount] as Nonce;
      const s = (inverse * (bytesToScalar(digest) + r * key.secret)) % order;
      return Buffer.concat([scalarToBytes(r), scalarToBytes(s > order / 2n ? order - s : s)]);
    },
  };
}

export function digestOf(label: string): string {
  return sha256(`digest ${label}`).toString('base64url');
}
