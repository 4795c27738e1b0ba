import { ApiErrorCodes, routes } from '@salus/api';
import { access, type consent, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { isDid, SalusError } from '@salus/protocol';
import { vaultErrors } from '@salus/vault';
import type { MemberRequester, Requester } from '../auth/requester.ts';
import { ApiFault, addErrorTable, RuleFault, setErrorStatus } from '../http/problems.ts';
import type { NodePart } from '../node/parts.ts';
import type { NodeContext } from '../node/start-node.ts';
import { mountPeers } from '../peers/mounts.ts';
import { Peers } from '../peers/peers.ts';
import { recordsOf } from '../records/records-part.ts';
import { accountingOf } from './accounting.ts';
import { type AuthorityInput, attestAuthority, authoritiesAbout, endAuthority } from './authorities.ts';
import { openCaseOfRevokedKey } from './cases.ts';
import { auditOf, type MergeInput, mergePatients } from './custody.ts';
import { AccessDesk } from './desk.ts';
import { AccessErrorCodes, accessErrors } from './errors.ts';
import { Exchange } from './exchange.ts';
import { breakGlass, closeReview, openReviews } from './glass.ts';
import { type Elsewhere, historyOver, historyText } from './history.ts';
import { mountStaff } from './staff.ts';

/** Requests that one answer lists. */
const requestsListedMax = 200;
/** Staff who check a patient's identity and give out codes, beside the systems of the organisation. */
const linkingRoles = ['officer', 'administrator', 'registrar'];
/** Codes below it refuse the form of a transaction (ADR 1). */
const ruleCodeMin = 1_000;
const desksOf = new WeakMap<object, ReadonlyMap<string, AccessDesk>>();

/** The access desks of the organisations that this node serves, for the parts that start after `access`. */
export function accessDesks(context: Pick<NodeContext, 'organizations'>): ReadonlyMap<string, AccessDesk> {
  return desksOf.get(context.organizations) ?? new Map();
}

function publishErrors(): void {
  addErrorTable(accessErrors);
  addErrorTable(vaultErrors);
  const { linkCodeUnknown, patientUnknown, requestUnknown, reviewUnknown } = AccessErrorCodes;
  for (const code of [linkCodeUnknown, patientUnknown, requestUnknown, reviewUnknown]) setErrorStatus(code, 404);
  const { personMissing, notAllowedForRole, writeRefused, answerTooLarge } = AccessErrorCodes;
  for (const code of [personMissing, notAllowedForRole, writeRefused]) setErrorStatus(code, 403);
  setErrorStatus(answerTooLarge, 422);
  setErrorStatus(AccessErrorCodes.ledgerUnavailable, 503);
  setErrorStatus(AccessErrorCodes.exchangeFull, 503);
}

/** The DID of the practitioner for whom a token speaks. */
export function personOf(requester: Requester): Did {
  const id =
    requester.kind === 'member' && requester.subject.kind === 'practitioner' ? requester.subject.id : undefined;
  if (!isDid(id)) throw new RuleFault(AccessErrorCodes.personMissing);
  return id;
}

/** Staff of the organisation itself, or one of its systems. */
function requireOwnStaff(requester: Requester, slug: string): MemberRequester {
  const isOwn =
    requester.kind === 'member' && requester.organization.slug === slug && requester.subject.kind !== 'patient';
  if (!isOwn) throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  return requester;
}

function requireWallet(requester: Requester): Did {
  if (requester.kind !== 'wallet') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  return requester.did;
}

class Mounts {
  readonly #context: NodeContext;
  readonly #desks: ReadonlyMap<string, AccessDesk>;
  readonly #exchange: Exchange;
  readonly #peers: Peers;

  constructor(context: NodeContext, desks: ReadonlyMap<string, AccessDesk>, exchange: Exchange, peers: Peers) {
    this.#context = context;
    this.#desks = desks;
    this.#exchange = exchange;
    this.#peers = peers;
  }

  #desk(slug: string): AccessDesk {
    const desk = this.#desks.get(slug);
    if (desk === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
    return desk;
  }

  /** Staff with one of these roles as they stand on the ledger: the word of a token alone makes nobody an officer. */
  #staffAs(roles: readonly string[], requester: Requester, slug: string): MemberRequester {
    const staff = requireOwnStaff(requester, slug);
    const standing = this.#desk(slug).facts.rolesOf(staff);
    if (!roles.some((role) => standing.includes(role))) throw new RuleFault(AccessErrorCodes.notAllowedForRole);
    return staff;
  }

  #member(slug: string): Did {
    const did = identity.organisationBySlug(this.#context.reader, slug);
    if (did === undefined) throw new RuleFault(AccessErrorCodes.custodianUnknown);
    return did;
  }

  linking(): void {
    const { mounter, chain, nowMs } = this.#context;
    mounter.mount(routes.createLinkingCode, async ({ params, body, requester }) => {
      const desk = this.#desk(params.slug);
      const staff = requireOwnStaff(requester, params.slug);
      // Whoever holds a code becomes the patient: not everybody who works here may make one.
      if (staff.subject.kind !== 'system') this.#staffAs(linkingRoles, requester, params.slug);
      const patient = desk.records.patients.byId(body.patient);
      if (patient === undefined) throw new RuleFault(AccessErrorCodes.patientUnknown);
      // Who made it is on record before there is a code, so that there is none without a trace.
      await desk.note(staff, 'linking', patient.did);
      return { ...(await desk.linking.createCode(patient.did, nowMs())), patient: patient.did };
    });
    mounter.mount(routes.openLink, async ({ params, body }) => {
      const desk = this.#desk(params.slug);
      const { did, slug, name } = desk.records.organization.profile;
      const [, sealingKey = ''] = desk.records.organization.keys.encryption().kid.split('#');
      const patient = await desk.linking.patientOf(body.code, nowMs());
      return { chain, custodian: { did, slug, name, sealingKey }, patient };
    });
    mounter.mount(routes.confirmLink, async ({ params, body }) => {
      const committed = await this.#desk(params.slug).linking.confirm(body.code, body.transaction, nowMs());
      const { hash, height, index, code, log, data, events, outputs } = committed;
      return { hash, height, index, code, log, data, events, outputs };
    });
  }

  sealed(): void {
    const { mounter } = this.#context;
    mounter.mount(routes.putSealed, async ({ body, requester }) => {
      const sender = requester.kind === 'wallet' ? requester.did : requester.organization.did;
      return await this.#exchange.put(body, sender);
    });
    mounter.mount(routes.getSealed, async ({ params }) => ({
      envelopes: await this.#exchange.envelopes(params.commitment),
    }));
  }

  requests(): void {
    const { mounter, reader } = this.#context;
    mounter.mount(routes.createAccessRequest, async ({ params, body, requester }) => {
      const desk = this.#desk(params.slug);
      const staff = requireOwnStaff(requester, params.slug);
      const { purpose, what, actions = ['read'], note } = body;
      const id = await desk.request({
        custodian: this.#member(body.custodian),
        patient: body.patient as Did,
        person: personOf(staff),
        roles: [...staff.roles],
        purpose,
        what: what as consent.What,
        actions,
        ...(note !== undefined && { note }),
      });
      return this.#requestState(desk, id);
    });
    mounter.mount(routes.getAccessRequest, ({ params, requester }) => {
      requireOwnStaff(requester, params.slug);
      return this.#requestState(this.#desk(params.slug), params.id);
    });
    mounter.mount(routes.walletRequests, ({ params, requester }) => {
      const patient = requireWallet(requester);
      const { did } = this.#desk(params.slug);
      const ids = [...access.accountingEntries(reader, did, patient)].flatMap(([, entry]) =>
        entry.kind === 'request' ? [entry.id] : [],
      );
      const requests = ids
        .slice(-requestsListedMax)
        .reverse()
        .flatMap((id) => this.#walletRequest(id));
      return { requests };
    });
  }

  #requestState(desk: AccessDesk, id: string): { id: string; status: string; expiresMs: number } {
    const entry = access.request(this.#context.reader, id);
    if (entry?.requester !== desk.did) throw new RuleFault(AccessErrorCodes.requestUnknown);
    const status = access.requestStatusOf(entry, desk.facts.nowMs());
    return { id, status, expiresMs: entry.decision === 'permit' ? (entry.untilMs ?? 0) : entry.expiresMs };
  }

  #walletRequest(id: string) {
    const { reader, ledger } = this.#context;
    const entry = access.request(reader, id);
    const asking = entry && identity.organisation(reader, entry.requester);
    if (entry === undefined || asking === undefined) return [];
    const { requester: did, commitment, openedMs: askedMs, expiresMs } = entry;
    const status = access.requestStatusOf(entry, ledger.head().timeMs);
    return [{ id, commitment, organization: { did, name: asking.name }, status, askedMs, expiresMs }];
  }

  emergencies(): void {
    const { mounter } = this.#context;
    mounter.mount(routes.breakGlass, async ({ params, body, requester }) => {
      const desk = this.#desk(params.slug);
      const staff = requireOwnStaff(requester, params.slug);
      const custodian = this.#member(body.custodian);
      const input = { ...body, patient: body.patient as Did, custodian, person: personOf(staff) };
      return await breakGlass(this.#context, desk, input, this.#desks.get(body.custodian));
    });
    mounter.mount(routes.listReviews, async ({ params, requester }) => {
      this.#staffAs(['officer'], requester, params.slug);
      return { reviews: await openReviews(this.#context, this.#desk(params.slug)) };
    });
    mounter.mount(routes.closeReview, async ({ params, body, requester }) => {
      const staff = this.#staffAs(['officer'], requester, params.slug);
      return await closeReview(this.#context, this.#desk(params.slug), params.id, {
        ...body,
        officer: personOf(staff),
      });
    });
  }

  authorities(): void {
    const { mounter, reader, nowMs } = this.#context;
    const roles = ['officer', 'administrator'];
    mounter.mount(routes.createAuthority, async ({ params, body, requester }) => {
      this.#staffAs(roles, requester, params.slug);
      return await attestAuthority(this.#desk(params.slug), body as AuthorityInput, nowMs());
    });
    mounter.mount(routes.endAuthority, async ({ params, body, requester }) => {
      this.#staffAs(roles, requester, params.slug);
      return { transaction: await endAuthority(this.#desk(params.slug), body.patient as Did, params.id) };
    });
    mounter.mount(routes.listAuthorities, async ({ params, query, requester }) => {
      const desk = this.#desk(params.slug);
      if (requester.kind === 'wallet') return { authorities: await authoritiesAbout(reader, desk, requester.did) };
      this.#staffAs(roles, requester, params.slug);
      if (query.patient === undefined) throw new RuleFault(AccessErrorCodes.patientUnknown);
      return { authorities: await authoritiesAbout(reader, desk, query.patient as Did) };
    });
  }

  /** Watches for transactions that are signed with a key which a patient revoked. */
  refusals(): void {
    const { refusals, log } = this.#context;
    refusals.listen((bytes, error) => {
      // Bytes that are no transaction have no signer.
      if (!(error instanceof SalusError) || error.code < ruleCodeMin) return;
      const opened = openCaseOfRevokedKey(this.#context, this.#desks.values(), bytes);
      opened.catch((cause) => log.fault('', 'a case of a revoked key', cause));
    });
  }

  custody(): void {
    const { mounter } = this.#context;
    mounter.mount(routes.audit, async ({ params, query, requester }) => {
      this.#staffAs(['officer'], requester, params.slug);
      return await auditOf(this.#desk(params.slug), query);
    });
    mounter.mount(routes.mergePatients, async ({ params, body, requester }) => {
      const staff = this.#staffAs(linkingRoles, requester, params.slug);
      return { transaction: await mergePatients(this.#desk(params.slug), staff, body as MergeInput) };
    });
  }

  history(): void {
    const { mounter } = this.#context;
    mounter.mount(routes.history, async ({ params, body, requester, reply }) => {
      requireOwnStaff(requester, params.slug);
      const contexts = body.contexts.map(({ custodian, patient }) => ({ custodian, patient: patient as Did }));
      const elsewhere = this.#elsewhere(this.#desk(params.slug));
      const history = await historyOver(recordsOf(this.#context), elsewhere, requester, contexts);
      return reply.type('application/json; charset=utf-8').send(historyText(history));
    });
  }

  /** Custodians that another node serves; one that is nobody, or does not answer, holds up none of the others. */
  #elsewhere({ records, staff }: AccessDesk): Elsewhere {
    return {
      partOf: async (requester, { custodian, patient }) => {
        const to = identity.organisationBySlug(this.#context.reader, custodian);
        if (to === undefined) return [];
        const asked = { to, patient, nameOf: (person: Did) => staff.get(person)?.name };
        try {
          return await this.#peers.history(records.organization, requester, asked);
        } catch (error) {
          if (!(error instanceof RuleFault)) throw error;
          return undefined;
        }
      },
    };
  }

  accounting(): void {
    const { mounter, reader } = this.#context;
    mounter.mount(routes.accounting, async ({ params, query, requester }) => {
      const desk = this.#desk(params.slug);
      if (requester.kind === 'wallet') return await accountingOf(reader, desk, requester.did);
      this.#staffAs(['officer'], requester, params.slug);
      const patient = query.patient === undefined ? undefined : desk.records.patients.byDid(query.patient as Did);
      if (patient === undefined) throw new RuleFault(AccessErrorCodes.patientUnknown);
      return await accountingOf(reader, desk, patient.did);
    });
    mounter.mount(routes.setRelationship, async ({ params, body, requester }) => {
      const desk = this.#desk(params.slug);
      const { patient, person, kind, untilMs, ended } = body;
      const staff = requireOwnStaff(requester, params.slug);
      const { subject } = staff;
      const isThemselves = subject.kind === 'practitioner' && subject.id === person;
      const declares = isThemselves && kind === 'personalTie' && ended !== true;
      // Who could put themselves into a care team, or take a court's exclusion away, would decide about themselves.
      if (subject.kind !== 'system' && !declares) this.#staffAs(['officer'], staff, params.slug);
      if (desk.records.patients.byDid(patient as Did) === undefined)
        throw new RuleFault(AccessErrorCodes.patientUnknown);
      if (ended === true) await desk.relationships.end(patient as Did, person as Did, kind);
      else await desk.relationships.set(patient as Did, person as Did, kind, untilMs);
      return { ok: true };
    });
  }
}

function mountAll(context: NodeContext, mounts: Mounts): void {
  mounts.linking();
  mounts.sealed();
  mounts.requests();
  mounts.emergencies();
  mounts.accounting();
  mounts.custody();
  mounts.history();
  mountStaff(context);
  mounts.authorities();
  mounts.refusals();
}

/** Requests, decisions, emergencies, accounting and wallets; gives each organisation's records their gate. */
export const accessPart: NodePart = {
  name: 'access',
  async start(context) {
    publishErrors();
    const exchange = await Exchange.open(context.stores, context.dataRoot, context.clockMs);
    const peers = new Peers(context, exchange);
    const desks = new Map<string, AccessDesk>();
    const stop = async (): Promise<void> => {
      await peers.close();
      for (const desk of desks.values()) await desk.close();
      await exchange.close();
    };
    try {
      for (const [slug, records] of recordsOf(context))
        desks.set(slug, await AccessDesk.open(context, records, exchange, peers));
      desksOf.set(context.organizations, desks);
      mountAll(context, new Mounts(context, desks, exchange, peers));
      mountPeers(context, desks, peers);
      for (const desk of desks.values()) desk.start();
      await peers.start();
    } catch (error) {
      await stop();
      throw error;
    }
    return stop;
  },
};
