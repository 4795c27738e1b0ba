/** The people, directives and expected answers of which the table of decisions is made. Tests only. */
import type { DirectiveContent } from '../directive.ts';
import type { AccessFacts, AuthorityFact, Decision, DirectiveFact, DirectiveState } from '../facts.ts';
import { usaPolicy } from '../policy.ts';

export const did = (name: string): string => `did:salus:${name.padEnd(27, 'A')}`;
export const P = did('patientP');
export const Q = did('patientQ');
export const H = did('hospitalH');
export const C = did('clinicC');
export const I = did('insurerI');
export const R = did('researchR');
export const G = did('agencyG');
export const DAY_MS = 86_400_000;
export const T0 = 1_800_000_000_000;

export const drH = { person: did('drH'), organization: H, organizationClass: 'provider', roles: ['doctor'] };
export const drX = { person: did('drX'), organization: C, organizationClass: 'provider', roles: ['doctor'] };
export const nurseC = { person: did('nurseC'), organization: C, organizationClass: 'provider', roles: ['nurse'] };
export const clerkI = { person: did('clerkI'), organization: I, organizationClass: 'payer', roles: ['insurer'] };
export const researcher = {
  person: did('resR'),
  organization: R,
  organizationClass: 'research',
  roles: ['researcher'],
};
export const officer = {
  person: did('officerG'),
  organization: G,
  organizationClass: 'regulator',
  roles: ['regulator'],
};
export const relative = { person: did('relative'), roles: [] };
export const subject = { person: P, roles: ['patient'], isSubject: true };

export type Row = {
  name: string;
  scenario?: number;
  requester: Partial<AccessFacts['requester']>;
  record?: Partial<AccessFacts['record']>;
  directives?: DirectiveFact[];
  expect: Partial<Decision>;
} & Partial<Omit<AccessFacts, 'requester' | 'record'>>;

export function directive(
  id: string,
  content: Partial<DirectiveContent> = {},
  state: DirectiveState = { status: 'active' },
) {
  const full: DirectiveContent = {
    format: 'salus-directive/1',
    id,
    patient: P,
    custodian: H,
    effect: 'permit',
    grantees: [{ kind: 'organization', id: C }],
    what: { all: true },
    purposes: ['TREAT'],
    actions: ['read'],
    issuer: P,
    ...content,
  };
  return { content: full, state };
}

export function deny(id: string, content: Partial<DirectiveContent> = {}, state?: DirectiveState): DirectiveFact {
  return directive(id, { effect: 'deny', purposes: [], actions: [], ...content }, state);
}

export function authority(kind: AuthorityFact['kind'], more: Partial<AuthorityFact> = {}): AuthorityFact {
  return { id: `authority-${kind}`, kind, revoked: false, scope: { actions: ['read'], what: { all: true } }, ...more };
}

export const parentOf = (more: Partial<AuthorityFact> = {}) => ({ ...relative, authority: authority('parent', more) });
export const minor = { majorityMs: T0 + DAY_MS, deceased: false };
export const emergency = { id: 'glass-1', role: 'doctor', windowUntilMs: T0 + 1_000 };
export const permitted = { decision: 'permit', reason: 'permitted' } as const;
export const no = (reason: Decision['reason']) => ({ decision: 'deny', reason }) as const;
export const waits = { decision: 'pending', reason: 'awaiting-patient' } as const;
export const byGlass = {
  ...permitted,
  basis: { kind: 'breakGlass' as const, id: 'glass-1', citation: '45 CFR 164.510(a)(3)' },
  obligations: ['notify', 'review'],
};
export const by = (
  kind: 'directive' | 'breakGlass' | 'authority' | 'subject' | 'request',
  id: string,
  citation?: string,
) => ({
  ...permitted,
  basis: { kind, id, ...(citation && { citation }) },
});
export const byRule = (id: string, citation: string) => ({
  ...permitted,
  basis: { kind: 'rule' as const, id: `${usaPolicy.id}#${id}`, citation },
});
export const treatment = byRule('custodian-treatment', '45 CFR 164.506(c)(1)');
export const exceptPsy = directive('everything-but', { what: { all: true, except: { labels: ['PSY'] } } });
export const oneResult = directive('one-result', { what: { records: ['result-1'] } });
export const research = directive('research', {
  grantees: [{ kind: 'anyone' }],
  purposes: ['HRESCH'],
  actions: ['read', 'compute'],
  obligations: ['deidentifiedOnly'],
});
export const payment = directive('payment', { grantees: [{ kind: 'organization', id: I }], purposes: ['HPAYMT'] });
export const teamPermit = directive('team', { grantees: [{ kind: 'careTeam' }] });
export const request = {
  id: 'request-1',
  status: 'pending' as const,
  purposes: ['TREAT'],
  actions: ['read' as const],
  what: { all: true },
};
export const until = (untilMs: number) => directive('week', { untilMs });
export const scope = (more: Partial<AuthorityFact['scope']>): AuthorityFact['scope'] => ({
  actions: ['read'],
  what: { all: true },
  ...more,
});
