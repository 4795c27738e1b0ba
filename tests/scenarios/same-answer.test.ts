/**
 * R-CON-1: whatever directives stand and whoever asks, every exit of the real gate gives the answer of a second decision
 * that was written independently (packages/contracts, model.ts). SALUS_GATE_CASES sets the number of random cases.
 */
import { consent } from '@salus/contracts';
import type { MemberRequester } from '@salus/server';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { model } from '../../packages/contracts/src/consent/model.ts';
import { seenBy } from './exits.ts';
import { condition, lab, labelled, medicine, note } from './resources.ts';
import { dayMs, hourMs, type Patient, type Staff, World } from './world.ts';

const cases = Number(process.env.SALUS_GATE_CASES ?? 30);
const permitShareMin = 0.3;
const caseTimeoutMs = 20_000;

let world: World;
const staff: Staff[] = [];

/** Requesters by place; the last one is the patient's own wallet. */
const askers = 5;
const classes: Record<string, string> = { hospital: 'provider', clinic: 'provider', payer: 'payer' };

const chosen = <T>(items: T[]) => fc.subarray(items, { minLength: 1, maxLength: 2 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 1 });
const categories = ['laboratory', 'condition', 'medication', 'notes', 'demographics'];
const labels = ['PSY', 'SUD', 'SELFPAY'];
const selection = fc.record({
  categories: maybe(chosen(categories)),
  labels: maybe(chosen(labels)),
  places: maybe(chosen([0, 1, 2, 3])),
});
/** Mostly the first, now and then another: so that much is permitted and every condition still matters. */
const mostly = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
const directive = fc.record({
  effect: fc.constantFrom<('permit' | 'deny')[]>('permit', 'permit', 'permit', 'deny'),
  grantee: fc.constantFrom('person', 'clinic', 'payer', 'role', 'careTeam', 'anyone', 'anyone'),
  all: mostly(true, false),
  what: selection,
  except: fc.option(selection, { nil: undefined, freq: 1 }),
  purposes: mostly<string[]>(['TREAT', 'HPAYMT'], ['TREAT'], ['HPAYMT'], ['ETREAT']),
  actions: mostly<consent.Action[]>(['read'], ['read', 'correct'], ['correct']),
  fromMs: mostly<number | undefined>(undefined, -hourMs, hourMs),
  untilMs: mostly<number | undefined>(undefined, dayMs, -hourMs),
  revoked: mostly(false, true),
});
/** A directive that opens much, below which the others make the difference. */
const broad: Drawn = {
  effect: 'permit',
  grantee: 'anyone',
  all: true,
  what: { categories: undefined, labels: ['SELFPAY'], places: undefined },
  except: undefined,
  purposes: ['TREAT', 'HPAYMT'],
  actions: ['read'],
  fromMs: undefined,
  untilMs: undefined,
  revoked: false,
};
const situation = fc.record({
  directives: fc
    .tuple(fc.array(directive, { maxLength: 3 }), fc.constantFrom(true, true, false))
    .map(([drawn, isBroad]) => (isBroad ? [broad, ...drawn] : drawn)),
  asker: fc.integer({ min: 0, max: askers }),
  purpose: mostly('TREAT', 'HPAYMT', 'ETREAT'),
  inCareTeam: fc.boolean(),
  request: fc.constantFrom<(undefined | 'pending' | 'permitted' | 'denied')[]>(
    undefined,
    'pending',
    'permitted',
    'denied',
  ),
});
type Drawn = typeof directive extends fc.Arbitrary<infer T> ? T : never;
type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

const org = (slug: string) => world.org(slug).profile.did;

beforeAll(async () => {
  world = await World.create();
  for (const [slug, role] of [
    ['clinic', 'doctor'],
    ['clinic', 'nurse'],
    ['hospital', 'doctor'],
    ['hospital', 'clerk'],
    ['payer', 'adjudicator'],
  ] as const) {
    staff.push(await world.staff(slug, role));
  }
});
afterAll(async () => {
  await world.close();
});

async function newPatient(): Promise<Patient> {
  const resources = [
    lab('a'),
    condition('b'),
    condition('psy', labelled('PSY')),
    condition('sud', labelled('SUD')),
    condition('paid', labelled('SELFPAY')),
    medicine('m'),
    note('n'),
  ];
  return await (await world.patient('hospital', resources)).link();
}

function stored(patient: Patient) {
  return world.records('hospital').resources.ofPatient(patient.id);
}

function granteeOf(name: string): consent.Grantee {
  if (name === 'person') return { kind: 'person', id: staff[0]!.did };
  if (name === 'clinic' || name === 'payer') return { kind: 'organization', id: org(name) };
  if (name === 'role') return { kind: 'role', id: 'doctor' };
  return { kind: name === 'careTeam' ? 'careTeam' : 'anyone' };
}

function selected({ places, ...set }: Drawn['what'], ids: string[]) {
  const records = places?.map((place) => ids[place]!);
  return Object.fromEntries(Object.entries({ ...set, records }).filter(([, value]) => value !== undefined));
}

function contentOf(drawn: Drawn, ids: string[]): Partial<consent.DirectiveContent> {
  const { effect, grantee, purposes, actions, fromMs, untilMs } = drawn;
  const what: consent.What = { ...(drawn.all && { all: true }), ...selected(drawn.what, ids) };
  if (drawn.except !== undefined) what.except = selected(drawn.except, ids);
  return {
    effect,
    grantees: [granteeOf(grantee)],
    what,
    purposes,
    actions,
    ...(fromMs !== undefined && { fromMs: world.nowMs + fromMs }),
    ...(untilMs !== undefined && { untilMs: world.nowMs + untilMs }),
  };
}

/** Gives the directives with the patient's key, and the same as facts for the model. */
async function give(patient: Patient, drawn: Drawn[]): Promise<consent.DirectiveFact[]> {
  const ids = (await stored(patient)).map(({ record }) => record);
  const facts: consent.DirectiveFact[] = [];
  for (const one of drawn) {
    const part = contentOf(one, ids);
    // The ledger shows a coarse end in the future; the exact one lies in the sealed content.
    const expiresMs = Math.ceil((world.nowMs + dayMs) / consent.expiryStepMs) * consent.expiryStepMs;
    const id = await patient.grant(part, { expiresMs });
    if (one.revoked) await patient.revoke(id);
    const content = { ...patient.directive(id, part), issuer: patient.did };
    const status = one.revoked ? ('revoked' as const) : ('active' as const);
    facts.push({ content, state: { status, expiresMs, conditionEnded: false, issuerInForce: true } });
  }
  return facts;
}

/** Asks in the name of the first doctor of the clinic, and answers as drawn. */
async function answered(patient: Patient, status: Situation['request']): Promise<consent.RequestFact | undefined> {
  const [doctor] = staff;
  if (status === undefined || doctor === undefined) return undefined;
  const what = { all: true };
  const body = { custodian: 'hospital', patient: patient.did, purpose: 'TREAT', what };
  const answer = await world.http('POST', '/org/clinic/access-requests', await world.token(doctor), body);
  expect(answer.status).toBe(202);
  const { id } = answer.body;
  const untilMs = world.nowMs + hourMs;
  if (status !== 'pending') await patient.decide(id, status === 'permitted' ? 'permit' : 'deny', untilMs);
  return { id, status, purposes: ['TREAT'], actions: ['read'], what, ...(status === 'permitted' && { untilMs }) };
}

interface Asking {
  patient: Patient;
  situation: Situation;
  directives: consent.DirectiveFact[];
  request: consent.RequestFact | undefined;
}

function requesterFact({ situation: { asker, inCareTeam } }: Asking): consent.RequesterFact {
  const who = staff[asker];
  if (who === undefined) return { roles: [], inCareTeam: false, isSubject: true };
  const { did: person, slug, roles } = who;
  const organizationRole = world.org(slug).profile.role;
  const organization = { organization: org(slug), organizationClass: classes[slug]!, organizationRole };
  return { person, ...organization, roles, inCareTeam: inCareTeam && asker === 1, isSubject: false };
}

async function expected(asking: Asking): Promise<Map<string, consent.Decision>> {
  const { patient, situation, directives, request } = asking;
  const isWallet = situation.asker === askers;
  const policy = consent.usaPolicy;
  return new Map(
    (await stored(patient)).map(({ type, id, record, categories: own, labels: tags, periodMs }) => {
      const facts: consent.AccessFacts = {
        requester: requesterFact(asking),
        purpose: isWallet ? 'PATRQT' : situation.purpose,
        action: 'read',
        record: {
          id: record,
          custodian: org('hospital'),
          patient: patient.did,
          categories: own,
          labels: tags,
          erased: false,
          ...(periodMs !== undefined && { periodMs }),
        },
        subject: { deceased: false },
        policy,
        nowMs: world.nowMs,
        ...(request && situation.asker === 0 && { request }),
      };
      return [`${type}/${id}`, model(facts, directives)];
    }),
  );
}

function bearerOf({ patient, situation: { asker, purpose } }: Asking) {
  const who = staff[asker];
  return who === undefined
    ? (method: string, path: string) => patient.token(method, path)
    : () => world.token(who, purpose);
}

async function exported({ patient, situation: { asker, purpose } }: Asking): Promise<string[] | undefined> {
  const who = staff[asker];
  if (who === undefined) return undefined;
  const { did, slug, name, role } = world.org(who.slug).profile;
  const requester: MemberRequester = {
    kind: 'member',
    organization: { did, slug, name, role },
    subject: { kind: 'practitioner', id: who.did },
    roles: who.roles,
    purpose,
    tokenId: 'test',
    expiresMs: world.nowMs + dayMs,
    impersonated: false,
  };
  const question = { requester, purpose, action: 'read' as const, exit: 'export' as const };
  const names: string[] = [];
  for await (const { stored: one } of await world.records('hospital').gate.release(question, await stored(patient))) {
    names.push(`${one.type}/${one.id}`);
  }
  return names.sort();
}

/** What somebody can see of an answer, but for what differs from request to request. */
async function visible(asking: Asking, path: string, hide: string) {
  const authorization = `Bearer ${await bearerOf(asking)('GET', path.split('?')[0] ?? path)}`;
  const response = await fetch(world.node.url + path, { headers: { authorization } });
  const ignored = ['date', 'x-request-id', 'x-ratelimit-remaining', 'x-ratelimit-reset'];
  const headers = [...response.headers].filter(([name]) => !ignored.includes(name));
  const text = (await response.text()).replaceAll(hide, '').replace(/"requestId":"[^"]*"/, '');
  return { status: response.status, headers, body: text.replace(/"lastUpdated":"[^"]*"/, '') };
}

/** Denied looks like what does not exist; only who held a grant that has expired is told so. */
async function compareDenials(asking: Asking, answers: Map<string, consent.Decision>): Promise<void> {
  const base = '/org/hospital/fhir/R4';
  const compare = async (name: string, reason: string, rest: string): Promise<void> => {
    const [type = '', id = ''] = name.split('/');
    const other = 'z'.repeat(id.length);
    const denied = await visible(asking, `${base}/${type}/${id}${rest}`, id);
    if (reason === 'expired') expect(denied.status, `${name} had been granted`).toBe(403);
    else expect(denied).toEqual(await visible(asking, `${base}/${type}/${other}${rest}`, other));
  };
  const refused = [...answers].filter(([, { decision }]) => decision !== 'permit');
  const exits = refused.flatMap(([name, { reason }]) => ['', '/_history'].map((rest) => compare(name, reason, rest)));
  await Promise.all(exits);
  const isNothing = [...answers.values()].every(
    ({ decision, reason }) => decision !== 'permit' && reason !== 'expired',
  );
  if (!isNothing) return;
  const { id } = asking.patient;
  const other = 'z'.repeat(id.length);
  for (const path of ['/Patient/ID/$everything', '/Condition?patient=ID', '/Condition?patient=ID&_summary=count']) {
    const [denied, nothing] = [path.replace('ID', id), path.replace('ID', other)];
    expect(await visible(asking, base + denied, id)).toEqual(await visible(asking, base + nothing, other));
  }
}

describe('R-CON-1 R-CON-2 one answer at every exit', () => {
  it(
    `equals the independent model in ${cases} random situations, and denied looks like absent`,
    async () => {
      const counts = { permit: 0, deny: 0, pending: 0 };
      const check = async (drawn: Situation): Promise<void> => {
        const patient = await newPatient();
        if (drawn.inCareTeam) await world.desk('hospital').relationships.set(patient.did, staff[1]!.did, 'careTeam');
        const directives = await give(patient, drawn.directives);
        const request = await answered(patient, drawn.request);
        const asking = { patient, situation: drawn, directives, request };
        const answers = await expected(asking);
        for (const { decision } of answers.values()) counts[decision] += 1;
        const permitted = [...answers].filter(([, { decision }]) => decision === 'permit').map(([name]) => name);
        expect(await seenBy(world, patient, bearerOf(asking))).toEqual(permitted.sort());
        const bulk = await exported(asking);
        if (bulk !== undefined) expect(bulk, 'export').toEqual(permitted);
        await compareDenials(asking, answers);
      };
      await fc.assert(fc.asyncProperty(situation, check), { numRuns: cases, endOnFailure: true });
      const total = counts.permit + counts.deny + counts.pending;
      console.info(`${cases} situations, ${total} decisions: ${JSON.stringify(counts)}`);
      expect(counts.permit / total).toBeGreaterThanOrEqual(permitShareMin);
      expect(counts.deny).toBeGreaterThan(0);
    },
    cases * caseTimeoutMs,
  );
});
