import { randomUUID } from 'node:crypto';
import { importJWK, type JWK, SignJWT } from 'jose';
import type { Subject } from './requester.ts';
import { subjectText } from './requester.ts';

export const tokenType = 'salus+jwt';
export const tokenAlgorithm = 'ES384';
/** Longest life of a member's token: a stolen one is of little use. */
export const tokenLifeMsMax = 900_000;
export const tokenLifeMsDefault = 600_000;
export const rolesMax = 16;

export interface TokenInput {
  /** DID#name of the organisation's registered authentication key. */
  kid: string;
  privateJwk: JWK;
  organization: string;
  chain: string;
  subject: Subject;
  /** The person's name, for the accounting of a patient whose record lies elsewhere. */
  name?: string;
  roles?: readonly string[];
  purpose?: string;
  /** Narrows the token to the endpoints of one organisation. */
  forSlug?: string;
  impersonated?: boolean;
  /** Binds the token to one request, and to one use: for calls between nodes. */
  boundTo?: { method: string; path: string };
  nowMs: number;
  lifeMs?: number;
}

/** What a token is for: the whole network, or one organisation on it. */
export function audienceOf(chain: string, slug?: string): string {
  return slug === undefined ? chain : `${chain}/${slug}`;
}

/** A bearer token of a member (RFC 7519, ES384): it says who asks, and signs or approves nothing. */
export async function createMemberToken(input: TokenInput): Promise<string> {
  const lifeMs = Math.min(input.lifeMs ?? tokenLifeMsDefault, tokenLifeMsMax);
  const issued = Math.floor(input.nowMs / 1000);
  const claims = {
    roles: [...(input.roles ?? [])],
    ...(input.name === undefined ? {} : { name: input.name }),
    ...(input.purpose === undefined ? {} : { purpose: input.purpose }),
    ...(input.impersonated === true ? { imp: true } : {}),
    ...(input.boundTo === undefined ? {} : { htm: input.boundTo.method, htu: input.boundTo.path }),
  };
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: tokenAlgorithm, typ: tokenType, kid: input.kid })
    .setIssuer(input.organization)
    .setSubject(subjectText(input.subject))
    .setAudience(audienceOf(input.chain, input.forSlug))
    .setIssuedAt(issued)
    .setExpirationTime(issued + Math.floor(lifeMs / 1000))
    .setJti(randomUUID())
    .sign(await importJWK(input.privateJwk, tokenAlgorithm));
}
