import { concatBytes, equalBytes, fromBase64url, hmacSha256, randomBytes, sha256, toBase64url, utf8 } from './bytes.ts';
import { ProtocolErrorCodes, protocolError, SalusError } from './errors.ts';
import { blindingKeyBytes } from './pseudonyms.ts';

/** Both are base64url texts of 32 bytes. The commitment is public; the salt goes to those who may check the content. */
export type Commitment = { commitment: string; salt: string };

export const saltBytes = 32;
export const commitmentBytes = 32;
export const blindBytes = 16;

const LABEL = /^[A-Za-z0-9._/-]{1,64}$/;
const SEPARATOR = new Uint8Array(1);

/** commitment = SHA-256(salt ‖ content). A new random salt unless one is given (32 bytes); throws `saltInvalid`. */
export function commit(content: Uint8Array, salt: Uint8Array = randomBytes(saltBytes)): Commitment {
  if (salt.length !== saltBytes) throw protocolError(ProtocolErrorCodes.saltInvalid);
  return { commitment: toBase64url(sha256(salt, content)), salt: toBase64url(salt) };
}

/** Whether the commitment is one to this content; false for malformed texts. */
export function verifyCommitment({ commitment, salt }: Commitment, content: Uint8Array): boolean {
  try {
    const saltValue = fromBase64url(salt);
    return saltValue.length === saltBytes && equalBytes(fromBase64url(commitment), sha256(saltValue, content));
  } catch (error) {
    if (error instanceof SalusError) return false;
    throw error;
  }
}

/**
 * A name that only the holder of the blinding key can connect with its value: base64url of the first 16 bytes of
 * HMAC-SHA-256(key, label ‖ 0x00 ‖ value). Throws `blindInvalid`.
 */
export function blind(blindingKey: Uint8Array, label: string, value: string): string {
  if (blindingKey.length !== blindingKeyBytes || !LABEL.test(label)) {
    throw protocolError(ProtocolErrorCodes.blindInvalid);
  }
  const mac = hmacSha256(blindingKey, concatBytes(utf8(label), SEPARATOR, utf8(value)));
  return toBase64url(mac.subarray(0, blindBytes));
}
