/** What a custodian's own people do that decides over access leaves a trace by person; its log can be proven whole. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogAnchor } from '../../packages/server/src/gate/log-anchor.ts';
import { seenBy } from './exits.ts';
import { condition, lab, labelled } from './resources.ts';
import { type Patient, type Staff, World } from './world.ts';

let world: World;
let registrar: Staff;
let officer: Staff;
let clerk: Staff;
let doctor: Staff;
let doctorC: Staff;

beforeAll(async () => {
  world = await World.create();
  registrar = await world.staff('hospital', 'administrator');
  officer = await world.staff('hospital', 'officer');
  clerk = await world.staff('hospital', 'clerk');
  doctor = await world.staff('hospital', 'doctor');
  doctorC = await world.staff('clinic', 'doctor');
});
afterAll(async () => {
  await world.close();
});

interface Listed {
  sequence: number;
  path: string;
  transaction?: string;
  disclosure: { patient: string; exit: string; outcome: string; requester: { person?: string; name?: string } };
}

interface Audit {
  entries: Listed[];
  heads: { sequence: number; stands: boolean; timeMs: number }[];
  next?: number;
  problems?: string[];
}

async function audit(query = '', staff = officer): Promise<{ status: number; body: Audit }> {
  return await world.http('GET', `/org/hospital/audit${query}`, await world.token(staff));
}

const accounting = async (patient: Patient) => (await patient.http('GET', '/org/hospital/accounting')).body;

async function read(patient: Patient, staff: Staff): Promise<number> {
  return (await world.http('GET', `/org/hospital/fhir/R4/Patient/${patient.id}`, await world.token(staff))).status;
}

describe('R-IDN-3 R-CON-3 who made a code with which a wallet is linked', () => {
  const code = async (patient: Patient, bearer: Promise<string>) =>
    await world.http('POST', '/org/hospital/linking-codes', await bearer, { patient: patient.id });

  it('stands in the audit by person, and in the patient’s accounting, on the ledger', async () => {
    const patient = await (await world.patient('hospital', [])).link();
    expect((await code(patient, world.token(registrar))).status).toBe(201);
    const { status, body } = await audit(`?person=${registrar.did}&exit=linking`);
    expect([status, body.entries.length]).toEqual([200, 1]);
    expect(body.entries[0]).toMatchObject({ path: 'batch', disclosure: { patient: patient.did, outcome: 'issued' } });
    expect(body.entries[0]?.transaction).toMatch(/^[0-9a-f]{64}$/);
    expect(await accounting(patient)).toMatchObject({
      complete: true,
      entries: [{ disclosure: { exit: 'linking', requester: { person: registrar.did } } }],
    });
  });

  it('also where a system made it; there is none where nothing was given', async () => {
    const patient = await (await world.patient('hospital', [])).link();
    expect((await code(patient, world.token(clerk))).status).toBe(403);
    expect((await accounting(patient)).entries).toEqual([]);
    expect((await code(patient, world.token({ slug: 'hospital', system: true }))).status).toBe(201);
    expect((await accounting(patient)).entries).toHaveLength(1);
  });
});

describe('R-CON-3 the custodian’s audit', () => {
  it('is for its privacy officer alone', async () => {
    for (const staff of [clerk, doctor, doctorC, { ...officer, slug: 'clinic' }]) {
      expect((await audit('', staff)).status).toBe(403);
    }
  });

  it('shows what somebody looked at and tried, at what is here and what is not', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const nosy = await world.staff('hospital', 'clerk');
    await read(patient, nosy);
    await world.http('GET', '/org/hospital/fhir/R4/Patient/nothing-here', await world.token(nosy));
    const { entries } = (await audit(`?person=${nosy.did}`)).body;
    expect(entries.map(({ disclosure }) => disclosure.outcome)).toEqual(['denied', 'denied']);
    expect(entries.map(({ disclosure }) => disclosure.patient === patient.did)).toEqual([false, true]);
  });

  it('comes in pages', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    for (let n = 0; n < 12; n += 1) await read(patient, doctor);
    const all: number[] = [];
    const { index } = world.desk('hospital');
    const { entries } = (await audit()).body;
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const page = await index.latest(before, 7);
      all.push(...page.map(({ sequence }) => sequence));
      if (page.length < 7) break;
      before = page.at(-1)!.sequence;
    }
    expect(all).toEqual(entries.map(({ sequence }) => sequence));
    const later = (await audit(`?before=${all[5]}`)).body.entries;
    expect(later.map(({ sequence }) => sequence)).toEqual(all.slice(6));
  });
});

describe('R-CON-3 the log is whole, refusals too', () => {
  const anchor = (): LogAnchor => world.desk('hospital').logAnchor;
  const stamps = async () => (await world.node.ledger.find({ type: 'kernel/stamp', limit: 1_000 })).length;

  it('its head goes onto the ledger when there were refusals, or attempts at nothing, and nothing else', async () => {
    const patient = await world.patient('hospital', [lab('a')]);
    await world.desk('hospital').recorder.drain();
    await anchor().anchor();
    for (const id of [patient.id, 'nothing-here']) {
      const before = await stamps();
      await world.http('GET', `/org/hospital/fhir/R4/Patient/${id}`, await world.token(clerk));
      await anchor().anchor();
      await anchor().anchor();
      expect((await stamps()) - before, id).toBe(1);
    }
    const { body } = await audit('?verify=true');
    expect(body.problems).toEqual([]);
    expect(body.heads.length).toBeGreaterThanOrEqual(3);
    expect(body.heads.every(({ stands, timeMs }) => stands && timeMs > 0)).toBe(true);
    expect(body.heads[0]?.sequence).toBe(world.records('hospital').vault.log.head().sequence);
  });

  it('is stamped after an outage, by the same digest', async () => {
    await read(await world.patient('hospital', [lab('a')]), clerk);
    const organization = world.org('hospital');
    const { execute } = organization;
    organization.execute = () => Promise.reject(new Error('the ledger cannot commit'));
    await expect(anchor().anchor()).rejects.toThrow('cannot commit');
    const [waiting] = await anchor().heads(1);
    expect(anchor().stands(waiting!)).toBe(false);
    organization.execute = execute;
    await anchor().anchor();
    expect(await anchor().heads(1)).toEqual([waiting]);
    expect(anchor().stands(waiting!)).toBe(true);
  });

  it('shows that an entry was altered, or that its head was exchanged', async () => {
    const { store } = world.org('hospital');
    const [head] = await anchor().heads(1);
    const set = (hash: string) =>
      store.commit((tx) => tx.updateTable('log_heads').set({ hash }).where('sequence', '=', head!.sequence).execute());
    await set('0'.repeat(64));
    expect(await anchor().problems()).toEqual([`the head at entry ${head!.sequence} does not stand on the ledger`]);
    await set(head!.hash);
    expect(await anchor().problems()).toEqual([]);
    const dir = join(world.org('hospital').paths.vault, 'log');
    const [segment] = readdirSync(dir).filter((name) => readFileSync(join(dir, name)).includes('SLF1'));
    const bytes = readFileSync(join(dir, segment!));
    const changed = Buffer.from(bytes);
    const at = changed.indexOf('SLF1') + 100;
    changed[at] = changed[at]! ^ 1;
    writeFileSync(join(dir, segment!), changed);
    expect((await anchor().problems()).length).toBeGreaterThan(0);
    writeFileSync(join(dir, segment!), bytes);
    expect(await anchor().problems()).toEqual([]);
  });
});

describe('R-CON-1 R-CON-3 scenario 31: two patients wrongly merged, then unmerged', () => {
  const merge = async (survivor: Patient, merged: Patient, staff = registrar, ended?: boolean) => {
    const body = { survivor: survivor.did, merged: merged.did, ...(ended !== undefined && { ended }) };
    return await world.http('POST', '/org/hospital/merges', await world.token(staff), body);
  };
  const seen = (patient: Patient) => seenBy(world, patient, () => world.token(doctorC));

  it('holds the stricter directives while merged, and gives each one’s own back', async () => {
    const open = await (await world.patient('hospital', [lab('a')])).link();
    const strict = await (await world.patient('hospital', [condition('psy', labelled('PSY'))])).link();
    const clinic = { kind: 'organization' as const, id: world.org('clinic').profile.did };
    await open.grant({ grantees: [clinic] });
    expect([(await seen(open)).length, (await seen(strict)).length]).toEqual([2, 0]);
    const before = await accounting(strict);
    expect((await merge(open, strict)).status).toBe(200);
    expect([await seen(open), await seen(strict)]).toEqual([[], []]);
    expect((await merge(open, strict, registrar, true)).status).toBe(200);
    expect([(await seen(open)).length, (await seen(strict)).length]).toEqual([2, 0]);
    for (const patient of [open, strict]) {
      const { complete, entries } = await accounting(patient);
      expect(complete).toBe(true);
      const merging = entries.filter(({ disclosure }: Listed) => disclosure.exit === 'merging');
      expect(merging.map(({ disclosure }: Listed) => disclosure.requester.person)).toEqual([
        registrar.did,
        registrar.did,
      ]);
      expect(entries.every(({ disclosure }: Listed) => disclosure.patient === patient.did)).toBe(true);
    }
    const { entries } = await accounting(strict);
    expect(entries.slice(-before.entries.length)).toEqual(before.entries);
  });

  it('is for those who check identities, about patients of this organisation', async () => {
    const [one, two] = [await world.patient('hospital', []), await world.patient('hospital', [])];
    expect((await merge(one, two, doctor)).status).toBe(403);
    expect(await merge(one, await world.patient('clinic', []))).toMatchObject({ status: 404, body: { code: 782 } });
    expect((await merge(one, one)).status).toBe(422);
    expect(await merge(one, two, registrar, true)).toMatchObject({ status: 422, body: { code: 2037 } });
  });
});
