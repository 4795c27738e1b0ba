import { type ExistenceProof, proofKeyOf, type SmtProof } from '@salus/protocol';
import {
  applyChange,
  bitAt,
  bucketSiblings,
  EMPTY_BUCKET,
  findLeaf,
  type LeafChange,
  leafAt,
  leafChange,
  leafCount,
  rangeRoot,
} from './bucket.ts';
import { hashBytes, innerPairInto } from './hash.ts';

/** What is stored of the tree: buckets by their place among the nodes at the depth where the buckets hang. */
export interface BucketSource {
  get(index: number): Uint8Array | undefined;
}

const EMPTY = 0;
const SINGLE_LEAF = 1;
const INNER = 2;

/**
 * Sparse Merkle tree (ADR 1). The upper levels lie in memory as one heap-ordered array, two siblings side by side, and
 * are hashed once per block, level by level; below them hang buckets of sorted leaves, kept by the state store. Which
 * order writes came in makes no difference.
 */
export class StateTree {
  readonly upperLevels: number;
  #nodes: Uint8Array;
  #kinds: Uint8Array;
  #source: BucketSource;
  #firstBucket: number;
  #leaves = 0;

  constructor(source: BucketSource, upperLevels: number) {
    this.upperLevels = upperLevels;
    this.#source = source;
    this.#firstBucket = 2 ** upperLevels;
    this.#nodes = new Uint8Array(2 * this.#firstBucket * hashBytes);
    this.#kinds = new Uint8Array(2 * this.#firstBucket);
  }

  root(): Uint8Array {
    return this.#nodes.slice(hashBytes, 2 * hashBytes);
  }

  /** Leaves in the whole tree. */
  size(): number {
    return this.#leaves;
  }

  /** Rebuilds the upper levels from all buckets. */
  load(buckets: Iterable<readonly [index: number, bucket: Uint8Array]>): void {
    const touched: number[] = [];
    for (const [index, bucket] of buckets) {
      this.#leaves += leafCount(bucket);
      this.#setBucketRoot(index, bucket);
      touched.push(this.#firstBucket + index);
    }
    this.#hashUpward(Uint32Array.from(touched).sort());
  }

  /** Applies all writes of a block, or none where a bucket cannot be read; returns the buckets that changed. */
  update(writes: Iterable<readonly [stateKey: string, stored: Uint8Array | undefined]>): Map<number, Uint8Array> {
    const changed = new Map<number, Uint8Array>();
    let leaves = this.#leaves;
    for (const [stateKey, stored] of writes) leaves += this.#applyLeaf(leafChange(stateKey, stored), changed);
    this.#leaves = leaves;
    const touched = new Uint32Array(changed.size);
    let count = 0;
    for (const [index, bucket] of changed) {
      this.#setBucketRoot(index, bucket);
      touched[count] = this.#firstBucket + index;
      count += 1;
    }
    this.#hashUpward(touched.sort());
    return changed;
  }

  /** Presence or absence of a state key under the present root. */
  prove(stateKey: string): SmtProof {
    const { path } = leafChange(stateKey, undefined);
    const index = this.#bucketIndex(path);
    const bucket = this.#bucket(index);
    const { index: place, found } = findLeaf(bucket, path);
    if (found) return this.#proveLeaf(bucket, place);
    const left = place > 0 ? this.#proveLeaf(bucket, place - 1) : this.#nearest(index, -1);
    const right = place < leafCount(bucket) ? this.#proveLeaf(bucket, place) : this.#nearest(index, 1);
    return { kind: 'absence', key: proofKeyOf(stateKey), left, right };
  }

  /** By how many leaves the bucket in `changed` grows. */
  #applyLeaf(change: LeafChange, changed: Map<number, Uint8Array>): number {
    const index = this.#bucketIndex(change.path);
    const before = changed.get(index) ?? this.#bucket(index);
    const after = applyChange(before, change);
    if (after === before) return 0;
    changed.set(index, after);
    return leafCount(after) - leafCount(before);
  }

  #bucket(index: number): Uint8Array {
    return this.#source.get(index) ?? EMPTY_BUCKET;
  }

  #bucketIndex(path: Uint8Array): number {
    const word =
      (((path[0] as number) << 24) | ((path[1] as number) << 16) | ((path[2] as number) << 8) | (path[3] as number)) >>>
      0;
    return word >>> (32 - this.upperLevels);
  }

  #setBucketRoot(index: number, bucket: Uint8Array): void {
    const count = leafCount(bucket);
    const node = this.#firstBucket + index;
    this.#kinds[node] = count === 0 ? EMPTY : count === 1 ? SINGLE_LEAF : INNER;
    this.#nodes.set(rangeRoot(bucket, 0, count, this.upperLevels), node * hashBytes);
  }

  /** `level`: sorted nodes of one level that changed. */
  #hashUpward(level: Uint32Array): void {
    let count = level.length;
    for (let depth = this.upperLevels; depth > 0; depth -= 1) {
      let parents = 0;
      let last = 0;
      for (let index = 0; index < count; index += 1) {
        const parent = (level[index] as number) >>> 1;
        if (parent === last) continue;
        last = parent;
        this.#hashParent(parent);
        level[parents] = parent;
        parents += 1;
      }
      count = parents;
    }
  }

  #hashParent(parent: number): void {
    const left = 2 * parent;
    const leftKind = this.#kinds[left] as number;
    const rightKind = this.#kinds[left + 1] as number;
    const nodes = this.#nodes;
    if (leftKind + rightKind > SINGLE_LEAF) {
      this.#kinds[parent] = INNER;
      innerPairInto(nodes, parent * hashBytes, nodes, left * hashBytes);
      return;
    }
    // A subtree with one leaf is that leaf; an empty one is empty.
    this.#kinds[parent] = leftKind + rightKind;
    const child = rightKind === SINGLE_LEAF ? left + 1 : left;
    nodes.copyWithin(parent * hashBytes, child * hashBytes, (child + 1) * hashBytes);
  }

  #proveLeaf(bucket: Uint8Array, place: number): ExistenceProof {
    const { path, proofKey, proofValue } = leafAt(bucket, place);
    const siblings: Uint8Array[] = [];
    const proof: ExistenceProof = {
      kind: 'existence',
      key: new Uint8Array(proofKey),
      value: new Uint8Array(proofValue),
      siblings,
    };
    let node = 1;
    for (let depth = 0; depth < this.upperLevels; depth += 1) {
      if (this.#kinds[node] !== INNER) return proof;
      const bit = bitAt(path, depth);
      const beside = 2 * node + 1 - bit;
      siblings.push(this.#nodes.slice(beside * hashBytes, (beside + 1) * hashBytes));
      node = 2 * node + bit;
    }
    bucketSiblings(bucket, path, this.upperLevels, siblings);
    return proof;
  }

  /** The leaf next to bucket `index` in direction `step`: over empty subtrees upward, then down its near edge. */
  #nearest(index: number, step: -1 | 1): ExistenceProof | undefined {
    let node = this.#firstBucket + index;
    const fromSide = step === 1 ? 0 : 1;
    while (node > 1) {
      if ((node & 1) === fromSide && this.#kinds[node ^ 1] !== EMPTY) {
        node ^= 1;
        break;
      }
      node >>>= 1;
    }
    if (node <= 1) return undefined;
    while (node < this.#firstBucket) {
      const near = 2 * node + fromSide;
      node = this.#kinds[near] !== EMPTY ? near : near ^ 1;
    }
    const bucket = this.#bucket(node - this.#firstBucket);
    return this.#proveLeaf(bucket, step === 1 ? 0 : leafCount(bucket) - 1);
  }
}
