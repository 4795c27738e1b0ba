import { hash } from 'node:crypto';

/** Node hashes to a latin1 string in a third of the time it takes to hash to a Buffer. */
export const hashBytes = 32;

const LEAF = 0;
const INNER = 1;
const scratch = Buffer.alloc(1 + 2 * hashBytes);
const digest = Buffer.alloc(hashBytes);

/** SHA-256 of `input`, written into `target` at `offset`. */
export function sha256Into(target: Uint8Array, offset: number, input: Uint8Array): void {
  digest.write(hash('sha256', input, 'binary'), 0, hashBytes, 'latin1');
  target.set(digest, offset);
}

/** ADR 1: inner = H(0x01 ‖ left ‖ right), both children lying side by side at `position` of `children`. */
export function innerPairInto(target: Uint8Array, offset: number, children: Uint8Array, position: number): void {
  scratch[0] = INNER;
  scratch.set(children.subarray(position, position + 2 * hashBytes), 1);
  digest.write(hash('sha256', scratch, 'binary'), 0, hashBytes, 'latin1');
  target.set(digest, offset);
}

/** ADR 1: inner = H(0x01 ‖ left ‖ right). */
export function innerHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  scratch[0] = INNER;
  scratch.set(left, 1);
  scratch.set(right, 1 + hashBytes);
  return Buffer.from(hash('sha256', scratch, 'binary'), 'latin1');
}

/** ADR 1: leaf = H(0x00 ‖ path ‖ SHA-256(proof value)). */
export function leafHashInto(target: Uint8Array, offset: number, path: Uint8Array, valueHash: Uint8Array): void {
  scratch[0] = LEAF;
  scratch.set(path, 1);
  scratch.set(valueHash, 1 + hashBytes);
  digest.write(hash('sha256', scratch, 'binary'), 0, hashBytes, 'latin1');
  target.set(digest, offset);
}
