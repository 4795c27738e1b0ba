import { ed25519 as nobleEd25519 } from '@noble/curves/ed25519.js';
import { toBase64url } from './bytes.ts';

/** Ed25519 (RFC 8032, verified as ZIP 215 says) for validators: Node's own where there is Node, and the audited library. */

const nodeProcess: typeof process | undefined = globalThis.process;
const nodeCrypto = nodeProcess?.getBuiltinModule?.('node:crypto');
type NodeKey = ReturnType<NonNullable<typeof nodeCrypto>['createPublicKey']>;

export const ed25519PublicKeyBytes = 32;
export const ed25519SignatureBytes = 64;
/** Key objects cost more than a check; a network has few validators. */
const keyCacheMax = 1024;
const publicKeys = new Map<string, NodeKey>();
const privateKeys = new Map<string, NodeKey>();

function cached(cache: Map<string, NodeKey>, name: string, make: () => NodeKey): NodeKey {
  let key = cache.get(name);
  if (!key) {
    if (cache.size >= keyCacheMax) cache.clear();
    key = make();
    cache.set(name, key);
  }
  return key;
}

/** Public key of a 32-byte seed (RFC 8032 §5.1.5). */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  return nobleEd25519.getPublicKey(seed);
}

/** Signature of 64 bytes; `seed` is the 32-byte private key. */
export function signEd25519(seed: Uint8Array, message: Uint8Array): Uint8Array {
  if (!nodeCrypto) return nobleEd25519.sign(message, seed);
  const d = toBase64url(seed);
  const key = cached(privateKeys, d, () =>
    nodeCrypto.createPrivateKey({
      key: { kty: 'OKP', crv: 'Ed25519', d, x: toBase64url(ed25519PublicKey(seed)) },
      format: 'jwk',
    }),
  );
  return new Uint8Array(nodeCrypto.sign(null, message, key));
}

function verifiesInNode(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!nodeCrypto) return false;
  try {
    const x = toBase64url(publicKey);
    const key = cached(publicKeys, x, () =>
      nodeCrypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
    );
    return nodeCrypto.verify(null, message, key, signature);
  } catch {
    return false;
  }
}

/**
 * By the rules of ZIP 215, as CometBFT's: the equation is taken times the cofactor, points may be encoded with y ≥ p,
 * S must be below the group's order. Implementations of RFC 8032 differ from one another on such signatures, and a
 * chain must not split on them. Node's own check is narrower, so what it accepts is accepted, and the library decides
 * the rest. False for everything that is no signature of `message` by the key, malformed keys and signatures included.
 */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ed25519PublicKeyBytes || signature.length !== ed25519SignatureBytes) return false;
  if (verifiesInNode(publicKey, message, signature)) return true;
  try {
    return nobleEd25519.verify(signature, message, publicKey, { zip215: true });
  } catch {
    return false;
  }
}
