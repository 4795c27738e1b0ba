import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64url, randomBytes, utf8 } from './bytes.ts';
import { blind, commit, verifyCommitment } from './commitment.ts';
import { ProtocolErrorCodes } from './errors.ts';

describe('R-LED-5 commit', () => {
  it('binds to the content and hides it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (content, at) => {
        const { commitment, salt } = commit(content);
        const hash = createHash('sha256').update(fromBase64url(salt)).update(content).digest('base64url');
        expect(commitment).toBe(hash);
        expect(verifyCommitment({ commitment, salt }, content)).toBe(true);
        expect(commit(content).commitment).not.toBe(commitment);
        const changed = new Uint8Array([...content, 0]);
        changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 1;
        expect(verifyCommitment({ commitment, salt }, changed)).toBe(false);
        expect(verifyCommitment({ commitment: salt, salt: commitment }, content)).toBe(false);
      }),
    );
  });

  it('cannot be opened by moving bytes between salt and content', () => {
    const { commitment, salt } = commit(utf8('abc'), new Uint8Array(32));
    expect(verifyCommitment({ commitment, salt: salt.slice(0, -4) }, utf8('\0\0\0abc'))).toBe(false);
  });

  it('takes malformed texts for no commitment, and refuses salts of another size', () => {
    const content = utf8('x');
    const { commitment, salt } = commit(content);
    expect(verifyCommitment({ commitment: `${commitment}=`, salt }, content)).toBe(false);
    expect(verifyCommitment({ commitment, salt: '' }, content)).toBe(false);
    expect(() => commit(content, new Uint8Array(31))).toThrow(
      expect.objectContaining({ code: ProtocolErrorCodes.saltInvalid }),
    );
  });
});

describe('R-LED-5 blind', () => {
  it('is 16 bytes of HMAC-SHA-256 over label, zero byte and value', () => {
    const key = randomBytes(32);
    const mac = createHmac('sha256', key).update('grantee\0did:salus:x').digest().subarray(0, 16);
    expect(blind(key, 'grantee', 'did:salus:x')).toBe(mac.toString('base64url'));
  });

  it('differs by key, label and value, however they are split', () => {
    const [key, other] = [randomBytes(32), randomBytes(32)];
    const blinds = [
      blind(key, 'a', 'b'),
      blind(key, 'ab', ''),
      blind(key, 'a', '\0b'),
      blind(key, 'b', 'a'),
      blind(other, 'a', 'b'),
    ];
    expect(new Set(blinds).size).toBe(blinds.length);
    expect(blind(key, 'a', 'b')).toBe(blinds[0]);
  });

  it('refuses other keys and labels', () => {
    const invalid = expect.objectContaining({ code: ProtocolErrorCodes.blindInvalid });
    for (const label of ['', 'a\0', 'a b', 'a'.repeat(65)])
      expect(() => blind(randomBytes(32), label, 'x')).toThrow(invalid);
    expect(() => blind(randomBytes(16), 'a', 'x')).toThrow(invalid);
  });
});
