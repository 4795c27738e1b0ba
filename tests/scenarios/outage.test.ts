/** Scenario 14: the ledger cannot commit. Treatment and emergencies go on, logged here; everything else waits. */
import { access, identity } from '@salus/contracts';
import { LedgerErrorCodes } from '@salus/ledger';
import { SalusError } from '@salus/protocol';
import type { LedgerAccess } from '@salus/server';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openEmbeddedLedger } from '../../packages/server/src/node/embedded-ledger.ts';
import { seenBy } from './exits.ts';
import { condition, lab } from './resources.ts';
import { hourMs, minuteMs, type Patient, type Staff, World } from './world.ts';

let isDown = false;
let world: World;
let doctorH: Staff;
let doctorC: Staff;
let officer: Staff;

/** The embedded engine whose disk fails whenever a test says so. */
function failing(ledger: LedgerAccess): LedgerAccess {
  const problem = (): string | undefined => (isDown ? 'the disk reported an error' : ledger.problem());
  const submit: LedgerAccess['submit'] = async (bytes) => {
    if (isDown) throw new SalusError(LedgerErrorCodes.degraded, 'the disk reported an error');
    return await ledger.submit(bytes);
  };
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'submit') return submit;
      if (name === 'problem') return problem;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

beforeAll(async () => {
  world = await World.create({
    openLedger: async (directory, clockMs) => failing(await openEmbeddedLedger(directory, clockMs)),
  });
  doctorH = await world.staff('hospital', 'doctor');
  doctorC = await world.staff('clinic', 'doctor');
  officer = await world.staff('hospital', 'officer');
});
afterEach(() => {
  isDown = false;
});
afterAll(async () => {
  await world.close();
});

async function seen(patient: Patient, staff: Staff, purpose = 'TREAT'): Promise<string[]> {
  return await seenBy(world, patient, () => world.token(staff, purpose));
}

async function breakGlass(patient: Patient, staff: Staff, custodian = patient.slug) {
  const reason = { reasonCode: 'unconscious', reasonText: 'no wallet, no pulse' };
  const body = { custodian, patient: patient.did, ...reason };
  return await world.http('POST', `/org/${staff.slug}/break-glass`, await world.token(staff, 'ETREAT'), body);
}

interface Listed {
  transaction?: string;
  path: string;
  disclosure: { outcome: string; exit: string; basis?: { kind: string; id: string }; timeMs: number };
}

async function accounting(patient: Patient): Promise<{ complete: boolean; entries: Listed[] }> {
  const answer = await patient.http('GET', `/org/${patient.slug}/accounting`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await check()) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await check()).toBe(true);
}

async function nothingWaits(): Promise<boolean> {
  return (await world.desk('clinic').lateGlasses.waiting()).length === 0;
}

async function typesOf(hashes: (string | undefined)[]): Promise<string[]> {
  const found = await Promise.all(hashes.map((hash) => world.node.ledger.transaction(hash ?? '')));
  return [...new Set(found.flatMap((one) => one?.types ?? ['none']))];
}

describe('R-CON-4 R-LED-5 scenario 14: what waits for the ledger says so', () => {
  it('answers 503 with number 788 and when to try again', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    await patient.grant({ grantees: [{ kind: 'organization', id: world.org('clinic').profile.did }] });
    expect(await seen(patient, doctorC)).toHaveLength(2);
    isDown = true;
    const [known] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    const path = `/org/hospital/fhir/R4/Observation/${known!.id}`;
    const response = await fetch(world.node.url + path, {
      headers: { authorization: `Bearer ${await world.token(doctorC)}` },
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect(await response.text()).toContain('788');
    const what = { custodian: 'hospital', patient: patient.did, purpose: 'TREAT', what: { all: true } };
    const asked = await world.http('POST', '/org/clinic/access-requests', await world.token(doctorC), what);
    expect(asked).toMatchObject({ status: 503, body: { code: 788 } });
    const authority = { patient: patient.did, holder: doctorC.did, kind: 'guardian', actions: ['read'] };
    const attested = await world.http('POST', '/org/hospital/authorities', await world.token(officer), authority);
    expect(attested).toMatchObject({ status: 503, body: { code: 788 } });
  });

  it('keeps the emergency closed for who may not open it, and where the custodian is elsewhere', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    const clerk = await world.staff('clinic', 'clerk');
    const unlicensed = await world.staff('clinic', 'doctor');
    const suspended = { type: 'identity/setLicence', practitioner: unlicensed.did, profession: 'doctor' };
    const untilMs = world.nowMs + hourMs;
    await world.org('regulator').execute([{ ...suspended, status: 'suspended', untilMs }]);
    isDown = true;
    for (const staff of [clerk, unlicensed]) {
      expect(await breakGlass(patient, staff)).toMatchObject({ status: 422, body: { code: 6017 } });
      expect(await seen(patient, staff, 'ETREAT')).toEqual([]);
    }
  });
});

describe('R-CON-3 scenario 14: treatment goes on in the house', () => {
  it('permits, logs durably, and anchors late', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), condition('b')])).link();
    isDown = true;
    expect(await seen(patient, doctorH)).toHaveLength(3);
    const pending = await world.records('hospital').vault.log.pending();
    expect(JSON.stringify(pending?.entries.map(({ bytes }) => Buffer.from(bytes).toString()))).toContain(patient.did);
    const during = await patient.http('GET', '/org/hospital/accounting');
    expect(during).toMatchObject({ status: 503, body: { code: 788 } });
    world.clockMs = world.nowMs + 10 * minuteMs;
    isDown = false;
    const { complete, entries } = await accounting(patient);
    expect(complete).toBe(true);
    expect(entries.length).toBeGreaterThan(0);
    expect(await typesOf(entries.map(({ transaction }) => transaction))).toEqual(['access/lateAnchor']);
  });
});

describe('R-CON-4 scenario 14: an emergency goes on', () => {
  it('opens here, tells patient and officer, releases, ends, and reaches the ledger later as late', async () => {
    const patient = await (await world.patient('hospital', [lab('a'), condition('b')])).link();
    const [doctor, colleague] = [await world.staff('clinic', 'doctor'), await world.staff('clinic', 'doctor')];
    isDown = true;
    expect(await seen(patient, doctor, 'ETREAT')).toEqual([]);
    const opened = await breakGlass(patient, doctor);
    expect(opened, JSON.stringify(opened.body)).toMatchObject({ status: 201, body: { late: true, alarm: false } });
    expect(await seen(patient, doctor, 'ETREAT')).toHaveLength(3);
    expect(await seen(patient, colleague, 'ETREAT')).toEqual([]);
    const { notices } = world.org('hospital');
    expect((await notices.after(patient.did, 0)).map(({ type }) => type)).toContain('access/GlassBroken');
    const told = (await notices.after('organization', 0)).filter(({ data }) => data.glass === opened.body.id);
    expect(told.map(({ type }) => type)).toContain('access/GlassBroken');

    world.clockMs = world.nowMs + hourMs;
    isDown = false;
    await eventually(() => access.glass(world.node.reader, opened.body.id) !== undefined);
    const entry = access.glass(world.node.reader, opened.body.id)!;
    expect(entry).toMatchObject({ patient: patient.did, practitioner: doctor.did, refused: false });
    expect(entry.untilMs, 'no second window').toBeLessThanOrEqual(opened.body.windowUntilMs + 1_000);
    await eventually(nothingWaits);
    expect(await seen(patient, doctor, 'ETREAT'), 'still the same window').toHaveLength(3);
    const reviews = await world.http('GET', '/org/hospital/reviews', await world.token(officer));
    expect(reviews.body.reviews.map(({ id }: { id: string }) => id)).toContain(opened.body.id);

    const { complete, entries } = await accounting(patient);
    expect(complete).toBe(true);
    const byGlass = entries.filter(({ disclosure }) => disclosure.basis?.id === opened.body.id);
    expect(byGlass.some(({ disclosure }) => disclosure.outcome === 'opened')).toBe(true);
    const during = byGlass.filter(({ path, disclosure }) => path === 'batch' && disclosure.outcome === 'released');
    expect(during.length).toBeGreaterThan(0);
    expect(await typesOf(during.map(({ transaction }) => transaction))).toEqual(['access/lateAnchor']);

    await world.pass(opened.body.windowUntilMs - world.nowMs);
    expect(await seen(patient, doctor, 'ETREAT'), 'the window is over').toEqual([]);
  });

  it('goes on reading on an emergency that was opened before', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const doctor = await world.staff('clinic', 'doctor');
    const opened = await breakGlass(patient, doctor);
    expect(opened.body.late).toBe(false);
    isDown = true;
    expect(await seen(patient, doctor, 'ETREAT')).toHaveLength(2);
    isDown = false;
    const { complete, entries } = await accounting(patient);
    expect(complete).toBe(true);
    expect(entries.filter(({ disclosure }) => disclosure.outcome === 'released').length).toBeGreaterThan(0);
  });

  it('raises the alarm over the limit of the day also without the ledger', async () => {
    const doctor = await world.staff('clinic', 'doctor');
    isDown = true;
    const alarms: boolean[] = [];
    for (let n = 0; n < 3; n += 1) alarms.push((await breakGlass(await unbound(), doctor)).body.alarm);
    expect(alarms).toEqual([false, false, true]);
    isDown = false;
    await eventually(nothingWaits);
  });

  it('forgets none that is opened while another one is told to the ledger', async () => {
    const [first, second] = [await unbound(), await unbound()];
    const [doctor, colleague] = [await world.staff('clinic', 'doctor'), await world.staff('clinic', 'doctor')];
    isDown = true;
    const opened = [await breakGlass(first, doctor)];
    const organization = world.org('clinic');
    const execute = organization.execute.bind(organization);
    const [sending, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    organization.execute = async (messages) => {
      organization.execute = execute;
      sending.resolve();
      await released.promise;
      isDown = false;
      return await execute(messages);
    };
    await sending.promise;
    opened.push(await breakGlass(second, colleague));
    expect(opened.map(({ body }) => body.late)).toEqual([true, true]);
    released.resolve();
    await eventually(nothingWaits);
    const entries = opened.map(({ body }) => access.glass(world.node.reader, body.id));
    expect(entries.map((entry) => entry?.refused)).toEqual([false, false]);
  });
});

/** A patient who was registered before the outage. */
let prepared: Patient | undefined;
async function unbound(): Promise<Patient> {
  const wasDown = isDown;
  isDown = false;
  prepared = await world.patient('hospital', [lab('a')]);
  isDown = wasDown;
  expect(identity.patient(world.node.reader, prepared.did)).toBeDefined();
  return prepared;
}
