/** Scenarios of people who act for others: parents, guardians, delegates, executors (R-IDN, R-CON lines). */
import { consent } from '@salus/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attest, Delegate, delegateTo } from './delegate.ts';
import { seenBy } from './exits.ts';
import { condition, lab, labelled, medicine, note } from './resources.ts';
import { dayMs, hourMs, minuteMs, type Patient, type Staff, World } from './world.ts';

let world: World;
let officer: Staff;
let doctorC: Staff;
let payer: Staff;
let clerk: Staff;

/** The birth date of somebody who comes of age at the next midnight, or `years` later. */
function bornFor(years: number): string {
  const midnight = new Date(Math.ceil((world.nowMs + 1) / dayMs) * dayMs);
  midnight.setUTCFullYear(midnight.getUTCFullYear() - 18 + years);
  return midnight.toISOString().slice(0, 10);
}

async function child(years: number, resources = [lab('a'), condition('b')]): Promise<Patient> {
  return await world.patient('hospital', resources, { birthDate: bornFor(years) });
}

async function seenByStaff(patient: Patient, staff: Staff, purpose = 'TREAT'): Promise<string[]> {
  return await seenBy(world, patient, () => world.token(staff, purpose));
}

async function ask(patient: Patient, staff: Staff): Promise<string> {
  const body = { custodian: patient.slug, patient: patient.did, purpose: 'TREAT', what: { all: true } };
  const answer = await world.http('POST', `/org/${staff.slug}/access-requests`, await world.token(staff), body);
  return answer.body.id;
}

const parent = { kind: 'parent', actions: ['read', 'decide', 'grant'] };
const clinic = () => ({ kind: 'organization' as const, id: world.org('clinic').profile.did });
/** 18 years from the next midnight at the latest. */
const majority = (years: number) => ({ majorityMs: Date.parse(bornFor(years)) + 18 * 366 * dayMs });

beforeAll(async () => {
  world = await World.create();
  officer = await world.staff('hospital', 'officer');
  clerk = await world.staff('hospital', 'clerk');
  doctorC = await world.staff('clinic', 'doctor');
  payer = await world.staff('payer', 'adjudicator');
});
afterAll(async () => {
  await world.close();
});

describe('R-IDN-1 R-CON-1 scenario 16: a child of 9 with two parents', () => {
  it('lets either parent read, a stranger with a key not, and a clerk attest nothing', async () => {
    const patient = await child(9);
    const [mother, father, stranger] = [
      await Delegate.create(world),
      await Delegate.create(world),
      await Delegate.create(world),
    ];
    await attest(officer, patient, mother.did, { ...parent, ...majority(9) });
    await attest(officer, patient, father.did, { ...parent, ...majority(9) });
    expect(await mother.seen(patient)).toHaveLength(3);
    expect(await father.seen(patient)).toHaveLength(3);
    expect(await stranger.seen(patient)).toEqual([]);
    await expect(attest(clerk, patient, stranger.did, { ...parent, ...majority(9) })).rejects.toThrow('785');
  });

  it('tells the patient’s list who may act, and ends what ends', async () => {
    const patient = await child(9);
    const mother = await Delegate.create(world);
    const id = await attest(officer, patient, mother.did, { ...parent, ...majority(9) });
    expect(await mother.seen(patient)).toHaveLength(3);
    const list = async () => {
      const path = `/org/hospital/authorities?patient=${patient.did}`;
      return (await world.http('GET', path, await world.token(officer))).body.authorities;
    };
    expect(await list()).toMatchObject([{ id, basis: 'custodian', status: 'active', content: { kind: 'parent' } }]);
    const body = { patient: patient.did };
    await world.http('POST', `/org/hospital/authorities/${id}/end`, await world.token(officer), body);
    expect(await list()).toMatchObject([{ id, status: 'ended' }]);
    expect(await mother.seen(patient)).toEqual([]);
  });
});

describe('R-CON-7 scenario 17: a confidential service of a child of 16', () => {
  it('is hidden from the parent and from the parent’s insurer, and not from the child', async () => {
    const hidden = condition('sex', labelled('SEX'));
    const patient = await (await child(2, [lab('a'), hidden])).link();
    const mother = await Delegate.create(world);
    await attest(officer, patient, mother.did, { ...parent, ...majority(2) });
    const name = `Condition/${hidden.id}`;
    const byMother = await mother.seen(patient);
    expect(byMother).toHaveLength(2);
    expect(byMother).not.toContain(name);
    const insurer = { kind: 'organization' as const, id: world.org('payer').profile.did };
    await patient.grant({ grantees: [insurer], purposes: ['HPAYMT'] });
    const byInsurer = await seenByStaff(patient, payer, 'HPAYMT');
    expect(byInsurer).toHaveLength(2);
    expect(byInsurer).not.toContain(name);
    const own = await seenBy(world, patient, (method, path) => patient.token(method, path));
    expect(own).toContain(name);
  });
});

describe('R-CON-1 scenario 18: of age at midnight', () => {
  it('ends the parent’s reading with the first block of the day; the young adult decides', async () => {
    const patient = await (await child(0)).link();
    const mother = await Delegate.create(world);
    const authority = await attest(officer, patient, mother.did, { ...parent, ...majority(0) });
    const midnight = Math.ceil((world.nowMs + 1) / dayMs) * dayMs;
    const given = await mother.grant(patient, authority, { grantees: [clinic()] });
    expect(given.code).toBe(0);
    await world.pass(midnight - minuteMs - world.nowMs);
    expect(await mother.seen(patient), '23:59').toHaveLength(3);
    expect(await seenByStaff(patient, doctorC), 'the parent’s directive holds').toHaveLength(3);
    await world.pass(2 * minuteMs);
    expect(await mother.seen(patient), '00:01').toEqual([]);
    expect(await seenByStaff(patient, doctorC), 'and ends with the parent’s authority').toEqual([]);
    const request = await ask(patient, doctorC);
    expect(await patient.decide(request, 'permit')).toBe(0);
    expect(await seenByStaff(patient, doctorC)).toHaveLength(3);
  });
});

describe('R-CON-1 scenario 19: a court excludes one parent', () => {
  it('denies that parent, not the other one, and the officer sees why', async () => {
    const patient = await child(9);
    const [mother, father] = [await Delegate.create(world), await Delegate.create(world)];
    await attest(officer, patient, mother.did, { ...parent, ...majority(9) });
    const authority = await attest(officer, patient, father.did, { ...parent, ...majority(9) });
    const order = { patient: patient.did, person: father.did, kind: 'excludedByCourt' };
    const set = await world.http('POST', '/org/hospital/relationships', await world.token(officer), order);
    expect(set.status).toBe(200);
    expect(await father.seen(patient)).toEqual([]);
    expect(await mother.seen(patient)).toHaveLength(3);
    const given = await father.grant(patient, authority, { grantees: [clinic()] });
    expect(given.code, 'the ledger knows of no court').toBe(0);
    expect(await seenByStaff(patient, doctorC), 'the gate does').toEqual([]);
    const path = `/org/hospital/accounting?patient=${patient.did}`;
    const { body } = await world.http('GET', path, await world.token(officer));
    const reasons = body.entries
      .filter(({ disclosure }: { disclosure: { requester: { person?: string } } }) => {
        return disclosure.requester.person === father.did;
      })
      .map(({ disclosure }: { disclosure: { reason: string } }) => disclosure.reason);
    expect(reasons).toContain('authority-excluded-by-court');
  });
});

describe('R-CON-1 scenario 20: an adult with a court’s guardian', () => {
  it('lets the guardian take back what the patient gave; the ledger shows both', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const guardian = await Delegate.create(world);
    const authority = await attest(officer, patient, guardian.did, { kind: 'guardian', actions: ['read', 'grant'] });
    const directive = await patient.grant({ grantees: [clinic()] });
    expect(await seenByStaff(patient, doctorC)).toHaveLength(2);
    expect(await guardian.revoke(patient, authority, directive)).toBe(0);
    expect(await seenByStaff(patient, doctorC)).toEqual([]);
    const entry = consent.directive(world.node.reader, directive);
    expect(entry).toMatchObject({ by: patient.did, revokedBy: guardian.did, revokedUnder: authority });
  });

  it('opens again by taking back a denial only where the guardianship says so', async () => {
    for (const [actions, seen] of [
      [['read'], 0],
      [['read', 'grant'], 2],
    ] as const) {
      const patient = await (await world.patient('hospital', [lab('a')])).link();
      const guardian = await Delegate.create(world);
      const authority = await attest(officer, patient, guardian.did, { kind: 'guardian', actions: [...actions] });
      await patient.grant({ grantees: [clinic()] });
      const denial = await patient.grant({ effect: 'deny', grantees: [clinic()], purposes: [], actions: [] });
      expect(await seenByStaff(patient, doctorC)).toEqual([]);
      expect(await guardian.revoke(patient, authority, denial)).toBe(0);
      expect(await seenByStaff(patient, doctorC), `scope ${actions}`).toHaveLength(seen);
    }
  });
});

describe('R-IDN-1 R-CON-2 scenario 21: a delegate with a narrow scope', () => {
  it('reads medicines, no notes; what the delegate answers or gives beyond the scope opens nothing', async () => {
    const patient = await (await world.patient('hospital', [medicine('m'), note('n'), lab('a')])).link();
    const delegate = await Delegate.create(world);
    const scope = { actions: ['read' as const], categories: ['medication', 'encounter'] };
    const authority = await delegateTo(patient, delegate.did, scope);
    const names = await delegate.seen(patient);
    expect(names.map((name) => name.split('/')[0])).toEqual(['MedicationRequest']);
    const request = await ask(patient, doctorC);
    expect(await delegate.decide(patient, authority, request), 'the ledger cannot read the scope').toBe(0);
    expect(await seenByStaff(patient, doctorC)).toEqual([]);
    const given = await delegate.grant(patient, authority, { grantees: [clinic()] });
    expect(given.code).toBe(0);
    expect(await seenByStaff(patient, doctorC)).toEqual([]);
    const posed = await delegate.grant(patient, authority, { grantees: [clinic()] }, patient.did);
    expect(posed.code).toBe(0);
    expect(await seenByStaff(patient, doctorC), 'nor by posing as the patient').toEqual([]);
  });

  it('reaches with a directive as far as the scope does', async () => {
    const patient = await (await world.patient('hospital', [medicine('m'), note('n')])).link();
    const delegate = await Delegate.create(world);
    const scope = { actions: ['grant' as const, 'decide' as const], categories: ['medication'] };
    const authority = await delegateTo(patient, delegate.did, scope);
    await delegate.grant(patient, authority, { grantees: [clinic()] });
    const names = await seenByStaff(patient, doctorC);
    expect(names.map((name) => name.split('/')[0])).toEqual(['MedicationRequest']);
    const other = await world.staff('practice', 'doctor');
    const request = await ask(patient, other);
    expect(await delegate.decide(patient, authority, request)).toBe(0);
    expect((await seenByStaff(patient, other)).map((name) => name.split('/')[0])).toEqual(['MedicationRequest']);
  });

  it('is refused by the ledger under an authority that is not theirs', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const [delegate, other] = [await Delegate.create(world), await Delegate.create(world)];
    const authority = await delegateTo(patient, delegate.did, { actions: ['read', 'grant', 'decide'] });
    const { code } = await other.grant(patient, authority, { grantees: [clinic()] });
    expect(code).toBe(5001);
  });
});

describe('R-IDN-1 scenario 32: the patient has died', () => {
  it('permits the executor with proof in scope, and denies the former delegate', async () => {
    const patient = await (await world.patient('hospital', [medicine('m'), lab('a'), note('n')])).link();
    const [executor, delegate] = [await Delegate.create(world), await Delegate.create(world)];
    await delegateTo(patient, delegate.did, { actions: ['read'] });
    const part = { kind: 'executor', actions: ['read'], excluded: ['notes'] };
    await attest(officer, patient, executor.did, part);
    expect(await executor.seen(patient), 'not while the patient lives').toEqual([]);
    expect(await delegate.seen(patient)).toHaveLength(4);
    const death = { type: 'identity/setStatus', participant: patient.did, status: 'deceased' };
    await world.org('hospital').execute([death]);
    expect(await delegate.seen(patient)).toEqual([]);
    const names = await executor.seen(patient);
    expect(names).toHaveLength(3);
    expect(names.some((name) => name.startsWith('DocumentReference/'))).toBe(false);
    await world.pass(hourMs);
    const path = `/org/hospital/fhir/R4/Patient/${patient.id}`;
    const own = await world.http('GET', path, await patient.token('GET', path));
    expect(own.status, 'the wallet of the dead opens nothing').toBe(401);
  });
});
