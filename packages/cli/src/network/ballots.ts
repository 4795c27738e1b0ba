import { readFileSync } from 'node:fs';
import { type Client, createClient } from '@salus/api';
import type { governance } from '@salus/contracts';
import {
  addSignature,
  canonicalJson,
  type JsonValue,
  type Message,
  SalusError,
  sha256,
  signTransaction,
  toBase64url,
  utf8,
} from '@salus/protocol';
import {
  NodeErrorCodes,
  NodeFault,
  type OfflineOrganization,
  readOrganization,
  validForMsDefault,
} from '@salus/server';
import { trustMember } from './addresses.ts';
import { networkError } from './errors.ts';
import { validatorPower } from './network-directory.ts';

export type BallotOptions = { data: string; org: string; url: string };
export type Opened = { proposal: number; digest: string; deadlineMs: number };
type StoredProposal = Pick<governance.Proposal, 'digest' | 'deadlineMs'>;

const regulatorRole = 'regulator';
const sponsorText = 'A regulator sponsors: name its directory with --data and --org. Nothing was sent.';
const requestFormat = 'salus-join-request/1';

/** A member's organisation that proposes and votes through a node. */
export class Ballots {
  readonly #client: Client;
  readonly #own: OfflineOrganization;

  constructor({ data, org, url }: BallotOptions) {
    trustMember(data);
    this.#client = createClient({ baseUrl: url });
    this.#own = readOrganization(data, org);
  }

  /** Opens a proposal; everybody votes until its deadline. */
  async propose(change: governance.Change): Promise<Opened> {
    const content = change as unknown as JsonValue;
    const reason = toBase64url(sha256(utf8(canonicalJson(content))));
    const [opened] = await this.#submit([{ type: 'governance/propose', change: content, reason, activationHeight: 0 }]);
    return opened as Opened;
  }

  async vote(proposal: number, choice: 'yes' | 'no' | 'abstain'): Promise<void> {
    const { digest } = await this.#proposal(proposal);
    await this.#submit([{ type: 'governance/vote', proposal, digest, choice }]);
  }

  /** `reason` is a document that says why; the ledger has its digest alone. */
  async veto(proposal: number, reason: Uint8Array): Promise<void> {
    const { digest } = await this.#proposal(proposal);
    await this.#submit([{ type: 'governance/veto', proposal, digest, reason: toBase64url(sha256(reason)) }]);
  }

  async execute(proposal: number): Promise<number | undefined> {
    const { digest } = await this.#proposal(proposal);
    const [output] = await this.#submit([{ type: 'governance/execute', proposal, digest }]);
    return (output as { effectiveHeight?: number } | undefined)?.effectiveHeight;
  }

  /** A regulator's signature beside the newcomer's; then the members are asked to admit it. */
  async sponsor(file: string): Promise<Opened> {
    const request = readRequest(file);
    const state = await this.#client.getState({
      params: { contract: 'identity', key: `slug/${request.slug}` },
      query: {},
    });
    if (!state.present) {
      // Whoever signs uses the request up, whether it is enough or not.
      if (this.#own.keys.profile.role !== regulatorRole) throw new NodeFault(NodeErrorCodes.inputInvalid, sponsorText);
      const bytes = await addSignature(utf8(request.transaction), this.#own.keys.signer());
      await this.#send(bytes);
    }
    return this.propose({ kind: 'admit', member: request.did, class: request.class } as governance.Change);
  }

  /** The key of this organisation's own CometBFT among the validators. */
  proposeValidator(publicKey: string): Promise<Opened> {
    const { did: member } = this.#own.keys.profile;
    return this.propose({ kind: 'validators', changes: [{ publicKey, member, power: validatorPower }] });
  }

  async #proposal(n: number): Promise<StoredProposal> {
    const key = `proposals/all/${n}`;
    const { content } = await this.#client.getState({ params: { contract: 'governance', key }, query: {} });
    if (content === undefined) throw networkError('proposalUnknown', `There is no proposal ${n}.`);
    return content as StoredProposal;
  }

  async #submit(messages: Message[]): Promise<unknown[]> {
    const { chain } = this.#own.directory.manifest;
    const validUntil = Date.now() + validForMsDefault;
    return this.#send(await signTransaction({ chain, messages, signers: [this.#own.keys.signer()], validUntil }));
  }

  async #send(body: Uint8Array): Promise<unknown[]> {
    const result = await this.#client.submitTransaction({ query: { wait: 'commit' }, body });
    if (!('code' in result)) return [];
    if (result.code !== 0) throw new SalusError(result.code, result.log);
    return result.outputs;
  }
}

function readRequest(file: string): { did: string; slug: string; class: string; transaction: string } {
  const text = readFileSync(file, 'utf8');
  try {
    const request = JSON.parse(text) as Record<string, string>;
    const { format, did, slug, class: memberClass, transaction } = request;
    if (format === requestFormat && did && slug && memberClass && transaction) {
      return { did, slug, class: memberClass, transaction };
    }
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.inputInvalid, 'It is no request to join.', { cause });
  }
  throw new NodeFault(NodeErrorCodes.inputInvalid, 'It is no request to join.');
}
