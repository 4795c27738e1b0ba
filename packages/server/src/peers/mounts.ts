import { ApiErrorCodes, routes } from '@salus/api';
import type { Did } from '@salus/protocol';
import type { AccessDesk } from '../access/desk.ts';
import { entriesText, partOf } from '../access/history.ts';
import type { MemberRequester, Requester } from '../auth/requester.ts';
import { waitAsForAbsence } from '../fhir/exchange.ts';
import { ApiFault, addErrorTable, setErrorStatus } from '../http/problems.ts';
import type { NodeContext } from '../node/start-node.ts';
import { peerErrorStatus, peerErrors } from './errors.ts';
import type { Peers } from './peers.ts';

/** A read, a version of one, and everything of a patient; a search would say in an address who is looked for. */
const readPattern =
  /^(?:[A-Z][A-Za-z]{1,63}\/[A-Za-z0-9.-]{1,64}(?:\/_history\/\d{1,9})?|Patient\/[A-Za-z0-9.-]{1,64}\/\$everything)$/;
const fhirPattern = /^application\/(fhir\+)?json\b/;
/** Answers of a custodian that mean what they say here too. */
const passedOn: readonly number[] = [200, 400, 403, 404, 410];

/** The node of another member, with a token that was made for this request. */
function requirePeer(requester: Requester, own: Did): MemberRequester {
  const isPeer = requester.kind === 'member' && requester.bound === true && requester.organization.did !== own;
  if (!isPeer) throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  return requester;
}

/** What other members' nodes may ask of this one, and the way out to them for the staff of this one. */
export function mountPeers(context: NodeContext, desks: ReadonlyMap<string, AccessDesk>, peers: Peers): void {
  const { mounter } = context;
  addErrorTable(peerErrors);
  for (const [code, status] of peerErrorStatus) setErrorStatus(code, status);
  const deskOf = (slug: string): AccessDesk => {
    const desk = desks.get(slug);
    if (desk === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
    return desk;
  };
  mounter.mount(routes.deliverSealed, async ({ params, body, requester }) => {
    const desk = deskOf(params.slug);
    const { organization, subject } = requirePeer(requester, desk.did);
    if (subject.kind !== 'system') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
    const { envelope, ...place } = body;
    return await peers.receive(desk.records.organization, organization.did, place, envelope);
  });
  mounter.mount(routes.peerCursor, async ({ params, body, requester }) => {
    const desk = deskOf(params.slug);
    const { organization, subject } = requirePeer(requester, desk.did);
    if (subject.kind !== 'system') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
    await peers.hear(desk.records.organization, organization.did, body.epoch, body.upTo);
    return { ok: true };
  });
  mounter.mount(routes.peerHistory, async ({ params, body, requester, reply }) => {
    const { did, records } = deskOf(params.slug);
    const peer = requirePeer(requester, did);
    const startMs = performance.now();
    const part = await partOf(records, params.slug, body.patient as Did, peer);
    if (part.length === 0) await waitAsForAbsence(startMs);
    return reply.type('application/json; charset=utf-8').send(`{"entries":${entriesText(part)}}`);
  });
  mounter.mount(routes.memberFhir, async ({ params, requester, reply }) => {
    const { slug, custodian, path } = params;
    const { did, records, staff } = deskOf(slug);
    const isOwn = requester.kind === 'member' && requester.organization.did === did;
    if (!isOwn || requester.subject.kind === 'patient') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
    if (!readPattern.test(path)) throw new ApiFault(ApiErrorCodes.notFound);
    const asked = { to: peers.member(custodian), path, nameOf: (person: Did) => staff.get(person)?.name };
    const { status, type, body } = await peers.fhir(records.organization, requester, asked);
    if (!passedOn.includes(status) || !fhirPattern.test(type)) throw peers.unfit();
    return reply.code(status).type('application/fhir+json; charset=utf-8').send(Buffer.from(body));
  });
}
