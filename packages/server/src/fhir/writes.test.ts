import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

let node: RecordsNode;
let system: string;
let doctor: string;

beforeAll(async () => {
  node = await startRecordsNode();
  system = await node.system();
  doctor = (await node.practitioner()).token;
  expect((await node.import(bundleOf([patientOf('w-1'), patientOf('w-2')]))).rejected).toBe(0);
});

afterAll(() => node.stop());

const codeOf = (body: { issue: { details: { coding: { code: string }[] } }[] }): string | undefined =>
  body.issue[0]?.details.coding[0]?.code;
const post = (body: unknown, token = system) => node.fhir('/', { token, method: 'POST', body });

describe('R-REC-4 Bundles at the FHIR base', () => {
  it('stores nothing of a transaction of which one entry is refused, and names it', async () => {
    const bundle = bundleOf([observationOf('t-1', 'w-1'), observationOf('t-2', 'nobody')], 'transaction');
    const { status, body } = await post(bundle);
    expect([status, codeOf(body)]).toEqual([422, '770']);
    expect(body.issue[1].expression).toEqual(['Bundle.entry[1]']);
    expect(body.issue[1].details.coding[0].code).toBe('750');
    expect((await node.fhir('/Observation/t-1', { token: doctor })).status).toBe(404);
  });

  it('stores nothing when an id belongs to another patient’s resource', async () => {
    expect((await post(bundleOf([observationOf('taken', 'w-1')]))).status).toBe(200);
    const { status, body } = await post(
      bundleOf([observationOf('t-3', 'w-2'), observationOf('taken', 'w-2')], 'transaction'),
    );
    expect([status, body.issue[1].details.coding[0].code]).toEqual([422, '752']);
    expect((await node.fhir('/Observation/t-3', { token: doctor })).status).toBe(404);
  });

  it('refuses a transaction that updates a resource twice, and entries beside an address of another one', async () => {
    const twice = bundleOf([observationOf('twice', 'w-1'), observationOf('twice', 'w-1')], 'transaction');
    const refused = await post(twice);
    expect([refused.status, refused.body.issue[1].details.coding[0].code]).toEqual([422, '777']);
    expect(refused.body.issue[1].expression).toEqual(['Bundle.entry[1]']);
    expect((await node.fhir('/Observation/twice', { token: doctor })).status).toBe(404);
    for (const request of [
      { method: 'PUT', url: 'Observation/other' },
      { method: 'PUT', url: 'Patient/beside' },
      { method: 'POST', url: 'Patient' },
    ]) {
      const beside = {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [{ resource: observationOf('beside', 'w-1'), request }],
      };
      expect(codeOf((await post(beside)).body.entry[0].response.outcome)).toBe('778');
    }
  });

  it('refuses bodies that are not what their headers say', async () => {
    const body = JSON.stringify(bundleOf([observationOf('coded', 'w-1')]));
    const send = (headers: Record<string, string>) => node.fhir('/', { token: system, method: 'POST', body, headers });
    const wrong: Record<string, string>[] = [
      { 'content-encoding': 'gzip' },
      { 'content-encoding': 'br' },
      { 'content-type': 'application/fhir+json; charset=iso-8859-1' },
      { 'content-type': 'application/fhir+json;charset="UTF-16"' },
    ];
    for (const headers of wrong) {
      const { status, body: outcome } = await send(headers);
      expect([headers, status, codeOf(outcome)]).toEqual([headers, 415, '604']);
    }
    const good = { 'content-type': 'application/fhir+json; charset="UTF-8"', 'content-encoding': 'identity' };
    expect((await send(good)).status).toBe(200);
    expect((await send({ 'content-type': 'application/json+fhir' })).status).toBe(200);
  });

  it('stores what is good of a batch, and answers entry by entry', async () => {
    const { status, body } = await post(
      bundleOf([observationOf('b-1', 'w-1'), observationOf('b-2', 'nobody'), observationOf('b-3', 'w-1')]),
    );
    expect([status, body.type]).toEqual([200, 'batch-response']);
    const statuses = body.entry.map(({ response }: { response: { status: string } }) => response.status);
    expect(statuses).toEqual(['201 Created', '400 Bad Request', '201 Created']);
    expect(codeOf(body.entry[1].response.outcome)).toBe('750');
    expect(body.entry[0].response.location).toBe('Observation/b-1/_history/1');
  });

  it('refuses other Bundles, broken ones and those of others', async () => {
    expect(codeOf((await post({ resourceType: 'Bundle', type: 'collection' })).body)).toBe('766');
    expect((await post('{"resourceType":"Bundle","type":"transaction","entry":[{')).status).toBe(400);
    expect((await post('')).status).toBe(400);
    expect((await post(bundleOf([observationOf('x', 'w-1')]), doctor)).status).toBe(403);
    expect((await post(bundleOf([observationOf('x', 'w-1')]), await node.system('clinic'))).status).toBe(403);
  });

  it('gives created entries new ids and leads their references there', async () => {
    const urls = ['urn:uuid:3b0e2a2e-6a4b-4b52-9c77-0f6a2d6f3a01', 'urn:uuid:3b0e2a2e-6a4b-4b52-9c77-0f6a2d6f3a02'];
    const observation = { ...observationOf('ignored', 'x'), subject: { reference: urls[1] } };
    const entries = bundleOf([observation, patientOf('ignored-too', 'Thistlewood')], 'transaction', urls) as {
      entry: { request: object; resource: { resourceType: string } }[];
    };
    for (const entry of entries.entry) entry.request = { method: 'POST', url: entry.resource.resourceType };
    const { body } = await post(entries);
    const [first, second] = body.entry.map(
      ({ response }: { response: { location: string } }) => response.location.split('/')[1],
    );
    expect([first, second]).not.toContain('ignored');
    const read = await node.fhir(`/Observation/${first}`, { token: doctor });
    expect(read.body.subject.reference).toBe(`Patient/${second}`);
    const again = await post(entries);
    expect(again.body.entry.map(({ response }: { response: { status: string } }) => response.status)).toEqual([
      '200 OK',
      '200 OK',
    ]);
  });
});

describe('R-REC-3 versions of one resource', () => {
  it('come one after the other, are kept, and are told apart by their tags', async () => {
    const put = (value: string, headers = {}) =>
      node.fhir('/Observation/v-1', {
        token: system,
        method: 'PUT',
        body: observationOf('v-1', 'w-1', '8867-4', { valueString: value }),
        headers,
      });
    expect([(await put('one')).status, (await put('two')).status]).toEqual([201, 200]);
    const stale = await put('three', { 'if-match': 'W/"1"' });
    expect([stale.status, codeOf(stale.body)]).toEqual([412, '764']);
    expect((await put('three', { 'if-match': 'yes' })).status).toBe(400);
    const fresh = await put('three', { 'if-match': 'W/"2"' });
    expect([fresh.status, fresh.headers.get('etag')]).toEqual([200, 'W/"3"']);
    expect(fresh.headers.get('location')).toMatch(/\/Observation\/v-1\/_history\/3$/);
    const history = await node.fhir('/Observation/v-1/_history', { token: doctor });
    const values = history.body.entry.map(
      ({ resource }: { resource: { valueString: string } }) => resource.valueString,
    );
    expect(values).toEqual(['three', 'two', 'one']);
    const first = await node.fhir('/Observation/v-1/_history/1', { token: doctor });
    expect([first.body.valueString, first.body.meta.versionId]).toEqual(['one', '1']);
    const { record, version } = (await node.records().resources.find('Observation', 'v-1')) ?? {};
    expect(version).toBe(3);
    for (const n of [1, 2, 3]) expect(node.node.reader.get(`records/version/${record}/${n}`)).toBeDefined();
  });

  it('two writers of one version: one wins', async () => {
    await node.fhir('/Observation/v-2', { token: system, method: 'PUT', body: observationOf('v-2', 'w-1') });
    const answers = await Promise.all(
      ['a', 'b', 'c', 'd'].map((valueString) =>
        node.fhir('/Observation/v-2', {
          token: system,
          method: 'PUT',
          body: observationOf('v-2', 'w-1', '8867-4', { valueString }),
          headers: { 'if-match': 'W/"1"' },
        }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412]);
  });

  it('a created resource gets an id of its own, each time', async () => {
    const create = () =>
      node.fhir('/Observation', { token: doctor, method: 'POST', body: observationOf('mine', 'w-1') });
    const [first, second] = [await create(), await create()];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(first.headers.get('location')).not.toBe(second.headers.get('location'));
  });

  it('refuses what does not fit its address, is no resource, or is not theirs to write', async () => {
    const put = (path: string, body: unknown, token = system) => node.fhir(path, { token, method: 'PUT', body });
    expect(codeOf((await put('/Observation/other', observationOf('v-9', 'w-1'))).body)).toBe('767');
    expect((await put('/Patient/v-9', observationOf('v-9', 'w-1'))).status).toBe(400);
    expect((await put('/Observation/v-9', '{"resourceType":')).status).toBe(400);
    expect((await put('/Observation/v-9', { resourceType: 'Observation', id: 'v-9' })).status).toBe(400);
    const clerk = (await node.practitioner('clerk')).token;
    expect((await put('/Observation/v-1', observationOf('v-1', 'w-1'), clerk)).status).toBe(404);
    const answerOf = async (id: string, ifMatch?: string) => {
      const headers: Record<string, string> = ifMatch === undefined ? {} : { 'if-match': ifMatch };
      const body = observationOf(id, 'w-1');
      const { status, text } = await node.fhir(`/Observation/${id}`, { token: clerk, method: 'PUT', body, headers });
      return [status, text];
    };
    expect(await answerOf('v-1'), 'as where nothing is').toEqual(await answerOf('v-none'));
    expect(await answerOf('v-1', 'W/"7"')).toEqual(await answerOf('v-none', 'W/"7"'));
    expect((await put('/Observation/v-1', observationOf('v-1', 'w-1'), await node.system('clinic'))).status).toBe(403);
  });
});

describe('R-REC-1 an update that changes nothing', () => {
  it('answers with the version that is here, and with its time', async () => {
    const body = observationOf('same', 'w-1');
    const put = () => node.fhir('/Observation/same', { token: system, method: 'PUT', body });
    const first = await put();
    const written = await node.fhir('/Observation/same', { token: system });
    // Last-Modified has whole seconds.
    const nextSecond = Date.parse(String(first.headers.get('last-modified'))) + 1_000;
    while (Date.now() < nextSecond) await new Promise((resolve) => setTimeout(resolve, 20));
    const again = await put();
    expect([first.status, again.status, again.headers.get('etag')]).toEqual([201, 200, 'W/"1"']);
    expect(again.headers.get('last-modified')).toBe(written.headers.get('last-modified'));
  });
});

describe('R-REC-1 conditional create', () => {
  const create = async (condition: string, token = system) => {
    const headers = { 'if-none-exist': condition };
    const body = { resourceType: 'Patient', name: [{ family: 'Wexcombe' }], birthDate: '1990-01-01' };
    return await node.fhir('/Patient', { token, method: 'POST', body, headers });
  };

  it('creates once, however many ask for it at the same moment; an update by the same condition changes that one', async () => {
    const identifier = [{ system: 'urn:test:race', value: '1' }];
    const send = (family: string, method: 'POST' | 'PUT') => {
      const body = { resourceType: 'Patient', name: [{ family }], identifier };
      const headers: Record<string, string> =
        method === 'POST' ? { 'if-none-exist': 'identifier=urn:test:race|1' } : {};
      const path = method === 'POST' ? '/Patient' : '/Patient?identifier=urn:test:race|1';
      return node.fhir(path, { token: system, method, body, headers });
    };
    const answers = await Promise.all(
      ['A', 'B', 'C', 'D', 'E', 'F'].map((family, position) => send(family, position % 2 === 0 ? 'POST' : 'PUT')),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 201]);
    const ids = answers.map(({ headers }) => /Patient\/([^/]+)/.exec(headers.get('location') ?? '')?.[1]);
    expect(new Set(ids).size).toBe(1);
  });

  it('finds what is here by one identifier', async () => {
    const { status, headers } = await create('identifier=urn:test:mrn|MRN-w-1');
    expect([status, headers.get('location')]).toEqual([200, expect.stringContaining('/Patient/w-1/_history/1')]);
  });

  it.each([
    '_id=w-1',
    'identifier=MRN-w-1',
    'identifier=urn:test:mrn|',
    'identifier=urn:test:mrn|MRN-w-1&birthdate=1971-03-05',
    'Patient?identifier=urn:test:mrn|MRN-w-1',
    'family=Quillfeather',
    '',
  ])('refuses the condition "%s", which would be passed over otherwise', async (condition) => {
    const { status, body } = await create(condition);
    expect([status, codeOf(body)]).toEqual([400, '775']);
  });

  it('tells staff nothing of what is here', async () => {
    const token = (await node.practitioner('clerk')).token;
    for (const id of ['w-1', 'none']) {
      expect((await create(`identifier=urn:test:mrn|MRN-${id}`, token)).status).toBe(403);
    }
  });
});

describe('R-REC-1 large bodies', () => {
  it('a Bundle of some megabytes is stored; nobody but the organisation’s system may send so much', async () => {
    const filler = 'x'.repeat(90_000);
    const large = Array.from({ length: 40 }, (_, n) =>
      observationOf(`large-${n}`, 'w-1', '8867-4', { note: [{ text: filler }] }),
    );
    const body = bundleOf(large, 'transaction');
    expect(JSON.stringify(body).length).toBeGreaterThan(3_000_000);
    expect((await node.fhir('/', { token: system, method: 'POST', body })).status).toBe(200);
    // The answer comes before the body is looked at.
    const text = '{"resourceType":"Bundle"';
    const clerk = (await node.practitioner('clerk')).token;
    for (const [token, status] of [
      [undefined, 401],
      [clerk, 413],
      [await node.system('clinic'), 413],
    ] as const) {
      expect((await node.fhir('/', { token, method: 'POST', body: text.padEnd(1_048_577) })).status).toBe(status);
      expect((await node.fhir('/Observation', { method: 'POST', body: text })).status).toBe(401);
    }
  });
});

describe('R-REC-4 numbers and originals', () => {
  it('keep their precision in what is read, searched and streamed', async () => {
    const text = JSON.stringify(observationOf('n-1', 'w-2')).replace(
      /}$/,
      ',"valueQuantity":{"value":1.10,"unit":"mg"}}',
    );
    expect((await node.fhir('/Observation/n-1', { token: system, method: 'PUT', body: text })).status).toBe(201);
    for (const path of [
      '/Observation/n-1',
      '/Observation?patient=w-2',
      '/Patient/w-2/$everything',
      '/Observation/n-1/_history',
    ]) {
      expect((await node.fhir(path, { token: doctor })).text).toContain('"value":1.10,');
    }
  });
});
