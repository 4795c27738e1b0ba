import { decodeCbor, toBase64url } from '@salus/protocol';

/** Salt and version byte before the CBOR of a stored value (ADR 1). */
const contentOffset = 17;

/** A decoded value as JSON: byte strings become base64url. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toBase64url(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
  }
  return value;
}

/** What a stored value says, for people to read; what it proves are its bytes. */
export function stateContent(stored: Uint8Array): unknown {
  return plain(decodeCbor(stored.subarray(contentOffset)));
}
