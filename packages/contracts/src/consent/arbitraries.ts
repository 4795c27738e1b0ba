/** Random directives and accesses in a small world, so that they often concern each other. Tests only. */
import fc from 'fast-check';
import type { DirectiveContent, Grantee, What } from './directive.ts';
import type { AccessFacts, AuthorityFact, DirectiveFact, DirectiveState, RequestFact } from './facts.ts';
import { usaPolicy } from './policy.ts';

export const did = (name: string): string => `did:salus:${name.padEnd(27, 'A')}`;

export const world = {
  patients: [did('patientA'), did('patientB')],
  persons: [did('drX'), did('nurseY')],
  organizations: [did('hospital'), did('clinic')],
  roles: ['doctor', 'nurse', 'clerk'],
  categories: ['laboratory', 'medication', 'immunization'],
  labels: ['PSY', 'ETH', 'SEX', 'SELFPAY', 'PSYTHPN'],
  records: ['r1', 'r2'],
  purposes: ['TREAT', 'ETREAT', 'HPAYMT', 'HRESCH', 'PUBHLTH', 'HOPERAT'],
};
const [custodian, otherCustodian] = world.organizations as [string, string];
const now = 1_000;

const one = <T>(items: T[]) => fc.constantFrom(...items);
const some = <T>(items: T[]) => fc.subarray(items, { minLength: 1, maxLength: 2 });
const maybe = <T>(value: fc.Arbitrary<T>, often = 3) => fc.option(value, { nil: undefined, freq: often });
const rare = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const usually = <T>(item: T, items: T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(item) }, { weight: 1, arbitrary: one(items) });
const around = fc.constantFrom(now - 1, now, now + 1, now + 500, 10);

const selection = fc.record({
  categories: maybe(some(world.categories), 1),
  labels: maybe(some(world.labels), 1),
  records: maybe(some(world.records), 1),
});
const what: fc.Arbitrary<What> = fc
  .record({
    all: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 2, arbitrary: fc.constant(undefined) }),
    set: selection,
    except: rare(selection),
    period: rare(fc.record({ fromMs: maybe(fc.constantFrom(100, 300)), untilMs: maybe(fc.constantFrom(200, 400)) })),
  })
  .map(({ all, set, except, period }) => ({ all, ...set, except, period }));

const grantee: fc.Arbitrary<Grantee> = fc.oneof(
  one(world.persons).map((id) => ({ kind: 'person' as const, id })),
  one(world.organizations).map((id) => ({ kind: 'organization' as const, id })),
  fc
    .record({ id: one(world.roles), within: rare(one(world.organizations)) })
    .map((role) => ({ kind: 'role' as const, ...role })),
  fc.constant({ kind: 'careTeam' as const }),
  fc.constant({ kind: 'anyone' as const }),
);
const actions = ['read', 'correct', 'share', 'compute'] as const;
const action = fc.oneof(
  { weight: 5, arbitrary: fc.constant('read' as const) },
  { weight: 1, arbitrary: one([...actions]) },
);

const content = fc
  .record({
    format: fc.constant('salus-directive/1' as const),
    id: fc.integer({ min: 1, max: 9_999 }).map((n) => `d${n}`),
    patient: usually(world.patients[0] as string, world.patients),
    custodian: usually(custodian, world.organizations),
    effect: fc.oneof(
      { weight: 5, arbitrary: fc.constant('permit' as const) },
      { weight: 1, arbitrary: fc.constant('deny' as const) },
    ),
    grantees: fc.array(grantee, { minLength: 1, maxLength: 3 }),
    what,
    purposes: fc.oneof(
      { weight: 3, arbitrary: fc.constant(['TREAT', 'HPAYMT']) },
      { weight: 2, arbitrary: fc.subarray(world.purposes) },
    ),
    actions: fc.oneof(
      { weight: 3, arbitrary: fc.constant(['read' as const]) },
      { weight: 2, arbitrary: fc.subarray([...actions]) },
    ),
    fromMs: rare(around),
    untilMs: rare(around),
    usesMax: rare(fc.integer({ min: 1, max: 3 })),
    obligations: rare(fc.subarray(['notify' as const, 'noRedisclosure' as const, 'deidentifiedOnly' as const])),
    issuer: fc.constant(''),
  })
  .map((value): DirectiveContent => value as DirectiveContent);

const state: fc.Arbitrary<DirectiveState> = fc.record({
  status: usually('active' as const, ['active' as const, 'revoked' as const, 'used-up' as const]),
  expiresMs: rare(around),
  usesLeft: rare(fc.integer({ min: 0, max: 2 })),
  conditionEnded: rare(fc.boolean()),
  issuerInForce: maybe(fc.boolean()),
});

export const directiveFact: fc.Arbitrary<DirectiveFact> = fc
  .record({
    content,
    state: fc.oneof({ weight: 9, arbitrary: state }, { weight: 1, arbitrary: fc.constant(undefined) }),
    own: usually(true, [false]),
  })
  .map((fact) => ({
    content: { ...fact.content, issuer: fact.own ? fact.content.patient : 'a1' },
    state: fact.state,
  }));

const authority: fc.Arbitrary<AuthorityFact> = fc.record({
  id: fc.constant('a1'),
  kind: one(['parent', 'guardian', 'executor', 'carer', 'powerOfAttorney'] as AuthorityFact['kind'][]),
  revoked: usually(false, [true]),
  excludedByCourt: rare(fc.boolean()),
  fromMs: rare(around),
  untilMs: rare(around),
  scope: fc.record({
    actions: usually<AuthorityFact['scope']['actions']>(['read', 'correct', 'decide'], [['share'], []]),
    purposes: rare(some(world.purposes)),
    what,
  }),
});

const request: fc.Arbitrary<RequestFact> = fc.record({
  id: fc.constant('q1'),
  status: usually<RequestFact['status']>('permitted', ['pending', 'denied', 'timed-out']),
  untilMs: maybe(around),
  deciderInForce: rare(fc.boolean()),
  purposes: usually(['TREAT'], [['HPAYMT']]),
  actions: fc.constant(['read' as const]),
  what,
});

const requester = fc.record({
  person: fc.oneof({ weight: 9, arbitrary: one(world.persons) }, { weight: 1, arbitrary: fc.constant(undefined) }),
  organization: fc.oneof(
    { weight: 9, arbitrary: one(world.organizations) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  ),
  organizationClass: usually('provider', ['payer', 'payer', 'regulator', 'research']),
  organizationRole: rare(one(['payer', 'publicHealth', 'clinic'])),
  roles: fc.subarray(world.roles),
  inCareTeam: fc.boolean(),
  isSubject: usually(false, [true]),
  authority: rare(authority),
  signals: rare(fc.constant(['personal-tie'])),
});

const record = fc.record({
  id: one(world.records),
  custodian: usually(custodian, [otherCustodian]),
  patient: usually(world.patients[0] as string, world.patients),
  mergedWith: rare(fc.constant([world.patients[1] as string])),
  author: rare(one(world.persons)),
  categories: fc.subarray(world.categories),
  labels: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.subarray(world.labels, { maxLength: 2 }) },
  ),
  periodMs: maybe(fc.constantFrom(100, 150, 200, 300, 350, 400, 401)),
  erased: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

export const accessFacts = fc
  .record({
    requester,
    purpose: usually('TREAT', world.purposes),
    action,
    record,
    subject: fc.record({ majorityMs: maybe(around), deceased: usually(false, [true]) }),
    policy: fc.constant(usaPolicy),
    nowMs: fc.constant(now),
    asks: maybe(fc.constantFrom(true, true, false)),
    request: rare(request),
    breakGlass: rare(fc.record({ id: fc.constant('b1'), role: usually('doctor', world.roles), windowUntilMs: around })),
    legalBasis: rare(one(['notifiable-disease', 'immunization-registry', 'health-oversight', 'curiosity'])),
  })
  .map((value): AccessFacts => value as AccessFacts);

/** A case of the property test: what stands, and what is asked. */
export const accessCase = fc.record({
  facts: accessFacts,
  directives: fc.uniqueArray(directiveFact, { maxLength: 6, selector: ({ content: { id } }) => id }),
});
