import { createHmac } from 'node:crypto';
import { createWalletToken, routes } from '@salus/api';
import { didOfKey, generateSigningKey, type KeyPair, signerFromJwk, toBase64url, utf8 } from '@salus/protocol';
import { generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { generateKey, publicPart, type StoredKey } from '../orgs/keys.ts';
import { type AuthenticationInput, createAuthenticator } from './authenticator.ts';
import type { KeyDirectory, MemberKey } from './key-directory.ts';
import type { MemberRequester } from './requester.ts';
import { parseSubject } from './requester.ts';
import { createMemberToken, type TokenInput } from './token.ts';

const chain = 'sandbox-test';
const did = 'did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA' as const;
const kid = `${did}#auth-1`;
const start = Date.UTC(2026, 0, 1);
let now = start;
let key: StoredKey;
let stranger: StoredKey;
let patient: KeyPair;
let members: Map<string, MemberKey>;

beforeAll(async () => {
  key = await generateKey('authenticate');
  stranger = await generateKey('authenticate');
  patient = await generateSigningKey();
});

function authenticator(sandbox = true) {
  now = start;
  members = new Map([[kid, { did, slug: 'hospital', name: 'H', role: 'hospital', jwk: publicPart(key.privateJwk) }]]);
  const patientDid = didOfKey(patient.publicJwk);
  const keys: KeyDirectory = {
    memberKey: (name) => members.get(name),
    walletKey: (name) =>
      name === `${patientDid}#sign`
        ? { did: patientDid, holder: 'patient' as const, keyName: 'sign', jwk: patient.publicJwk }
        : undefined,
  };
  return createAuthenticator({ chain, sandbox, keys, nowMs: () => now });
}

const token = (changes: Partial<TokenInput> = {}) =>
  createMemberToken({
    kid,
    privateJwk: key.privateJwk,
    organization: did,
    chain,
    subject: { kind: 'practitioner', id: 'dr-1' },
    roles: ['physician'],
    purpose: 'TREAT',
    nowMs: now,
    ...changes,
  });

const request = (bearer: string, changes: Partial<AuthenticationInput> = {}): AuthenticationInput => ({
  authorization: `Bearer ${bearer}`,
  method: 'GET',
  path: '/org/hospital/notices',
  slug: 'hospital',
  ...changes,
});

/** A token that the given claims and header make, whatever sense they have. */
async function forged(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  jwk?: JWK,
): Promise<string> {
  const iat = Math.floor(now / 1000);
  return await new SignJWT({ iss: did, sub: 'system', aud: chain, iat, exp: iat + 600, jti: 'abcdefgh-1', ...claims })
    .setProtectedHeader({ alg: 'ES384', typ: 'salus+jwt', kid, ...header })
    .sign(await importJWK(jwk ?? key.privateJwk, 'ES384'));
}

describe('R-IDN-1 member tokens', () => {
  test('a good token says who asks, twice the same, and for one organisation too', async () => {
    const auth = authenticator();
    const bearer = await token();
    const requester = await auth.authenticate('member', request(bearer));
    expect(requester).toMatchObject({
      kind: 'member',
      organization: { did, slug: 'hospital' },
      subject: { kind: 'practitioner', id: 'dr-1' },
      roles: ['physician'],
      purpose: 'TREAT',
      impersonated: false,
    });
    expect(await auth.authenticate('member-or-wallet', request(bearer))).toEqual(requester);
    const narrow = await token({ forSlug: 'hospital' });
    await expect(auth.authenticate('member', request(narrow))).resolves.toBeDefined();
    await expect(auth.authenticate('member', request(narrow, { slug: 'clinic' }))).rejects.toMatchObject({ code: 623 });
    await expect(auth.authenticate('member', request(narrow, { slug: undefined }))).rejects.toMatchObject({
      code: 623,
    });
  });

  test('expires, cached or not, and is not valid before its time', async () => {
    const auth = authenticator();
    const bearer = await token();
    await auth.authenticate('member', request(bearer));
    now = start + 600_000;
    await expect(auth.authenticate('member', request(bearer))).rejects.toMatchObject({ code: 622 });
    await expect(
      authenticator().authenticate('member', request(await token({ nowMs: start + 60_000 }))),
    ).rejects.toMatchObject({ code: 622 });
  });

  test('ends at once when its key is revoked or replaced', async () => {
    const auth = authenticator();
    const bearer = await token();
    await auth.authenticate('member', request(bearer));
    const registered = members.get(kid)!;
    members.set(kid, { ...registered, jwk: publicPart(stranger.privateJwk) });
    await expect(auth.authenticate('member', request(bearer))).rejects.toMatchObject({ code: 625 });
    members.delete(kid);
    await expect(auth.authenticate('member', request(bearer))).rejects.toMatchObject({ code: 624 });
  });

  test.each<[string, number, () => Promise<string>]>([
    ['another key', 625, () => token({ privateJwk: stranger.privateJwk })],
    ['an unknown kid', 624, () => token({ kid: `${did}#auth-9` })],
    ['another audience', 623, () => token({ chain: 'sandbox-other' })],
    ['another issuer', 621, () => token({ organization: 'did:salus:BBBBBBBBBBBBBBBBBBBBBBBBBBA' })],
    ['a life over 15 minutes', 621, () => forged({ exp: Math.floor(now / 1000) + 901 })],
    ['no expiry', 621, () => forged({ exp: undefined })],
    ['no issue time', 621, () => forged({ iat: undefined })],
    ['no audience', 623, () => forged({ aud: undefined })],
    ['no id', 621, () => forged({ jti: undefined })],
    ['a wrong subject', 621, () => forged({ sub: 'root' })],
    ['a wrong role', 621, () => forged({ roles: ['a b'] })],
    ['roles that are no list', 621, () => forged({ roles: 'physician' })],
    ['a wrong purpose', 621, () => forged({ purpose: 'x' })],
    ['a wrong mark', 621, () => forged({ imp: 'no' })],
    ['the type of another token', 621, () => forged({}, { typ: 'JWT' })],
    ['a critical extension', 621, () => forged({}, { crit: ['x'], x: 1 }).catch(() => 'a.b.c')],
  ])('%s is refused with %i', async (_name, code, make) => {
    const auth = authenticator();
    await expect(auth.authenticate('member', request(await make()))).rejects.toMatchObject({ code });
  });

  test('no other algorithm passes: none, HMAC with the public key, ES256, RS256', async () => {
    const auth = authenticator();
    const iat = Math.floor(now / 1000);
    const claims = { iss: did, sub: 'system', aud: chain, iat, exp: iat + 600, jti: 'abcdefgh-1' };
    const part = (value: unknown): string => toBase64url(utf8(JSON.stringify(value)));
    const input = (alg: string): string => `${part({ alg, typ: 'salus+jwt', kid })}.${part(claims)}`;
    const hmac = createHmac('sha384', JSON.stringify(publicPart(key.privateJwk)))
      .update(input('HS384'))
      .digest('base64url');
    const es256 = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'salus+jwt', kid })
      .sign(await importJWK(patient.privateJwk, 'ES256'));
    const { privateKey } = await generateKeyPair('RS256');
    const rs256 = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', typ: 'salus+jwt', kid })
      .sign(privateKey);
    const real = (await token()).split('.')[2];
    const tokens = [`${input('none')}.AA`, `${input('HS384')}.${hmac}`, es256, rs256, `${input('ES384')}.${real}`];
    for (const bearer of tokens) {
      await expect(auth.authenticate('member', request(bearer))).rejects.toMatchObject({
        code: expect.toSatisfy((code: number) => code === 621 || code === 625),
      });
    }
  });

  test.each([
    undefined,
    '',
    'Basic x',
    'Bearer',
    'Bearer a',
    'Bearer a.b',
    'Bearer a.b.c.d',
    `Bearer ${'a'.repeat(9_000)}.b.c`,
  ])('the header %s is refused', async (authorization) => {
    const code = authorization === undefined ? 620 : 621;
    const answer = authenticator().authenticate('member', request('', { authorization }));
    await expect(answer).rejects.toMatchObject({ code });
  });

  test('tokens that impersonate exist on sandbox chains only', async () => {
    const bearer = await token({ impersonated: true });
    const requester = await authenticator().authenticate('member', request(bearer));
    expect((requester as MemberRequester).impersonated).toBe(true);
    await expect(authenticator(false).authenticate('member', request(bearer))).rejects.toMatchObject({ code: 626 });
  });

  test('subjects', () => {
    expect(parseSubject('patient:a.b~1')).toEqual({ kind: 'patient', id: 'a.b~1' });
    for (const text of ['', 'patient:', 'admin:1', 'system:1', 'patient: x', 'practitioner:a/b']) {
      expect(parseSubject(text)).toBeUndefined();
    }
  });
});

describe('R-IDN-1 wallet tokens', () => {
  const make = (changes: Partial<Parameters<typeof createWalletToken>[0]> = {}) =>
    createWalletToken({
      signer: signerFromJwk(`${didOfKey(patient.publicJwk)}#sign`, patient.privateJwk),
      chain,
      method: 'GET',
      path: '/org/hospital/notices',
      nowMs: now,
      ...changes,
    });

  test('prove possession of the patient key for one method and path', async () => {
    const auth = authenticator();
    const bearer = await make();
    const requester = await auth.authenticate('wallet', request(bearer));
    expect(requester).toMatchObject({ kind: 'wallet', did: didOfKey(patient.publicJwk), keyName: 'sign' });
    await expect(auth.authenticate('wallet', request(bearer, { method: 'HEAD' }))).resolves.toBeDefined();
    for (const change of [{ method: 'POST' }, { path: '/org/hospital/other' }]) {
      await expect(auth.authenticate('wallet', request(bearer, change))).rejects.toMatchObject({ code: 627 });
    }
  });

  test('expire, are for one network, and open no member route', async () => {
    const auth = authenticator();
    const bearer = await make();
    await expect(auth.authenticate('member', request(bearer))).rejects.toMatchObject({ code: 626 });
    await expect(auth.authenticate('wallet', request(await token()))).rejects.toMatchObject({ code: 626 });
    await expect(auth.authenticate('wallet', request(await make({ chain: 'x' })))).rejects.toMatchObject({ code: 623 });
    now = start + 300_000;
    await expect(auth.authenticate('wallet', request(bearer))).rejects.toMatchObject({ code: 622 });
  });

  test('by another key or an unknown one are refused', async () => {
    const auth = authenticator();
    const other = await generateSigningKey();
    const stolen = signerFromJwk(`${didOfKey(patient.publicJwk)}#sign`, other.privateJwk);
    const unknown = signerFromJwk(`${didOfKey(other.publicJwk)}#sign`, other.privateJwk);
    await expect(auth.authenticate('wallet', request(await make({ signer: stolen })))).rejects.toMatchObject({
      code: 625,
    });
    await expect(auth.authenticate('wallet', request(await make({ signer: unknown })))).rejects.toMatchObject({
      code: 624,
    });
  });

  test('routes name the tokens they take', () => {
    expect(routes.notices.auth).toBe('member-or-wallet');
  });
});
