import { hashBytes, innerHash, leafHashInto, sha256Into } from './hash.ts';

/**
 * A bucket holds the leaves below one node of the upper tree, sorted by path: path ‖ leaf hash ‖ proof key ‖ proof
 * value, 32 bytes each. Proof key and value stand here so that the neighbours in an absence proof need no further
 * table, which would cost one more random page per new key.
 */
export const leafBytes = 4 * hashBytes;
const leafHashOffset = hashBytes;
const proofKeyOffset = 2 * hashBytes;
const proofValueOffset = 3 * hashBytes;

export const EMPTY_HASH = new Uint8Array(hashBytes);
export const EMPTY_BUCKET = new Uint8Array(0);

export type Leaf = { path: Uint8Array; leafHash: Uint8Array; proofKey: Uint8Array; proofValue: Uint8Array };

/** `record`: the leaf's 128 bytes, or undefined where the key is removed. */
export type LeafChange = { path: Uint8Array; record: Uint8Array | undefined };

const keyScratch = Buffer.alloc(512);
const record = Buffer.alloc(leafBytes);

/**
 * The change that writing `stored` (undefined: removing) under `stateKey` makes to the tree. It lies in memory that the
 * next call uses again: a block makes hundreds, and each is copied into its bucket at once.
 */
export function leafChange(stateKey: string, stored: Uint8Array | undefined): LeafChange {
  const length = keyScratch.write(stateKey, 0, 'latin1');
  sha256Into(record, proofKeyOffset, keyScratch.subarray(0, length));
  sha256Into(record, 0, record.subarray(proofKeyOffset, proofValueOffset));
  const path = record.subarray(0, hashBytes);
  if (stored === undefined) return { path, record: undefined };
  sha256Into(record, proofValueOffset, stored);
  // The leaf hash's own place serves as scratch for the hash of the proof value.
  sha256Into(record, leafHashOffset, record.subarray(proofValueOffset, leafBytes));
  leafHashInto(record, leafHashOffset, path, record.subarray(leafHashOffset, proofKeyOffset));
  return { path, record };
}

export function leafCount(bucket: Uint8Array): number {
  return bucket.length / leafBytes;
}

export function leafAt(bucket: Uint8Array, index: number): Leaf {
  const at = index * leafBytes;
  return {
    path: bucket.subarray(at, at + leafHashOffset),
    leafHash: bucket.subarray(at + leafHashOffset, at + proofKeyOffset),
    proofKey: bucket.subarray(at + proofKeyOffset, at + proofValueOffset),
    proofValue: bucket.subarray(at + proofValueOffset, at + leafBytes),
  };
}

function comparePath(bucket: Uint8Array, index: number, path: Uint8Array): number {
  const at = index * leafBytes;
  for (let byte = 0; byte < hashBytes; byte += 1) {
    const difference = (bucket[at + byte] as number) - (path[byte] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Place of the first leaf whose path is not below `path`, and whether it is that path. */
export function findLeaf(bucket: Uint8Array, path: Uint8Array): { index: number; found: boolean } {
  let low = 0;
  let high = leafCount(bucket);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = comparePath(bucket, middle, path);
    if (order === 0) return { index: middle, found: true };
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return { index: low, found: false };
}

/** A new bucket with one change applied; the old bytes are never touched, a flush may be writing them. */
export function applyChange(bucket: Uint8Array, change: LeafChange): Uint8Array {
  const { index, found } = findLeaf(bucket, change.path);
  const at = index * leafBytes;
  if (change.record === undefined) {
    if (!found) return bucket;
    const shorter = Buffer.allocUnsafe(bucket.length - leafBytes);
    shorter.set(bucket.subarray(0, at), 0);
    shorter.set(bucket.subarray(at + leafBytes), at);
    return shorter;
  }
  const next = Buffer.allocUnsafe(found ? bucket.length : bucket.length + leafBytes);
  next.set(bucket.subarray(0, at), 0);
  next.set(change.record, at);
  next.set(bucket.subarray(found ? at + leafBytes : at), at + leafBytes);
  return next;
}

export function bitAt(path: Uint8Array, depth: number): number {
  return ((path[depth >>> 3] as number) >>> (7 - (depth & 7))) & 1;
}

/** First leaf in [low, high) whose bit at `depth` is set: the leaves are sorted and agree before it. */
function splitAt(bucket: Uint8Array, low: number, high: number, depth: number): number {
  const byte = depth >>> 3;
  const mask = 0x80 >>> (depth & 7);
  let from = low;
  let to = high;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (((bucket[middle * leafBytes + byte] as number) & mask) === 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Root of the leaves [low, high), which agree in their first `depth` bits. */
export function rangeRoot(bucket: Uint8Array, low: number, high: number, depth: number): Uint8Array {
  if (low === high) return EMPTY_HASH;
  if (high - low === 1) {
    const at = low * leafBytes + leafHashOffset;
    return bucket.subarray(at, at + hashBytes);
  }
  const split = splitAt(bucket, low, high, depth);
  return innerHash(rangeRoot(bucket, low, split, depth + 1), rangeRoot(bucket, split, high, depth + 1));
}

/**
 * Walks from the bucket's root at `depth` to the place of `path`; appends what stands beside it, from the root down.
 * Ends at an empty place or a single leaf, as the tree does.
 */
export function bucketSiblings(bucket: Uint8Array, path: Uint8Array, depth: number, siblings: Uint8Array[]): void {
  let low = 0;
  let high = leafCount(bucket);
  for (let level = depth; high - low > 1; level += 1) {
    const split = splitAt(bucket, low, high, level);
    if (bitAt(path, level) === 1) {
      siblings.push(new Uint8Array(rangeRoot(bucket, low, split, level + 1)));
      low = split;
    } else {
      siblings.push(new Uint8Array(rangeRoot(bucket, split, high, level + 1)));
      high = split;
    }
  }
}
