import { identity } from '@salus/contracts';
import { canonicalJson, type Did, isDid, type JsonValue, SalusError, utf8, utf8Text } from '@salus/protocol';
import { recipientsMax } from '@salus/vault';
import type { Exchange } from '../access/exchange.ts';
import type { MemberRequester } from '../auth/requester.ts';
import { organizationTopic } from '../events/notices.ts';
import { RuleFault } from '../http/problems.ts';
import type { NodeContext } from '../node/start-node.ts';
import type { Organization } from '../orgs/organization.ts';
import { staffDid } from '../orgs/staff.ts';
import { hasUnfaithfulNumber, parseFaithfully, stringifyFaithfully } from '../records/faithful-json.ts';
import type { WireAnswer } from './connection.ts';
import { PeerErrorCodes } from './errors.ts';
import { greet } from './greeting.ts';
import { PeerClient, type Speaker } from './peer-client.ts';
import { PeerInbox, type Place } from './peer-inbox.ts';
import { type Delivery, PeerOutbox } from './peer-outbox.ts';

const deliveryTimeMsMax = 20_000;
const readTimeMsMax = 60_000;
const receiptBytesMax = 4_096;
/** As much as one answer of a custodian may hold (error 790), and what stands around it. */
const readBytesMax = 40 * 1024 * 1024;
const statusOk = 200;

interface Post {
  outbox: PeerOutbox;
  inbox: PeerInbox;
}

/** A part of a history as its custodian sent it; `resource` is the text of a resource. */
export interface PeerEntry {
  dateMs?: number;
  resource: string;
}

/** Resources keep the precision of their decimals: only `stringifyFaithfully` may write what this gives. */
function parse(answer: WireAnswer): unknown {
  try {
    const text = utf8Text(answer.body);
    return hasUnfaithfulNumber(text) ? parseFaithfully(text) : JSON.parse(text);
  } catch {
    throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
  }
}

function upToOf(answer: unknown): number {
  const upTo = typeof answer === 'object' && answer !== null && 'upTo' in answer ? Number(answer.upTo) : Number.NaN;
  if (!Number.isSafeInteger(upTo) || upTo < 0) throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
  return upTo;
}

function entriesOf(answer: unknown): PeerEntry[] {
  const entries = typeof answer === 'object' && answer !== null && 'entries' in answer ? answer.entries : undefined;
  if (!Array.isArray(entries)) throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
  return entries.map((entry: unknown) => {
    const isEntry = typeof entry === 'object' && entry !== null && 'resource' in entry;
    if (!isEntry || typeof entry.resource !== 'object') throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
    const dateMs = 'dateMs' in entry && Number.isSafeInteger(entry.dateMs) ? Number(entry.dateMs) : undefined;
    return { ...(dateMs !== undefined && { dateMs }), resource: stringifyFaithfully(entry.resource) };
  });
}

/** Flat, or nothing: what comes from outside must not be gone through to a depth that it chooses. */
function envelopeBytes(value: unknown): Uint8Array {
  const members = typeof value === 'object' && value !== null ? Object.values(value) : [];
  const isFlat = members.every((member) => typeof member === 'string' || isListOfFlat(member));
  return isFlat ? utf8(canonicalJson(value as JsonValue)) : new Uint8Array();
}

function isListOfFlat(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > recipientsMax) return false;
  return value.every((one) => {
    const members = typeof one === 'object' && one !== null ? Object.values(one) : [undefined];
    return members.every((member) => typeof member === 'string');
  });
}

/** What the organisations of this node send to, and get from, the nodes of other members. */
export class Peers {
  readonly #context: NodeContext;
  readonly #exchange: Exchange;
  readonly #client: PeerClient;
  readonly #posts = new Map<string, Post>();
  readonly #abort = new AbortController();
  readonly #greetings: Promise<void>[] = [];

  constructor(context: NodeContext, exchange: Exchange) {
    const { chain, reader, clockMs, peerPolicy } = context;
    this.#context = context;
    this.#exchange = exchange;
    this.#client = new PeerClient({ chain, reader, policy: peerPolicy, signal: this.#abort.signal, clockMs });
    for (const [slug, organization] of context.organizations) this.#posts.set(slug, this.#postOf(organization));
  }

  #postOf(organization: Organization): Post {
    const { clockMs, log } = this.#context;
    const { store, notices, profile } = organization;
    const outbox = new PeerOutbox({
      store,
      clockMs,
      send: (peer, delivery) => this.#send(organization, peer, delivery),
      overdue: (peer) => {
        const notice = { topic: organizationTopic, type: 'peers/Overdue', data: { member: peer } };
        notices.emit(notice).catch((error) => log.fault('', `peers of ${profile.slug}`, error));
      },
      onError: (error) => log.fault('', `peers of ${profile.slug}`, error),
    });
    return { outbox, inbox: new PeerInbox(store) };
  }

  /** Goes on sending, and tells those who send what is here: it may be less than they know of, after a restore. */
  async start(): Promise<void> {
    for (const [slug, { outbox, inbox }] of this.#posts) {
      await outbox.start();
      const from = this.#context.organizations.get(slug);
      if (from === undefined) continue;
      for (const { sender, ...cursor } of await inbox.cursors()) {
        this.#greetings.push(greet(() => this.#tell(from, sender, cursor), this.#abort.signal));
      }
    }
  }

  async #tell(from: Organization, to: Did, cursor: { epoch: string; upTo: number }): Promise<void> {
    const { status } = await this.#client.call({
      ...{ from, to, subject: { kind: 'system' }, method: 'POST', path: '/peers/cursor' },
      ...{ body: utf8(JSON.stringify(cursor)), timeMsMax: deliveryTimeMsMax, answerBytesMax: receiptBytesMax },
    });
    if (status !== statusOk) throw this.unfit();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#greetings);
    await Promise.all([...this.#posts.values()].map(({ outbox }) => outbox.close()));
  }

  /** A member's address has changed: what waits for it goes there now. */
  moved(member: Did): void {
    for (const { outbox } of this.#posts.values()) outbox.hurry(member);
  }

  /** Deliveries of an organisation that a member has not confirmed. */
  async pending(slug: string, member: Did): Promise<number> {
    return (await this.#posts.get(slug)?.outbox.pending(member)) ?? 0;
  }

  async #send(from: Organization, to: Did, { envelope, ...place }: Delivery): Promise<number> {
    const message = { ...place, envelope: JSON.parse(utf8Text(envelope)) };
    const answer = await this.#client.call({
      ...{ from, to, subject: { kind: 'system' }, method: 'POST', path: '/peers/sealed' },
      ...{ body: utf8(JSON.stringify(message)), timeMsMax: deliveryTimeMsMax, answerBytesMax: receiptBytesMax },
    });
    if (answer.status !== statusOk) throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
    return upToOf(parse(answer));
  }

  /** The members, not served here, at whose nodes these parties look for what is sealed to them. */
  #elsewhere(parties: readonly Did[]): Did[] {
    const { reader, organizations } = this.#context;
    const here = new Set([...organizations.values()].map(({ profile }) => profile.did));
    const members = parties.flatMap((party) => identity.organisationOf(reader, party) ?? []);
    return [...new Set(members)].filter((member) => !here.has(member));
  }

  /** Leaves an envelope for its parties wherever they are: durable when it resolves. */
  async leave(from: Organization, envelope: Uint8Array, parties: readonly Did[]): Promise<void> {
    await this.#exchange.put(envelope);
    const post = this.#posts.get(from.profile.slug);
    for (const member of this.#elsewhere(parties)) await post?.outbox.add(member, envelope);
  }

  /** Takes in what another member's node delivers. What is no envelope is passed over, and holds up nothing behind it. */
  async receive(
    organization: Organization,
    sender: Did,
    place: Place,
    envelope: unknown,
  ): Promise<{ upTo: number; refused?: number }> {
    let refused: number | undefined;
    try {
      await this.#exchange.put(envelopeBytes(envelope), sender);
    } catch (error) {
      if (!(error instanceof SalusError)) throw error;
      refused = error.code;
    }
    const post = this.#posts.get(organization.profile.slug);
    if (post === undefined) throw new RuleFault(PeerErrorCodes.memberUnreachable);
    const { upTo, gap } = await post.inbox.take(sender, place);
    if (gap !== undefined) {
      const data = { member: sender, ...gap };
      await organization.notices.emit({ topic: organizationTopic, type: 'peers/Gap', data });
    }
    return { upTo, ...(refused !== undefined && { refused }) };
  }

  /** A member says up to where it has what an organisation of this node sent. */
  async hear(organization: Organization, member: Did, epoch: string, upTo: number): Promise<void> {
    await this.#posts.get(organization.profile.slug)?.outbox.hear(member, epoch, upTo);
  }

  /** Somebody of an organisation, by the DID and the name under which other members may know them. */
  #speaker(from: Organization, requester: MemberRequester, nameOf: (person: Did) => string | undefined): Speaker {
    const { subject, roles, purpose, impersonated } = requester;
    const person = subject.kind === 'practitioner' ? staffDid(from.keys.all, subject.id) : undefined;
    const name = (person && nameOf(person)) ?? requester.name;
    return {
      subject: person === undefined ? subject : { kind: 'practitioner', id: person },
      roles,
      impersonated,
      ...(name !== undefined && { name }),
      ...(purpose !== undefined && { purpose }),
    };
  }

  /** What the gate of another member permits somebody of this one to see of a patient. */
  async history(
    from: Organization,
    requester: MemberRequester,
    { to, patient, nameOf }: { to: Did; patient: Did; nameOf(person: Did): string | undefined },
  ): Promise<PeerEntry[]> {
    const answer = await this.#client.call({
      ...{ from, to, ...this.#speaker(from, requester, nameOf), method: 'POST', path: '/peers/history' },
      ...{ body: utf8(JSON.stringify({ patient })), timeMsMax: readTimeMsMax, answerBytesMax: readBytesMax },
    });
    if (answer.status !== statusOk) throw new RuleFault(PeerErrorCodes.peerAnswerUnfit);
    return entriesOf(parse(answer));
  }

  /** A FHIR read at another member; its answer as it came. */
  async fhir(
    from: Organization,
    requester: MemberRequester,
    { to, path, nameOf }: { to: Did; path: string; nameOf(person: Did): string | undefined },
  ): Promise<WireAnswer> {
    return await this.#client.call({
      ...{ from, to, ...this.#speaker(from, requester, nameOf), method: 'GET', path: `/fhir/R4/${path}` },
      headers: { accept: 'application/fhir+json' },
      ...{ timeMsMax: readTimeMsMax, answerBytesMax: readBytesMax },
    });
  }

  /** For an answer that cannot be passed on. */
  unfit(): RuleFault {
    return new RuleFault(PeerErrorCodes.peerAnswerUnfit);
  }

  /** A member by its short name, wherever it is served. */
  member(slug: string): Did {
    const did = identity.organisationBySlug(this.#context.reader, slug);
    if (!isDid(did)) throw new RuleFault(PeerErrorCodes.memberUnreachable);
    return did;
  }
}
