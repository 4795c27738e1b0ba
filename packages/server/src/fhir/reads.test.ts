import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessDesks } from '../access/access-part.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

let node: RecordsNode;
let system: string;
let doctor: string;
let stranger: string;

const labels = { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'PSY' }] };

beforeAll(async () => {
  node = await startRecordsNode();
  system = await node.system();
  const observations = Array.from({ length: 12 }, (_, n) =>
    observationOf(`o-${n}`, 'p-1', n % 2 === 0 ? '8867-4' : '29463-7', {
      effectiveDateTime: `2024-05-${String(n + 1).padStart(2, '0')}T07:08:09Z`,
      encounter: { reference: 'Encounter/e-1' },
    }),
  );
  const encounter = {
    resourceType: 'Encounter',
    id: 'e-1',
    status: 'finished',
    class: { code: 'AMB' },
    subject: { reference: 'Patient/p-1' },
    participant: [{ individual: { reference: 'Practitioner/dr-1' } }],
  };
  const practitioner = { resourceType: 'Practitioner', id: 'dr-1', name: [{ family: 'Harrowgate' }] };
  const sensitive = observationOf('o-psy', 'p-1', '8867-4', { meta: labels });
  const other = [patientOf('p-2', 'Nettlebank'), observationOf('o-other', 'p-2')];
  const report = await node.import(
    bundleOf([practitioner, patientOf('p-1'), encounter, ...observations, sensitive, ...other]),
  );
  expect(report.errors).toEqual([]);
  doctor = (await node.practitioner()).token;
  stranger = (await node.practitioner('clerk')).token;
});

afterAll(() => node.stop());

describe('R-CON-1 what is denied is absent everywhere', () => {
  const withoutIds = (text: string): string =>
    text.replaceAll(/p-1|o-1|e-1|ghost/g, 'ID').replace(/"timestamp":"[^"]*",/, '');

  it.each([
    ['read', '/Observation/o-1', '/Observation/ghost'],
    ['read of a patient', '/Patient/p-1', '/Patient/ghost'],
    ['vread', '/Observation/o-1/_history/1', '/Observation/ghost/_history/1'],
    ['history', '/Observation/o-1/_history', '/Observation/ghost/_history'],
    ['everything', '/Patient/p-1/$everything', '/Patient/ghost/$everything'],
    ['search', '/Observation?patient=p-1', '/Observation?patient=ghost'],
    [
      'search with include',
      '/Observation?patient=p-1&_include=Observation:encounter',
      '/Observation?patient=ghost&_include=Observation:encounter',
    ],
    ['count', '/Observation?patient=p-1&_summary=count', '/Observation?patient=ghost&_summary=count'],
    ['patient by id', '/Patient?_id=p-1', '/Patient?_id=ghost'],
    ['patient by name', '/Patient?name=quillf', '/Patient?name=ghost'],
  ])('%s: the same answer as for what is not there', async (_name, denied, unknown) => {
    const answers = await Promise.all([denied, unknown].map((path) => node.fhir(path, { token: stranger })));
    const [first, second] = answers.map(({ status, text }) => [
      status,
      withoutIds(text).replace('name=quillf', 'name=ID'),
    ]);
    expect(first).toEqual(second);
    expect(answers[0]?.text).not.toMatch(/Quillfeather|8867-4|Harrowgate/);
  });

  it('also on the ledger: a refusal leaves nothing there that names the patient', async () => {
    const did = node.didOf('p-2');
    const { ledger } = node.node;
    const clinician = { kind: 'practitioner', id: 'dr-elsewhere' } as const;
    const elsewhere = await node.token(clinician, { slug: 'clinic', purpose: 'TREAT', roles: ['doctor'] });
    const desk = accessDesks(node.node).get('hospital')!;
    await desk.recorder.drain();
    const batches = async () => (await ledger.find({ type: 'access/anchorBatch', limit: 100 })).length;
    const anchored = await batches();
    for (const token of [stranger, elsewhere]) {
      expect((await node.fhir('/Patient?identifier=MRN-p-2', { token })).body.total).toBe(0);
      expect((await node.fhir('/Observation/o-other', { token })).status).toBe(404);
    }
    await desk.recorder.drain();
    expect((await desk.index.of(did)).map(({ path, hash, disclosure }) => [path, hash, disclosure.outcome])).toEqual(
      Array.from({ length: 4 }, () => ['local', undefined, 'denied']),
    );
    expect(await batches()).toBe(anchored);
  });

  it('also by POST _search, and with a vread of a version that never was', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const found = await node.fhir('/Observation/_search', {
      token: stranger,
      method: 'POST',
      body: 'patient=p-1',
      headers,
    });
    expect([found.status, found.body.total, found.body.entry]).toEqual([200, 0, undefined]);
    expect((await node.fhir('/Observation/o-1/_history/77', { token: doctor })).status).toBe(404);
  });

  it('leaves sensitive entries out of search, count and everything alike, and their total with them', async () => {
    const search = await node.fhir('/Observation?patient=p-1&_count=100', { token: doctor });
    const ids: string[] = search.body.entry.map(({ resource }: { resource: { id: string } }) => resource.id);
    const isShown = ids.includes('o-psy');
    expect(search.body.total).toBe(ids.length);
    const count = await node.fhir('/Observation?patient=p-1&_summary=count', { token: doctor });
    expect(count.body.total).toBe(search.body.total);
    const read = await node.fhir('/Observation/o-psy', { token: doctor });
    expect(read.status === 200).toBe(isShown);
    const all = await node.fhir('/Patient/p-1/$everything', { token: doctor });
    expect(all.text.includes('"o-psy"')).toBe(isShown);
    const own = await node.fhir('/Observation?_count=100', { token: await node.token({ kind: 'patient', id: 'p-1' }) });
    expect(own.body.total).toBe(13);
  });

  it('gives another organisation nothing without the patient', async () => {
    const clinic = await node.token(
      { kind: 'practitioner', id: 'dr-2' },
      { slug: 'clinic', purpose: 'TREAT', roles: ['doctor'] },
    );
    expect((await node.fhir('/Patient/p-1', { token: clinic })).status).toBe(404);
    expect((await node.fhir('/Observation?patient=p-1', { token: clinic })).body.total).toBe(0);
    expect((await node.fhir('/Practitioner/dr-1', { token: clinic })).status).toBe(200);
  });
});

describe('R-REC-1 reading', () => {
  it('gives a resource with its version, time and labels', async () => {
    const { status, headers, body } = await node.fhir('/Observation/o-1', { token: doctor });
    expect([status, headers.get('etag'), headers.get('content-type')]).toEqual([200, 'W/"1"', 'application/fhir+json']);
    expect(Date.parse(headers.get('last-modified') ?? '')).toBeLessThanOrEqual(Date.now());
    expect(body.meta.versionId).toBe('1');
    const own = await node.fhir('/Observation/o-psy', { token: await node.token({ kind: 'patient', id: 'p-1' }) });
    expect(own.body.meta.security).toContainEqual(labels.security[0]);
  });

  it('shows a patient their own record, and nobody else’s', async () => {
    const token = await node.token({ kind: 'patient', id: 'p-2' });
    expect((await node.fhir('/Patient/p-2', { token })).status).toBe(200);
    expect((await node.fhir('/Observation', { token })).body.total).toBe(1);
    expect((await node.fhir('/Patient/p-1', { token })).status).toBe(404);
    expect((await node.fhir('/Observation?patient=p-1', { token })).body.total).toBe(0);
  });

  it('streams everything in one Bundle: patient first, then whom the record names', async () => {
    const { body, headers } = await node.fhir('/Patient/p-1/$everything', { token: doctor });
    const types: string[] = body.entry.map(
      ({ resource }: { resource: { resourceType: string } }) => resource.resourceType,
    );
    expect(headers.get('content-type')).toBe('application/fhir+json');
    expect([types[0], types[1], types.at(-1)]).toEqual(['Patient', 'Encounter', 'Practitioner']);
    expect(body.total).toBe(types.length);
    const some = await node.fhir('/Patient/p-1/$everything?_type=Encounter', { token: doctor });
    expect(some.body.entry).toHaveLength(1);
  });

  it('finds by code, date, encounter and sorts; includes what is named', async () => {
    const byCode = await node.fhir('/Observation?patient=p-1&code=http://loinc.org|29463-7&_count=50', {
      token: doctor,
    });
    expect(byCode.body.total).toBe(6);
    const byDate = await node.fhir('/Observation?patient=Patient/p-1&date=ge2024-05-10&_sort=date', { token: doctor });
    const dates = byDate.body.entry.map(
      ({ resource }: { resource: { effectiveDateTime: string } }) => resource.effectiveDateTime,
    );
    expect(dates).toEqual([...dates].sort());
    const own = `${node.node.url}/org/hospital/fhir/R4/Patient/p-1`;
    expect((await node.fhir(`/Observation?patient=${own}&_count=0`, { token: doctor })).body.total).toBe(
      (await node.fhir('/Observation?patient=p-1&_count=0', { token: doctor })).body.total,
    );
    const included = await node.fhir('/Observation?patient=p-1&_count=3&_include=Observation:encounter', {
      token: doctor,
    });
    const modes = included.body.entry.map(({ search }: { search: { mode: string } }) => search.mode);
    expect(modes).toEqual(['match', 'match', 'match', 'include']);
    expect((await node.fhir('/Observation?patient=p-1&encounter=e-9', { token: doctor })).body.total).toBe(0);
  });

  it('finds patients by identifier, name and birth date', async () => {
    for (const query of [
      'identifier=urn:test:mrn|MRN-p-1',
      'name=quill',
      'birthdate=1971-03-05&family=quill',
      '_id=p-1',
    ]) {
      const { body } = await node.fhir(`/Patient?${query}`, { token: doctor });
      expect([query, body.total, body.entry?.[0]?.resource.id]).toEqual([query, 1, 'p-1']);
    }
  });
});

describe('R-CON-1 pages', () => {
  const pages = async (token: string, query: string) => {
    const found: { ids: string[]; total: number; next?: string }[] = [];
    for (let path: string | undefined = query; path !== undefined; ) {
      const { body, status } = await node.fhir(path, { token });
      expect(status).toBe(200);
      const ids = (body.entry ?? []).map(({ resource }: { resource: { id: string } }) => resource.id);
      path = body.link.find(({ relation }: { relation: string }) => relation === 'next')?.url;
      found.push({ ids, total: body.total, ...(path !== undefined && { next: path }) });
    }
    return found;
  };

  it('give everything once, with one total, and one entry in the accounting', async () => {
    const { log } = node.records().vault;
    const before = log.head().sequence;
    const all = await pages(doctor, '/Observation?patient=p-1&code=29463-7&_count=2');
    expect(all.map(({ ids }) => ids.length)).toEqual([2, 2, 2]);
    expect(new Set(all.flatMap(({ ids }) => ids)).size).toBe(6);
    expect(new Set(all.map(({ total }) => total))).toEqual(new Set([6]));
    expect(log.head().sequence - before).toBe(1);
  });

  it('belong to the requester and the search that began them, and say nothing of it', async () => {
    const [first] = await pages(doctor, '/Observation?patient=p-1&_count=5');
    const next = first?.next ?? '';
    const refused = async (url: string, token: string): Promise<unknown> => {
      const { status, body } = await node.fhir(url, { token });
      return [status, body.resourceType, body.issue?.[0].details.coding[0].code];
    };
    const invalid = [400, 'OperationOutcome', '345'];
    expect(await refused(next, stranger)).toEqual(invalid);
    expect(next).not.toContain('p-1');
    expect(await refused(`${next}&patient=p-2`, doctor)).toEqual(invalid);
    expect(await refused(next.replace(/_cursor=[^&]*/, '_cursor=x.y'), doctor)).toEqual(invalid);
    expect(await refused(next.replace('Observation?', 'Encounter?'), doctor)).toEqual(invalid);
  });

  it('give nothing any more once the permission has ended', async () => {
    const colleague = await node.practitioner();
    const first = await node.fhir('/Observation?patient=p-1&_count=2', { token: colleague.token });
    const next = first.body.link.find(({ relation }: { relation: string }) => relation === 'next').url;
    await node.suspend(colleague.did);
    const second = await node.fhir(next, { token: colleague.token });
    expect(second.body.entry).toBeUndefined();
  });
});

describe('R-REC-1 answers in the words of FHIR', () => {
  it('describes itself without a token', async () => {
    const { status, body } = await node.fhir('/metadata');
    expect([status, body.resourceType, body.fhirVersion]).toEqual([200, 'CapabilityStatement', '4.0.1']);
  });

  it.each([
    ['no token', '/Patient/p-1', {}, 401, '620'],
    ['unknown type', '/Patients/p-1', {}, 404, '606'],
    ['no patient named', '/Observation?code=1', {}, 400, '765'],
    ['bad date', '/Observation?patient=p-1&date=yesterday', {}, 400, '342'],
    [
      'strict about unknown parameters',
      '/Observation?patient=p-1&colour=red',
      { prefer: 'handling=strict' },
      400,
      '340',
    ],
    ['another format', '/Patient/p-1', { accept: 'application/fhir+xml' }, 406, '769'],
    ['an address that is none', '/Patient/p-1/x/y/z', {}, 404, '606'],
  ])('%s', async (name, path, headers, status, code) => {
    const token = name === 'no token' ? undefined : doctor;
    const answer = await node.fhir(path, { token, headers: headers as Record<string, string> });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/fhir+json']);
    expect(answer.body.resourceType).toBe('OperationOutcome');
    expect(answer.body.issue[0].details.coding[0].code).toBe(code);
  });

  it('refuses formats that it does not write, by header and by parameter, also where no token is asked for', async () => {
    for (const [path, headers] of [
      ['/metadata', { accept: 'application/fhir+xml' }],
      ['/metadata?_format=xml', {}],
      ['/metadata?_format=text/turtle', { accept: 'application/fhir+json' }],
      ['/Patient/p-1?_format=application/fhir%2Bxml', {}],
    ] as const) {
      const { status, body } = await node.fhir(path, { token: doctor, headers });
      expect([path, status, body.resourceType]).toEqual([path, 406, 'OperationOutcome']);
    }
    for (const format of [
      'json',
      'application/json',
      'application/fhir%2Bjson',
      'application/fhir+json',
      'text/json',
    ]) {
      // A parameter goes before the header: who can set no header asks by it (R4 §3.1.0.1.11).
      const path = `/Patient/p-1?_format=${format}`;
      const { status } = await node.fhir(path, { token: doctor, headers: { accept: 'application/fhir+xml' } });
      expect([path, status]).toEqual([path, 200]);
    }
  });

  it('says of each address which methods it takes, and takes no other', async () => {
    for (const [path, allow, methods] of [
      ['/metadata', 'GET, HEAD, OPTIONS', ['POST', 'PUT', 'DELETE', 'PATCH']],
      ['/Patient/_search', 'OPTIONS, POST', ['GET', 'HEAD', 'PUT', 'DELETE']],
      ['/Patient/p-1', 'DELETE, GET, HEAD, OPTIONS, PUT', ['POST', 'PATCH']],
    ] as const) {
      const options = await node.fhir(path, { token: system, method: 'OPTIONS' });
      expect([path, options.status, options.headers.get('allow')]).toEqual([path, 204, allow]);
      for (const method of methods) {
        const { status, headers } = await node.fhir(path, { token: system, method });
        expect([path, method, status, headers.get('allow')]).toEqual([path, method, 405, allow]);
      }
    }
  });

  it('says what it ignored', async () => {
    const { body } = await node.fhir('/Observation?patient=p-1&colour=red&_count=1', { token: doctor });
    expect(body.entry.at(-1).search.mode).toBe('outcome');
  });

  it('knows no other organisation', async () => {
    expect((await node.fhir('/Patient/p-1', { token: system }, 'nowhere')).status).toBe(404);
  });
});
