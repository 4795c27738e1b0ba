import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, sha256, toHex, utf8 } from './bytes.ts';
import { merkleProof, merkleProofRoot, merkleRoot, verifyMerkleProof } from './merkle.ts';

/** RFC 6962 §2.1 as it is written: the recursive definition. */
function recursiveRoot(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array(0));
  if (leaves.length === 1) return sha256(concatBytes(Uint8Array.of(0), leaves[0]!));
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(
    concatBytes(Uint8Array.of(1), recursiveRoot(leaves.slice(0, split)), recursiveRoot(leaves.slice(split))),
  );
}

function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => utf8(`leaf ${index}`));
}

describe('R-LED-1 merkle', () => {
  it('computes the roots of Certificate Transparency (RFC 6962 reference tests)', () => {
    const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
    const roots = [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
      'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
      '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
      'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    ];
    for (const [index, root] of roots.entries()) {
      expect(toHex(merkleRoot(leaves.slice(0, index + 1).map(fromHex)))).toBe(root);
    }
    expect(toHex(merkleRoot([]))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it('proves every leaf of every list up to 40 leaves, under the root of the recursive definition', () => {
    for (let count = 1; count <= 40; count += 1) {
      const leaves = numbered(count);
      const root = recursiveRoot(leaves);
      expect(merkleRoot(leaves)).toEqual(root);
      for (const [index, leaf] of leaves.entries()) {
        const proof = merkleProof(leaves, index);
        expect(proof).toMatchObject({ total: count, index });
        expect(verifyMerkleProof(root, leaf, proof)).toBe(true);
      }
    }
  });

  it('refuses other leaves, nodes, places and lengths', () => {
    const cases = fc.record({
      count: fc.integer({ min: 2, max: 70 }),
      at: fc.nat(69),
      other: fc.nat(69),
      bit: fc.nat(7),
    });
    fc.assert(
      fc.property(cases, ({ count, at, other, bit }) => {
        const leaves = numbered(count);
        const root = merkleRoot(leaves);
        const index = at % count;
        const leaf = leaves[index]!;
        const proof = merkleProof(leaves, index);
        if (other % count !== index) {
          expect(verifyMerkleProof(root, leaves[other % count]!, proof)).toBe(false);
          expect(verifyMerkleProof(root, leaf, merkleProof(leaves, other % count))).toBe(false);
          const differs = merkleProofRoot({ ...proof, index: other % count });
          expect(differs === undefined || toHex(differs) !== toHex(root)).toBe(true);
        }
        const aunts = proof.aunts.map((aunt) => aunt.slice());
        const aunt = aunts[other % aunts.length]!;
        aunt[at % 32] = aunt[at % 32]! ^ (1 << bit);
        expect(verifyMerkleProof(root, leaf, { ...proof, aunts })).toBe(false);
        expect(verifyMerkleProof(root, leaf, { ...proof, aunts: proof.aunts.slice(1) })).toBe(false);
        expect(verifyMerkleProof(root, leaf, { ...proof, aunts: [...proof.aunts, leaves[0]!] })).toBe(false);
      }),
    );
    const proof = merkleProof(numbered(3), 1);
    for (const change of [{ index: -1 }, { index: 3 }, { total: 0 }, { total: 1.5 }, { leafHash: utf8('short') }]) {
      expect(merkleProofRoot({ ...proof, ...change })).toBeUndefined();
    }
    expect(() => merkleProof(numbered(3), 3)).toThrow('no leaf');
  });
});
