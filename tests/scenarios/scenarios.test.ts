/** The access scenarios of practice, through the real gate and the real interfaces (R-CON lines). */
import { randomBytes, toBase64url, utf8 } from '@salus/protocol';
import { registerStaff } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seenBy } from './exits.ts';
import { condition, lab, labelled, nextId, note } from './resources.ts';
import { dayMs, hourMs, minuteMs, type Patient, randomId, type Staff, World } from './world.ts';

let world: World;
let doctorH: Staff;
let clerkH: Staff;
let officerH: Staff;
let doctorC: Staff;
let nurseC: Staff;
let clerkC: Staff;
let payer: Staff;
let inspector: Staff;

const person = (staff: Staff) => ({ kind: 'person' as const, id: staff.did });
const clinic = () => ({ kind: 'organization' as const, id: world.org('clinic').profile.did });
const bearerOf =
  (staff: Staff, purpose = 'TREAT') =>
  (): Promise<string> =>
    world.token(staff, purpose);

async function seen(patient: Patient, staff: Staff, purpose = 'TREAT'): Promise<string[]> {
  return await seenBy(world, patient, bearerOf(staff, purpose));
}

async function ask(patient: Patient, staff: Staff, what: Record<string, unknown> = { all: true }): Promise<string> {
  const body = { custodian: patient.slug, patient: patient.did, purpose: 'TREAT', what };
  const answer = await world.http('POST', `/org/${staff.slug}/access-requests`, await world.token(staff), body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  expect(answer.body.status).toBe('pending');
  return answer.body.id;
}

async function stateOf(staff: Staff, request: string): Promise<string> {
  const answer = await world.http('GET', `/org/${staff.slug}/access-requests/${request}`, await world.token(staff));
  return answer.body.status;
}

async function accounting(
  patient: Patient,
): Promise<{ complete: boolean; entries: { disclosure: Record<string, never> }[] }> {
  const answer = await patient.http('GET', `/org/${patient.slug}/accounting`);
  expect(answer.status).toBe(200);
  return answer.body;
}

beforeAll(async () => {
  world = await World.create();
  doctorH = await world.staff('hospital', 'doctor');
  clerkH = await world.staff('hospital', 'clerk');
  officerH = await world.staff('hospital', 'officer');
  doctorC = await world.staff('clinic', 'doctor');
  nurseC = await world.staff('clinic', 'nurse');
  clerkC = await world.staff('clinic', 'clerk');
  payer = await world.staff('payer', 'adjudicator');
  inspector = await world.staff('health-office', 'inspector');
});

afterAll(async () => {
  await world.close();
});

describe('R-CON-1 R-CON-3 scenario 1: no directive, treatment by the custodian', () => {
  it('permits, logs and anchors', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), condition('b')])).link();
    expect(await seen(patient, doctorH)).toHaveLength(3);
    const { complete, entries } = await accounting(patient);
    expect(complete).toBe(true);
    expect(entries.some(({ disclosure }) => disclosure.outcome === 'released')).toBe(true);
  });

  it('denies a clerk the same', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    expect(await seen(patient, clerkH)).toEqual([]);
  });
});

describe('R-CON-2 scenarios 2 and 3: a doctor elsewhere, and silence', () => {
  it('waits for the patient, tells nothing meanwhile, and ends by time-out', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const request = await ask(patient, doctorC);
    expect(await seen(patient, doctorC)).toEqual([]);
    await world.pass(29 * minuteMs);
    expect(await stateOf(doctorC, request)).toBe('pending');
    await world.pass(2 * minuteMs);
    expect(await stateOf(doctorC, request)).toBe('timed-out');
    expect(await seen(patient, doctorC)).toEqual([]);
    expect(await patient.decide(request, 'permit')).toBe(6009);
  });

  it('asks somebody who does not exist just the same', async () => {
    const nobody = { ...(await world.patient('hospital', [])), slug: 'hospital', did: `did:salus:${'A'.repeat(27)}` };
    const request = await ask(nobody as Patient, doctorC);
    expect(await stateOf(doctorC, request)).toBe('pending');
    await world.pass(31 * minuteMs);
    expect(await stateOf(doctorC, request)).toBe('timed-out');
  });

  it('opens when the patient permits with their own key, and only then', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const request = await ask(patient, doctorC);
    expect(await patient.decide(request, 'permit', world.nowMs + hourMs)).toBe(0);
    expect(await seen(patient, doctorC)).toHaveLength(2);
    expect(await seen(patient, nurseC), 'a colleague did not ask').toEqual([]);
    await world.pass(hourMs + 1_000);
    expect(await seen(patient, doctorC)).toEqual([]);
  });

  it('stays closed when the patient denies', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const request = await ask(patient, doctorC);
    expect(await patient.decide(request, 'deny')).toBe(0);
    expect(await seen(patient, doctorC)).toEqual([]);
  });
});

describe('R-CON-1 scenarios 4 to 8: what a directive opens', () => {
  it('4: permits on day 6, denies on day 8', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [clinic()], untilMs: world.nowMs + 7 * dayMs });
    await world.pass(6 * dayMs);
    expect(await seen(patient, nurseC)).toHaveLength(2);
    await world.pass(2 * dayMs);
    expect(await seen(patient, nurseC)).toEqual([]);
  });

  it('5: excludes one doctor of a permitted clinic at every exit', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    await patient.grant({ grantees: [clinic()] });
    await patient.grant({ effect: 'deny', grantees: [person(doctorC)], purposes: [], actions: [] });
    expect(await seen(patient, doctorC)).toEqual([]);
    expect(await seen(patient, nurseC)).toHaveLength(3);
    const base = '/org/hospital/fhir/R4';
    const [known] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    const denied = await world.http('GET', `${base}/Observation/${known!.id}`, await world.token(doctorC));
    const nothing = await world.http(
      'GET',
      `${base}/Observation/${'x'.repeat(known!.id.length)}`,
      await world.token(doctorC),
    );
    expect(denied).toEqual(nothing);
  });

  it('6: hides mental health everywhere, counts agreeing', async () => {
    const hidden = condition('psy', labelled('PSY'));
    const patient = await (await world.patient('hospital', [lab('a'), hidden, condition('b')])).link();
    await patient.grant({ grantees: [clinic()], what: { all: true, except: { labels: ['PSY'] } } });
    const names = await seen(patient, doctorC);
    expect(names).toHaveLength(3);
    expect(names).not.toContain(`Condition/${hidden.id}`);
  });

  it('8: one result permits that result, not its encounter nor the address', async () => {
    const encounter = { resourceType: 'Encounter', id: nextId('enc'), status: 'finished', class: { code: 'AMB' } };
    const result = lab('one', { encounter: { reference: `Encounter/${encounter.id}` } });
    const patient = await (await world.patient('hospital', [encounter, result])).link();
    const { record } = (await world.records('hospital').resources.find('Observation', String(result.id)))!;
    await patient.grant({ grantees: [person(doctorC)], what: { records: [record] } });
    expect(await seen(patient, doctorC)).toEqual([`Observation/${result.id}`]);
  });
});

describe('R-CON-4 scenarios 11 to 15: emergencies', () => {
  const emergency = (patient: Patient) => ({
    custodian: patient.slug,
    patient: patient.did,
    reasonCode: 'unconscious',
    reasonText: 'found without consciousness, no wallet',
  });

  it('11: opens for the window, tells patient and officer, opens a review', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    const patient = await (await world.patient('hospital', [lab('a'), condition('s', labelled('SUD'))])).link();
    expect(await seen(patient, doctor, 'ETREAT')).toEqual([]);
    const opened = await world.http(
      'POST',
      '/org/clinic/break-glass',
      await world.token(doctor, 'ETREAT'),
      emergency(patient),
    );
    expect(opened.status, JSON.stringify(opened.body)).toBe(201);
    expect(await seen(patient, doctor, 'ETREAT')).toHaveLength(3);
    const reviews = await world.http('GET', '/org/hospital/reviews', await world.token(officerH));
    const review = reviews.body.reviews.find((one: { id: string }) => one.id === opened.body.id);
    expect(review).toMatchObject({ reasonCode: 'unconscious', overdue: false });
    const notices = await world.org('hospital').notices.after(patient.did, 0);
    expect(notices.map(({ type }) => type)).toContain('access/GlassBroken');
    await world.pass(4 * hourMs + 1_000);
    expect(await seen(patient, doctor, 'ETREAT')).toEqual([]);
  });

  it('12: refuses a clerk with a numbered error', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    const answer = await world.http(
      'POST',
      '/org/clinic/break-glass',
      await world.token(clerkC, 'ETREAT'),
      emergency(patient),
    );
    expect(answer.status).toBe(422);
    expect(answer.body.code).toBe(6017);
    expect(await seen(patient, clerkC, 'ETREAT')).toEqual([]);
  });

  it('13: beyond the limit of the day it raises an alarm, as governance says', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    const alarms: boolean[] = [];
    for (let n = 0; n < 3; n += 1) {
      const patient = await world.patient('hospital', [lab('a')]);
      const answer = await world.http(
        'POST',
        '/org/clinic/break-glass',
        await world.token(doctor, 'ETREAT'),
        emergency(patient),
      );
      expect(answer.status).toBe(201);
      alarms.push(answer.body.alarm);
    }
    expect(alarms).toEqual([false, false, true]);
    await world.desk('hospital').facts.ready();
    const notices = await world.org('hospital').notices.after('organization', 0);
    expect(notices.some(({ type }) => type === 'access/GlassAlarm')).toBe(true);
  });

  it('15: a review that nobody does is overdue and escalates', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    const patient = await world.patient('hospital', [lab('a')]);
    const opened = await world.http(
      'POST',
      '/org/clinic/break-glass',
      await world.token(doctor, 'ETREAT'),
      emergency(patient),
    );
    await world.pass(4 * dayMs);
    const reviews = await world.http('GET', '/org/hospital/reviews', await world.token(officerH));
    expect(reviews.body.reviews.find((one: { id: string }) => one.id === opened.body.id).overdue).toBe(true);
    const path = `/org/hospital/reviews/${opened.body.id}`;
    const closed = await world.http('POST', path, await world.token(officerH), { outcome: 'justified' });
    expect(closed.status, JSON.stringify(closed.body)).toBe(200);
  });
});

describe('R-CON-1 scenarios 23 to 27: stricter law, conditions, uses', () => {
  it('23: a self-paid visit stays hidden from the insurer', async () => {
    const paid = condition('selfpaid', labelled('SELFPAY'));
    const patient = await (await world.patient('hospital', [paid, condition('other')])).link();
    await patient.grant({
      grantees: [{ kind: 'organization', id: world.org('payer').profile.did }],
      purposes: ['HPAYMT'],
    });
    const names = await seen(patient, payer, 'HPAYMT');
    expect(names).not.toContain(`Condition/${paid.id}`);
    expect(names).toHaveLength(2);
  });

  it('24: an immunisation registry reads the immunisations that the law provides for, and nothing else', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    const shot = {
      resourceType: 'Immunization',
      id: nextId('shot'),
      status: 'completed',
      vaccineCode: { text: 'MMR' },
      occurrenceDateTime: '2026-12-01',
      patient: { reference: `Patient/${patient.id}` },
    };
    const report = await world.records('hospital').import(async function* () {
      yield utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: shot }] }));
    });
    expect(report.rejected).toBe(0);
    const read = async (type: string): Promise<number> => {
      const [one] = await world.records('hospital').resources.ofPatient(patient.id, type);
      const token = await world.token(inspector, 'PUBHLTH');
      const headers = { authorization: `Bearer ${token}`, 'x-legal-basis': 'immunization-registry' };
      return (await fetch(`${world.node.url}/org/hospital/fhir/R4/${type}/${one!.id}`, { headers })).status;
    };
    expect([await read('Immunization'), await read('Observation')]).toEqual([200, 404]);
  });

  it('25: psychotherapy notes open to who wrote them, and to nobody else of the house', async () => {
    const hospital = world.org('hospital');
    const { did } = await registerStaff(world.node, hospital, 'dr-author', ['doctor']);
    const author: Staff = { did, slug: 'hospital', roles: ['doctor'] };
    const noteOf = (name: string) => ({
      ...note('process'),
      ...labelled('PSYTHPN'),
      author: [{ reference: `Practitioner/${name}` }],
    });
    const written: Record<string, unknown> = noteOf('dr-author');
    const byOther: Record<string, unknown> = noteOf('dr-other');
    const patient = await (await world.patient('hospital', [written, byOther])).link();
    const doctor = await world.staff('hospital', 'doctor');
    const notes = async (staff: Staff) => (await seen(patient, staff)).filter((name) => name.startsWith('Document'));
    expect(await notes(author)).toEqual([`DocumentReference/${written.id}`]);
    expect(await notes(doctor)).toEqual([]);
    await hospital.execute([{ type: 'identity/setStatus', participant: did, status: 'suspended' }]);
    expect(await notes(author)).toEqual([]);
  });

  it('25: substance-use records need a consent that names them', async () => {
    const record = condition('sud', labelled('SUD'));
    const patient = await (await world.patient('hospital', [record])).link();
    await patient.grant({ grantees: [clinic()] });
    expect(await seen(patient, doctorC)).not.toContain(`Condition/${record.id}`);
    await patient.grant({ grantees: [clinic()], what: { labels: ['SUD'] } });
    expect(await seen(patient, doctorC)).toContain(`Condition/${record.id}`);
  });

  it('26: access ends with the referral, from the next block', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const endToken = randomId();
    const condition = { kind: 'referral' as const, id: 'referral-1' };
    await patient.grant({ grantees: [clinic()], condition }, { endToken });
    expect(await seen(patient, doctorC)).toHaveLength(2);
    await world.org('hospital').execute([{ type: 'consent/endCondition', tokens: [endToken] }]);
    expect(await seen(patient, doctorC)).toEqual([]);
  });

  it('27: three uses permit three requests; of two third ones at once exactly one succeeds', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [clinic()], usesMax: 3 });
    const [one] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    const path = `/org/hospital/fhir/R4/Observation/${one!.id}`;
    const read = async (): Promise<number> => (await world.http('GET', path, await world.token(doctorC))).status;
    expect(await read()).toBe(200);
    expect(await read()).toBe(200);
    expect((await Promise.all([read(), read()])).sort()).toEqual([200, 403]);
    expect(await read(), 'who held the grant learns that it is used up').toBe(403);
  });

  it('24: a disclosure that the law requires names its basis and is shown to the patient', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ effect: 'deny', purposes: [], actions: [] });
    expect(await seen(patient, inspector, 'PUBHLTH')).toEqual([]);
    const [one] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    const url = `${world.node.url}/org/hospital/fhir/R4/Observation/${one!.id}`;
    const token = await world.token(inspector, 'PUBHLTH');
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}`, 'x-legal-basis': 'notifiable-disease' },
    });
    expect(response.status).toBe(200);
    const { entries } = await accounting(patient);
    expect(entries.some(({ disclosure }) => JSON.stringify(disclosure).includes('164.512'))).toBe(true);
  });
});

describe('R-CON-1 scenarios 33, 35, 36', () => {
  it('33: a personal tie is flagged, and excluding the person works', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const tied = await world.staff('hospital', 'nurse');
    await world.desk('hospital').relationships.set(patient.did, tied.did, 'personalTie');
    expect(await seen(patient, tied)).toHaveLength(2);
    const { entries } = await accounting(patient);
    expect(entries.some(({ disclosure }) => JSON.stringify(disclosure).includes('unusual'))).toBe(true);
    await patient.grant({ effect: 'deny', grantees: [person(tied)], purposes: [], actions: [] });
    expect(await seen(patient, tied)).toEqual([]);
  });

  it('35: an erased record is absent at every exit', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b')])).link();
    const { resources } = world.records('hospital');
    const [gone] = await resources.ofPatient(patient.id, 'Observation');
    await resources.erase(gone!);
    const names = await seen(patient, doctorH);
    expect(names).toHaveLength(2);
    expect(names).not.toContain(`Observation/${gone!.id}`);
  });

  it('28: what is revoked while a long answer runs is not delivered after the block of the revocation', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), lab('b'), lab('c')])).link();
    const directive = await patient.grant({ grantees: [clinic()] });
    const records = world.records('hospital');
    const member = world.org('clinic').profile;
    const requester = {
      kind: 'member' as const,
      organization: { did: member.did, slug: member.slug, name: member.name, role: member.role },
      subject: { kind: 'practitioner' as const, id: doctorC.did },
      roles: ['doctor'],
      purpose: 'TREAT',
      tokenId: 'test',
      expiresMs: world.nowMs + minuteMs,
      impersonated: false,
    };
    const question = { requester, purpose: 'TREAT', action: 'read' as const, exit: 'export' as const };
    const stream = await records.gate.release(question, await records.resources.ofPatient(patient.id));
    expect((await stream.next()).done).toBe(false);
    await patient.revoke(directive);
    expect((await stream.next()).done).toBe(true);
  });
});

describe('R-LED-6 R-CON-1 a member that two classes suspended in an emergency', () => {
  it('opens nothing elsewhere, whatever was granted to it, cares on for its own, and is back when it ends', async () => {
    const guest = await world.staff('practice', 'doctor');
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [{ kind: 'organization', id: world.org('practice').profile.did }] });
    const own = await world.patient('practice', [lab('b')]);
    const shown = async () => [(await seen(patient, guest)).length, (await seen(own, guest)).length];
    expect(await shown()).toEqual([2, 2]);
    const member = world.org('practice').profile.did;
    const reason = toBase64url(randomBytes(32));
    const cosigners = [world.org('regulator').keys.signer()];
    await world.org('hospital').execute([{ type: 'governance/suspendInEmergency', member, reason }], { cosigners });
    expect(await shown()).toEqual([0, 2]);
    await world.pass(8 * dayMs);
    expect(await shown()).toEqual([2, 2]);
  });
});
