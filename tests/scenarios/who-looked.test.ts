/** The patient's "who looked" names persons as the custodian knows them; nothing of a name leaves what is sealed. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lab } from './resources.ts';
import { type Patient, World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await World.create();
});
afterAll(async () => {
  await world.close();
});

interface Listed {
  disclosure: { requester: { person?: string; name?: string; organization?: string }; outcome: string };
}

async function entriesOf(patient: Patient): Promise<Listed[]> {
  const { status, body } = await patient.http('GET', '/org/hospital/accounting');
  expect(status).toBe(200);
  return body.entries;
}

/** A practitioner under the organisation's own id, as an EHR's tokens have it. */
async function token(slug: string, id: string, more: { name?: string; roles?: string[] } = {}): Promise<string> {
  const subject = { kind: 'practitioner' as const, id };
  const { chain } = world.node;
  const { roles = ['doctor'] } = more;
  return await world.org(slug).keys.token({ chain, subject, purpose: 'TREAT', nowMs: world.nowMs, ...more, roles });
}

async function register(slug: string, id: string, name?: string): Promise<string> {
  const body = { id, roles: ['doctor'], ...(name !== undefined && { name }) };
  const answer = await world.http(
    'POST',
    `/org/${slug}/practitioners`,
    await world.token({ slug, system: true }),
    body,
  );
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body.did;
}

const read = async (patient: Patient, bearer: string) =>
  (await world.http('GET', `/org/hospital/fhir/R4/Patient/${patient.id}`, bearer)).status;

describe('R-CON-3 who looked', () => {
  it('is told by name and DID, for somebody whom the custodian registered under its own id', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const person = await register('hospital', 'staff-77', 'Dr. Ottoline Marchbanks');
    expect(await read(patient, await token('hospital', 'staff-77'))).toBe(200);
    const [entry] = await entriesOf(patient);
    expect(entry?.disclosure.requester).toMatchObject({ person, name: 'Dr. Ottoline Marchbanks' });
  });

  it('is told by the id that the custodian uses, where no name was given', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const person = await register('hospital', 'staff-78');
    const other = await token('hospital', 'staff-not-registered');
    expect([await read(patient, await token('hospital', 'staff-78')), await read(patient, other)]).toEqual([200, 200]);
    const names = (await entriesOf(patient)).map(({ disclosure }) => disclosure.requester);
    expect(names[1]).toMatchObject({ person, name: 'staff-78' });
    expect(names[0]).toMatchObject({ name: 'staff-not-registered', person: expect.stringMatching(/^did:salus:/) });
    expect(names[0]?.person).not.toBe(person);
  });

  it('is told by the name that another organisation vouches for', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    const clinic = world.org('clinic').profile.did;
    const person = await register('clinic', 'gp-1', 'known to the clinic alone');
    await patient.grant({ grantees: [{ kind: 'person', id: person }] });
    expect(await read(patient, await token('clinic', 'gp-1', { name: 'Dr. Peregrine Oakhollow' }))).toBe(200);
    const [entry] = await entriesOf(patient);
    const expected = { organization: clinic, person, name: 'Dr. Peregrine Oakhollow' };
    expect(entry?.disclosure.requester).toMatchObject(expected);
  });

  it('also where the access was refused', async () => {
    const patient = await (await world.patient('hospital', [lab('a')])).link();
    expect(await read(patient, await token('clinic', 'gp-2', { name: 'Dr. Nosy Parkinson' }))).toBe(404);
    const [entry] = await entriesOf(patient);
    expect(entry?.disclosure).toMatchObject({ outcome: 'denied', requester: { name: 'Dr. Nosy Parkinson' } });
  });

  it('takes a token with a name that is none for malformed', async () => {
    for (const name of ['', 'a\nb', 'x'.repeat(121)]) {
      const answer = await world.http(
        'GET',
        '/org/hospital/fhir/R4/Patient/x',
        await token('clinic', 'gp-2', { name }),
      );
      expect(answer.status).toBe(401);
    }
  });
});

describe('R-LED-5 a name of staff', () => {
  it('is readable nowhere on disk', async () => {
    const { dataRoot } = world.node;
    const files = readdirSync(dataRoot, { recursive: true, encoding: 'utf8' }).map((name) => join(dataRoot, name));
    const holding = files
      .filter((path) => statSync(path).isFile())
      .filter((path) => /Marchbanks|Oakhollow|Parkinson|staff-77/.test(readFileSync(path, 'latin1')));
    expect(files.length).toBeGreaterThan(20);
    expect(holding).toEqual([]);
  });
});
