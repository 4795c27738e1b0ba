import { concatBytes, equalBytes, sha256 } from './bytes.ts';
import { proofError } from './proof-errors.ts';

/**
 * Merkle trees over lists: RFC 6962 §2.1 with SHA-256, as CometBFT's crypto/merkle computes them. The empty list has
 * the hash SHA-256(""); a leaf is H(0x00 ‖ leaf), an inner node H(0x01 ‖ left ‖ right), and a list is split at the
 * largest power of two below its length. Joining neighbours level by level, an odd last one moving up unchanged,
 * gives the same tree.
 */

const LEAF_PREFIX = Uint8Array.of(0);
const INNER_PREFIX = 1;
const hashBytes = 32;
/** CometBFT's MaxAunts. */
const auntsMax = 100;

export type MerkleProof = {
  /** Number of leaves in the list. */
  total: number;
  /** Place of the leaf, from 0. */
  index: number;
  leafHash: Uint8Array;
  /** Hashes of the siblings, from the leaf up to below the root. */
  aunts: Uint8Array[];
};

const innerInput = new Uint8Array(1 + 2 * hashBytes);
innerInput[0] = INNER_PREFIX;

export function merkleLeafHash(leaf: Uint8Array): Uint8Array {
  return sha256(concatBytes(LEAF_PREFIX, leaf));
}

export function merkleInnerHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  innerInput.set(left, 1);
  innerInput.set(right, 1 + hashBytes);
  return sha256(innerInput);
}

/** Keeps every level, so that many proofs of one list cost one pass of hashing. */
export class MerkleTree {
  /** From the leaves' hashes up to the root. */
  readonly #levels: Uint8Array[][];

  constructor(leaves: readonly Uint8Array[]) {
    this.#levels = [leaves.map(merkleLeafHash)];
    for (let level = this.#levels[0] ?? []; level.length > 1; ) {
      level = levelAbove(level);
      this.#levels.push(level);
    }
  }

  get root(): Uint8Array {
    return this.#levels.at(-1)?.[0] ?? sha256(new Uint8Array(0));
  }

  /** Throws `merkleIndex`. */
  proof(index: number): MerkleProof {
    const hashes = this.#levels[0] ?? [];
    const leafHash = hashes[index];
    if (!leafHash) throw proofError('merkleIndex');
    const aunts: Uint8Array[] = [];
    let place = index;
    for (const level of this.#levels) {
      const sibling = level[place ^ 1];
      if (sibling) aunts.push(sibling);
      place >>>= 1;
    }
    return { total: hashes.length, index, leafHash, aunts };
  }
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index] as Uint8Array;
    const right = level[index + 1];
    above.push(right ? merkleInnerHash(left, right) : left);
  }
  return above;
}

export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  return new MerkleTree(leaves).root;
}

export function merkleProof(leaves: readonly Uint8Array[], index: number): MerkleProof {
  return new MerkleTree(leaves).proof(index);
}

/** The root that a proof leads to; undefined where the proof cannot be one of `total` leaves. */
export function merkleProofRoot(proof: MerkleProof): Uint8Array | undefined {
  const { total, index, leafHash, aunts } = proof;
  if (!Number.isSafeInteger(total) || !Number.isSafeInteger(index) || index < 0 || index >= total) return undefined;
  if (leafHash.length !== hashBytes || aunts.length > auntsMax) return undefined;
  if (aunts.some((aunt) => aunt.length !== hashBytes)) return undefined;
  let hash = leafHash;
  let used = 0;
  let place = index;
  for (let count = total; count > 1; count = Math.ceil(count / 2)) {
    const isRight = place % 2 === 1;
    if (isRight || place + 1 < count) {
      const aunt = aunts[used];
      if (!aunt) return undefined;
      used += 1;
      hash = isRight ? merkleInnerHash(aunt, hash) : merkleInnerHash(hash, aunt);
    }
    place = Math.floor(place / 2);
  }
  return used === aunts.length ? hash : undefined;
}

/**
 * Whether `leaf` stands in the list with this root. Index and total are proven up to lists that give the leaf the same
 * way to the root (the last of three looks like the second of two).
 */
export function verifyMerkleProof(root: Uint8Array, leaf: Uint8Array, proof: MerkleProof): boolean {
  if (!equalBytes(merkleLeafHash(leaf), proof.leafHash)) return false;
  const computed = merkleProofRoot(proof);
  return computed !== undefined && equalBytes(computed, root);
}
