import { ApiErrorCodes, routes, type SealedRequest } from '@salus/api';
import { access, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import type { Requester } from '../auth/requester.ts';
import { authorityName } from '../gate/acting.ts';
import { decideOnKept, type Kept } from '../gate/kept.ts';
import { ApiFault, RuleFault } from '../http/problems.ts';
import type { NodePart } from '../node/parts.ts';
import type { NodeContext } from '../node/start-node.ts';
import { accessDesks } from './access-part.ts';
import type { AccessDesk } from './desk.ts';
import { AccessErrorCodes } from './errors.ts';

/** Who may say that somebody is who they are. */
const registrarRoles = ['officer', 'administrator', 'registrar'];
const requestsListedMax = 200;

interface Held {
  id: string;
  content: identity.AuthorityContent;
}

/** Authorities of a holder that are in force for a patient, and whose content is here. */
function heldBy({ reader }: NodeContext, desk: AccessDesk, patient: Did, holder: Did, kept: Kept): Held[] {
  const nowMs = desk.facts.nowMs();
  const patientDeceased = identity.patient(reader, patient)?.status === 'deceased';
  if (kept.has(patient, holder, 'excludedByCourt', nowMs)) return [];
  return identity.authoritiesOf(reader, patient).flatMap((entry) => {
    const { authority: id, basis } = entry;
    if (entry.holder !== holder || !identity.isAuthorityActive(entry, nowMs)) return [];
    if (patientDeceased && basis === 'patient') return [];
    const content = kept.contents(patient)?.get<identity.AuthorityContent>('authority', authorityName(patient, id));
    return content?.patient === patient && content.holder === holder ? [{ id, content }] : [];
  });
}

function covers(context: NodeContext, desk: AccessDesk, { content }: Held, action: 'read' | 'decide'): boolean {
  const { patient, holder, scope } = content;
  // A parent's reach ends with a date that only the gate knows: what they may answer, they are asked by staff.
  if (action === 'decide' && content.kind === 'parent') return false;
  return identity.authorityCovers(content, {
    patient,
    holder,
    action,
    categories: scope.categories?.slice(0, 1) ?? [],
    blockTimeMs: desk.facts.nowMs(),
    patientDeceased: identity.patient(context.reader, patient)?.status === 'deceased',
  });
}

function requestsTo({ reader, ledger }: NodeContext, desk: AccessDesk, patient: Did, kept: Kept) {
  const ids = [...access.accountingEntries(reader, desk.did, patient)].flatMap(([, entry]) =>
    entry.kind === 'request' ? [entry.id] : [],
  );
  return ids.slice(-requestsListedMax).flatMap((id) => {
    const entry = access.request(reader, id);
    const content = kept.contents(patient)?.get<SealedRequest>('request', id);
    if (entry === undefined || content === undefined) return [];
    const status = access.requestStatusOf(entry, ledger.head().timeMs);
    return [{ id, status, expiresMs: entry.expiresMs, content }];
  });
}

async function delegationOf(context: NodeContext, desk: AccessDesk, patient: Did, requester: Requester) {
  if (requester.kind !== 'wallet') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  await desk.facts.ready();
  const { relationships, records } = desk;
  // Who holds what, and what that gives them, is decided at one moment, like any access.
  return await decideOnKept({ contents: records.content, relationships }, [patient], requester.did, (kept) => {
    const held = heldBy(context, desk, patient, requester.did, kept);
    const mayRead = held.some((one) => covers(context, desk, one, 'read'));
    const mayDecide = held.some((one) => covers(context, desk, one, 'decide'));
    const fhirId = mayRead ? records.patients.byDid(patient)?.id : undefined;
    const requests = mayDecide ? requestsTo(context, desk, patient, kept) : [];
    return { authorities: held, ...(fhirId !== undefined && { fhirId }), requests };
  });
}

/** Registration of people who act for patients, and what they may do. */
export const delegatesPart: NodePart = {
  name: 'delegates',
  async start(context) {
    const { mounter, chain, nowMs } = context;
    const desks = accessDesks(context);
    const deskOf = (slug: string): AccessDesk => {
      const desk = desks.get(slug);
      if (desk === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
      return desk;
    };
    mounter.mount(routes.createDelegateCode, async ({ params, requester }) => {
      const desk = deskOf(params.slug);
      const isOwn = requester.kind === 'member' && requester.organization.slug === params.slug;
      if (!isOwn || requester.subject.kind === 'patient') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
      const standing = requester.subject.kind === 'system' ? registrarRoles : desk.facts.rolesOf(requester);
      if (!registrarRoles.some((role) => standing.includes(role)))
        throw new RuleFault(AccessErrorCodes.notAllowedForRole);
      return await desk.linking.createDelegateCode(nowMs());
    });
    mounter.mount(routes.openDelegate, async ({ params, body }) => {
      const desk = deskOf(params.slug);
      await desk.linking.checkDelegateCode(body.code, nowMs());
      const { did, slug, name } = desk.records.organization.profile;
      const [, sealingKey = ''] = desk.records.organization.keys.encryption().kid.split('#');
      return { chain, custodian: { did, slug, name, sealingKey } };
    });
    mounter.mount(routes.registerDelegate, async ({ params, body }) => {
      const { linking } = deskOf(params.slug);
      const committed = await linking.confirmDelegate(body.code, body.transaction, nowMs());
      const { hash, height, index, code, log, data, events, outputs } = committed;
      return { hash, height, index, code, log, data, events, outputs };
    });
    mounter.mount(routes.delegation, async ({ params, query, requester }) => {
      return await delegationOf(context, deskOf(params.slug), query.patient as Did, requester);
    });
    return undefined;
  },
};
