import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  isObject,
  type JsonValue,
  type Resource,
  searchParametersOf,
  subjectOf,
  validateResource,
} from '@salus/standards';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFaithfully } from '../records/faithful-json.ts';
import { isSharedType } from '../records/shared-types.ts';
import { type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

const root = process.env.SALUS_DATA ?? join(import.meta.dirname, '../../../../../shared/data');
const folders = ['fhir-r4-examples', 'us-core-3.0.0-examples'].filter((folder) => existsSync(join(root, folder)));
const entriesPerBatch = 60;

interface Example {
  name: string;
  text: string;
  resource: Resource;
}

/** Published examples that have an id, each once. */
function examples(): Example[] {
  const byName = new Map<string, Example>();
  for (const folder of folders) {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.json')).sort()) {
      const text = readFileSync(join(root, folder, file), 'utf8');
      const resource: Resource = JSON.parse(text);
      const name = `${resource.resourceType}/${resource.id}`;
      if (resource.id !== undefined && !byName.has(name)) byName.set(name, { name, text, resource });
    }
  }
  return [...byName.values()];
}

function patientOf({ name, resource }: Example): string | undefined {
  if (name.startsWith('Patient/')) return resource.id;
  return /^Patient\/([A-Za-z0-9.-]{1,64})/.exec(subjectOf(resource) ?? '')?.[1];
}

/** What a resource means: without the order of members, and without what the node itself says about it. */
function meaning(text: string): JsonValue {
  const { meta, ...rest } = parseFaithfully<Resource>(text);
  const { versionId: _v, lastUpdated: _l, security: _s, ...own } = isObject(meta) ? meta : {};
  return { ...rest, ...(Object.keys(own).length > 0 && { meta: own }) };
}

let node: RecordsNode;
let system: string;
let doctor: string;
const stored: Example[] = [];
const refused: { name: string; code: string; isAboutPatient: boolean }[] = [];

async function storeAll(all: readonly Example[]): Promise<void> {
  for (let from = 0; from < all.length; from += entriesPerBatch) {
    const part = all.slice(from, from + entriesPerBatch);
    const entries = part.map(({ name, text }) => `{"resource":${text},"request":{"method":"PUT","url":"${name}"}}`);
    const body = `{"resourceType":"Bundle","type":"batch","entry":[${entries.join(',')}]}`;
    const answer = await node.fhir('/', { token: system, method: 'POST', body });
    expect(answer.body.entry).toHaveLength(part.length);
    for (const [position, example] of part.entries()) {
      const { status, outcome } = answer.body.entry[position].response;
      const code = outcome?.issue[0].details.coding[0].code;
      if (status === '201 Created') stored.push(example);
      else refused.push({ name: example.name, code, isAboutPatient: patientOf(example) !== undefined });
    }
  }
}

beforeAll(async () => {
  if (folders.length === 0) return;
  node = await startRecordsNode();
  system = await node.system();
  doctor = (await node.practitioner()).token;
  const all = examples();
  const here = new Set(all.map(({ name }) => name));
  const missing = new Set(all.flatMap((one) => patientOf(one) ?? []).filter((id) => !here.has(`Patient/${id}`)));
  const standIns = [...missing].map((id): Example => {
    const resource = { resourceType: 'Patient', id };
    return { name: `Patient/${id}`, text: JSON.stringify(resource), resource };
  });
  const isPatient = ({ name }: Example): boolean => name.startsWith('Patient/');
  await storeAll([...standIns, ...all.filter(isPatient)]);
  await storeAll(all.filter((one) => !isPatient(one)));
}, 120_000);

afterAll(() => node?.stop());

/** The parameter by which a search of this type names the patient. */
function patientParameter({ resourceType }: Resource): string {
  const known = searchParametersOf(resourceType);
  return ['patient', 'subject', 'beneficiary', 'individual'].find((name) => known?.has(name)) ?? '_id';
}

/** Who may read it all: the patient; of who has died, whose own access has ended, a doctor of the hospital. */
async function readerOf(patient: string | undefined): Promise<string> {
  if (patient === undefined) return system;
  const isDead = node.records().patients.byId(patient)?.deceased === true;
  return isDead ? doctor : await node.token({ kind: 'patient', id: patient });
}

describe.skipIf(folders.length === 0)('R-REC-4 the published examples of FHIR R4 and US Core', () => {
  it('are valid here, and stored where they are about a patient or belong to the organisation', () => {
    for (const { name, resource } of stored) expect([name, validateResource(resource)]).toEqual([name, []]);
    expect(stored.length).toBeGreaterThan(300);
    // What is about a group, a device or nobody in particular has no patient who could decide on it (750); of what is
    // about several nobody could decide for the others (751).
    for (const { name, code, isAboutPatient } of refused)
      expect([name, code]).toEqual([name, isAboutPatient ? '751' : code]);
    expect(refused.filter(({ code }) => code !== '750' && code !== '751')).toEqual([]);
    expect(refused.filter(({ name }) => isSharedType(name.split('/')[0] ?? ''))).toEqual([]);
  });

  it('are read as they were sent, to the last digit, by whose they are', async () => {
    for (const { name, text, resource } of stored) {
      const token = await readerOf(patientOf({ name, text, resource }));
      const read = await node.fhir(`/${name}`, { token });
      expect([name, read.status]).toEqual([name, 200]);
      expect(meaning(read.text), name).toEqual(meaning(text));
    }
  });

  it('are found by their id, and the found one is the same', async () => {
    let found = 0;
    for (const { name, text, resource } of stored) {
      if (searchParametersOf(resource.resourceType) === undefined) continue;
      const token = await readerOf(patientOf({ name, text, resource }));
      const owner = patientOf({ name, text, resource });
      const named =
        owner === undefined || resource.resourceType === 'Patient' ? '' : `&${patientParameter(resource)}=${owner}`;
      const { status, text: bundle } = await node.fhir(`/${resource.resourceType}?_id=${resource.id}${named}`, {
        token,
      });
      const { entry } = parseFaithfully<{ entry: { resource: Resource }[] }>(bundle);
      expect([name, status, entry?.length]).toEqual([name, 200, 1]);
      expect(meaning(JSON.stringify(entry[0]?.resource)), name).toEqual(meaning(text));
      found += 1;
    }
    expect(found).toBeGreaterThan(200);
  });

  it('all stand in the record of their patient', async () => {
    const byPatient = Map.groupBy(stored, (one) => patientOf(one));
    for (const [patient, theirs] of byPatient) {
      if (patient === undefined) continue;
      const token = await readerOf(patient);
      const { body } = await node.fhir(`/Patient/${patient}/$everything`, { token });
      const names: string[] = body.entry.map(
        ({ resource }: { resource: Resource }) => `${resource.resourceType}/${resource.id}`,
      );
      expect(names).toEqual(expect.arrayContaining(theirs.map(({ name }) => name)));
    }
  });
});
