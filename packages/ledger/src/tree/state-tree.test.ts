import {
  buildStateProof,
  memorySource,
  proofKeyOf,
  proofValueOf,
  verifyMembership,
  verifyNonMembership,
} from '@salus/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_BUCKET } from './bucket.ts';
import { StateTree } from './state-tree.ts';

type Writes = [key: string, stored: Uint8Array | undefined][];

/** A tree over buckets in a map, as the store would keep them. */
function memoryTree(upperLevels: number): {
  tree: StateTree;
  buckets: Map<number, Uint8Array>;
  apply(w: Writes): void;
} {
  const buckets = new Map<number, Uint8Array>();
  const tree = new StateTree({ get: (index) => buckets.get(index) }, upperLevels);
  const apply = (writes: Writes): void => {
    for (const [index, bucket] of tree.update(writes)) buckets.set(index, bucket);
  };
  return { tree, buckets, apply };
}

function naive(state: ReadonlyMap<string, Uint8Array>): ReturnType<typeof memorySource> {
  return memorySource(
    [...state].map(([key, stored]) => ({ proofKey: proofKeyOf(key), proofValue: proofValueOf(stored) })),
  );
}

const keys = fc.integer({ min: 0, max: 60 }).map((n) => `kernel/test/${n}`);
const values = fc.uint8Array({ minLength: 1, maxLength: 20 });
const blocks = fc.array(fc.array(fc.tuple(keys, fc.option(values, { nil: undefined })), { maxLength: 20 }), {
  maxLength: 8,
});

describe('R-LED-1 StateTree', () => {
  for (const upperLevels of [1, 2, 5, 9]) {
    it(`with ${upperLevels} upper levels has the root of the plain tree after every block`, () => {
      fc.assert(
        fc.property(blocks, (list) => {
          const { tree, apply } = memoryTree(upperLevels);
          const state = new Map<string, Uint8Array>();
          for (const writes of list) {
            const merged = new Map(writes);
            apply([...merged]);
            for (const [key, stored] of merged) {
              if (stored) state.set(key, stored);
              else state.delete(key);
            }
            expect(tree.root()).toEqual(naive(state).root);
            expect(tree.size()).toBe(state.size);
          }
        }),
        { numRuns: 60 },
      );
    });
  }

  it('has the same root whatever the order and grouping of writes', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(keys, values), { selector: ([key]) => key }),
        fc.infiniteStream(fc.nat()),
        (list, order) => {
          const once = memoryTree(4);
          once.apply(list);
          const shuffled = [...list].sort(() => ((order.next().value as number) % 2) - 0.5);
          const singly = memoryTree(4);
          for (const write of shuffled) singly.apply([write]);
          expect(singly.tree.root()).toEqual(once.tree.root());
        },
      ),
    );
  });

  it('proves presence and absence of every key, as the plain tree does', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(keys, values), { selector: ([key]) => key, minLength: 1 }), (list) => {
        const { tree, apply } = memoryTree(3);
        apply(list);
        const state = new Map(list);
        const source = naive(state);
        for (let n = 0; n <= 60; n += 1) {
          const key = `kernel/test/${n}`;
          const proof = tree.prove(key);
          expect(proof).toEqual(buildStateProof(source, key));
          const stored = state.get(key);
          if (proof.kind === 'existence') {
            expect(verifyMembership(tree.root(), proof, proofKeyOf(key), proofValueOf(stored!))).toBe(true);
          } else {
            expect(stored).toBeUndefined();
            expect(verifyNonMembership(tree.root(), proof, proofKeyOf(key))).toBe(true);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('rebuilt from its buckets has the same root, and removing everything empties it', () => {
    const { tree, buckets, apply } = memoryTree(6);
    const writes: Writes = Array.from({ length: 500 }, (_, n) => [`kernel/test/${n}`, Buffer.from([n & 255, 1])]);
    apply(writes);
    const again = new StateTree({ get: (index) => buckets.get(index) }, 6);
    again.load(buckets);
    expect(again.root()).toEqual(tree.root());
    expect(again.size()).toBe(500);
    apply(writes.map(([key]) => [key, undefined]));
    expect(tree.root()).toEqual(new Uint8Array(32));
    expect([...buckets.values()].every((bucket) => bucket.length === EMPTY_BUCKET.length)).toBe(true);
  });
});

describe('R-LED-7 StateTree', () => {
  it('takes all writes of a block or none, where a bucket cannot be read', () => {
    const { buckets, apply } = memoryTree(4);
    apply(Array.from({ length: 40 }, (_, n) => [`kernel/test/${n}`, Buffer.from([1])]));
    let reads = 0;
    const source = {
      get: (index: number) => {
        reads += 1;
        if (reads > 5) throw new Error('unreadable');
        return buckets.get(index);
      },
    };
    const tree = new StateTree(source, 4);
    tree.load(buckets);
    const [root, size] = [tree.root(), tree.size()];
    const writes: Writes = Array.from({ length: 60 }, (_, n) => [`kernel/test/${n}`, Buffer.from([2])]);
    expect(() => tree.update(writes)).toThrow('unreadable');
    expect([tree.root(), tree.size()]).toEqual([root, size]);
    reads = Number.NEGATIVE_INFINITY;
    tree.update(writes);
    apply(writes);
    const whole = new StateTree({ get: (index) => buckets.get(index) }, 4);
    whole.load(buckets);
    expect([tree.root(), tree.size()]).toEqual([whole.root(), 60]);
  });

  it('a block costs what it changes, not what there is', () => {
    const { tree, buckets, apply } = memoryTree(12);
    apply(Array.from({ length: 20_000 }, (_, n) => [`kernel/test/${n}`, Buffer.from([1])]));
    const changed = tree.update(Array.from({ length: 10 }, (_, n) => [`kernel/test/${n * 7}`, Buffer.from([2])]));
    expect(changed.size).toBeLessThanOrEqual(10);
    expect(buckets.size).toBeGreaterThan(4_000);
  });
});
