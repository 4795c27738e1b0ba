import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Question } from '../gate/question.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';
import type { StoredContent } from './resource-store.ts';

let node: RecordsNode;
beforeAll(async () => {
  node = await startRecordsNode();
});
afterAll(() => node.stop());

/** What is stored, by the only way there is: the gate, asked by the patient. */
async function contentOf(type: string, id: string): Promise<StoredContent> {
  const records = node.records();
  const stored = await records.resources.find(type, id);
  if (stored === undefined) throw new Error(`${type}/${id} is not here`);
  const { did, slug, name, role } = records.organization.profile;
  const question: Question = {
    requester: {
      kind: 'member',
      organization: { did, slug, name, role },
      subject: { kind: 'system' },
      roles: [],
      purpose: 'HOPERAT',
      tokenId: 'token-of-test',
      expiresMs: 0,
      impersonated: false,
    },
    purpose: 'HOPERAT',
    action: 'read',
    exit: 'read',
  };
  for await (const { content } of await records.gate.release(question, [stored])) return content;
  throw new Error('not released');
}

const jsonOf = async (type: string, id: string) =>
  JSON.parse(Buffer.from((await contentOf(type, id)).content).toString());
const codes = (errors: { entry: number; code: number }[]) => errors.map(({ entry, code }) => [entry, code]);

describe('R-REC-4 imports refuse entry by entry, with a number', () => {
  it('a subject who is not known, several subjects, or none', async () => {
    const nobody = { resourceType: 'Observation', id: 'a-3', status: 'final', code: { text: 'x' } };
    const both = {
      resourceType: 'Provenance',
      id: 'a-4',
      recorded: '2024-01-01T00:00:00Z',
      target: [{ reference: 'Patient/a-1' }, { reference: 'Patient/a-2' }],
      agent: [{ who: { display: 'x' } }],
    };
    const resources = [
      patientOf('a-1'),
      patientOf('a-2'),
      observationOf('a-5', 'ghost'),
      nobody,
      both,
      observationOf('a-6', 'a-1'),
    ];
    const report = await node.import(bundleOf(resources));
    expect(codes(report.errors)).toEqual([
      [2, 750],
      [3, 750],
      [4, 751],
    ]);
    expect([report.resources, report.accepted, report.rejected, report.complete]).toEqual([6, 3, 3, true]);
    expect(JSON.stringify(report.errors)).not.toMatch(/ghost|Quillfeather/);
  });

  it('a broken entry in the middle, a type that does not exist, a method that an import does not do', async () => {
    const entry = (resource: object, method = 'PUT'): string =>
      JSON.stringify({ resource, request: { method, url: 'x' } });
    const text = `{"resourceType":"Bundle","type":"batch","entry":[
      ${entry(patientOf('b-1'))},
      {"resource":{"resourceType":"Observation","id":"b-2","id":"b-3"}},
      ${entry({ resourceType: 'Wish', id: 'b-4' })},
      ${entry(observationOf('b-5', 'b-1'), 'DELETE')},
      ${entry(observationOf('b-6', 'b-1'))}]}`;
    const report = await node.import(text);
    expect(codes(report.errors)).toEqual([
      [1, 315],
      [2, 331],
      [3, 754],
    ]);
    expect(report.accepted).toBe(2);
    expect(await node.records().resources.find('Observation', 'b-6')).toBeDefined();
  });

  it('an id that another patient’s resource has', async () => {
    await node.import(bundleOf([patientOf('c-1'), patientOf('c-2'), observationOf('c-3', 'c-1')]));
    const report = await node.import(bundleOf([observationOf('c-3', 'c-2')]));
    expect(codes(report.errors)).toEqual([[0, 752]]);
    expect((await jsonOf('Observation', 'c-3')).subject.reference).toBe('Patient/c-1');
  });

  it('what was erased stays erased, however often it is imported', async () => {
    const input = bundleOf([patientOf('c-4'), observationOf('c-5', 'c-4')]);
    await node.import(input);
    const { resources } = node.records();
    const stored = await resources.find('Observation', 'c-5');
    if (stored === undefined) throw new Error('not stored');
    await resources.erase(stored);
    expect(codes((await node.import(input)).errors)).toEqual([[1, 758]]);
    await expect(contentOf('Observation', 'c-5')).rejects.toThrow('not released');
  });
});

describe('R-REC-4 an input that ends too early', () => {
  it('is taken up to there, and goes on from the entry named', async () => {
    const resources = Array.from({ length: 400 }, (_, n) =>
      observationOf(`d-${n}`, 'd-p', '8867-4', { note: [{ text: `${Math.random()}` }] }),
    );
    const whole = gzipSync(JSON.stringify(bundleOf([patientOf('d-p'), ...resources])));
    const cut = await node.import(new Uint8Array(whole.subarray(0, Math.floor(whole.length / 2))));
    expect(cut.complete).toBe(false);
    expect(codes(cut.errors)).toEqual([[cut.resources, expect.any(Number)]]);
    expect(cut.accepted).toBeGreaterThan(50);
    const rest = await node.import(new Uint8Array(whole), { from: cut.resources });
    expect([rest.complete, rest.rejected, rest.accepted]).toEqual([true, 0, 401 - cut.resources]);
    expect(await node.records().resources.ofPatient('d-p')).toHaveLength(401);
  });
});

describe('R-REC-4 repeating an import', () => {
  it('changes nothing, on the ledger either', async () => {
    const urls = [0, 1, 2].map((n) => `urn:uuid:00000000-0000-4000-8000-00000000000${n}`);
    const created = [patientOf('x'), observationOf('x', 'x'), observationOf('x', 'x')].map(
      ({ id: _id, ...resource }, n) => ({
        ...resource,
        ...(n > 0 && { subject: { reference: urls[0] }, valueInteger: n }),
      }),
    );
    const input = bundleOf(created, 'batch', urls);
    const first = await node.import(input);
    expect([first.accepted, first.unchanged, first.patients.length]).toEqual([3, 0, 1]);
    const counts = await node.records().resources.counts();
    const { height } = node.node.ledger.head();
    const again = await node.import(input);
    expect([again.accepted, again.unchanged, again.patients]).toEqual([3, 3, first.patients]);
    expect(await node.records().resources.counts()).toEqual(counts);
    const block = await node.node.ledger.block(node.node.ledger.head().height);
    expect(node.node.ledger.head().height - height === 0 || block?.transactions.length === 0).toBe(true);
  });

  it('finds by a conditional create what is here', async () => {
    const organisation = { resourceType: 'Organization', identifier: [{ system: 'urn:o', value: '1' }], name: 'North' };
    const entry = {
      resource: organisation,
      request: { method: 'POST', url: 'Organization', ifNoneExist: 'identifier=urn:o|1' },
    };
    const bundle = { resourceType: 'Bundle', type: 'batch', entry: [entry] };
    expect((await node.import(bundle)).unchanged).toBe(0);
    const renamed = { ...bundle, entry: [{ ...entry, resource: { ...organisation, name: 'South' } }] };
    expect((await node.import(renamed)).unchanged).toBe(1);
    const [stored] = await node.records().resources.shared('Organization');
    expect((await jsonOf('Organization', stored?.id ?? '')).name).toBe('North');
  });
});

describe('R-REC-4 references', () => {
  it('lead forward, and to a patient who comes later', async () => {
    const encounter = {
      resourceType: 'Encounter',
      status: 'finished',
      class: { code: 'AMB' },
      subject: { reference: 'urn:uuid:p' },
    };
    const observation = {
      ...observationOf('e', 'e'),
      id: undefined,
      subject: { reference: 'urn:uuid:p' },
      encounter: { reference: 'urn:uuid:e' },
    };
    const { id: _id, ...patient } = patientOf('e');
    const input = bundleOf([observation, encounter, patient], 'transaction', [
      'urn:uuid:o',
      'urn:uuid:e',
      'urn:uuid:p',
    ]);
    const report = await node.import(input, { listEntries: true });
    const [o, e, p] = report.entries ?? [];
    const stored = await jsonOf('Observation', o?.id ?? '');
    expect([stored.subject.reference, stored.encounter.reference]).toEqual([`Patient/${p?.id}`, `Encounter/${e?.id}`]);
  });

  it('lead by identifier to what another file brought, and stay logical where nothing is here', async () => {
    const practitioner = { resourceType: 'Practitioner', id: 'f-dr', identifier: [{ system: 'urn:npi', value: '77' }] };
    await node.import(bundleOf([practitioner]));
    const performer = [
      { reference: 'Practitioner?identifier=urn:npi|77' },
      { reference: 'Practitioner?identifier=urn:npi|78' },
      { reference: 'urn:uuid:nowhere' },
    ];
    await node.import(bundleOf([patientOf('f-p'), observationOf('f-o', 'f-p', '8867-4', { performer })]));
    const [known, unknown, elsewhere] = (await jsonOf('Observation', 'f-o')).performer;
    expect(known.reference).toBe('Practitioner/f-dr');
    expect(unknown).toEqual({ type: 'Practitioner', identifier: { system: 'urn:npi', value: '78' } });
    expect(elsewhere).toEqual({ identifier: { system: 'urn:ietf:rfc:3986', value: 'urn:uuid:nowhere' } });
  });

  it('carry labels over several steps: a bill for a prescription for a sensitive condition', async () => {
    const subject = { reference: 'Patient/g-p' };
    const security = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }];
    const claim = {
      resourceType: 'Claim',
      id: 'g-c',
      status: 'active',
      type: { text: 'x' },
      use: 'claim',
      patient: subject,
      created: '2024-01-01',
      provider: { display: 'x' },
      priority: { text: 'x' },
      insurance: [{ sequence: 1, focal: true, coverage: { display: 'x' } }],
      prescription: { reference: 'MedicationRequest/g-m' },
    };
    const medication = {
      resourceType: 'MedicationRequest',
      id: 'g-m',
      status: 'active',
      intent: 'order',
      medicationCodeableConcept: { text: 'x' },
      subject,
      reasonReference: [{ reference: 'Condition/g-d' }],
    };
    const condition = { resourceType: 'Condition', id: 'g-d', meta: { security }, subject };
    expect((await node.import(bundleOf([patientOf('g-p'), claim, medication, condition]))).errors).toEqual([]);
    expect((await node.records().resources.find('Claim', 'g-c'))?.labels).toContain('HIV');
    const later = { ...medication, id: 'g-m2' };
    await node.import(bundleOf([later]));
    expect((await node.records().resources.find('MedicationRequest', 'g-m2'))?.labels).toContain('HIV');
  });
});

describe('R-REC-4 nothing is lost', () => {
  it('the original is kept byte for byte, spaces, escapes and numbers included', async () => {
    const resource =
      '{ "resourceType" : "Observation", "id":"h-1",\n "status":"final", "code":{"text":"\\u00e9\\/ë"},\t"subject":{"reference":"Patient/h-p"}, "valueQuantity":{"value":1.10e2 , "unit":"mg"} }';
    await node.import(bundleOf([patientOf('h-p')]));
    expect((await node.import(resource)).rejected).toBe(0);
    const { original, content } = await contentOf('Observation', 'h-1');
    expect(Buffer.from(original).toString()).toBe(resource);
    expect(Buffer.from(content).toString()).toContain('"value":1.10e2');
  });

  it('reads NDJSON, packed or not', async () => {
    const lines = [patientOf('i-p'), observationOf('i-1', 'i-p'), observationOf('i-2', 'i-p')].map((one) =>
      JSON.stringify(one),
    );
    const packed = gzipSync(lines.join('\n'));
    expect(gunzipSync(packed).length).toBeGreaterThan(0);
    const report = await node.import(new Uint8Array(packed));
    expect([report.accepted, report.rejected, report.patients.map(({ id }) => id)]).toEqual([3, 0, ['i-p']]);
  });
});
