import { ApiErrorCodes } from '@salus/api';
import type { consent } from '@salus/contracts';
import type { MemberRequester, Requester } from '../auth/requester.ts';
import type { Exit, Question } from '../gate/question.ts';
import { ApiFault } from '../http/problems.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';
import type { PageStore } from './pages.ts';

export type Query = readonly [string, string][];

/** One interaction of FHIR: who asks whom for what; alone, or as one entry of a batch. */
export interface Exchange {
  records: OrganizationRecords;
  pages: PageStore;
  requester: Requester;
  /** Address of the FHIR service, without a slash at its end. */
  base: string;
  nowMs(): number;
  /** A header of the request, or what stands for it in an entry of a batch. */
  header(name: string): string | undefined;
  query: Query;
  /** The parameters came in a body, because they do not belong into addresses: no link repeats them. */
  isForm: boolean;
}

/** `Prefer: handling=strict` (R4 §3.1.1.3). */
export function isStrict({ header }: Exchange): boolean {
  return /\bhandling\s*=\s*"?strict/i.test(header('prefer') ?? '');
}

/** `Prefer: return=…` (R4 §3.1.0.1.6). */
export function preferredReturn({ header }: Exchange): 'minimal' | 'representation' | 'OperationOutcome' {
  const wanted = /\breturn\s*=\s*"?(minimal|representation)/i.exec(header('prefer') ?? '')?.[1]?.toLowerCase();
  return wanted === 'minimal' || wanted === 'representation' ? wanted : 'OperationOutcome';
}

/** What a token without a purpose is for. */
function purposeOf(requester: Requester): string {
  if (requester.kind === 'wallet') return 'PATRQT';
  if (requester.purpose !== undefined) return requester.purpose;
  const purposes = { practitioner: 'TREAT', patient: 'PATRQT', system: 'HOPERAT' } as const;
  return purposes[requester.subject.kind];
}

/** A code that a header states, such as the legal basis of a disclosure; anything else counts as not stated. */
function codeOfHeader({ header }: Exchange, name: string): string | undefined {
  const value = header(name);
  return value !== undefined && /^[A-Za-z0-9_.:-]{1,64}$/.test(value) ? value : undefined;
}

/** `X-Legal-Basis` and `X-Authority` (the authority in whose name somebody asks) come beside the token. */
export function questionOf(exchange: Exchange, exit: Exit, action: consent.Action = 'read'): Question {
  const { requester } = exchange;
  const legalBasis = codeOfHeader(exchange, 'x-legal-basis');
  const authority = codeOfHeader(exchange, 'x-authority');
  return {
    requester,
    purpose: purposeOf(requester),
    action,
    exit,
    ...(legalBasis !== undefined && { legalBasis }),
    ...(authority !== undefined && { authority }),
  };
}

/** The patient whose own token this is: FHIR id at this organisation. */
export function ownPatientOf({ requester, records }: Exchange): string | undefined {
  if (requester.kind === 'wallet') return records.patients.byDid(requester.did)?.id;
  const isOwn = requester.organization.did === records.organization.profile.did;
  return isOwn && requester.subject.kind === 'patient' ? requester.subject.id : undefined;
}

/** A system or practitioner of the organisation itself; everybody else has nothing to write here. */
export function requireWriter({ requester, records }: Exchange): MemberRequester {
  const isOwn = requester.kind === 'member' && requester.organization.did === records.organization.profile.did;
  if (!isOwn || requester.subject.kind === 'patient') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
  return requester;
}

export function isOwnSystem({ requester, records }: Pick<Exchange, 'requester' | 'records'>): boolean {
  const isOwn = requester.kind === 'member' && requester.organization.did === records.organization.profile.did;
  return isOwn && requester.subject.kind === 'system';
}

export function requireSystem(exchange: Exchange): void {
  if (!isOwnSystem(exchange)) throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
}

/** Who stays the same over the pages of one search. */
export function requesterKey(requester: Requester): string {
  if (requester.kind === 'wallet') return `wallet ${requester.did} ${requester.keyName}`;
  const { subject, organization, purpose, roles } = requester;
  const person = subject.kind === 'system' ? 'system' : `${subject.kind}:${subject.id}`;
  return JSON.stringify(['member', organization.did, person, purpose ?? '', [...roles].sort()]);
}

/** Answers of absence come at multiples of this, so that their time does not tell why. */
const absenceMs = 50;

export async function waitAsForAbsence(startMs: number): Promise<void> {
  const restMs = absenceMs - ((performance.now() - startMs) % absenceMs);
  await new Promise((resolve) => setTimeout(resolve, restMs));
}
