/** What people write is decided by the gate and stands in the accounting; nobody learns by writing what is here. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lab, labelled } from './resources.ts';
import { type Patient, type Staff, World } from './world.ts';

const base = '/org/hospital/fhir/R4';
let world: World;
let doctor: Staff;
let clerk: Staff;
let patient: Patient;
let stranger: Patient;

beforeAll(async () => {
  world = await World.create();
  doctor = await world.staff('hospital', 'doctor');
  clerk = await world.staff('hospital', 'clerk');
  patient = await (await world.patient('hospital', [lab('a')])).link();
  const identifier = [{ system: 'urn:test:mrn', value: 'MRN-77' }];
  stranger = await (await world.patient('hospital', [lab('psy', labelled('PSY'))], { identifier })).link();
});
afterAll(async () => {
  await world.close();
});

const about = (id: string) => ({ subject: { reference: `Patient/${id}` } });
const ghost = () => 'z'.repeat(patient.id.length);

async function send(method: string, path: string, staff: Staff, body?: unknown, purpose = 'TREAT') {
  const token = await world.token(staff, purpose);
  const response = await fetch(world.node.url + base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, location: response.headers.get('location') };
}

async function made(location: string | null): Promise<Record<string, never>> {
  const [, path = ''] = /R4(\/.*)\/_history/.exec(location ?? '') ?? [];
  const { status, text } = await send('GET', path, doctor);
  expect(status).toBe(200);
  return JSON.parse(text);
}

interface Listed {
  path: string;
  disclosure: { outcome: string; exit: string; records: [string, number][]; requester: { person: string } };
}

async function accounting(of: Patient): Promise<{ complete: boolean; entries: Listed[] }> {
  return (await of.http('GET', '/org/hospital/accounting')).body;
}

describe('R-CON-1 R-CON-3 creating', () => {
  it('is for whom a rule or the patient lets write, and stands in the accounting with its record', async () => {
    const { status, location } = await send('POST', '/Observation', doctor, { ...lab('n'), ...about(patient.id) });
    expect(status).toBe(201);
    const id = String((await made(location)).id);
    const stored = await world.records('hospital').resources.find('Observation', id);
    const { complete, entries } = await accounting(patient);
    const [written] = entries.filter(({ disclosure }) => disclosure.outcome === 'written');
    expect(complete).toBe(true);
    expect(written).toMatchObject({ path: 'batch', disclosure: { exit: 'write', requester: { person: doctor.did } } });
    expect(written?.disclosure.records).toEqual([[stored?.record, 1]]);
  });

  it('gives one answer for a patient who is unknown and one who is not theirs to write about', async () => {
    const forbidden = await send('POST', '/Observation', clerk, { ...lab('n'), ...about(patient.id) });
    const unknown = await send('POST', '/Observation', clerk, { ...lab('n'), ...about(ghost()) });
    expect([forbidden.status, JSON.parse(forbidden.text).issue[0].details.coding[0].code]).toEqual([403, '791']);
    expect(unknown).toEqual(forbidden);
    expect(await send('POST', '/Observation', doctor, { ...lab('n'), ...about(ghost()) })).toEqual(forbidden);
    const refused = (await accounting(patient)).entries.filter(({ disclosure }) => disclosure.exit === 'write');
    expect(refused.map(({ path, disclosure }) => [path, disclosure.outcome])).toContainEqual(['local', 'denied']);
  });

  it('obeys what the patient excluded', async () => {
    const own = await (await world.patient('hospital', [])).link();
    await own.grant({ effect: 'deny', grantees: [{ kind: 'person', id: doctor.did }], purposes: [], actions: [] });
    expect((await send('POST', '/Observation', doctor, { ...lab('n'), ...about(own.id) })).status).toBe(403);
  });

  it('says what is wrong with a resource that names nobody, whoever is here', async () => {
    const { status, text } = await send('POST', '/Observation', doctor, lab('n'));
    expect([status, JSON.parse(text).issue[0].details.coding[0].code]).toEqual([400, '750']);
  });

  it('of people and places is for those who keep the directory', async () => {
    const place = { resourceType: 'Location', name: 'Ward 7' };
    expect((await send('POST', '/Location', clerk, place)).status).toBe(403);
    const keeper = await world.staff('hospital', 'administrator');
    expect((await send('POST', '/Location', keeper, place)).status).toBe(201);
  });

  it('of a patient is for those who may write records', async () => {
    const person = { resourceType: 'Patient', name: [{ family: 'Newcomer' }] };
    expect((await send('POST', '/Patient', clerk, person)).status).toBe(403);
    expect((await send('POST', '/Patient', clerk, person, 'HOPERAT')).status).toBe(201);
    expect((await send('POST', '/Patient', doctor, person)).status).toBe(201);
  });
});

describe('R-CON-1 changing', () => {
  const put = (id: string, subject: string, staff = doctor) =>
    send('PUT', `/Observation/${id}`, staff, { ...lab('n'), id, ...about(subject) });

  it('keeps a resource with its patient: another one who is here, or is not, gives one answer', async () => {
    const [stored] = await world.records('hospital').resources.ofPatient(patient.id, 'Observation');
    expect((await put(stored!.id, patient.id)).status).toBe(200);
    const other = await put(stored!.id, stranger.id);
    expect(other.status).toBe(404);
    expect(await put(stored!.id, ghost())).toEqual(other);
    expect(await put('nothing-here', patient.id)).toEqual(other);
    expect(await put(stored!.id, patient.id, clerk)).toEqual(other);
  });

  it('deletes only what is theirs to change', async () => {
    const added = await send('POST', '/Observation', doctor, { ...lab('n'), ...about(patient.id) });
    const { id } = await made(added.location);
    const refused = await send('DELETE', `/Observation/${id}`, clerk);
    expect(refused.status).toBe(404);
    expect(await send('DELETE', '/Observation/nothing-here', clerk)).toEqual(refused);
    expect((await send('DELETE', `/Observation/${id}`, doctor)).status).toBe(204);
  });
});

describe('R-LED-5 what is written shows nothing of what else is here', () => {
  const create = async (more: object) => {
    const { status, location } = await send('POST', '/Observation', doctor, {
      ...lab('n'),
      ...about(patient.id),
      ...more,
    });
    expect(status).toBe(201);
    return await made(location);
  };

  it('a reference by identifier stays as it was sent', async () => {
    const performer = (value: string) => [{ reference: `Patient?identifier=urn:test:mrn|${value}` }];
    const [known, unknown] = [
      await create({ performer: performer('MRN-77') }),
      await create({ performer: performer('MRN-0') }),
    ];
    expect(JSON.stringify(known)).not.toContain(stranger.id);
    expect(JSON.stringify(known.performer).replace('MRN-77', 'MRN-0')).toEqual(JSON.stringify(unknown.performer));
  });

  it('labels come from no other patient’s record', async () => {
    const [secret] = await world.records('hospital').resources.ofPatient(stranger.id, 'Observation');
    expect(secret?.labels).toContain('PSY');
    const linked = (id: string) => ({ hasMember: [{ reference: `Observation/${id}` }] });
    const [known, unknown] = [await create(linked(secret!.id)), await create(linked('nothing-here'))];
    const securityOf = ({ meta }: Record<string, { security?: unknown }>) => meta?.security;
    expect([securityOf(known), securityOf(unknown)]).toEqual([undefined, undefined]);
  });
});
