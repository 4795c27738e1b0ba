import { createHash } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, it } from 'vitest';
import { toBase64url, utf8 } from './bytes.ts';
import { ProtocolErrorCodes, SalusError } from './errors.ts';
import {
  didOfBytes,
  didOfKey,
  type EcPrivateJwk,
  generateSigningKey,
  isDid,
  isLowS,
  jwkThumbprint,
  keyPairOfScalar,
  normalizeLowS,
  parseKid,
  parsePublicJwk,
  signerFromJwk,
  verifySignature,
} from './keys.ts';

describe('R-IDN-1 keys', () => {
  it('have the thumbprint that jose computes, and a participant named by its first 20 bytes', async () => {
    const { publicJwk } = await generateSigningKey();
    const thumbprint = await calculateJwkThumbprint(publicJwk, 'sha256');
    expect(jwkThumbprint(publicJwk)).toBe(thumbprint);
    const input = JSON.stringify({ crv: 'P-256', kty: 'EC', x: publicJwk.x, y: publicJwk.y });
    const first20 = createHash('sha256').update(input).digest().subarray(0, 20);
    expect(didOfKey(publicJwk)).toBe(`did:salus:${first20.toString('base64url')}`);
    expect(() => jwkThumbprint({ ...publicJwk, x: `${publicJwk.x}",` })).toThrow(SalusError);
  });

  it('sign low-S signatures that only they verify', async () => {
    const [mine, other] = [await generateSigningKey(), await generateSigningKey()];
    const signer = signerFromJwk(`${didOfKey(mine.publicJwk)}#main`, mine.privateJwk);
    for (let round = 0; round < 20; round += 1) {
      const input = utf8(`message ${round}`);
      const signature = await signer.sign(input);
      expect(isLowS(signature)).toBe(true);
      expect(await verifySignature(mine.publicJwk, input, signature)).toBe(true);
      expect(await verifySignature(other.publicJwk, input, signature)).toBe(false);
      expect(await verifySignature(mine.publicJwk, utf8('another'), signature)).toBe(false);
      expect(await verifySignature(mine.publicJwk, input, signature.subarray(1))).toBe(false);
    }
  });

  it('do not verify a high-S signature, though WebCrypto would', async () => {
    const { publicJwk, privateJwk } = await generateSigningKey();
    const key = await crypto.subtle.importKey('jwk', privateJwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, [
      'sign',
    ]);
    const input = new Uint8Array(utf8('x'));
    let high: Uint8Array;
    do high = new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, input));
    while (isLowS(high));
    expect(await verifySignature(publicJwk, input, high)).toBe(false);
    expect(await verifySignature(publicJwk, input, normalizeLowS(high))).toBe(true);
  });

  it('are refused by number when malformed', async () => {
    const { publicJwk, privateJwk } = await generateSigningKey();
    const invalid = expect.objectContaining({ code: ProtocolErrorCodes.keyInvalid });
    expect(() => keyPairOfScalar(new Uint8Array(32))).toThrow(invalid);
    expect(() => keyPairOfScalar(new Uint8Array(32).fill(255))).toThrow(invalid);
    expect(() => keyPairOfScalar(new Uint8Array(31).fill(1))).toThrow(invalid);
    const broken = { ...privateJwk, d: 'x' } as EcPrivateJwk;
    await expect(signerFromJwk(`${didOfKey(publicJwk)}#main`, broken).sign(utf8('x'))).rejects.toEqual(invalid);
    await expect(verifySignature({ ...publicJwk, x: 'x' }, utf8('x'), new Uint8Array(64))).rejects.toEqual(invalid);
    expect(() => signerFromJwk('alice', privateJwk)).toThrow(SalusError);
  });

  it('come back from their scalar', async () => {
    const { publicJwk, privateJwk } = await generateSigningKey();
    const scalar = new Uint8Array(Buffer.from(privateJwk.d, 'base64url'));
    expect(keyPairOfScalar(scalar)).toEqual({ publicJwk, privateJwk });
    expect(parsePublicJwk(publicJwk)).toEqual(publicJwk);
  });
});

describe('R-IDN-1 names of participants', () => {
  const did = didOfBytes(new Uint8Array(20).fill(255));

  it('have one text each', () => {
    expect(did).toBe(`did:salus:${toBase64url(new Uint8Array(20).fill(255))}`);
    expect(isDid(did)).toBe(true);
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const text = did.slice(0, -1) + last;
      const isCanonical = toBase64url(new Uint8Array(Buffer.from(text.slice(10), 'base64url'))) === text.slice(10);
      expect(isDid(text)).toBe(isCanonical);
    }
    for (const value of [
      undefined,
      null,
      1,
      '',
      'did:salus:',
      `${did}#main`,
      `${did}\n`,
      ` ${did}`,
      did.toUpperCase(),
    ]) {
      expect(isDid(value)).toBe(false);
    }
    expect(() => didOfBytes(new Uint8Array(19))).toThrow(SalusError);
  });

  it('and of their keys too', () => {
    expect(parseKid(`${did}#backup-2`)).toEqual({ did, keyName: 'backup-2' });
    for (const kid of [
      did,
      `${did}#`,
      `${did}#A`,
      `${did}#a#b`,
      `${did}#a\n`,
      `${did}#${'a'.repeat(17)}`,
      `x${did}#a`,
    ]) {
      expect(() => parseKid(kid)).toThrow(expect.objectContaining({ code: ProtocolErrorCodes.kidInvalid }));
    }
  });
});
