import { generateKeyPairSync, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSignedBy } from './es256.ts';

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const input = Buffer.from('what is signed');
const asNode = (signature: Uint8Array): boolean =>
  verify('sha256', input, { key: pair.publicKey, dsaEncoding: 'ieee-p1363' }, signature);
const scalar = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  // With zeros in front, which DER leaves out.
  fc.tuple(fc.integer({ min: 0, max: 32 }), fc.uint8Array({ minLength: 32, maxLength: 32 })).map(([zeros, bytes]) => {
    bytes.fill(0, 0, zeros);
    return bytes;
  }),
);

describe('R-LED-1 ES256 signatures', () => {
  it('of any length but 64 bytes are none', () => {
    const signature = sign('sha256', input, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
    for (const length of [0, 1, 32, 63])
      expect(isSignedBy(pair.publicKey, input, signature.subarray(0, length))).toBe(false);
    expect(isSignedBy(pair.publicKey, input, Buffer.concat([signature, Buffer.alloc(1)]))).toBe(false);
    const der = sign('sha256', input, pair.privateKey);
    expect(isSignedBy(pair.publicKey, input, der)).toBe(false);
  });

  it('with r or s of any form get the answer that Node gives for r‖s', () => {
    fc.assert(
      fc.property(scalar, scalar, (r, s) => {
        const signature = Buffer.concat([r, s]);
        expect(isSignedBy(pair.publicKey, input, signature)).toBe(asNode(signature));
      }),
      { numRuns: 500 },
    );
  });

  it('are taken whatever zeros they begin with, and never for another text or key', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    let short = 0;
    for (let round = 0; round < 1_500; round += 1) {
      const signature = sign('sha256', input, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
      if (signature[0] === 0 || signature[32] === 0) short += 1;
      expect(isSignedBy(pair.publicKey, input, signature)).toBe(true);
      if (round > 50) continue;
      expect(isSignedBy(pair.publicKey, Buffer.from('another text'), signature)).toBe(false);
      expect(isSignedBy(other, input, signature)).toBe(false);
    }
    // 1 of 128 begins so: that there is none among 1,500 happens once in a hundred thousand runs.
    expect(short).toBeGreaterThan(0);
  });
});
