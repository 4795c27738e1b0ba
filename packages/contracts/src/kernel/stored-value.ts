import { asciiBytes, decodeCbor, encodeCbor, sha256 } from '@salus/protocol';
import type { IterableReader, IterableView, StateReader, StateView } from './types.ts';

/** ADR 1: stored value = salt (16) ‖ version byte (1) ‖ deterministic CBOR. */
export const saltBytesOfValue = 16;
export const valueVersion = 1;
export const stateKeyLengthMax = 200;
const valueOffset = saltBytesOfValue + 1;

const SALT_LABEL = asciiBytes('salus-salt-v1');
const hashBytes = 32;
/** Label and room for transaction hash and state key: salts are computed for every write. */
const saltInput = new Uint8Array(SALT_LABEL.length + hashBytes + stateKeyLengthMax);
saltInput.set(SALT_LABEL);
const STATE_KEY = /^[a-z][a-z0-9-]*(?:\/[A-Za-z0-9_.:~-]+)+$/;

/** Throws on a key that ADR 1 does not allow: always a programmer's fault. */
export function assertStateKey(key: string): void {
  if (key.length > stateKeyLengthMax || !STATE_KEY.test(key)) throw new TypeError(`not a state key: ${key}`);
}

/** The salt cannot be guessed, because nobody can guess the signatures that the transaction hash covers. */
export function encodeStored(transactionHash: Uint8Array, key: string, cbor: Uint8Array): Uint8Array {
  if (transactionHash.length !== hashBytes || key.length > stateKeyLengthMax) throw new TypeError('no salt for this');
  saltInput.set(transactionHash, SALT_LABEL.length);
  const offset = SALT_LABEL.length + hashBytes;
  for (let index = 0; index < key.length; index += 1) saltInput[offset + index] = key.charCodeAt(index);
  const digest = sha256(saltInput.subarray(0, offset + key.length));
  const stored = new Uint8Array(valueOffset + cbor.length);
  for (let index = 0; index < saltBytesOfValue; index += 1) stored[index] = digest[index] as number;
  stored[saltBytesOfValue] = valueVersion;
  stored.set(cbor, valueOffset);
  return stored;
}

/** Throws on bytes that are not a stored value of a known version: the store is damaged. */
export function decodeStored<T>(stored: Uint8Array): T {
  if (stored.length <= valueOffset || stored[saltBytesOfValue] !== valueVersion) {
    throw new TypeError('stored value of an unknown version');
  }
  return decodeCbor(stored.subarray(valueOffset)) as T;
}

export function encodeValue(value: unknown): Uint8Array {
  return encodeCbor(value as Parameters<typeof encodeCbor>[0]);
}

/** Decoded reads of committed state, for queries outside of execution. */
export function stateReader(view: StateView): StateReader {
  return {
    get<T>(key: string): T | undefined {
      const stored = view.get(key);
      return stored === undefined ? undefined : decodeStored<T>(stored);
    },
  };
}

export function iterableReader(view: IterableView): IterableReader {
  return {
    ...stateReader(view),
    *iterate<T>(prefix: string): Iterable<[key: string, value: T]> {
      for (const [key, stored] of view.iterate(prefix)) yield [key, decodeStored<T>(stored)];
    },
  };
}
