/**
 * The decision on access: one pure function that every way out of a custodian's store asks (read, search, count, page,
 * export, subscription, image, compute). It sees unsealed directives and facts, looks nothing up and knows no clock.
 *
 * The clauses are tried in order and the first that speaks decides. Where none speaks the answer is no.
 */
import type { DirectiveContent, What } from './directive.ts';
import type { AccessFacts, AuthorityFact, Basis, Decision, DirectiveFact, ReasonCode, RequestFact } from './facts.ts';
import type { Condition } from './matching.ts';
import * as matching from './matching.ts';
import type { PolicyRule, ProtectedLabel } from './policy.ts';
import { purposeCovers } from './purposes.ts';

interface Case {
  facts: AccessFacts;
  directives: DirectiveFact[];
  clauses: ConsentClauses;
}

export interface DecisionClause {
  name: string;
  decide(subject: Case): Decision | undefined;
}

/** All clauses of the decision. Tests take each away in turn and expect a failure. */
export interface ConsentClauses {
  decision: DecisionClause[];
  permitMatch: Condition<DirectiveContent>[];
  permitForce: Condition<DirectiveFact>[];
  denial: Condition<DirectiveFact>[];
  rule: Condition<PolicyRule>[];
  authority: Condition<AuthorityFact>[];
  protection: Condition<ProtectedLabel>[];
}

function allHold<T>(conditions: Condition<T>[], subject: T, facts: AccessFacts): boolean {
  return conditions.every((condition) => condition.holds(subject, facts));
}

function permit(basis: Basis, more: Partial<Decision> = {}): Decision {
  return { decision: 'permit', reason: 'permitted', basis, obligations: [], flags: [], consumes: [], ...more };
}

function refuse(reason: ReasonCode, basis?: Basis): Decision {
  return { decision: 'deny', reason, ...(basis && { basis }), obligations: [], flags: [], consumes: [] };
}

const pending: Decision = {
  decision: 'pending',
  reason: 'awaiting-patient',
  obligations: [],
  flags: [],
  consumes: [],
};

/** Labels of the entry that stand against this requester, unless `lifted`. */
function protectionsOf({ facts, clauses }: Case, lifted?: 'liftedByBreakGlass' | 'liftedByLaw'): ProtectedLabel[] {
  if (facts.record.labels.length === 0) return [];
  return facts.policy.protectedLabels.filter(
    (entry) => !(lifted && entry[lifted]) && allHold(clauses.protection, entry, facts),
  );
}

function names(what: What, protections: ProtectedLabel[]): boolean {
  return protections.every(({ label }) => what.labels?.includes(label));
}

function denials({ facts, directives, clauses }: Case): DirectiveFact[] {
  return directives.filter(
    (directive) => directive.content.effect === 'deny' && directive.state && allHold(clauses.denial, directive, facts),
  );
}

/** Permits that speak about this access, whether or not they count now. */
function matchingPermits({ facts, directives, clauses }: Case): DirectiveFact[] {
  return directives.filter(
    ({ content, state }) => content.effect === 'permit' && state && allHold(clauses.permitMatch, content, facts),
  );
}

function limited({ content, state }: DirectiveFact): boolean {
  return content.usesMax !== undefined || state?.usesLeft !== undefined;
}

/** Spare uses, then the patient's obligations; the id makes the choice the same everywhere. */
function preference(a: DirectiveFact, b: DirectiveFact): number {
  const uses = Number(limited(a)) - Number(limited(b));
  const obligations = (a.content.obligations?.length ?? 0) - (b.content.obligations?.length ?? 0);
  return uses || obligations || (a.content.id < b.content.id ? -1 : 1);
}

/** An access through a person's own grant is expected; through a team, role or rule it may be out of the ordinary. */
function unusual(facts: AccessFacts): string[] {
  return facts.requester.signals?.length ? ['unusual'] : [];
}

function permitByDirective(subject: Case): Decision | undefined {
  const { facts, clauses } = subject;
  const protections = protectionsOf(subject);
  const [best] = matchingPermits(subject)
    .filter(({ content }) => names(content.what, protections))
    .filter((directive) => allHold(clauses.permitForce, directive, facts))
    .sort(preference);
  if (!best) return undefined;
  const { content } = best;
  const personal = content.grantees.some(
    ({ kind, ...rest }) => kind === 'person' && 'id' in rest && rest.id === facts.requester.person,
  );
  return permit(
    { kind: 'directive', id: content.id },
    {
      obligations: [...(content.obligations ?? [])].sort(),
      flags: personal ? [] : unusual(facts),
      consumes: limited(best) ? [content.id] : [],
    },
  );
}

function requestSpeaks(request: RequestFact, { facts }: Case): boolean {
  return (
    request.actions.includes(facts.action) &&
    request.purposes.some((listed) => purposeCovers(listed, facts.purpose)) &&
    matching.reaches(request.what, facts.record, false)
  );
}

/** What the patient answered to this requester's request. */
function answerOfRequest(subject: Case): Decision | undefined {
  const { facts } = subject;
  const { request } = facts;
  if (!request || !requestSpeaks(request, subject)) return undefined;
  if (request.status === 'denied') return refuse('request-denied', { kind: 'request', id: request.id });
  if (request.status === 'timed-out') return refuse('request-timed-out', { kind: 'request', id: request.id });
  if (request.status === 'pending') return pending;
  if (request.deciderInForce === false) return refuse('issuer-not-in-force', { kind: 'request', id: request.id });
  if (facts.nowMs >= (request.untilMs ?? 0)) return refuse('expired', { kind: 'request', id: request.id });
  if (!names(request.what, protectionsOf(subject))) return undefined;
  return permit({ kind: 'request', id: request.id });
}

function openRoad(subject: Case): Decision | undefined {
  const { asks, requester, purpose, policy } = subject.facts;
  const identified = requester.person !== undefined && requester.organization !== undefined;
  const road = policy.requestPurposes.some((listed) => purposeCovers(listed, purpose));
  return asks && identified && road ? pending : undefined;
}

/** Why the authority in whose name the requester asks does not carry this access; undefined when it does. */
function authorityProblem({ facts, clauses }: Case): ReasonCode | undefined {
  const held = facts.requester.authority;
  if (!held) return 'no-applicable-rule';
  return clauses.authority.find((condition) => !condition.holds(held, facts))?.reason;
}

/** A parent of a minor and a court's guardian act by law: a denial of their ward does not shut them out. */
function standsAboveDirectives(subject: Case): boolean {
  const { requester, policy } = subject.facts;
  const kind = requester.authority?.kind;
  return kind !== undefined && policy.authoritiesAboveDirectives.includes(kind) && !authorityProblem(subject);
}

function ruleBasis({ facts, clauses }: Case, overriding: boolean): Basis | undefined {
  const found = facts.policy.rules.find(
    (entry) => (entry.overridesDirectives ?? false) === overriding && allHold(clauses.rule, entry, facts),
  );
  return found && { kind: 'rule', id: `${facts.policy.id}#${found.id}`, citation: found.citation };
}

function denyBasis(denying: DirectiveFact[]): Basis {
  const ids = denying.map(({ content }) => content.id).sort();
  return { kind: 'directive', id: ids[0] ?? '' };
}

/** The most telling reason for a refusal that no clause gave. */
function refusalReason(subject: Case): ReasonCode {
  const { facts, clauses } = subject;
  for (const condition of clauses.permitForce) {
    const missing = matchingPermits(subject).some((directive) => !condition.holds(directive, facts));
    if (missing && condition.reason) return condition.reason;
  }
  if (facts.breakGlass) return 'break-glass-ended';
  return authorityProblem(subject) ?? 'no-applicable-rule';
}

const decisionClauses: DecisionClause[] = [
  { name: 'erased', decide: ({ facts }) => (facts.record.erased ? refuse('absent') : undefined) },
  {
    name: 'subjectDeceased',
    decide: ({ facts }) =>
      facts.requester.isSubject && facts.subject.deceased ? refuse('subject-deceased') : undefined,
  },
  {
    name: 'subject',
    decide({ facts }) {
      if (!facts.requester.isSubject) return undefined;
      const { policy, record } = facts;
      const basis: Basis = { kind: 'subject', id: record.patient, citation: policy.subjectCitation };
      const withheld = record.labels.some((label) => policy.subjectExcludedLabels.includes(label));
      return withheld ? refuse('withheld-from-subject', basis) : permit(basis);
    },
  },
  {
    name: 'requiredByLaw',
    decide(subject) {
      const basis = ruleBasis(subject, true);
      return basis && protectionsOf(subject, 'liftedByLaw').length === 0 ? permit(basis) : undefined;
    },
  },
  {
    name: 'excludedPerson',
    decide(subject) {
      if (standsAboveDirectives(subject)) return undefined;
      const { person } = subject.facts.requester;
      const denying = denials(subject).filter(({ content }) =>
        content.grantees.some((grantee) => grantee.kind === 'person' && grantee.id === person),
      );
      return denying.length > 0 ? refuse('excluded-person', denyBasis(denying)) : undefined;
    },
  },
  {
    name: 'breakGlassRole',
    decide: ({ facts: { breakGlass, policy } }) =>
      breakGlass && !policy.breakGlassRoles.includes(breakGlass.role) ? refuse('break-glass-role') : undefined,
  },
  {
    name: 'breakGlass',
    decide(subject) {
      const { breakGlass, policy, purpose, action, nowMs } = subject.facts;
      if (!breakGlass || nowMs >= breakGlass.windowUntilMs || action !== 'read') return undefined;
      if (!policy.breakGlassPurposes.some((listed) => purposeCovers(listed, purpose))) return undefined;
      if (protectionsOf(subject, 'liftedByBreakGlass').length > 0) return undefined;
      const basis: Basis = { kind: 'breakGlass', id: breakGlass.id, citation: policy.breakGlassCitation };
      return permit(basis, { obligations: ['notify', 'review'] });
    },
  },
  {
    name: 'denyWins',
    decide(subject) {
      if (standsAboveDirectives(subject)) return undefined;
      const denying = denials(subject);
      return denying.length > 0 ? refuse('directive-deny', denyBasis(denying)) : undefined;
    },
  },
  {
    name: 'protectedLabels',
    decide(subject) {
      const [first] = protectionsOf(subject);
      if (!first) return undefined;
      const opened = permitByDirective(subject) ?? answerOfRequest(subject) ?? openRoad(subject);
      return opened ?? refuse(first.reason, { kind: 'rule', id: first.label, citation: first.citation });
    },
  },
  {
    name: 'authority',
    decide(subject) {
      const { requester, policy } = subject.facts;
      if (!requester.authority || authorityProblem(subject)) return undefined;
      return permit({ kind: 'authority', id: requester.authority.id, citation: policy.authorityCitation });
    },
  },
  {
    name: 'rule',
    decide(subject) {
      const basis = ruleBasis(subject, false);
      return basis && permit(basis, { flags: unusual(subject.facts) });
    },
  },
  { name: 'directive', decide: permitByDirective },
  { name: 'request', decide: answerOfRequest },
  { name: 'openRoad', decide: openRoad },
];

export const consentClauses: ConsentClauses = {
  decision: decisionClauses,
  permitMatch: matching.permitMatch,
  permitForce: matching.permitForce,
  denial: matching.denial,
  rule: matching.rule,
  authority: matching.authority,
  protection: matching.protection,
};

const strictness = { permit: 0, pending: 1, deny: 2 } as const;

/** Of the answers for the patients whose records are merged, the strictest; permits keep every obligation. */
function strictest(a: Decision, b: Decision): Decision {
  if (strictness[a.decision] !== strictness[b.decision]) {
    return strictness[a.decision] > strictness[b.decision] ? a : b;
  }
  if (a.decision !== 'permit') return a;
  const union = (x: string[], y: string[]): string[] => [...new Set([...x, ...y])].sort();
  return {
    ...a,
    obligations: union(a.obligations, b.obligations),
    flags: union(a.flags, b.flags),
    consumes: union(a.consumes, b.consumes),
  };
}

function decideFor(
  patient: string,
  facts: AccessFacts,
  directives: DirectiveFact[],
  clauses: ConsentClauses,
): Decision {
  const subject = { facts, directives: directives.filter(({ content }) => content.patient === patient), clauses };
  for (const clause of clauses.decision) {
    const decision = clause.decide(subject);
    if (decision) return decision;
  }
  return refuse(refusalReason(subject));
}

/**
 * Decides one access to one entry. The same facts give the same answer on every machine.
 *
 * While two patients are merged the answer is the strictest of what each one's directives give (identity, unmerge).
 */
export function checkConsent(
  facts: AccessFacts,
  directives: DirectiveFact[],
  clauses: ConsentClauses = consentClauses,
): Decision {
  const { patient, mergedWith = [] } = facts.record;
  let decision = decideFor(patient, facts, directives, clauses);
  for (const other of mergedWith) decision = strictest(decision, decideFor(other, facts, directives, clauses));
  return decision;
}
