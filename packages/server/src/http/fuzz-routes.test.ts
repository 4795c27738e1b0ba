import { connect } from 'node:net';
import { type RouteDefinition, routes } from '@salus/api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

const seed = Number(process.env.SALUS_SEED ?? 20_261_121);
const runs = Number(process.env.SALUS_FUZZ_RUNS ?? 1_500);
const answerMsMax = 20_000;
let node: RecordsNode;
const tokens: string[] = ['', 'Bearer', 'Bearer a.b.c', 'Basic eDp5'];

beforeAll(async () => {
  node = await startRecordsNode();
  const resources = [patientOf('f-p'), observationOf('f-o', 'f-p'), { resourceType: 'Organization', id: 'f-org' }];
  expect((await node.import(bundleOf(resources))).errors).toEqual([]);
  const bearers = [
    await node.system(),
    await node.system('clinic'),
    (await node.practitioner()).token,
    (await node.practitioner('clerk')).token,
    await node.token({ kind: 'patient', id: 'f-p' }),
  ];
  tokens.push(...bearers.map((token) => `Bearer ${token}`));
});
afterAll(() => node.stop());

interface Shot {
  method: string;
  target: string;
  headers: string[];
  body: Buffer;
  /** How many bytes of the body are sent before the connection is cut; all of them where undefined. */
  cutAt: number | undefined;
}

interface Heard {
  status: number;
  type: string;
  body: string;
}

function parse(text: string): Heard | undefined {
  const match = /^HTTP\/1\.1 (\d{3})[^\r]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(
    text.replace(/^HTTP\/1\.1 100 [^\r]*\r\n\r\n/, ''),
  );
  if (match === null) return undefined;
  const [, status, head = '', rest = ''] = match;
  // What comes after the length that was announced answers what the node took for a second request.
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  const body = length === undefined ? rest : rest.slice(0, Number(length));
  return { status: Number(status), type: /^content-type: (.*)$/im.exec(head)?.[1]?.trim() ?? '', body };
}

/** Writes a request as it is, well-formed or not, and hears what comes back until the connection ends. */
function shoot({ method, target, headers, body, cutAt }: Shot): Promise<Heard | undefined> {
  return new Promise((resolve) => {
    const socket = connect(node.node.port, '127.0.0.1');
    let text = '';
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(parse(text));
    };
    const timer = setTimeout(done, answerMsMax);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      // A stream never ends: its head is enough.
      if (/^content-type: text\/event-stream/im.test(text)) done();
    });
    socket.on('close', done);
    // The node may close while a refused body is still being sent.
    socket.on('error', done);
    const lines = [`${method} ${target} HTTP/1.1`, 'host: x', 'connection: close', ...headers];
    if (body.length > 0 || method === 'POST') lines.push(`content-length: ${body.length}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    if (cutAt === undefined || cutAt >= body.length) socket.write(body);
    else socket.write(body.subarray(0, cutAt), () => setTimeout(done, 5));
  });
}

const known = ['hospital', 'clinic', 'nobody', 'Patient', 'Observation', 'Organization', 'f-p', 'f-o', 'f-org', '1'];
const tricks = ['..', '.', '%', '%00', '%ff', '%2f', '%2e%2e', '%252f', '%ed%a0%80', '%f0%9f%98%80', ';', '__proto__'];
const long = [
  'constructor',
  '$everything',
  '_history',
  '_search',
  '-1',
  '9'.repeat(30),
  'a'.repeat(2_100),
  '',
  '0'.repeat(64),
];
const segment = fc.oneof(
  { arbitrary: fc.constantFrom(...known), weight: 4 },
  fc.constantFrom(...tricks, ...long),
  fc.stringMatching(/^[!-~]{1,12}$/).map((text) => text.replaceAll(/[?#]/g, '')),
);
const definitions = Object.values<RouteDefinition>(routes);
const knownTarget = fc.tuple(fc.constantFrom(...definitions), fc.array(segment, { minLength: 4, maxLength: 4 }));
const anyTarget = fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`);
const oddTarget = fc.constantFrom(
  '*',
  'http://other/healthz',
  '//',
  '/%zz',
  '/?%=%&&=',
  'healthz',
  '/\x80',
  `/${'x'.repeat(9_000)}`,
);

const names = [
  '_count',
  '_cursor',
  '_elements',
  '_summary',
  '_include',
  '_sort',
  '_since',
  'patient',
  'name',
  'identifier',
];
const more = [
  'limit',
  'after',
  'wait',
  'proof',
  'state',
  'start',
  '_lastUpdated',
  'date',
  '_id',
  '__proto__',
  '',
  '_type',
];
const value = fc.oneof(
  fc.constantFrom(
    'f-p',
    '0',
    '-1',
    '1e400',
    '9'.repeat(400),
    '%00',
    '%ed%a0%80',
    '%F0%9F',
    '\\',
    ',,,',
    '|',
    'a|b|c',
    '+',
    'ge',
  ),
  fc.constantFrom(
    'Observation:subject',
    '*',
    'Observation:*',
    '2024-02-30',
    '2024T',
    'a'.repeat(2_000),
    '%',
    '$',
    'none',
    'true',
  ),
  fc.stringMatching(/^[!-~]{0,10}$/).map((text) => text.replaceAll(/[#&]/g, '')),
);
const query = fc.array(fc.tuple(fc.constantFrom(...names, ...more), value), { maxLength: 4 });

const scalar = fc.oneof(
  fc.constantFrom(
    'null',
    'true',
    '-0',
    '1e400',
    '-1e-400',
    '9'.repeat(400),
    '1.10',
    '"\\ud800"',
    '"\\u0000"',
    '""',
    '"__proto__"',
  ),
  fc.constantFrom('"Patient/f-p"', '"f-p"', '"Observation"', '"did:salus:AAECAwQFBgcICQoLDA0ODxAREhM"', '"hospital"'),
  fc.integer().map(String),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => JSON.stringify(text)),
);
const memberNames = [
  'resourceType',
  'id',
  'meta',
  'subject',
  'status',
  'code',
  'entry',
  'request',
  'method',
  'url',
  'type',
];
const otherNames = [
  'patient',
  'custodian',
  'what',
  'contexts',
  'payload',
  'signature',
  'protected',
  'roles',
  'did',
  '__proto__',
  'reference',
];
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc.array(tie('json'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc
      .array(fc.tuple(fc.constantFrom(...memberNames, ...otherNames), tie('json')), { maxLength: 6 })
      .map((members) => `{${members.map(([name, member]) => `${JSON.stringify(name)}:${member}`).join(',')}}`),
  ),
}));
const nested = fc
  .constantFrom('[', '{"a":', '{"resourceType":"Bundle","type":"batch","entry":[')
  .map((open) => open.repeat(5_000));
const fhirText = fc
  .tuple(fc.constantFrom('Observation', 'Patient', 'Bundle', 'Nothing', '__proto__'), json, json)
  .map(
    ([type, one, two]) =>
      `{"resourceType":"${type}","id":"f-o","type":"batch","subject":${one},"entry":[${two},${one}],"name":${two}}`,
  );
const readBatch = fc
  .array(fc.tuple(fc.constantFrom('GET', 'DELETE', 'PUT', 'PATCH', ''), fc.array(segment, { maxLength: 4 }), query), {
    maxLength: 4,
  })
  .map((entries) =>
    JSON.stringify({
      resourceType: 'Bundle',
      type: 'batch',
      entry: entries.map(([method, parts, pairs]) => ({
        request: { method, url: `${parts.join('/')}?${pairs.map((pair) => pair.join('=')).join('&')}` },
      })),
    }),
  );
const body = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.oneof(json, fhirText, readBatch, nested).map((text) => Buffer.from(text)),
  query.map((pairs) => Buffer.from(pairs.map((pair) => pair.join('=')).join('&'))),
  fc.constantFrom(Buffer.from([0xff, 0xfe, 0x7b, 0]), Buffer.from([0x1f, 0x8b, 8, 0, 0]), Buffer.from('\ufeff{}')),
);

const types = [
  'application/json',
  'application/fhir+json',
  'application/jose+json',
  'application/x-www-form-urlencoded',
  'text/plain',
];
const oddTypes = [
  '',
  'a/b;;',
  'application/json; charset=utf-16',
  'application/fhir+json;fhirVersion=9',
  'application/gzip',
  '\x80',
];
const oddHeaders = fc.constantFrom(
  ...[
    'if-match: W/"x"',
    'if-none-match: "',
    'if-none-match: *',
    'if-modified-since: never',
    'prefer: return=',
    'accept: x',
  ],
  ...[
    'prefer: handling=strict, return=representation',
    'if-none-exist: identifier=a|b',
    'last-event-id: 9.9',
    'x-authority: \x80',
  ],
  ...[
    'transfer-encoding: gzip',
    'expect: 100-continue',
    'content-encoding: br',
    'host: y',
    'range: bytes=0-',
    'upgrade: h2c',
  ],
);

const shot = fc
  .record({
    route: knownTarget,
    other: fc.option(fc.oneof(anyTarget, oddTarget), { nil: undefined, freq: 4 }),
    method: fc.option(
      fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'SEARCH', 'x'),
      {
        nil: undefined,
        freq: 4,
      },
    ),
    query,
    type: fc.constantFrom(...types, ...types, ...oddTypes),
    token: fc.nat(8),
    headers: fc.array(oddHeaders, { maxLength: 2 }),
    body,
    cutAt: fc.option(fc.nat(200), { nil: undefined, freq: 12 }),
  })
  .map(
    ({ route: [definition, parts], other, method, query: pairs, type, token, headers, body: bytes, cutAt }): Shot => {
      let at = 0;
      const path =
        other ??
        definition.path.replaceAll(/\{[A-Za-z]+\+?\}/g, (name) =>
          name === '{slug}' && at++ % 3 !== 2 ? 'hospital' : (parts[at++ % 4] ?? 'x'),
        );
      const text = pairs.map((pair) => pair.join('=')).join('&');
      return {
        method: method ?? definition.method,
        target: (text === '' ? path : `${path}?${text}`).replaceAll(/[\s]/g, ''),
        headers: [`content-type: ${type}`, `authorization: ${tokens[token] ?? ''}`, ...headers],
        body: bytes,
        cutAt,
      };
    },
  );

function checkError({ status, type, body: text }: Heard): void {
  if (text === '') return;
  const answer = JSON.parse(text.startsWith('{') ? text : text.replace(/^[0-9a-f]+\r\n([\s\S]*)\r\n0\r\n\r\n$/i, '$1'));
  if (type === 'application/fhir+json') expect(answer).toMatchObject({ resourceType: 'OperationOutcome' });
  else expect([type, answer.status]).toEqual(['application/problem+json', status]);
}

describe('R-LED-8 every route, with the tokens of those who may use it', () => {
  test(`nothing that comes in is the node's fault (seed ${seed}; replay with SALUS_SEED)`, {
    timeout: 240_000,
  }, async () => {
    const statuses = new Map<number, number>();
    let unanswered = 0;
    const check = async (one: Shot): Promise<void> => {
      const heard = await shoot(one);
      if (heard === undefined) {
        unanswered += 1;
        return;
      }
      statuses.set(heard.status, (statuses.get(heard.status) ?? 0) + 1);
      expect(heard.status).toBeLessThan(500);
      if (heard.status >= 400 && one.method !== 'HEAD') checkError(heard);
    };
    await fc.assert(fc.asyncProperty(shot, check), { numRuns: runs, seed });
    // Most shots are refused for what they say before anybody asks who says it: one that is well-formed, by a clerk.
    const headers = [`authorization: ${tokens.at(-2)}`];
    await check({ method: 'GET', target: '/org/hospital/reviews', headers, body: Buffer.alloc(0), cutAt: undefined });
    expect((await fetch(`${node.node.url}/healthz`)).status).toBe(200);
    expect(node.logLines.filter((line) => line.includes('"fault"'))).toEqual([]);
    // Only connections that were cut, or that upgrade to what is not spoken here, stay without an answer.
    expect(unanswered).toBeLessThan(runs / 4);
    // The shots go past the first check: some are answered with what was asked for, others refused for many reasons.
    for (const status of [200, 400, 401, 403, 404, 405, 415])
      expect([status, statuses.has(status)]).toEqual([status, true]);
  });
});
