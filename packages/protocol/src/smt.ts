import { asciiBytes, compareBytes, equalBytes, sha256 } from './bytes.ts';
import { proofError } from './proof-errors.ts';

/**
 * The state tree: a sparse Merkle tree as in ICS-23's SmtSpec (ADR 1). Proof key = SHA-256(state key), proof value =
 * SHA-256(stored value), path = SHA-256(proof key), walked from its highest bit; leaf = H(0x00 ‖ path ‖ H(proof value)),
 * inner = H(0x01 ‖ left ‖ right), empty subtree = 32 zero bytes, a subtree of one leaf = that leaf.
 */

const LEAF_PREFIX = 0;
const INNER_PREFIX = 1;
const hashBytes = 32;
/** ICS-23 SmtSpec, max_depth: steps between a leaf and the root. */
const depthMax = 256;

/** The hash of a subtree without leaves. */
export const EMPTY: Uint8Array = new Uint8Array(hashBytes);

/** What the tree holds for one state key. */
export type SmtLeaf = { proofKey: Uint8Array; proofValue: Uint8Array };

/** A leaf as `subtreeRoot` wants it. */
export type SubtreeLeaf = { path: Uint8Array; hash: Uint8Array };

/** Where proofs are built from: the tree as it stands after one block. */
export type SmtSource = {
  leaf(path: Uint8Array): SmtLeaf | undefined;
  /** The leaf with the next smaller path. */
  leafBefore(path: Uint8Array): SmtLeaf | undefined;
  /** The leaf with the next greater path. */
  leafAfter(path: Uint8Array): SmtLeaf | undefined;
  /** Siblings on the way from the root to the leaf of `path`, which exists: as many as the leaf lies deep. */
  siblings(path: Uint8Array): Uint8Array[];
};

export type ExistenceProof = {
  kind: 'existence';
  /** SHA-256 of the state key. */
  key: Uint8Array;
  /** SHA-256 of the stored value. */
  value: Uint8Array;
  /** From the root down to the leaf; the path's bits say on which side each stands. */
  siblings: Uint8Array[];
};

export type AbsenceProof = {
  kind: 'absence';
  /** SHA-256 of the state key that has no value. */
  key: Uint8Array;
  /** The leaf with the next smaller path, unless there is none. */
  left: ExistenceProof | undefined;
  /** The leaf with the next greater path, unless there is none. */
  right: ExistenceProof | undefined;
};

export type SmtProof = ExistenceProof | AbsenceProof;

const hashInput = new Uint8Array(1 + 2 * hashBytes);

function hashPair(prefix: number, left: Uint8Array, right: Uint8Array): Uint8Array {
  hashInput[0] = prefix;
  hashInput.set(left, 1);
  hashInput.set(right, 1 + hashBytes);
  return sha256(hashInput);
}

export function proofKeyOf(stateKey: string): Uint8Array {
  return sha256(asciiBytes(stateKey));
}

export function proofValueOf(stored: Uint8Array): Uint8Array {
  return sha256(stored);
}

/** The way to a leaf: 32 bytes, read from the highest bit of the first one. */
export function pathOf(proofKey: Uint8Array): Uint8Array {
  return sha256(proofKey);
}

export function leafHash(path: Uint8Array, proofValue: Uint8Array): Uint8Array {
  return hashPair(LEAF_PREFIX, path, sha256(proofValue));
}

export function innerHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return hashPair(INNER_PREFIX, left, right);
}

/** Bit `depth` of a path: 0 leads to the left child, 1 to the right one. */
export function pathBit(path: Uint8Array, depth: number): number {
  return ((path[depth >>> 3] ?? 0) >>> (7 - (depth & 7))) & 1;
}

/** Index of the first leaf in [start, end) whose path has a 1 at `depth`; all of them agree on the bits before. */
function splitIndex(leaves: readonly { path: Uint8Array }[], depth: number, start: number, end: number): number {
  let low = start;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pathBit((leaves[middle] as { path: Uint8Array }).path, depth) === 1) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Root of the subtree at `depth` that holds leaves[start…end), sorted by path, all equal in their first `depth` bits.
 * Only leaves of the range are in the subtree.
 */
export function subtreeRoot(
  leaves: readonly SubtreeLeaf[],
  depth: number,
  start = 0,
  end: number = leaves.length,
): Uint8Array {
  if (end <= start) return EMPTY;
  if (end - start === 1) return (leaves[start] as SubtreeLeaf).hash;
  const middle = splitIndex(leaves, depth, start, end);
  return innerHash(subtreeRoot(leaves, depth + 1, start, middle), subtreeRoot(leaves, depth + 1, middle, end));
}

/** Siblings below the subtree's root on the way to the leaf of `path`, from `depth` downwards; see `subtreeRoot`. */
export function subtreeSiblings(leaves: readonly SubtreeLeaf[], depth: number, path: Uint8Array): Uint8Array[] {
  const siblings: Uint8Array[] = [];
  let start = 0;
  let end = leaves.length;
  for (let level = depth; end - start > 1; level += 1) {
    const middle = splitIndex(leaves, level, start, end);
    if (pathBit(path, level) === 1) {
      siblings.push(subtreeRoot(leaves, level + 1, start, middle));
      start = middle;
    } else {
      siblings.push(subtreeRoot(leaves, level + 1, middle, end));
      end = middle;
    }
  }
  return siblings;
}

/** A node of upper levels: its hash, and whether it holds no, one or more leaves (2 stands for more). */
export type Subtree = { hash: Uint8Array; leafCount: 0 | 1 | 2 };

/** The node above two neighbours: a single leaf moves up unhashed. */
export function joinSubtrees(left: Subtree, right: Subtree): Subtree {
  if (left.leafCount + right.leafCount <= 1) return left.leafCount === 1 ? left : right;
  return { hash: innerHash(left.hash, right.hash), leafCount: 2 };
}

function existenceProofOf(source: SmtSource, leaf: SmtLeaf): ExistenceProof {
  const siblings = source.siblings(pathOf(leaf.proofKey));
  return { kind: 'existence', key: leaf.proofKey, value: leaf.proofValue, siblings };
}

/** Proof that the state has a value under `stateKey`; throws `proofKeyAbsent`. */
export function buildExistenceProof(source: SmtSource, stateKey: string): ExistenceProof {
  const leaf = source.leaf(pathOf(proofKeyOf(stateKey)));
  if (!leaf) throw proofError('proofKeyAbsent');
  return existenceProofOf(source, leaf);
}

/** Proof that the state has no value under `stateKey`; throws `proofKeyPresent`, `proofTreeEmpty`. */
export function buildAbsenceProof(source: SmtSource, stateKey: string): AbsenceProof {
  const key = proofKeyOf(stateKey);
  const path = pathOf(key);
  if (source.leaf(path)) throw proofError('proofKeyPresent');
  const before = source.leafBefore(path);
  const after = source.leafAfter(path);
  if (!before && !after) throw proofError('proofTreeEmpty');
  return {
    kind: 'absence',
    key,
    left: before && existenceProofOf(source, before),
    right: after && existenceProofOf(source, after),
  };
}

/** Proof of presence or of absence, whichever holds. */
export function buildStateProof(source: SmtSource, stateKey: string): SmtProof {
  const present = source.leaf(pathOf(proofKeyOf(stateKey))) !== undefined;
  return present ? buildExistenceProof(source, stateKey) : buildAbsenceProof(source, stateKey);
}

/** Source over leaves held in memory, in any order: for small trees and tests. */
export function memorySource(leaves: readonly SmtLeaf[]): SmtSource & { root: Uint8Array } {
  const sorted = leaves
    .map((leaf) => {
      const path = pathOf(leaf.proofKey);
      return { ...leaf, path, hash: leafHash(path, leaf.proofValue) };
    })
    .sort((one, other) => compareBytes(one.path, other.path));
  return {
    root: subtreeRoot(sorted, 0),
    leaf: (path) => sorted.find((leaf) => equalBytes(leaf.path, path)),
    leafBefore: (path) => sorted.findLast((leaf) => compareBytes(leaf.path, path) < 0),
    leafAfter: (path) => sorted.find((leaf) => compareBytes(leaf.path, path) > 0),
    siblings: (path) => subtreeSiblings(sorted, 0, path),
  };
}

/** The root that a proof of presence leads to; undefined where it cannot be one. */
export function existenceRoot(proof: ExistenceProof): Uint8Array | undefined {
  if (proof.key.length !== hashBytes || proof.value.length !== hashBytes) return undefined;
  if (proof.siblings.length > depthMax || proof.siblings.some((sibling) => sibling.length !== hashBytes)) {
    return undefined;
  }
  const path = pathOf(proof.key);
  let hash = leafHash(path, proof.value);
  for (let depth = proof.siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = proof.siblings[depth] as Uint8Array;
    hash = pathBit(path, depth) === 1 ? innerHash(sibling, hash) : innerHash(hash, sibling);
  }
  return hash;
}

function leadsTo(root: Uint8Array, proof: ExistenceProof): boolean {
  const computed = existenceRoot(proof);
  return computed !== undefined && equalBytes(computed, root);
}

/** Whether the tree with this root holds `proofValue` under `proofKey` (both are hashes: ADR 1, State). */
export function verifyMembership(
  root: Uint8Array,
  proof: ExistenceProof,
  proofKey: Uint8Array,
  proofValue: Uint8Array,
): boolean {
  return equalBytes(proof.key, proofKey) && equalBytes(proof.value, proofValue) && leadsTo(root, proof);
}

/** Whether no leaf stands beside the leaf's way, on the side of `bit`, from `depth` downwards. */
function nothingBeside(proof: ExistenceProof, path: Uint8Array, depth: number, bit: number): boolean {
  for (let level = depth; level < proof.siblings.length; level += 1) {
    const siblingBit = 1 - pathBit(path, level);
    if (siblingBit === bit && !equalBytes(proof.siblings[level] as Uint8Array, EMPTY)) return false;
  }
  return true;
}

/**
 * Whether the tree with this root has no leaf for `proofKey`: two leaves that are neighbours in the tree, or its
 * first or last leaf alone, enclose the place where it would stand (ICS-23, NonExistenceProof).
 */
export function verifyNonMembership(root: Uint8Array, proof: AbsenceProof, proofKey: Uint8Array): boolean {
  const { left, right } = proof;
  if (!equalBytes(proof.key, proofKey)) return false;
  if ((left && !leadsTo(root, left)) || (right && !leadsTo(root, right))) return false;
  const path = pathOf(proofKey);
  const leftPath = left && pathOf(left.key);
  const rightPath = right && pathOf(right.key);
  if (leftPath && compareBytes(leftPath, path) >= 0) return false;
  if (rightPath && compareBytes(path, rightPath) >= 0) return false;
  if (left && leftPath && right && rightPath) {
    let fork = 0;
    while (pathBit(leftPath, fork) === pathBit(rightPath, fork)) fork += 1;
    if (fork >= left.siblings.length || fork >= right.siblings.length) return false;
    return nothingBeside(left, leftPath, fork + 1, 1) && nothingBeside(right, rightPath, fork + 1, 0);
  }
  if (left && leftPath) return nothingBeside(left, leftPath, 0, 1);
  if (right && rightPath) return nothingBeside(right, rightPath, 0, 0);
  return false;
}
