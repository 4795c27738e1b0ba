import { createHash } from 'node:crypto';
import { type ApiErrorCode, ApiErrorCodes, type RouteAuth, walletTokenLifeMsMax, walletTokenType } from '@salus/api';
import { decodeProtectedHeader, importJWK, type JWK, type JWTPayload, errors as joseErrors, jwtVerify } from 'jose';
import { ApiFault } from '../http/problems.ts';
import { staffNameCharsMax } from '../orgs/staff-directory.ts';
import type { KeyDirectory, MemberKey } from './key-directory.ts';
import { type MemberRequester, parseSubject, type Requester, type WalletRequester } from './requester.ts';
import { audienceOf, rolesMax, tokenAlgorithm, tokenLifeMsMax, tokenType } from './token.ts';
import { UsedTokens } from './used-tokens.ts';

/** Longest token that is looked at: what comes in before authentication must be cheap to refuse. */
export const tokenCharsMax = 8_192;
export const clockToleranceMs = 5_000;
const rolePattern = /^[A-Za-z][A-Za-z0-9-]{0,63}$/;
const purposePattern = /^[A-Z][A-Z0-9_]{0,31}$/;
const namePattern = new RegExp(`^[^\\p{Cc}]{1,${staffNameCharsMax}}$`, 'u');
const tokenIdPattern = /^[A-Za-z0-9_-]{8,64}$/;
/** Tokens and keys that are remembered, so that a session of requests verifies its signature once. */
const cacheEntriesMax = 10_000;

export interface AuthenticatorOptions {
  chain: string;
  /** Tokens that impersonate are refused elsewhere than on a sandbox chain. */
  sandbox: boolean;
  keys: KeyDirectory;
  /** The later of local clock and block time: what either of them calls expired is expired. */
  nowMs: () => number;
}

export interface AuthenticationInput {
  authorization: string | undefined;
  method: string;
  path: string;
  /** The organisation whose endpoint is asked, where the path names one. */
  slug: string | undefined;
}

export interface Authenticator {
  authenticate(auth: RouteAuth, input: AuthenticationInput): Promise<Requester | undefined>;
}

interface Verified {
  requester: MemberRequester;
  kid: string;
  keyText: string;
  audience: readonly string[];
  issuedMs: number;
  /** The one request that the token is for. */
  boundTo: { htm: unknown; htu: unknown } | undefined;
}

function fault(code: ApiErrorCode): ApiFault {
  const scheme = code === ApiErrorCodes.tokenMissing ? 'Bearer' : 'Bearer error="invalid_token"';
  return new ApiFault(code, { headers: { 'www-authenticate': scheme } });
}

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined) throw fault(ApiErrorCodes.tokenMissing);
  const match = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization);
  if (match?.[1] === undefined || match[1].length > tokenCharsMax) throw fault(ApiErrorCodes.tokenMalformed);
  return match[1];
}

/** The header decides which kind of token this is; nothing else in it is believed before the signature is checked. */
function headerOf(token: string): { kid: string; type: 'member' | 'wallet' } {
  try {
    const { alg, typ, kid } = decodeProtectedHeader(token);
    if (typeof kid === 'string' && typ === tokenType && alg === tokenAlgorithm) return { kid, type: 'member' };
    if (typeof kid === 'string' && typ === walletTokenType && alg === 'ES256') return { kid, type: 'wallet' };
  } catch {
    // Falls through: no header that can be read is the same as a wrong one.
  }
  throw fault(ApiErrorCodes.tokenMalformed);
}

function codeOfJose(error: unknown): ApiErrorCode {
  if (error instanceof joseErrors.JWTExpired) return ApiErrorCodes.tokenExpired;
  if (error instanceof joseErrors.JWTClaimValidationFailed && error.claim === 'nbf') return ApiErrorCodes.tokenExpired;
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) return ApiErrorCodes.tokenBadSignature;
  return ApiErrorCodes.tokenMalformed;
}

type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** Keeps at most `max` entries, forgetting the oldest: a flood of tokens must not fill the memory. */
class BoundedMap<V> extends Map<string, V> {
  override set(key: string, value: V): this {
    if (this.size >= cacheEntriesMax && !this.has(key)) {
      const oldest = this.keys().next().value;
      if (oldest !== undefined) this.delete(oldest);
    }
    return super.set(key, value);
  }
}

function keyText(jwk: JWK): string {
  return `${jwk.crv}.${jwk.x}.${jwk.y}`;
}

function timesOf(claims: JWTPayload): { issuedMs: number; expiresMs: number } {
  const { iat, exp } = claims;
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp)) throw fault(ApiErrorCodes.tokenMalformed);
  return { issuedMs: Number(iat) * 1000, expiresMs: Number(exp) * 1000 };
}

function rolesOf(claim: unknown): string[] {
  if (claim === undefined) return [];
  const isList = Array.isArray(claim) && claim.length <= rolesMax;
  if (!isList || !claim.every((one) => typeof one === 'string' && rolePattern.test(one))) {
    throw fault(ApiErrorCodes.tokenMalformed);
  }
  return claim;
}

function tokenIdOf(claim: unknown): string {
  if (typeof claim !== 'string' || !tokenIdPattern.test(claim)) throw fault(ApiErrorCodes.tokenMalformed);
  return claim;
}

/** A name is shown to patients and decides nothing. */
function nameOf(claim: unknown): { name?: string } {
  if (claim === undefined) return {};
  if (typeof claim !== 'string' || !namePattern.test(claim)) throw fault(ApiErrorCodes.tokenMalformed);
  return { name: claim };
}

function boundOf({ htm, htu }: JWTPayload): Verified['boundTo'] {
  return htm === undefined && htu === undefined ? undefined : { htm, htu };
}

function memberOf(claims: JWTPayload, key: MemberKey): MemberRequester {
  const subject = typeof claims.sub === 'string' ? parseSubject(claims.sub) : undefined;
  const { purpose, imp } = claims;
  const purposeFits = purpose === undefined || (typeof purpose === 'string' && purposePattern.test(purpose));
  if (subject === undefined || claims.iss !== key.did || !purposeFits || (imp !== undefined && imp !== true)) {
    throw fault(ApiErrorCodes.tokenMalformed);
  }
  return {
    kind: 'member',
    organization: { did: key.did, slug: key.slug, name: key.name, role: key.role },
    subject,
    ...nameOf(claims.name),
    roles: rolesOf(claims.roles),
    purpose: purpose as string | undefined,
    tokenId: tokenIdOf(claims.jti),
    expiresMs: timesOf(claims).expiresMs,
    impersonated: imp === true,
    ...(boundOf(claims) !== undefined && { bound: true as const }),
  };
}

function isFor({ htm, htu }: NonNullable<Verified['boundTo']>, { method, path }: AuthenticationInput): boolean {
  return htm === (method === 'HEAD' ? 'GET' : method) && htu === path;
}

/** Verifies tokens against the keys on the ledger, at every request: a revoked key ends its tokens at once. */
class TokenAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #imported = new BoundedMap<ImportedKey>();
  readonly #verified = new BoundedMap<Verified>();
  readonly #used: UsedTokens;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#used = new UsedTokens(options.nowMs());
  }

  async authenticate(auth: RouteAuth, input: AuthenticationInput): Promise<Requester | undefined> {
    if (auth === 'none') return undefined;
    const token = bearerOf(input.authorization);
    const { kid, type } = headerOf(token);
    if (auth !== 'member-or-wallet' && auth !== type) throw fault(ApiErrorCodes.tokenNotAllowed);
    return type === 'member' ? await this.#member(token, kid, input) : await this.#wallet(token, kid, input);
  }

  async #verify(token: string, jwk: JWK, algorithm: string, typ: string): Promise<JWTPayload> {
    const name = keyText(jwk);
    try {
      const key = this.#imported.get(name) ?? (await importJWK({ ...jwk, alg: algorithm }, algorithm));
      this.#imported.set(name, key);
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        typ,
        currentDate: new Date(this.#options.nowMs()),
        clockTolerance: clockToleranceMs / 1000,
      });
      return payload;
    } catch (error) {
      throw fault(codeOfJose(error));
    }
  }

  /** Expiry is judged at every use, cached or not. */
  #checkTimes(times: { issuedMs: number; expiresMs: number }, lifeMsMax: number): void {
    const now = this.#options.nowMs();
    if (now >= times.expiresMs || times.issuedMs > now + clockToleranceMs) throw fault(ApiErrorCodes.tokenExpired);
    if (times.expiresMs - times.issuedMs > lifeMsMax) throw fault(ApiErrorCodes.tokenMalformed);
  }

  #checkAudience(audience: readonly string[], slug: string | undefined): void {
    const accepted = [
      audienceOf(this.#options.chain),
      ...(slug === undefined ? [] : [audienceOf(this.#options.chain, slug)]),
    ];
    if (!audience.some((one) => accepted.includes(one))) throw fault(ApiErrorCodes.tokenWrongAudience);
  }

  /** A token that names its request is for that one, once: seen on its way, or by another member, it is worth nothing. */
  #checkBound(name: string, { boundTo, issuedMs, requester }: Verified, input: AuthenticationInput): void {
    if (boundTo === undefined) return;
    if (!isFor(boundTo, input)) throw fault(ApiErrorCodes.tokenNotBound);
    const times = { issuedMs, expiresMs: requester.expiresMs };
    if (!this.#used.take(name, times, this.#options.nowMs())) throw fault(ApiErrorCodes.tokenUsed);
  }

  async #member(token: string, kid: string, input: AuthenticationInput): Promise<MemberRequester> {
    const key = this.#options.keys.memberKey(kid);
    if (key === undefined) throw fault(ApiErrorCodes.tokenUnknownKey);
    const name = createHash('sha256').update(token).digest('base64url');
    let known = this.#verified.get(name);
    if (known === undefined || known.kid !== kid || known.keyText !== keyText(key.jwk)) {
      const claims = await this.#verify(token, key.jwk, tokenAlgorithm, tokenType);
      const audience = [claims.aud ?? []].flat();
      known = {
        requester: memberOf(claims, key),
        kid,
        keyText: keyText(key.jwk),
        audience,
        issuedMs: timesOf(claims).issuedMs,
        boundTo: boundOf(claims),
      };
      this.#verified.set(name, known);
    }
    this.#checkTimes({ issuedMs: known.issuedMs, expiresMs: known.requester.expiresMs }, tokenLifeMsMax);
    this.#checkAudience(known.audience, input.slug);
    if (known.requester.impersonated && !this.#options.sandbox) throw fault(ApiErrorCodes.tokenNotAllowed);
    this.#checkBound(name, known, input);
    return known.requester;
  }

  async #wallet(token: string, kid: string, input: AuthenticationInput): Promise<WalletRequester> {
    const key = this.#options.keys.walletKey(kid);
    if (key === undefined) throw fault(ApiErrorCodes.tokenUnknownKey);
    const claims = await this.#verify(token, key.jwk, 'ES256', walletTokenType);
    const times = timesOf(claims);
    this.#checkTimes(times, walletTokenLifeMsMax);
    this.#checkAudience([claims.aud ?? []].flat(), input.slug);
    if (!isFor({ htm: claims.htm, htu: claims.htu }, input)) throw fault(ApiErrorCodes.tokenNotBound);
    return {
      kind: 'wallet',
      did: key.did,
      holder: key.holder,
      keyName: key.keyName,
      tokenId: tokenIdOf(claims.jti),
      expiresMs: times.expiresMs,
    };
  }
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  return new TokenAuthenticator(options);
}
