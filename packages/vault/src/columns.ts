import { createCipheriv, createDecipheriv, createHmac, type KeyObject, randomFillSync } from 'node:crypto';
import { concatBytes, toBase64url, utf8 } from '@salus/protocol';
import { vaultError } from './errors.ts';

/**
 * Small values that a database holds encrypted, such as the identity segment: nonce (12) ‖ AES-256-GCM ‖ tag (16). `place`
 * names table, column and row, so that a value cannot be moved. One key may seal 2^32 values at the most (NIST SP 800-38D
 * §8.3, random nonces).
 */
const nonceBytes = 12;
const tagBytes = 16;
const tokenBytes = 16;

/** A key object is several times quicker than its bytes where the same key is used often. */
export type ColumnKey = Uint8Array | KeyObject;

export function sealColumn(key: ColumnKey, place: readonly string[], value: Uint8Array): Uint8Array {
  const nonce = randomFillSync(new Uint8Array(nonceBytes));
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(utf8(JSON.stringify(['salus-column/1', ...place])));
  const body = cipher.update(value);
  cipher.final();
  return concatBytes(nonce, body, cipher.getAuthTag());
}

export function openColumn(key: ColumnKey, place: readonly string[], sealed: Uint8Array): Uint8Array {
  const end = sealed.length - tagBytes;
  if (end < nonceBytes) throw vaultError('columnUnreadable');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(utf8(JSON.stringify(['salus-column/1', ...place])));
  decipher.setAuthTag(sealed.subarray(end));
  const value = decipher.update(sealed.subarray(nonceBytes, end));
  try {
    decipher.final();
  } catch {
    throw vaultError('columnUnreadable');
  }
  return new Uint8Array(value);
}

/**
 * What an index holds instead of a value: the first 16 bytes of HMAC-SHA-256 under the organisation's index key, base64url.
 * Equal values of one field have equal tokens; who lacks the key learns that and nothing more.
 */
export function indexToken(indexKey: ColumnKey, field: string, value: string): string {
  const mac = createHmac('sha256', indexKey)
    .update(JSON.stringify(['salus-index/1', field, value]))
    .digest();
  return toBase64url(mac.subarray(0, tokenBytes));
}
