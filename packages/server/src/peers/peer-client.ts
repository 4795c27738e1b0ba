import { identity, type StateReader } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import type { Subject } from '../auth/requester.ts';
import { RuleFault } from '../http/problems.ts';
import type { Organization } from '../orgs/organization.ts';
import { exchangeOnce, UnfitAnswer, type WireAnswer } from './connection.ts';
import { type PeerEndpoint, type PeerPolicy, parseEndpoint } from './endpoint.ts';
import { PeerErrorCodes } from './errors.ts';

/** Longest life of a token from node to node: it is for one request that leaves at once. */
const tokenLifeMs = 60_000;
/** Clocks of members differ by less; another time is nobody's mistake, and no token is made for it. */
const clockDifferenceMsMax = 60_000;
const statusUnauthorized = 401;

/** For whom an organisation asks another one. */
export interface Speaker {
  subject: Subject;
  name?: string;
  roles?: readonly string[];
  purpose?: string;
  impersonated?: boolean;
}

export interface PeerCall extends Speaker {
  from: Organization;
  to: Did;
  method: 'GET' | 'POST';
  /** What follows `/org/{slug}`; names no person. */
  path: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  timeMsMax: number;
  answerBytesMax: number;
}

interface ClientParts {
  chain: string;
  reader: StateReader;
  policy: PeerPolicy;
  /** Ends every call: the node stops. */
  signal: AbortSignal;
  clockMs(): number;
}

/**
 * Asks the nodes of other members. Where a node is and whose keys count stands on the ledger; each call has a token of its
 * own, signed by the organisation's authentication key, for that member, that request, and one use.
 */
export class PeerClient {
  readonly #parts: ClientParts;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** The answer, whatever its status; throws a numbered fault where there is none that could be used. */
  async call(call: PeerCall): Promise<WireAnswer> {
    const { reader, policy } = this.#parts;
    const member = identity.organisation(reader, call.to);
    if (member?.status !== 'active') throw new RuleFault(PeerErrorCodes.memberUnreachable);
    const endpoint = parseEndpoint(member.endpoint, policy);
    if (endpoint === undefined) throw new RuleFault(PeerErrorCodes.endpointUnfit);
    const path = `/org/${member.slug}${call.path}`;
    const send = async (nowMs: number): Promise<WireAnswer> =>
      await this.#send(call, endpoint, path, await this.#token(call, { slug: member.slug, path, nowMs }));
    const nowMs = this.#parts.clockMs();
    const answer = await send(nowMs);
    // A token is judged by the other end's clock; where that was the reason, it says what time it is there.
    const isNear = Math.abs(answer.dateMs - nowMs) <= clockDifferenceMsMax;
    return answer.status === statusUnauthorized && isNear ? await send(answer.dateMs) : answer;
  }

  async #send(call: PeerCall, endpoint: PeerEndpoint, path: string, token: string): Promise<WireAnswer> {
    const { method, body, timeMsMax, answerBytesMax } = call;
    const headers: Record<string, string> = {
      authorization: `Bearer ${token}`,
      ...call.headers,
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(body.length) }),
    };
    try {
      return await exchangeOnce(endpoint, this.#parts.policy, {
        ...{ method, path, headers, timeMsMax, answerBytesMax, signal: this.#parts.signal },
        ...(body !== undefined && { body }),
      });
    } catch (cause) {
      const isUnfit = cause instanceof UnfitAnswer;
      throw new RuleFault(isUnfit ? PeerErrorCodes.peerAnswerUnfit : PeerErrorCodes.peerSilent);
    }
  }

  async #token(call: PeerCall, at: { slug: string; path: string; nowMs: number }): Promise<string> {
    const { chain } = this.#parts;
    const { from, subject, name, roles, purpose, impersonated, method } = call;
    const { slug: forSlug, path, nowMs } = at;
    return await from.keys.token({
      ...{ chain, subject, forSlug, boundTo: { method, path }, lifeMs: tokenLifeMs, nowMs },
      ...(name !== undefined && { name }),
      ...(roles !== undefined && { roles }),
      ...(purpose !== undefined && { purpose }),
      ...(impersonated === true && { impersonated }),
    });
  }
}
