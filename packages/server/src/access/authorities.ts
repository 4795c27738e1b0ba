import { type IterableReader, identity } from '@salus/contracts';
import { type Did, randomBytes, toBase64url } from '@salus/protocol';
import { authorityName } from '../gate/acting.ts';
import { RuleFault } from '../http/problems.ts';
import type { AccessDesk } from './desk.ts';
import { AccessErrorCodes } from './errors.ts';
import { withLedger } from './outage.ts';

/** How long an authority without an end of its own stands on the ledger. */
const authorityLifeMs = 10 * 365 * 24 * 3_600_000;

export interface AuthorityInput {
  patient: Did;
  holder: Did;
  kind: identity.AuthorityKind;
  actions: identity.AuthorityAction[];
  categories?: string[];
  excluded?: string[];
  fromMs?: number;
  untilMs?: number;
  majorityMs?: number;
  /** SHA-256 of the document, as the person who saw it recorded it. */
  evidence?: string;
}

export interface ListedAuthority {
  id: string;
  holder: string;
  basis: identity.AuthorityBasis;
  status: 'active' | 'ended';
  content?: identity.AuthorityContent;
}

function requirePatient(desk: AccessDesk, patient: Did): void {
  if (desk.records.patients.byDid(patient) === undefined) throw new RuleFault(AccessErrorCodes.patientUnknown);
}

/** The coarse end that the ledger shows: never before the exact one, which is sealed. */
function coarseEndMs(exactMs: number, nowMs: number): number {
  const step = identity.authorityExpiryStepMs;
  const latest = Math.floor((nowMs + identity.authorityDurationMsMax) / step) * step;
  return Math.min(latest, Math.ceil((exactMs + 1) / step) * step);
}

/** Attests what the custodian's staff saw proof of: a parent, a court's guardian, an executor. Gives its id. */
export async function attestAuthority(
  desk: AccessDesk,
  input: AuthorityInput,
  nowMs: number,
): Promise<{ id: string; transaction: string }> {
  const { patient, holder, kind, actions, categories, excluded, untilMs, majorityMs, evidence } = input;
  requirePatient(desk, patient);
  const content: identity.AuthorityContent = {
    format: identity.authorityFormat,
    kind,
    patient,
    holder,
    scope: { actions, ...(categories && { categories }), ...(excluded && { excluded }) },
    fromMs: input.fromMs ?? nowMs,
    ...(untilMs !== undefined && { untilMs }),
    ...(majorityMs !== undefined && { majorityMs }),
    ...(evidence !== undefined && { evidence }),
  };
  const authority = toBase64url(randomBytes(16));
  const commitment = await desk.seal('identity/authority', authority, content, [desk.did, patient, holder]);
  const expiresMs = coarseEndMs(untilMs ?? nowMs + authorityLifeMs, nowMs);
  const message = { type: 'identity/attestAuthority', patient, authority, holder, commitment, expiresMs };
  const committed = await withLedger(() => desk.records.organization.execute([message]));
  return { id: authority, transaction: committed.hash };
}

/** Ends what this custodian attested. */
export async function endAuthority(desk: AccessDesk, patient: Did, authority: string): Promise<string> {
  requirePatient(desk, patient);
  const message = { type: 'identity/revokeAuthority', patient, authority };
  const committed = await withLedger(() => desk.records.organization.execute([message]));
  return committed.hash;
}

/** Who may act for a patient, and who could once. */
export async function authoritiesAbout(
  reader: IterableReader,
  desk: AccessDesk,
  patient: Did,
): Promise<ListedAuthority[]> {
  requirePatient(desk, patient);
  const contents = (await desk.records.content.about([patient])).get(patient);
  const nowMs = desk.facts.nowMs();
  return identity.authoritiesOf(reader, patient).map((entry) => {
    const { authority: id, holder, basis } = entry;
    const content = contents?.get<identity.AuthorityContent>('authority', authorityName(patient, id));
    const status = identity.isAuthorityActive(entry, nowMs) ? 'active' : 'ended';
    return { id, holder, basis, status, ...(content && { content }) };
  });
}
