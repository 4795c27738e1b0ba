import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';
import { utf8 } from '@salus/protocol';
import { vaultError } from './errors.ts';

/**
 * A wrapped key: version of the wrapping key (u32, big-endian) ‖ generation of the wrapped key (u32) ‖ nonce (12) ‖
 * AES-256-GCM of the key (32) ‖ tag (16). Always 68 bytes, so that a database overwrites it in place; all zero = destroyed.
 */
export const wrappedKeyBytes = 68;
export const keyBytes = 32;
const nonceAt = 8;
const cipherAt = 20;
const tagAt = 52;

/** Names of the wrapped key; authenticated, so that a key moved to another place does not unwrap. */
export type WrapPlace = readonly [kind: 'patient' | 'record' | 'purpose', organisation: string, ...ids: string[]];

function aadOf(place: WrapPlace, wrappedBy: number, generation: number): Uint8Array {
  return utf8(JSON.stringify(['salus-wrap/1', ...place, wrappedBy, generation]));
}

export function newKey(): Uint8Array {
  return randomFillSync(new Uint8Array(keyBytes));
}

export function wrapKey(
  wrapping: Uint8Array,
  place: WrapPlace,
  key: Uint8Array,
  numbers: { wrappedBy: number; generation: number },
): Uint8Array {
  const wrapped = new Uint8Array(wrappedKeyBytes);
  const view = new DataView(wrapped.buffer);
  view.setUint32(0, numbers.wrappedBy);
  view.setUint32(4, numbers.generation);
  const nonce = randomFillSync(wrapped.subarray(nonceAt, cipherAt));
  const cipher = createCipheriv('aes-256-gcm', wrapping, nonce);
  cipher.setAAD(aadOf(place, numbers.wrappedBy, numbers.generation));
  wrapped.set(cipher.update(key), cipherAt);
  cipher.final();
  wrapped.set(cipher.getAuthTag(), tagAt);
  return wrapped;
}

export function wrapNumbers(wrapped: Uint8Array): { wrappedBy: number; generation: number } {
  const view = new DataView(wrapped.buffer, wrapped.byteOffset);
  return { wrappedBy: view.getUint32(0), generation: view.getUint32(4) };
}

export function unwrapKey(wrapping: Uint8Array, place: WrapPlace, wrapped: Uint8Array): Uint8Array {
  if (wrapped.length !== wrappedKeyBytes) throw vaultError('keyUnreadable');
  const { wrappedBy, generation } = wrapNumbers(wrapped);
  const decipher = createDecipheriv('aes-256-gcm', wrapping, wrapped.subarray(nonceAt, cipherAt), {
    authTagLength: wrappedKeyBytes - tagAt,
  });
  decipher.setAAD(aadOf(place, wrappedBy, generation));
  decipher.setAuthTag(wrapped.subarray(tagAt));
  const key = new Uint8Array(decipher.update(wrapped.subarray(cipherAt, tagAt)));
  try {
    decipher.final();
  } catch {
    throw vaultError('keyUnreadable');
  }
  return key;
}

export function isDestroyed(wrapped: Uint8Array): boolean {
  return wrapped.every((byte) => byte === 0);
}
