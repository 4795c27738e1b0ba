/**
 * R-LED-5: what is refused and what is not here take the same steps, through HTTP: what the gate asks, what is synced
 * into the log, what is sealed for the ledger. The times themselves are measured in bench/absence.ts.
 */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { condition, lab } from '../scenarios/resources.ts';
import { type Patient, type Staff, World } from '../scenarios/world.ts';

const base = '/org/hospital/fhir/R4';
let world: World;
let clerk: Staff;
let doctorC: Staff;
let patient: Patient;

beforeAll(async () => {
  world = await World.create();
  clerk = await world.staff('hospital', 'clerk');
  doctorC = await world.staff('clinic', 'doctor');
  // As many of each as everybody has: what stands for somebody who is not here is somebody else who is.
  for (let n = 0; n < 4; n += 1) patient = await world.patient('hospital', [lab('a'), lab('b'), condition('c')]);
});
afterEach(() => void vi.restoreAllMocks());
afterAll(async () => {
  await world.close();
});

/** Names of what was done at the ports of the hospital while a request was answered; sizes in the log's steps. */
async function steps(request: () => Promise<unknown>): Promise<string[]> {
  const { facts, recorder } = world.desk('hospital');
  const { log } = world.records('hospital').vault;
  const seen: string[] = [];
  const spies = [
    vi.spyOn(facts, 'ready'),
    vi.spyOn(facts, 'about'),
    vi.spyOn(log, 'append'),
    vi.spyOn(recorder, 'wake'),
    vi.spyOn(recorder, 'release'),
  ];
  await request();
  for (const spy of spies) {
    const sizes = spy.mock.calls.map(([first]) => (first instanceof Uint8Array ? Math.ceil(first.length / 256) : ''));
    seen.push(`${spy.getMockName()} ${sizes.length} ${sizes.join(' ')}`.trim());
  }
  vi.restoreAllMocks();
  return seen;
}

const get = (staff: Staff, path: string) => async () => await world.http('GET', base + path, await world.token(staff));

describe('R-LED-5 the steps of a refusal and of nothing', () => {
  const names = async () => {
    const [one] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    return { record: one!.id, patient: patient.id };
  };
  const exits: [string, (id: { record: string; patient: string }) => string][] = [
    ['read', ({ record }) => `/Observation/${record}`],
    ['history', ({ record }) => `/Observation/${record}/_history`],
    ['read of a patient', (id) => `/Patient/${id.patient}`],
    ['search', (id) => `/Observation?patient=${id.patient}`],
    ['search by code', (id) => `/Observation?patient=${id.patient}&code=2345-7`],
    ['count', (id) => `/Observation?patient=${id.patient}&_summary=count`],
    ['search of a patient', (id) => `/Patient?_id=${id.patient}`],
    ['everything', (id) => `/Patient/${id.patient}/$everything`],
    ['everything of a type', (id) => `/Patient/${id.patient}/$everything?_type=Condition`],
  ];

  it.each(exits)('are the same at: %s', async (_name, pathOf) => {
    for (const staff of [clerk, doctorC]) {
      const denied = await steps(get(staff, pathOf(await names())));
      expect(denied.join()).toMatch(/append 1 /);
      for (const other of ['ghost-1', 'ghost-2', 'ghost-3']) {
        const absent = await steps(get(staff, pathOf({ record: other, patient: other })));
        expect(absent, `${staff.slug} ${other}`).toEqual(denied);
      }
    }
  });

  it('are the same where somebody else’s record is written', async () => {
    const post = (id: string) => async () => {
      const body = { ...lab('n'), subject: { reference: `Patient/${id}` } };
      return await world.http('POST', `${base}/Observation`, await world.token(clerk), body);
    };
    const denied = (await steps(post(patient.id))).filter((step) => !step.startsWith('about'));
    const absent = (await steps(post('ghost-1'))).filter((step) => !step.startsWith('about'));
    expect(absent).toEqual(denied);
  });

  it('are the same where a patient is asked, up to the size of what is sealed', async () => {
    const ask = async (did: string) => {
      const body = { custodian: 'hospital', patient: did, purpose: 'TREAT', what: { all: true } };
      // An encapsulation begins with a fresh key pair (RFC 9180, 4.1), and opening needs none.
      const wrapped = vi.spyOn(crypto.subtle, 'generateKey');
      const sealed = vi.spyOn(world.desk('clinic'), 'seal');
      const answer = await world.http('POST', '/org/clinic/access-requests', await world.token(doctorC), body);
      expect(answer).toMatchObject({ status: 202, body: { status: 'pending' } });
      const counts = [wrapped.mock.calls.length, sealed.mock.calls.length];
      vi.restoreAllMocks();
      const [last] = (await world.node.ledger.find({ type: 'access/request', limit: 1_000 })).slice(-1);
      return [...counts, last!.bytes.length];
    };
    const linked = await (await world.patient('hospital', [])).link();
    const nobody = `did:salus:${createHash('sha256').update('nobody').digest().subarray(0, 20).toString('base64url')}`;
    expect(await ask(nobody)).toEqual(await ask(linked.did));
  });
});
