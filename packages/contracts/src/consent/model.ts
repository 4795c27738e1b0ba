/**
 * A second, differently built decision for the property test: it turns requester and entry into sets of tags, collects
 * every answer that anything gives, and takes the one of the lowest rank. It shares no code with checkConsent.
 */
import type { DirectiveContent, What } from './directive.ts';
import type { AccessFacts, Basis, Decision, DirectiveFact, ReasonCode } from './facts.ts';

const FAMILIES: Record<string, string[]> = {
  TREAT: ['TREAT', 'CAREMGT', 'ETREAT', 'BTG', 'PATSFTY', 'COC'],
  ETREAT: ['ETREAT', 'BTG'],
  HPAYMT: ['HPAYMT', 'CLMATTCH', 'COVAUTH', 'COVERAGE', 'ELIGDTRM', 'ELIGVER', 'ENROLLM', 'REMITADV'],
  COVERAGE: ['COVERAGE', 'ELIGDTRM', 'ELIGVER', 'ENROLLM'],
  HOPERAT: ['HOPERAT', 'HQUALIMP', 'HCOMPL', 'HACCRED', 'FRAUD', 'HLEGAL'],
  HRESCH: ['HRESCH', 'BIORCH', 'CLINTRCH', 'DSRCH', 'POARCH', 'TRANSRCH'],
  PUBHLTH: ['PUBHLTH', 'THREAT', 'DISASTER'],
};
const FOREVER = Number.POSITIVE_INFINITY;

function meet(a: Iterable<string>, b: Set<string>): boolean {
  return [...a].some((item) => b.has(item));
}

function inside(a: string[], b: string[] = []): boolean {
  return a.filter((item) => !b.includes(item)).length === 0;
}

function purposeSet(listed: string[]): Set<string> {
  return new Set(listed.flatMap((code) => FAMILIES[code] ?? [code]));
}

function badges({ requester }: AccessFacts): Set<string> {
  const set = new Set(['anyone']);
  if (requester.person) set.add(`person ${requester.person}`);
  if (requester.organization) set.add(`organization ${requester.organization}`);
  if (requester.inCareTeam) set.add('careTeam');
  for (const role of requester.roles) {
    set.add(`role ${role}`);
    set.add(`role ${role} ${requester.organization}`);
  }
  return set;
}

function granteeTags(content: DirectiveContent): string[] {
  return content.grantees.map((grantee) => {
    const parts = [grantee.kind, 'id' in grantee ? grantee.id : '', 'within' in grantee ? (grantee.within ?? '') : ''];
    return parts.filter((part) => part !== '').join(' ');
  });
}

function tagsOf(set: { categories?: string[]; labels?: string[]; records?: string[] }): string[] {
  const { categories = [], labels = [], records = [] } = set;
  return [...categories.map((c) => `c ${c}`), ...labels.map((l) => `l ${l}`), ...records.map((r) => `r ${r}`)];
}

function covers(what: What, { record }: AccessFacts, unknownCounts: boolean): boolean {
  const tags = new Set(tagsOf({ categories: record.categories, labels: record.labels, records: [record.id] }));
  const wanted = what.all ? ['*', ...tagsOf(what)] : tagsOf(what);
  if (!meet(wanted, new Set(['*', ...tags]))) return false;
  if (meet(tagsOf(what.except ?? {}), tags)) return false;
  if (!what.period) return true;
  const [from, until] = [what.period.fromMs ?? 0, what.period.untilMs ?? FOREVER];
  const when = record.periodMs ?? (unknownCounts ? from : -1);
  return from <= when && (record.periodMs === undefined || when <= until);
}

function speaks(content: DirectiveContent, facts: AccessFacts): boolean {
  const strict = content.effect === 'deny';
  const purposes = purposeSet(content.purposes);
  const actions = new Set<string>(content.actions);
  if (strict && purposes.size === 0) purposes.add(facts.purpose);
  if (strict && actions.size === 0) actions.add(facts.action);
  return [
    content.custodian === facts.record.custodian,
    meet(granteeTags(content), badges(facts)),
    covers(content.what, facts, strict),
    purposes.has(facts.purpose),
    actions.has(facts.action),
  ].every(Boolean);
}

/** Everything that keeps a directive from counting now, the most telling first. */
function faults({ content, state }: DirectiveFact, facts: AccessFacts): ReasonCode[] {
  const list: ReasonCode[] = [];
  const end = Math.min(content.untilMs ?? FOREVER, state?.expiresMs ?? FOREVER);
  const left = state?.usesLeft ?? (content.usesMax === undefined ? FOREVER : 0);
  if (state?.status === 'revoked') list.push('revoked');
  if (content.effect === 'permit' && content.issuer !== content.patient && !state?.issuerInForce) {
    list.push('issuer-not-in-force');
  }
  if (state?.conditionEnded) list.push('condition-ended');
  if (content.effect === 'permit' && (state?.status === 'used-up' || left <= 0)) list.push('used-up');
  if (facts.nowMs >= end) list.push('expired');
  if (facts.nowMs < (content.fromMs ?? 0)) list.push('not-yet');
  if (content.effect === 'permit' && content.obligations?.includes('deidentifiedOnly') && facts.action !== 'compute') {
    list.push('deidentified-only');
  }
  return list;
}

function authorityFault({ requester, subject, nowMs, action, purpose, ...facts }: AccessFacts): ReasonCode | undefined {
  const held = requester.authority;
  if (!held) return 'no-applicable-rule';
  const table: [boolean, ReasonCode][] = [
    [held.revoked, 'authority-ended'],
    [Boolean(held.excludedByCourt), 'authority-excluded-by-court'],
    [subject.deceased && held.kind !== 'executor', 'authority-ended-by-death'],
    [!subject.deceased && held.kind === 'executor', 'authority-not-yet'],
    [held.kind === 'parent' && nowMs >= (subject.majorityMs ?? 0), 'majority-reached'],
    [nowMs < (held.fromMs ?? 0), 'authority-not-yet'],
    [nowMs >= (held.untilMs ?? FOREVER), 'authority-ended'],
    [!new Set<string>(held.scope.actions).has(action), 'authority-scope'],
    [held.scope.purposes !== undefined && !purposeSet(held.scope.purposes).has(purpose), 'authority-scope'],
    [!covers(held.scope.what, { requester, subject, nowMs, action, purpose, ...facts }, false), 'authority-scope'],
  ];
  return table.find(([wrong]) => wrong)?.[1];
}

function guarded(facts: AccessFacts, lift?: 'liftedByBreakGlass' | 'liftedByLaw') {
  const { requester, record, policy, purpose } = facts;
  const own = requester.organization === record.custodian;
  const opponents = new Set(['everyone']);
  if (requester.authority?.kind === 'parent') opponents.add('parents');
  const kinds = [requester.organizationClass, requester.organizationRole];
  if (kinds.includes('payer') && !own) opponents.add('payers');
  return policy.protectedLabels
    .filter(({ label, against }) => record.labels.includes(label) && opponents.has(against))
    .filter((entry) => !(own && entry.custodianPurposes && purposeSet(entry.custodianPurposes).has(purpose)))
    .filter((entry) => !(entry.authorFree && requester.person !== undefined && requester.person === record.author))
    .filter((entry) => !lift || !entry[lift]);
}

type Answer = Decision & { rank: number };

function answer(
  rank: number,
  decision: Decision['decision'],
  reason: ReasonCode,
  more: Partial<Decision> = {},
): Answer {
  return { rank, decision, reason, obligations: [], flags: [], consumes: [], ...more };
}

function lawAnswers(facts: AccessFacts): Answer[] {
  const { requester, record, policy, purpose, action } = facts;
  const flags = (requester.signals ?? []).length > 0 ? ['unusual'] : [];
  const answers: Answer[] = [];
  for (const rule of policy.rules) {
    const wants: [string[] | undefined, string[]][] = [
      [rule.classes, [requester.organizationClass ?? '', requester.organizationRole ?? '']],
      [rule.roles, requester.roles],
      [rule.legalBases, [facts.legalBasis ?? '']],
      [rule.categories, record.categories],
    ];
    const met = wants.every(([wanted, have]) => wanted === undefined || meet(wanted, new Set(have)));
    const related = rule.relation === 'any' || requester.organization === record.custodian;
    const asked = purposeSet(rule.purposes).has(purpose) && rule.actions.includes(action);
    if (!met || !related || !asked) continue;
    const basis: Basis = { kind: 'rule', id: `${policy.id}#${rule.id}`, citation: rule.citation };
    if (!rule.overridesDirectives) answers.push(answer(13, 'permit', 'permitted', { basis, flags }));
    else if (guarded(facts, 'liftedByLaw').length === 0) answers.push(answer(3, 'permit', 'permitted', { basis }));
  }
  return answers;
}

function subjectAnswers({ requester, subject, record, policy }: AccessFacts): Answer[] {
  const basis: Basis = { kind: 'subject', id: record.patient, citation: policy.subjectCitation };
  const hidden = meet(record.labels, new Set(policy.subjectExcludedLabels));
  const answers: Answer[] = [];
  if (record.erased) answers.push(answer(0, 'deny', 'absent'));
  if (requester.isSubject && subject.deceased) answers.push(answer(1, 'deny', 'subject-deceased'));
  if (requester.isSubject && hidden) answers.push(answer(2, 'deny', 'withheld-from-subject', { basis }));
  if (requester.isSubject && !hidden) answers.push(answer(2, 'permit', 'permitted', { basis }));
  return answers;
}

function emergencyAnswers(facts: AccessFacts): Answer[] {
  const { breakGlass, policy, nowMs, purpose, action } = facts;
  if (!breakGlass) return [];
  if (!policy.breakGlassRoles.includes(breakGlass.role)) return [answer(5, 'deny', 'break-glass-role')];
  const open = breakGlass.windowUntilMs > nowMs && purposeSet(policy.breakGlassPurposes).has(purpose);
  if (!open || action !== 'read' || guarded(facts, 'liftedByBreakGlass').length > 0) return [];
  const basis: Basis = { kind: 'breakGlass', id: breakGlass.id, citation: policy.breakGlassCitation };
  return [answer(6, 'permit', 'permitted', { basis, obligations: ['notify', 'review'] })];
}

function denialAnswers(facts: AccessFacts, directives: DirectiveFact[]): Answer[] {
  const held = facts.requester.authority;
  const above = held && facts.policy.authoritiesAboveDirectives.includes(held.kind) && !authorityFault(facts);
  const active = directives
    .filter(({ content, state }) => content.effect === 'deny' && state && speaks(content, facts))
    .filter((directive) => faults(directive, facts).length === 0);
  if (above) return [];
  const first = (ids: string[]): Basis => ({ kind: 'directive', id: ids.sort()[0] ?? '' });
  const personal = active.filter(({ content }) => granteeTags(content).includes(`person ${facts.requester.person}`));
  const answers: Answer[] = [];
  if (personal.length > 0) {
    answers.push(answer(4, 'deny', 'excluded-person', { basis: first(personal.map(({ content }) => content.id)) }));
  }
  if (active.length > 0) {
    answers.push(answer(7, 'deny', 'directive-deny', { basis: first(active.map(({ content }) => content.id)) }));
  }
  return answers;
}

function permitAnswers(facts: AccessFacts, directives: DirectiveFact[], shut: string[]): Answer[] {
  const usable = directives
    .filter(({ content, state }) => content.effect === 'permit' && state && speaks(content, facts))
    .filter(({ content }) => inside(shut, content.what.labels))
    .filter((directive) => faults(directive, facts).length === 0)
    .map(({ content, state }) => ({
      content,
      counted: content.usesMax !== undefined || state?.usesLeft !== undefined,
    }));
  const key = ({ content, counted }: (typeof usable)[number]): string =>
    `${counted ? 1 : 0} ${content.obligations?.length ?? 0} ${content.id}`;
  const best = usable.sort((a, b) => (key(a) < key(b) ? -1 : 1)).at(0);
  if (!best) return [];
  const { content, counted } = best;
  const mine = granteeTags(content).includes(`person ${facts.requester.person}`);
  return [
    answer(shut.length > 0 ? 8 : 14, 'permit', 'permitted', {
      basis: { kind: 'directive', id: content.id },
      obligations: (content.obligations ?? []).toSorted(),
      flags: !mine && (facts.requester.signals ?? []).length > 0 ? ['unusual'] : [],
      consumes: counted ? [content.id] : [],
    }),
  ];
}

function roadAnswers(facts: AccessFacts, shut: string[]): Answer[] {
  const { request, requester, policy } = facts;
  const [rank, last] = shut.length > 0 ? [9, 10] : [15, 16];
  const answers: Answer[] = [];
  if (facts.asks && requester.person && requester.organization) {
    if (purposeSet(policy.requestPurposes).has(facts.purpose))
      answers.push(answer(last, 'pending', 'awaiting-patient'));
  }
  if (!request?.actions.includes(facts.action) || !purposeSet(request.purposes).has(facts.purpose)) return answers;
  if (!covers(request.what, facts, false)) return answers;
  const basis: Basis = { kind: 'request', id: request.id };
  if (request.status === 'denied') answers.push(answer(rank, 'deny', 'request-denied', { basis }));
  else if (request.status === 'timed-out') answers.push(answer(rank, 'deny', 'request-timed-out', { basis }));
  else if (request.status === 'pending') answers.push(answer(rank, 'pending', 'awaiting-patient'));
  else if (request.deciderInForce === false) answers.push(answer(rank, 'deny', 'issuer-not-in-force', { basis }));
  else if (!((request.untilMs ?? 0) > facts.nowMs)) answers.push(answer(rank, 'deny', 'expired', { basis }));
  else if (inside(shut, request.what.labels)) {
    answers.push(answer(rank, 'permit', 'permitted', { basis }));
  }
  return answers;
}

const TELLING: ReasonCode[] = [
  'revoked',
  'issuer-not-in-force',
  'condition-ended',
  'used-up',
  'expired',
  'not-yet',
  'deidentified-only',
];

function lastAnswer(facts: AccessFacts, directives: DirectiveFact[]): Answer {
  const found = directives
    .filter(({ content, state }) => content.effect === 'permit' && state && speaks(content, facts))
    .flatMap((directive) => faults(directive, facts));
  const telling = TELLING.find((reason) => found.includes(reason));
  const other = facts.breakGlass ? 'break-glass-ended' : (authorityFault(facts) ?? 'no-applicable-rule');
  return answer(99, 'deny', telling ?? other);
}

function modelFor(patient: string, facts: AccessFacts, all: DirectiveFact[]): Decision {
  const directives = all.filter(({ content }) => content.patient === patient);
  const guards = guarded(facts);
  const shut = guards.map(({ label }) => label);
  const answers = [
    ...subjectAnswers(facts),
    ...lawAnswers(facts),
    ...emergencyAnswers(facts),
    ...denialAnswers(facts, directives),
    ...permitAnswers(facts, directives, shut),
    ...roadAnswers(facts, shut),
    lastAnswer(facts, directives),
  ];
  for (const { label, citation, reason } of guards.slice(0, 1)) {
    answers.push(answer(11, 'deny', reason, { basis: { kind: 'rule', id: label, citation } }));
  }
  const held = facts.requester.authority;
  if (held && !authorityFault(facts)) {
    const basis: Basis = { kind: 'authority', id: held.id, citation: facts.policy.authorityCitation };
    answers.push(answer(12, 'permit', 'permitted', { basis }));
  }
  const [{ rank: _rank, ...best }] = answers.toSorted((a, b) => a.rank - b.rank) as [Answer];
  return best;
}

/** The same question as checkConsent. */
export function model(facts: AccessFacts, directives: DirectiveFact[]): Decision {
  const patients = [facts.record.patient, ...(facts.record.mergedWith ?? [])];
  const answers = patients.map((patient) => modelFor(patient, facts, directives));
  const strict = answers.find((one) => one.decision === 'deny') ?? answers.find((one) => one.decision === 'pending');
  if (strict || answers.length < 2) return strict ?? (answers[0] as Decision);
  const union = (pick: (one: Decision) => string[]): string[] => [...new Set(answers.flatMap(pick))].sort();
  return {
    ...(answers[0] as Decision),
    obligations: union((one) => one.obligations),
    flags: union((one) => one.flags),
    consumes: union((one) => one.consumes),
  };
}
