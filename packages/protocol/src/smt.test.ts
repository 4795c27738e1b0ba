import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, concatBytes, equalBytes, sha256, toHex, utf8 } from './bytes.ts';
import { stateSource } from './chain-fixture.ts';
import { decodeCommitmentProof, encodeCommitmentProof } from './ics23.ts';
import {
  type AbsenceProof,
  buildAbsenceProof,
  buildExistenceProof,
  buildStateProof,
  EMPTY,
  type ExistenceProof,
  innerHash,
  joinSubtrees,
  leafHash,
  memorySource,
  pathBit,
  pathOf,
  proofKeyOf,
  proofValueOf,
  type Subtree,
  subtreeRoot,
  subtreeSiblings,
  verifyMembership,
  verifyNonMembership,
} from './smt.ts';

function stateOf(count: number, name = 'key'): Map<string, Uint8Array> {
  return new Map(Array.from({ length: count }, (_, index) => [`t/${name}/${index}`, utf8(`value ${index}`)]));
}

/** The definition, naively: leaves with a common prefix split bit by bit; one leaf is the whole subtree. */
function naiveRoot(leaves: { bits: string; hash: Uint8Array }[], depth: number): Uint8Array {
  if (leaves.length === 0) return new Uint8Array(32);
  if (leaves.length === 1) return leaves[0]!.hash;
  const half = (bit: string) =>
    naiveRoot(
      leaves.filter(({ bits }) => bits[depth] === bit),
      depth + 1,
    );
  return sha256(concatBytes(Uint8Array.of(1), half('0'), half('1')));
}

const cases = fc.record({ count: fc.integer({ min: 1, max: 80 }), seed: fc.string({ maxLength: 8 }) });

function checkPresent(root: Uint8Array, proof: ExistenceProof, key: string, stored: Uint8Array): boolean {
  return verifyMembership(root, proof, proofKeyOf(key), proofValueOf(stored));
}

describe('R-LED-1 smt', () => {
  it('has the root of the definition', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 120 }), (count) => {
        const state = stateOf(count);
        const leaves = [...state].map(([key, stored]) => {
          const path = sha256(sha256(utf8(key)));
          const bits = [...path].map((byte) => byte.toString(2).padStart(8, '0')).join('');
          return { bits, hash: sha256(concatBytes(Uint8Array.of(0), path, sha256(sha256(stored)))) };
        });
        expect(stateSource(state).root).toEqual(naiveRoot(leaves, 0));
      }),
      { numRuns: 30 },
    );
    expect(stateSource(new Map()).root).toEqual(EMPTY);
  });

  it('joins subtrees of one level up to the same root and siblings', () => {
    const levelDepth = 4;
    for (const count of [1, 2, 3, 5, 12, 200]) {
      const leaves = [...stateOf(count)]
        .map(([key, stored]) => ({ path: pathOf(proofKeyOf(key)), value: proofValueOf(stored) }))
        .map(({ path, value }) => ({ path, hash: leafHash(path, value) }))
        .sort((one, other) => compareBytes(one.path, other.path));
      const buckets = Array.from({ length: 1 << levelDepth }, (_, index) =>
        leaves.filter(({ path }) => path[0]! >>> 4 === index),
      );
      let level: Subtree[] = buckets.map((bucket) => ({
        hash: subtreeRoot(bucket, levelDepth),
        leafCount: Math.min(bucket.length, 2) as 0 | 1 | 2,
      }));
      while (level.length > 1) {
        level = level.flatMap((left, index) => (index % 2 === 0 ? [joinSubtrees(left, level[index + 1]!)] : []));
      }
      expect(level[0]!.hash).toEqual(subtreeRoot(leaves, 0));
      for (const { path } of leaves) {
        const bucket = buckets[path[0]! >>> 4]!;
        const whole = subtreeSiblings(leaves, 0, path);
        expect(whole.slice(levelDepth)).toEqual(subtreeSiblings(bucket, levelDepth, path));
      }
    }
  });

  it('proves presence of every key and absence of every other', () => {
    fc.assert(
      fc.property(cases, ({ count }) => {
        const state = stateOf(count);
        const source = stateSource(state);
        for (const [key, stored] of state) {
          const proof = buildExistenceProof(source, key);
          expect(checkPresent(source.root, proof, key, stored)).toBe(true);
          expect(checkPresent(source.root, proof, key, utf8('other'))).toBe(false);
          expect(checkPresent(EMPTY, proof, key, stored)).toBe(false);
        }
        for (const key of stateOf(20, 'other').keys()) {
          const proof = buildAbsenceProof(source, key);
          expect(verifyNonMembership(source.root, proof, proofKeyOf(key))).toBe(true);
          expect(verifyNonMembership(source.root, proof, proofKeyOf('t/key/0'))).toBe(false);
          const present: AbsenceProof = { ...proof, key: proofKeyOf('t/key/0') };
          expect(verifyNonMembership(source.root, present, proofKeyOf('t/key/0'))).toBe(false);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('refuses to prove absence by leaves that are no neighbours', () => {
    const state = stateOf(60);
    const source = stateSource(state);
    const sorted = [...state.keys()].sort((one, other) =>
      compareBytes(pathOf(proofKeyOf(one)), pathOf(proofKeyOf(other))),
    );
    const proofs = sorted.map((key) => buildExistenceProof(source, key));
    const pairs = [...proofs, undefined].flatMap((left, l) =>
      [...proofs, undefined].map((right, r) => ({ left, right, l, r })),
    );
    for (const hidden of [0, 1, 17, 58, 59]) {
      const key = proofKeyOf(sorted[hidden]!);
      for (const { left, right } of pairs) {
        expect(verifyNonMembership(source.root, { kind: 'absence', key, left, right }, key)).toBe(false);
      }
    }
    const key = proofKeyOf('t/absent/1');
    const accepted = pairs.filter(({ left, right }) =>
      verifyNonMembership(source.root, { kind: 'absence', key, left, right }, key),
    );
    const built = buildAbsenceProof(source, 't/absent/1');
    expect(accepted.map(({ left, right }) => [left, right])).toEqual([[built.left, built.right]]);
  });

  it('names what cannot be proven', () => {
    const source = stateSource(stateOf(3));
    expect(() => buildExistenceProof(source, 't/none')).toThrow('no value');
    expect(() => buildAbsenceProof(source, 't/key/1')).toThrow('has a value');
    expect(() => buildAbsenceProof(memorySource([]), 't/key/1')).toThrow('empty state');
    expect(buildStateProof(source, 't/key/1').kind).toBe('existence');
    expect(buildStateProof(source, 't/none').kind).toBe('absence');
  });

  it('reads paths from the highest bit', () => {
    expect(Array.from({ length: 16 }, (_, depth) => pathBit(Uint8Array.of(0x80, 0x03), depth)).join('')).toBe(
      '1000000000000011',
    );
    expect(toHex(innerHash(EMPTY, EMPTY))).toBe(toHex(sha256(concatBytes(Uint8Array.of(1), new Uint8Array(64)))));
  });
});

describe('R-LED-1 ics23', () => {
  it('reads back every proof it wrote and refuses every changed byte', () => {
    fc.assert(
      fc.property(cases, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ count, seed }, place, mask) => {
        const source = stateSource(stateOf(count, `key${seed.length}`));
        for (const key of [`t/key${seed.length}/0`, 't/absent']) {
          const bytes = encodeCommitmentProof(buildStateProof(source, key));
          const proof = decodeCommitmentProof(bytes);
          expect(proof).toEqual(buildStateProof(source, key));
          const changed = bytes.slice();
          changed[place % bytes.length] = changed[place % bytes.length]! ^ mask;
          expect(provesSame(source.root, changed, key)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function provesSame(root: Uint8Array, bytes: Uint8Array, key: string): boolean {
  try {
    const proof = decodeCommitmentProof(bytes);
    if (proof.kind === 'absence') return verifyNonMembership(root, proof, proofKeyOf(key));
    return (
      equalBytes(proof.value, proofValueOf(utf8('value 0'))) &&
      verifyMembership(root, proof, proofKeyOf(key), proof.value)
    );
  } catch {
    return false;
  }
}
