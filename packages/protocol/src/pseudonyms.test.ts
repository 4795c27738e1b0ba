import { hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from './bytes.ts';
import { ProtocolErrorCodes } from './errors.ts';
import { jwkThumbprint, signerFromJwk, verifySignature } from './keys.ts';
import {
  deriveContext,
  generateRecoveryKey,
  generateRootSecret,
  recoveryCommitment,
  rootSecretBytes,
} from './pseudonyms.ts';

describe('R-LED-5 deriveContext', () => {
  it('is the same every time', async () => {
    const root = generateRootSecret();
    expect(root).toHaveLength(rootSecretBytes);
    expect(await deriveContext(root, 'did:salus:x')).toEqual(await deriveContext(root.slice(), 'did:salus:x'));
  });

  it('agrees with the HKDF of Node for the blinding key', async () => {
    const root = generateRootSecret();
    const { blinding } = await deriveContext(root, 'study:1');
    const expected = hkdfSync('sha256', root, 'salus-pseudonym-v1', 'blinding\0study:1', 32);
    expect(toHex(blinding)).toBe(Buffer.from(expected).toString('hex'));
  });

  it('has nothing in common between contexts, persons and purposes', async () => {
    const roots = [generateRootSecret(), generateRootSecret()];
    const seen = new Set<string>();
    let count = 0;
    for (const root of roots) {
      for (const name of ['a', 'b', 'ab', 'aa', 'signing', 'sealing', '\u00e9', 'e\u0301']) {
        const { did, signing, sealing, blinding } = await deriveContext(root, name);
        const secrets = [signing.privateJwk.d, sealing.privateJwk.d, toHex(blinding)];
        const names = [did, jwkThumbprint(signing.publicJwk), jwkThumbprint(sealing.publicJwk)];
        for (const value of [...secrets, ...names]) seen.add(value);
        count += secrets.length + names.length;
      }
    }
    expect(seen.size).toBe(count);
  });

  it('gives keys that work', async () => {
    const { did, signing, sealing } = await deriveContext(generateRootSecret(), 'clinic');
    for (const { publicJwk, privateJwk } of [signing, sealing]) {
      const signature = await signerFromJwk(`${did}#main`, privateJwk).sign(utf8('x'));
      expect(await verifySignature(publicJwk, utf8('x'), signature)).toBe(true);
    }
  });

  it('refuses other roots and names', async () => {
    for (const length of [0, 16, 31, 33]) {
      await expect(deriveContext(new Uint8Array(length), 'a')).rejects.toMatchObject({
        code: ProtocolErrorCodes.rootSecretInvalid,
      });
    }
    for (const name of ['', 'a\0b', 'a\n', '\u0085', '\ud800', 'a'.repeat(201), 'é'.repeat(101)]) {
      await expect(deriveContext(generateRootSecret(), name)).rejects.toMatchObject({
        code: ProtocolErrorCodes.contextInvalid,
      });
    }
  });
});

describe('R-IDN-2 recovery keys', () => {
  it('are random, and committed to without being shown', async () => {
    const [one, two] = [await generateRecoveryKey(), await generateRecoveryKey()];
    expect(one.commitment).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(one.commitment).not.toBe(two.commitment);
    expect(one.commitment).not.toBe(jwkThumbprint(one.publicJwk));
    expect(recoveryCommitment(one.publicJwk)).toBe(one.commitment);
  });
});
