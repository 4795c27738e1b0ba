/** What a decision on access is made from. Everything is given; the decision itself looks nothing up. */
import type { AuthorityKind } from '../identity/authority-content.ts';
import type { Action, DirectiveContent, What } from './directive.ts';
import type { Policy } from './policy.ts';

/** A directive's standing on the ledger, read at block time. */
export interface DirectiveState {
  status: 'active' | 'revoked' | 'used-up';
  /** The coarse expiry on the ledger; the exact one is in the sealed content. */
  expiresMs?: number;
  usesLeft?: number;
  conditionEnded?: boolean;
  /** For a directive given under an authority: whether that is in force and its scope includes granting. */
  issuerInForce?: boolean;
}

/** A directive whose content was unsealed and checked against its commitment; without a state it does not count. */
export interface DirectiveFact {
  content: DirectiveContent;
  state?: DirectiveState;
}

/** The authority in whose name the requester asks, evaluated against the ledger at block time. */
export interface AuthorityFact {
  id: string;
  kind: AuthorityKind;
  revoked: boolean;
  excludedByCourt?: boolean;
  fromMs?: number;
  untilMs?: number;
  scope: { actions: (Action | 'decide' | 'grant' | 'revoke')[]; purposes?: string[]; what: What };
}

export interface RequesterFact {
  person?: string;
  organization?: string;
  /** Class of the organisation in governance: provider, payer, research, regulator, … */
  organizationClass?: string;
  /** Its role in identity: hospital, payer, publicHealth, … */
  organizationRole?: string;
  roles: string[];
  inCareTeam: boolean;
  isSubject: boolean;
  authority?: AuthorityFact;
  /** Signals that this access is out of the ordinary: a declared personal tie, no appointment, … */
  signals?: string[];
}

export interface RecordFact {
  id: string;
  custodian: string;
  patient: string;
  /** Other patients whose records are merged with this one, until reviewed. */
  mergedWith?: string[];
  author?: string;
  categories: string[];
  labels: string[];
  encounter?: string;
  /** Clinical time of the entry. */
  periodMs?: number;
  erased: boolean;
}

export interface SubjectFact {
  /** Sealed with the patient's identity; absent for somebody who was of age when registered. */
  majorityMs?: number;
  deceased: boolean;
}

/** The requester's open request to the patient, and what became of it. */
export interface RequestFact {
  id: string;
  status: 'pending' | 'permitted' | 'denied' | 'timed-out';
  /** For a permitted request: first millisecond at which it no longer holds. */
  untilMs?: number;
  /** For an answer given under an authority: whether that is in force and its scope includes deciding. */
  deciderInForce?: boolean;
  purposes: string[];
  actions: Action[];
  what: What;
}

export interface AccessFacts {
  requester: RequesterFact;
  /** HL7 v3 PurposeOfUse. */
  purpose: string;
  action: Action;
  record: RecordFact;
  subject: SubjectFact;
  policy: Policy;
  /** Block time. */
  nowMs: number;
  /** True where the requester asks the patient, false where they try to read. */
  asks?: boolean;
  request?: RequestFact;
  breakGlass?: { id: string; role: string; windowUntilMs: number };
  /** The legal basis that the requester states for a disclosure required by law. */
  legalBasis?: string;
}

export type BasisKind = 'directive' | 'rule' | 'breakGlass' | 'authority' | 'subject' | 'request';

export interface Basis {
  kind: BasisKind;
  id: string;
  /** Clause of law, where a rule decided. */
  citation?: string;
}

/** Stable; shown to the requester only where the gate says that nothing is learnt from it. */
export type ReasonCode =
  | 'permitted'
  | 'awaiting-patient'
  | 'absent'
  | 'withheld-from-subject'
  | 'subject-deceased'
  | 'excluded-person'
  | 'directive-deny'
  | 'specific-consent-required'
  | 'confidential-service'
  | 'self-pay-restriction'
  | 'break-glass-role'
  | 'break-glass-ended'
  | 'request-denied'
  | 'request-timed-out'
  | 'revoked'
  | 'used-up'
  | 'expired'
  | 'not-yet'
  | 'condition-ended'
  | 'issuer-not-in-force'
  | 'deidentified-only'
  | 'authority-ended'
  | 'authority-not-yet'
  | 'authority-excluded-by-court'
  | 'authority-ended-by-death'
  | 'authority-scope'
  | 'majority-reached'
  | 'no-applicable-rule';

export interface Decision {
  decision: 'permit' | 'deny' | 'pending';
  reason: ReasonCode;
  basis?: Basis;
  /** notify, noRedisclosure, deidentifiedOnly from directives; review after break-glass. Sorted. */
  obligations: string[];
  /** `unusual`: permitted, shown to the patient and the privacy officer as out of the ordinary. */
  flags: string[];
  /** Directives with a limited number of uses, of which the release takes one each. */
  consumes: string[];
}
