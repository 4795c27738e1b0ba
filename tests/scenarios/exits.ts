/** Every way out of a custodian's store that exists, asked for the same patient: all must give the same answer. */
import { expect } from 'vitest';
import type { Answer, Patient, World } from './world.ts';

/** A token for one request; a wallet's is bound to method and path. */
export type Bearer = (method: string, path: string) => Promise<string>;

interface Reader {
  world: World;
  patient: Patient;
  base: string;
  get(path: string): Promise<Answer>;
}

/** The ids that a bearer sees, by each exit; throws when the exits disagree. */
export async function seenBy(world: World, patient: Patient, bearerFor: Bearer): Promise<string[]> {
  const base = `/org/${patient.slug}/fhir/R4`;
  const get = async (path: string): Promise<Answer> =>
    await world.http('GET', path, await bearerFor('GET', path.split('?')[0] ?? path));
  const reader = { world, patient, base, get };
  const all = await world.records(patient.slug).resources.ofPatient(patient.id);
  const names = all.map(({ type, id }) => `${type}/${id}`);
  const answers = await Promise.all(names.map((name) => readBy(reader, name)));
  const read = names.filter((_name, position) => answers[position]).sort();
  const types = [...new Set(all.map(({ type }) => type))].filter((type) => type !== 'Patient');
  const searched = (await Promise.all(types.map((type) => searchBy(reader, type)))).flat().sort();
  expect(searched, 'search sees what read sees').toEqual(read.filter((name) => !name.startsWith('Patient/')));
  const everything = await get(`${base}/Patient/${patient.id}/$everything`);
  expect(everything.status === 200, '$everything is there when something is').toBe(read.length > 0);
  const listed = everything.status === 200 ? namesOf(everything.body).filter((name) => names.includes(name)) : [];
  expect(listed.sort(), '$everything sees what read sees').toEqual(read);
  return read;
}

/** Whether a read gives it; its history must do the same. */
async function readBy({ base, get }: Reader, name: string): Promise<boolean> {
  const [answer, history] = [await get(`${base}/${name}`), await get(`${base}/${name}/_history`)];
  expect([200, 403, 404]).toContain(answer.status);
  expect(history.status, `history of ${name}`).toBe(answer.status);
  return answer.status === 200;
}

/** All pages of a search of one type, whose total and count must agree with them. */
async function searchBy({ world, patient, base, get }: Reader, type: string): Promise<string[]> {
  const ids: string[] = [];
  let page = await get(`${base}/${type}?patient=${patient.id}&_count=2&_total=accurate`);
  expect(page.status).toBe(200);
  const { total } = page.body;
  for (;;) {
    ids.push(...namesOf(page.body));
    const links: { relation: string; url: string }[] = page.body.link ?? [];
    const next = links.find(({ relation }) => relation === 'next');
    if (next === undefined) break;
    page = await get(next.url.replace(world.node.url, ''));
    expect(page.status).toBe(200);
  }
  expect(total, `_total of ${type} agrees with the pages`).toBe(ids.length);
  const counted = await get(`${base}/${type}?patient=${patient.id}&_summary=count`);
  expect(counted.body.total, `count of ${type}`).toBe(ids.length);
  return ids;
}

function namesOf(bundle: {
  entry?: { resource: { resourceType: string; id: string }; search?: { mode: string } }[];
}): string[] {
  return (bundle.entry ?? [])
    .filter(({ search }) => search?.mode !== 'outcome' && search?.mode !== 'include')
    .map(({ resource }) => `${resource.resourceType}/${resource.id}`);
}
