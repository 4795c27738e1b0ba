/**
 * When a directive, a rule or an authority speaks about an access. Each condition is a named entry of a list, and all
 * of a list must hold. What is not known never opens: a permit needs the fact, a denial holds without it.
 */
import type { DirectiveContent, Grantee, What } from './directive.ts';
import type { AccessFacts, AuthorityFact, DirectiveFact, ReasonCode, RecordFact, RequesterFact } from './facts.ts';
import type { PolicyRule, ProtectedLabel } from './policy.ts';
import { purposeCovers } from './purposes.ts';

export interface Condition<T> {
  name: string;
  /** What a refusal says when only this is missing. */
  reason?: ReasonCode;
  holds(subject: T, facts: AccessFacts): boolean;
}

function overlaps(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a?.some((item) => b.includes(item)) ?? false;
}

function selects(set: { categories?: string[]; labels?: string[]; records?: string[] }, record: RecordFact): boolean {
  return (
    overlaps(set.categories, record.categories) ||
    overlaps(set.labels, record.labels) ||
    overlaps(set.records, [record.id])
  );
}

function inPeriod(period: What['period'], record: RecordFact, whenUnknown: boolean): boolean {
  if (period === undefined) return true;
  if (record.periodMs === undefined) return whenUnknown;
  return record.periodMs >= (period.fromMs ?? 0) && record.periodMs <= (period.untilMs ?? Number.MAX_SAFE_INTEGER);
}

/** Whether an extent (of a directive, a request or an authority) reaches an entry. */
export function reaches(what: What, record: RecordFact, whenUnknown: boolean): boolean {
  const named = what.all === true || selects(what, record);
  return named && !(what.except && selects(what.except, record)) && inPeriod(what.period, record, whenUnknown);
}

function isGrantee(grantee: Grantee, requester: RequesterFact): boolean {
  switch (grantee.kind) {
    case 'anyone':
      return true;
    case 'careTeam':
      return requester.inCareTeam;
    case 'person':
      return requester.person === grantee.id;
    case 'organization':
      return requester.organization === grantee.id;
    case 'role':
      return requester.roles.includes(grantee.id) && (!grantee.within || grantee.within === requester.organization);
  }
}

/** What a permit must say to be about this access at all. */
export const permitMatch: Condition<DirectiveContent>[] = [
  { name: 'custodian', holds: (directive, { record }) => directive.custodian === record.custodian },
  {
    name: 'grantee',
    holds: (directive, { requester }) => directive.grantees.some((grantee) => isGrantee(grantee, requester)),
  },
  { name: 'what', holds: (directive, { record }) => reaches(directive.what, record, false) },
  {
    name: 'purpose',
    holds: (directive, { purpose }) => directive.purposes.some((listed) => purposeCovers(listed, purpose)),
  },
  { name: 'action', holds: (directive, { action }) => directive.actions.includes(action) },
];

/** What a permit that speaks about this access must be to count now; the first that fails is the reason given. */
export const permitForce: Condition<DirectiveFact>[] = [
  { name: 'revoked', reason: 'revoked', holds: ({ state }) => state?.status !== 'revoked' },
  {
    name: 'issuer',
    reason: 'issuer-not-in-force',
    holds: ({ content, state }) => content.issuer === content.patient || state?.issuerInForce === true,
  },
  { name: 'condition', reason: 'condition-ended', holds: ({ state }) => state?.conditionEnded !== true },
  { name: 'usedUp', reason: 'used-up', holds: ({ state }) => state?.status !== 'used-up' },
  {
    name: 'usesLeft',
    reason: 'used-up',
    holds: ({ content, state }) => (content.usesMax === undefined ? state?.usesLeft !== 0 : (state?.usesLeft ?? 0) > 0),
  },
  {
    name: 'ledgerExpiry',
    reason: 'expired',
    holds: ({ state }, { nowMs }) => state?.expiresMs === undefined || nowMs < state.expiresMs,
  },
  {
    name: 'until',
    reason: 'expired',
    holds: ({ content }, { nowMs }) => content.untilMs === undefined || nowMs < content.untilMs,
  },
  {
    name: 'from',
    reason: 'not-yet',
    holds: ({ content }, { nowMs }) => content.fromMs === undefined || nowMs >= content.fromMs,
  },
  {
    name: 'deidentified',
    reason: 'deidentified-only',
    holds: ({ content }, { action }) => action === 'compute' || !content.obligations?.includes('deidentifiedOnly'),
  },
];

/** A denial holds until it is revoked or ends, whatever became of the authority under which it was given. */
export const denial: Condition<DirectiveFact>[] = [
  { name: 'custodian', holds: ({ content }, { record }) => content.custodian === record.custodian },
  {
    name: 'grantee',
    holds: ({ content }, { requester }) => content.grantees.some((grantee) => isGrantee(grantee, requester)),
  },
  { name: 'what', holds: ({ content }, { record }) => reaches(content.what, record, true) },
  {
    name: 'purpose',
    holds: ({ content }, { purpose }) =>
      content.purposes.length === 0 || content.purposes.some((listed) => purposeCovers(listed, purpose)),
  },
  {
    name: 'action',
    holds: ({ content }, { action }) => content.actions.length === 0 || content.actions.includes(action),
  },
  { name: 'revoked', holds: ({ state }) => state?.status !== 'revoked' },
  { name: 'condition', holds: ({ state }) => state?.conditionEnded !== true },
  {
    name: 'ledgerExpiry',
    holds: ({ state }, { nowMs }) => state?.expiresMs === undefined || nowMs < state.expiresMs,
  },
  { name: 'until', holds: ({ content }, { nowMs }) => content.untilMs === undefined || nowMs < content.untilMs },
  { name: 'from', holds: ({ content }, { nowMs }) => content.fromMs === undefined || nowMs >= content.fromMs },
];

export const rule: Condition<PolicyRule>[] = [
  {
    name: 'relation',
    holds: ({ relation }, { requester, record }) => relation === 'any' || requester.organization === record.custodian,
  },
  {
    name: 'class',
    holds: ({ classes }, { requester: { organizationClass = '', organizationRole = '' } }) =>
      !classes || overlaps(classes, [organizationClass, organizationRole]),
  },
  { name: 'role', holds: ({ roles }, { requester }) => !roles || overlaps(roles, requester.roles) },
  { name: 'purpose', holds: ({ purposes }, { purpose }) => purposes.some((listed) => purposeCovers(listed, purpose)) },
  { name: 'action', holds: ({ actions }, { action }) => actions.includes(action) },
  {
    name: 'legalBasis',
    holds: ({ legalBases }, facts) => !legalBases || overlaps(legalBases, [facts.legalBasis ?? '']),
  },
  { name: 'category', holds: ({ categories }, { record }) => !categories || overlaps(categories, record.categories) },
];

export const authority: Condition<AuthorityFact>[] = [
  { name: 'revoked', reason: 'authority-ended', holds: ({ revoked }) => !revoked },
  { name: 'court', reason: 'authority-excluded-by-court', holds: ({ excludedByCourt }) => excludedByCourt !== true },
  {
    name: 'death',
    reason: 'authority-ended-by-death',
    holds: ({ kind }, { subject }) => !subject.deceased || kind === 'executor',
  },
  {
    name: 'executor',
    reason: 'authority-not-yet',
    holds: ({ kind }, { subject }) => kind !== 'executor' || subject.deceased,
  },
  {
    name: 'majority',
    reason: 'majority-reached',
    holds: ({ kind }, { subject, nowMs }) =>
      kind !== 'parent' || (subject.majorityMs !== undefined && nowMs < subject.majorityMs),
  },
  {
    name: 'from',
    reason: 'authority-not-yet',
    holds: ({ fromMs }, { nowMs }) => fromMs === undefined || nowMs >= fromMs,
  },
  {
    name: 'until',
    reason: 'authority-ended',
    holds: ({ untilMs }, { nowMs }) => untilMs === undefined || nowMs < untilMs,
  },
  { name: 'action', reason: 'authority-scope', holds: ({ scope }, { action }) => scope.actions.includes(action) },
  {
    name: 'purpose',
    reason: 'authority-scope',
    holds: ({ scope }, { purpose }) =>
      !scope.purposes || scope.purposes.some((listed) => purposeCovers(listed, purpose)),
  },
  { name: 'what', reason: 'authority-scope', holds: ({ scope }, { record }) => reaches(scope.what, record, false) },
];

/** When a protected label stands against this requester. */
export const protection: Condition<ProtectedLabel>[] = [
  { name: 'label', holds: ({ label }, { record }) => record.labels.includes(label) },
  {
    name: 'against',
    holds: ({ against }, { requester, record }) => {
      if (against === 'parents') return requester.authority?.kind === 'parent';
      if (against === 'everyone') return true;
      const isPayer = requester.organizationClass === 'payer' || requester.organizationRole === 'payer';
      return isPayer && requester.organization !== record.custodian;
    },
  },
  {
    name: 'custodianStaff',
    holds: ({ custodianPurposes }, { requester, record, purpose }) =>
      !custodianPurposes ||
      requester.organization !== record.custodian ||
      !custodianPurposes.some((listed) => purposeCovers(listed, purpose)),
  },
  {
    name: 'author',
    holds: ({ authorFree }, { requester, record }) =>
      !authorFree || requester.person === undefined || requester.person !== record.author,
  },
];
