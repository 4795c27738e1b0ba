import { fhirRoutes, type RouteDefinition } from '@salus/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  bundleOf,
  type CallOptions,
  observationOf,
  patientOf,
  type RecordsNode,
  startRecordsNode,
} from '../testing/records-node.ts';

let node: RecordsNode;
let system: string;
let doctor: string;
let clerk: string;

beforeAll(async () => {
  node = await startRecordsNode();
  system = await node.system();
  const days = Array.from({ length: 9 }, (_, n) =>
    observationOf(`i-${n}`, 'i-p', '8867-4', { effectiveDateTime: `2024-05-0${n + 1}`, note: [{ text: 'quiet' }] }),
  );
  expect((await node.import(bundleOf([patientOf('i-p', 'Quillfeather'), ...days]))).errors).toEqual([]);
  doctor = (await node.practitioner()).token;
  clerk = (await node.practitioner('clerk')).token;
});

afterAll(() => node.stop());

const call = (path: string, options: CallOptions = {}): Promise<Answer> =>
  node.fhir(path, { token: doctor, ...options });
const codeOf = ({ body }: Answer): string => body.issue[0].details.coding[0].code;
const idsOf = ({ body }: Answer): string[] =>
  (body.entry ?? []).flatMap(({ resource }: { resource: { id?: string } }) => resource.id ?? []);
const nextOf = ({ body }: Answer): string | undefined =>
  body.link.find(({ relation }: { relation: string }) => relation === 'next')?.url;
const put = (id: string, more = {}, headers = {}) =>
  call(`/Observation/${id}`, { token: system, method: 'PUT', body: observationOf(id, 'i-p', '8867-4', more), headers });

describe('R-LED-5 what a search asks for stays out of addresses', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const search = (type: string, body: string) => call(`/${type}/_search`, { method: 'POST', body, headers: form });

  it('no link of a search by POST repeats a name, a number or a date of its body', async () => {
    const found = await search('Patient', 'name=Quillfeather&birthdate=1971-03-05&identifier=MRN-i-p');
    expect(found.body.total).toBe(1);
    expect(found.body.link).toEqual([{ relation: 'self', url: expect.stringMatching(/\/Patient\/_search$/) }]);
    const first = await search('Observation', 'patient=i-p&code=8867-4&_count=4&_sort=date');
    const links = JSON.stringify(first.body.link);
    expect(links).not.toMatch(/i-p|8867|patient|code=|sort/);
    const rest: string[] = idsOf(first);
    for (let next = nextOf(first); next !== undefined; ) {
      const page = await call(next);
      expect(JSON.stringify(page.body.link)).not.toMatch(/i-p|8867|patient|code=|sort/);
      rest.push(...idsOf(page));
      next = nextOf(page);
    }
    expect(rest).toEqual(Array.from({ length: 9 }, (_, n) => `i-${n}`));
  });

  it('a search by GET does not pass its parameters on to the next page either, and no log line has them', async () => {
    await call('/Patient?name=Quillfeather');
    const first = await call('/Observation?patient=i-p&_count=4');
    expect(nextOf(first)).not.toContain('i-p');
    const lines = node.logLines.join('');
    expect(lines).toContain('/org/:slug/fhir/R4/:type');
    expect(lines).not.toMatch(/Quillfeather|i-p|8867-4/);
  });

  it('a body of another type is refused, not taken for no parameters', async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await call('/Patient/_search', { method: 'POST', body: '{"name":"x"}', headers });
    expect([answer.status, codeOf(answer)]).toEqual([415, '604']);
    const other = await call('/Observation', { token: system, method: 'POST', body: 'a=b', headers: form });
    expect([other.status, codeOf(other)]).toEqual([415, '604']);
  });
});

describe('R-REC-1 nothing that was asked for is passed over in silence', () => {
  it.each([
    ['/Observation?patient=i-p&colour=red', 200, '340'],
    ['/Observation?patient=i-p&code:exact=8867-4', 200, '341'],
    ['/Observation?patient=i-p&_summary=true', 200, '340'],
    ['/Patient/i-p/$everything?colour=red', 200, '340'],
    ['/Patient/i-p/$everything?colour=red&_count=3', 200, '340'],
    ['/Observation/i-1/_history?colour=red', 400, '340'],
  ])('%s', async (path, status, code) => {
    const lenient = await call(path);
    expect(lenient.status).toBe(status);
    const outcome = status === 200 ? lenient.body.entry.at(-1).resource : lenient.body;
    expect([outcome.resourceType, outcome.issue[0].details.coding[0].code]).toEqual(['OperationOutcome', code]);
    if (status === 200) expect(JSON.stringify(lenient.body.link)).not.toMatch(/colour|exact|summary/);
    const strict = await call(path, { headers: { prefer: 'return=minimal; handling=strict' } });
    expect([strict.status, codeOf(strict)]).toEqual([400, code]);
  });

  it.each([
    '/Observation?patient=i-p&_elements=a b',
    '/Observation/i-1?_elements=1',
    '/Patient/i-p/$everything?_since=soon',
    '/Patient/i-p/$everything?start=2024-13-01',
    '/Observation/i-1/_history?_since=x',
    '/Observation/i-1/_history?_count=-1',
    '/Observation/i-1/_history?_cursor=1e3',
    '/Observation?patient=i-p&_lastUpdated=ge',
  ])('%s: a value that has not its form is refused', async (path) => {
    const answer = await call(path);
    expect([answer.status, codeOf(answer)]).toEqual([400, '342']);
  });
});

describe('R-REC-1 parts, sizes and times', () => {
  it('_elements and _summary give marked parts, of what is read and of what is found', async () => {
    const part = await call('/Observation/i-1?_elements=note');
    expect(Object.keys(part.body).sort()).toEqual(['code', 'id', 'meta', 'note', 'resourceType', 'status']);
    expect(part.body.meta.tag).toContainEqual(expect.objectContaining({ code: 'SUBSETTED' }));
    const found = await call('/Observation?patient=i-p&_elements=effective&_count=4');
    const later = await call(nextOf(found) ?? '');
    for (const { resource } of [...found.body.entry, ...later.body.entry]) {
      expect(resource).toHaveProperty('effectiveDateTime');
      expect(resource).not.toHaveProperty('subject');
    }
  });

  it('_total=none tells no number; _lastUpdated and _sort work on what the node wrote', async () => {
    expect((await call('/Observation?patient=i-p&_total=none')).body.total).toBeUndefined();
    const instant = new Date(Date.now() + 60_000).toISOString();
    expect((await call(`/Observation?patient=i-p&_lastUpdated=gt${instant}`)).body.total).toBe(0);
    expect((await call(`/Observation?patient=i-p&_lastUpdated=lt${instant}`)).body.total).toBe(9);
    const sorted = await call('/Observation?patient=i-p&_sort=-_id');
    expect(idsOf(sorted)[0]).toBe('i-8');
  });

  it('$everything comes in pages of one release, and by type, clinical date and time of change', async () => {
    const { log } = node.records().vault;
    const before = log.head().sequence;
    const first = await call('/Patient/i-p/$everything?_count=4');
    const all = idsOf(first);
    for (let next = nextOf(first); next !== undefined; ) {
      expect(next).not.toContain('name');
      const page = await call(next);
      expect(page.body.total).toBe(10);
      all.push(...idsOf(page));
      next = nextOf(page);
    }
    expect(all).toEqual(['i-p', ...Array.from({ length: 9 }, (_, n) => `i-${n}`)]);
    expect(log.head().sequence - before).toBe(1);
    const some = await call('/Patient/i-p/$everything?start=2024-05-03&end=2024-05-04');
    expect(idsOf(some)).toEqual(['i-p', 'i-2', 'i-3']);
    const since = new Date(Date.now() + 60_000).toISOString();
    const none = await call(`/Patient/i-p/$everything?_since=${since}`);
    expect([none.status, none.body.total, none.body.entry]).toEqual([200, 0, undefined]);
    const denied = await call(`/Patient/i-p/$everything?_since=${since}`, { token: clerk });
    expect(denied.status).toBe(404);
    expect((await call(nextOf(first) ?? '', { token: clerk })).status).toBe(400);
  });
});

describe('R-REC-1 conditional reads and preferred answers', () => {
  it('304 for what is known already; a tag goes before a time', async () => {
    const { headers } = await call('/Observation/i-1');
    const tag = headers.get('etag') ?? '';
    const modified = headers.get('last-modified') ?? '';
    const statusOf = async (sent: Record<string, string>, path = '/Observation/i-1') =>
      (await call(path, { headers: sent })).status;
    expect(await statusOf({ 'if-none-match': tag })).toBe(304);
    expect(await statusOf({ 'if-none-match': `"x", ${tag}` })).toBe(304);
    expect(await statusOf({ 'if-none-match': '*' })).toBe(304);
    expect(await statusOf({ 'if-modified-since': modified })).toBe(304);
    expect(await statusOf({ 'if-none-match': 'W/"9"', 'if-modified-since': modified })).toBe(200);
    expect(await statusOf({ 'if-modified-since': 'Mon, 01 Jan 2001 00:00:00 GMT' })).toBe(200);
    expect(await statusOf({ 'if-modified-since': 'yesterday' })).toBe(200);
    expect(await statusOf({ 'if-none-match': '*' }, '/Observation/ghost')).toBe(404);
    const denied = await call('/Observation/i-1', { token: clerk, headers: { 'if-none-match': tag } });
    expect(denied.status).toBe(404);
  });

  it('Prefer: return= minimal, representation, OperationOutcome', async () => {
    const minimal = await put('pref', { valueString: 'a' }, { prefer: 'return=minimal' });
    expect([minimal.status, minimal.text, minimal.headers.get('etag')]).toEqual([201, '', 'W/"1"']);
    const outcome = await put('pref', { valueString: 'b' }, { prefer: 'return=OperationOutcome' });
    expect([outcome.status, outcome.body.resourceType]).toEqual([200, 'OperationOutcome']);
    const whole = await put('pref', { valueString: 'c' }, { prefer: 'return=representation' });
    expect([whole.body.valueString, whole.body.meta.versionId]).toEqual(['c', '3']);
  });
});

describe('R-REC-3 history', () => {
  it('comes in pages, from a time on, and each version once', async () => {
    for (const value of ['1', '2', '3', '4', '5']) await put('hist', { valueString: value });
    const versions: string[] = [];
    let page = await call('/Observation/hist/_history?_count=2');
    for (;;) {
      expect(page.body.total).toBe(5);
      versions.push(
        ...page.body.entry.map(({ resource }: { resource: { valueString: string } }) => resource.valueString),
      );
      const next = nextOf(page);
      if (next === undefined) break;
      page = await call(next);
    }
    expect(versions).toEqual(['5', '4', '3', '2', '1']);
    const since = encodeURIComponent(new Date(Date.now() + 60_000).toISOString());
    const none = await call(`/Observation/hist/_history?_since=${since}`);
    expect([none.status, none.body.total, none.body.entry]).toEqual([200, 0, undefined]);
    expect((await call(`/Observation/hist/_history?_since=${since}`, { token: clerk })).status).toBe(404);
  });
});

describe('R-CON-1 versions that are denied', () => {
  const hidden = { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'PSYTHPN' }] };

  it('are not in the history, nor in its number; nor is it told to everybody that they were deleted', async () => {
    await put('mixed', { valueString: 'plain' });
    await put('mixed', { valueString: 'hidden', meta: hidden });
    await put('mixed', { valueString: 'hidden too', meta: hidden });
    expect((await call('/Observation/mixed')).status).toBe(404);
    const history = await call('/Observation/mixed/_history');
    expect([history.body.total, history.body.entry.length]).toEqual([1, 1]);
    expect(history.text).not.toContain('hidden');
    expect((await call('/Observation/mixed/_history/2')).status).toBe(404);
    await call('/Observation/mixed', { token: system, method: 'DELETE' });
    expect((await call('/Observation/mixed')).status, 'the last version was not theirs to know').toBe(404);
  });
});

describe('R-REC-3 deletion', () => {
  const remove = (id: string, token = system, headers = {}) =>
    call(`/Observation/${id}`, { token, method: 'DELETE', headers });

  it('takes a resource out of every exit, tells 410 to whom it was known, and keeps its versions', async () => {
    await put('del', { valueString: 'once' });
    const { record } = (await node.records().resources.find('Observation', 'del')) ?? {};
    const gone = await remove('del');
    expect([gone.status, gone.text, gone.headers.get('etag')]).toEqual([204, '', 'W/"2"']);
    expect((await remove('del')).status).toBe(204);
    const read = await call('/Observation/del');
    expect([read.status, codeOf(read), read.headers.get('etag')]).toEqual([410, '776', 'W/"2"']);
    expect((await call('/Observation/del/_history/2')).status).toBe(410);
    expect((await call('/Observation/del/_history/1')).body.valueString).toBe('once');
    expect((await call('/Observation?patient=i-p&_id=del')).body.total).toBe(0);
    expect((await call('/Patient/i-p/$everything')).text).not.toContain('"del"');
    const history = await call('/Observation/del/_history');
    const methods = history.body.entry.map(({ request }: { request: { method: string } }) => request.method);
    expect(methods).toEqual(['DELETE', 'POST']);
    expect(history.body.entry[0]).not.toHaveProperty('resource');
    expect(node.node.reader.get(`records/version/${record}/2`), 'anchored').toBeDefined();
  });

  it('tells nothing of it to anybody else', async () => {
    await put('del-2');
    await remove('del-2');
    for (const path of ['', '/_history', '/_history/1', '/_history/2']) {
      const [denied, unknown] = [
        await call(`/Observation/del-2${path}`, { token: clerk }),
        await call(`/Observation/ghost${path}`, { token: clerk }),
      ];
      expect([denied.status, denied.text]).toEqual([404, unknown.text]);
    }
  });

  it('is for whom the patient lets correct, of the version that they saw; never of a Patient', async () => {
    await put('del-3');
    expect((await remove('del-3', clerk)).status).toBe(404);
    expect((await remove('ghost', clerk)).status).toBe(404);
    expect((await remove('del-3', await node.system('clinic'))).status).toBe(403);
    expect((await remove('del-3', system, { 'if-match': 'W/"7"' })).status).toBe(412);
    expect((await call('/Observation/del-3')).status).toBe(200);
    const patient = await call('/Patient/i-p', { token: system, method: 'DELETE' });
    expect([patient.status, codeOf(patient)]).toEqual([405, '607']);
    await remove('del-3', system, { 'if-match': 'W/"1"' });
    const again = await put('del-3', { valueString: 'back' });
    expect(again.headers.get('etag')).toBe('W/"3"');
    expect((await call('/Observation/del-3')).body.valueString).toBe('back');
  });
});

describe('R-REC-1 conditional update', () => {
  const identifier = [{ system: 'urn:test:order', value: 'A-1' }];
  const send = (condition: string, more = {}, token = system) => {
    const { id: _id, ...rest } = observationOf('none', 'i-p', '8867-4', { identifier });
    const body = { ...rest, ...more };
    return call(`/Observation?${condition}`, { token, method: 'PUT', body });
  };

  it('creates where nobody has the identifier, then updates, and refuses other conditions and ids', async () => {
    const first = await send('identifier=urn:test:order|A-1', { valueString: '1' });
    const second = await send('identifier=urn:test:order|A-1', { valueString: '2' });
    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.headers.get('location')?.replace(/2$/, '1')).toBe(first.headers.get('location'));
    expect((await send('identifier=urn:test:order|A-1', { id: 'other' })).status).toBe(400);
    for (const condition of ['', 'code=1', 'identifier=A-1', 'identifier=urn:test:order|A-1&code=1']) {
      expect(codeOf(await send(condition))).toBe('775');
    }
    expect((await send('identifier=urn:test:order|A-1', {}, doctor)).status).toBe(403);
  });
});

describe('R-CON-1 reads in a batch', () => {
  const entry = (url: string, more = {}, method = 'GET') => ({ request: { method, url, ...more } });
  const batch = (entries: object[], token = doctor, type = 'batch') =>
    call('/', { token, method: 'POST', body: { resourceType: 'Bundle', type, entry: entries } });

  it('are decided one by one, and answer what they would answer alone', async () => {
    const urls = [
      'Observation/i-1',
      'Observation/ghost',
      'Observation?patient=i-p&_count=3',
      'Observation/i-1/_history',
    ];
    const { status, body } = await batch([
      ...urls.map((url) => entry(url)),
      entry('Observation/i-1', { ifNoneMatch: 'W/"1"' }),
    ]);
    expect([status, body.type]).toEqual([200, 'batch-response']);
    const statuses = body.entry.map(({ response }: { response: { status: string } }) => response.status);
    expect(statuses).toEqual(['200 OK', '404 Not Found', '200 OK', '200 OK', '304 Not Modified']);
    expect(body.entry[0].resource.id).toBe('i-1');
    expect(body.entry[0].response.etag).toBe('W/"1"');
    expect(body.entry[2].resource.entry).toHaveLength(3);
    expect(JSON.stringify(body.entry[2].resource.link)).not.toContain('i-p');
    const denied = await batch(
      urls.map((url) => entry(url)),
      clerk,
    );
    const [read, unknown, search] = denied.body.entry;
    expect(read.response).toEqual(unknown.response);
    expect(search.resource.total).toBe(0);
  });

  it('come after the writes of the same batch; deletions too; what is no interaction here is refused alone', async () => {
    const resource = observationOf('in-batch', 'i-p');
    const { body } = await batch(
      [
        entry('Observation/in-batch'),
        { resource, request: { method: 'PUT', url: 'Observation/in-batch' } },
        entry('Observation/i-8', {}, 'DELETE'),
        entry('Patient/i-p/$everything'),
        entry('Nonsense/1'),
        entry('Observation/i-1', {}, 'PATCH'),
        {},
      ],
      system,
    );
    const statuses = body.entry.map(({ response }: { response: { status: string } }) =>
      Number(response.status.slice(0, 3)),
    );
    expect(statuses).toEqual([200, 201, 204, 400, 404, 400, 404]);
    await put('i-8', { effectiveDateTime: '2024-05-09' });
  });

  it('many, foreign writes, and transactions that read are refused', async () => {
    const many = await batch(Array.from({ length: 101 }, () => entry('Observation/i-1')));
    expect(codeOf(many)).toBe('766');
    const foreign = [{ resource: observationOf('x', 'i-p'), request: { method: 'PUT', url: 'Observation/x' } }];
    expect((await batch(foreign)).status).toBe(403);
    expect((await batch([entry('Observation/i-1')], doctor, 'transaction')).status).toBe(403);
    expect((await batch([entry('Observation/i-1')], system, 'transaction')).status).toBe(422);
  });
});

describe('R-REC-1 the CapabilityStatement is true', () => {
  it('names the interactions of the routes that are served, and no others', async () => {
    const { body } = await node.fhir('/metadata');
    const [rest] = body.rest;
    const named = Object.values<RouteDefinition>(fhirRoutes).flatMap(({ interaction }) => interaction?.type ?? []);
    for (const one of rest.resource) {
      expect(one.interaction.map(({ code }: { code: string }) => code).sort()).toEqual([...named].sort());
      expect(one).toMatchObject({ conditionalCreate: true, conditionalUpdate: true, conditionalRead: 'full-support' });
    }
    expect(rest.interaction.map(({ code }: { code: string }) => code)).toEqual(['batch', 'transaction']);
    expect(named).not.toContain('patch');
    const patch = await call('/Observation/i-1', { token: system, method: 'PATCH', body: '[]' });
    expect([patch.status, patch.headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, OPTIONS, PUT']);
    expect(patch.body.resourceType).toBe('OperationOutcome');
  });

  it('every search parameter that it names is understood', async () => {
    const { body } = await node.fhir('/metadata');
    for (const { type, searchParam } of body.rest[0].resource) {
      const values: Record<string, string> = { date: '2024', reference: 'i-p' };
      const query = searchParam
        .slice(0, 64)
        .map(({ name, type: kind }: { name: string; type: string }) => `${name}=${values[kind] ?? 'x'}`)
        .join('&');
      const answer = await call(`/${type}?${query}`, { headers: { prefer: 'handling=strict' } });
      expect([type, answer.status === 200 || codeOf(answer) === '765']).toEqual([type, true]);
    }
  });
});
