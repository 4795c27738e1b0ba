import { p256 } from '@noble/curves/nist.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { concatBytes, fromBase64url, randomBytes, sha256, toBase64url, utf8 } from './bytes.ts';
import { ProtocolErrorCodes, protocolError } from './errors.ts';
import {
  bytesToScalar,
  type Did,
  didOfKey,
  type EcPublicJwk,
  generateSigningKey,
  jwkThumbprint,
  type KeyPair,
  keyPairOfScalar,
  scalarToBytes,
} from './keys.ts';

/** Everything a patient is in one context; nothing in it tells that another context belongs to the same person. */
export type PatientContext = {
  /** The participant that the signing key names. */
  did: Did;
  /** ES256. */
  signing: KeyPair;
  /** P-256 for HPKE (RFC 9180). */
  sealing: KeyPair;
  /** 32 bytes, the key of `blind`. */
  blinding: Uint8Array;
};

/** A key for the day the root secret is lost; its commitment is registered, the key is kept apart from the root. */
export type RecoveryKey = KeyPair & { commitment: string };

export const rootSecretBytes = 32;
export const blindingKeyBytes = 32;
export const contextIdBytesMax = 200;
/** 128 bits more than the order of P-256, so that reduction leaves no bias (FIPS 186-5 A.2.1). */
const scalarSeedBytes = 48;

const SALT = utf8('salus-pseudonym-v1');
const RECOVERY_LABEL = utf8('salus-recovery-v1');
const ORDER = p256.Point.Fn.ORDER;
const SEPARATOR = new Uint8Array(1);

export function generateRootSecret(): Uint8Array {
  return randomBytes(rootSecretBytes);
}

/** HKDF-SHA-256 (RFC 5869): ikm = root, salt = "salus-pseudonym-v1", info = purpose ‖ 0x00 ‖ context. */
function derive(root: Uint8Array, purpose: string, context: Uint8Array, length: number): Uint8Array {
  return hkdf(nobleSha256, root, SALT, concatBytes(utf8(purpose), SEPARATOR, context), length);
}

function deriveKeyPair(root: Uint8Array, purpose: string, context: Uint8Array): KeyPair {
  const seed = bytesToScalar(derive(root, purpose, context, scalarSeedBytes));
  return keyPairOfScalar(scalarToBytes((seed % (ORDER - 1n)) + 1n));
}

/**
 * The patient's keys in one context (a custodian, pharmacy, payer, study), the same on every platform. `contextId` is
 * any agreed name of the context, for example the custodian's DID. Throws `rootSecretInvalid`, `contextInvalid`.
 */
export async function deriveContext(root: Uint8Array, contextId: string): Promise<PatientContext> {
  if (root.length !== rootSecretBytes) throw protocolError(ProtocolErrorCodes.rootSecretInvalid);
  const context = contextBytes(contextId);
  const signing = deriveKeyPair(root, 'signing', context);
  return {
    did: didOfKey(signing.publicJwk),
    signing,
    sealing: deriveKeyPair(root, 'sealing', context),
    blinding: derive(root, 'blinding', context, blindingKeyBytes),
  };
}

function contextBytes(contextId: string): Uint8Array {
  // Control characters would let two names look alike and could imitate the separator.
  if (!/^\P{Cc}+$/u.test(contextId) || !contextId.isWellFormed())
    throw protocolError(ProtocolErrorCodes.contextInvalid);
  const bytes = utf8(contextId);
  if (bytes.length > contextIdBytesMax) throw protocolError(ProtocolErrorCodes.contextInvalid);
  return bytes;
}

/** A random recovery key for one context. One key in two contexts would link them when it is used. */
export async function generateRecoveryKey(): Promise<RecoveryKey> {
  const pair = await generateSigningKey();
  return { ...pair, commitment: recoveryCommitment(pair.publicJwk) };
}

/** base64url of SHA-256("salus-recovery-v1" ‖ RFC 7638 thumbprint): names the key without showing it. */
export function recoveryCommitment(publicJwk: EcPublicJwk): string {
  return toBase64url(sha256(RECOVERY_LABEL, fromBase64url(jwkThumbprint(publicJwk))));
}
