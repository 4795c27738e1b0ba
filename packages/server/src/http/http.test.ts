import { connect } from 'node:net';
import { apiErrors, createClient, openApiPath, Problem, routes } from '@salus/api';
import { toHex } from '@salus/protocol';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testRejectCode } from '../testing/memory-ledger.ts';
import { startTestNode, type TestNode } from '../testing/test-node.ts';

const problem = Compile(Problem);
let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(async () => {
  await node.stop();
});

const hospital = () => node.node.organizations.get('hospital')!;
const api = () => createClient({ baseUrl: node.node.url });
const get = (path: string, init?: RequestInit) => fetch(`${node.node.url}${path}`, init);

async function expectProblem(response: Response, status: number, code: number): Promise<Problem> {
  expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
  const body: unknown = await response.json();
  expect(problem.Errors(body)).toEqual([]);
  expect(body).toMatchObject({ status, code, requestId: response.headers.get('x-request-id') });
  return body as Problem;
}

describe('R-PPL-5 operations', () => {
  test('GET /healthz, /readyz and /metrics answer, and no label names anybody', async () => {
    await expect(api().health()).resolves.toEqual({ status: 'ok' });
    await expect(api().ready()).resolves.toMatchObject({ status: 'ready' });
    const text = await api().metrics();
    expect(text).toContain('salus_http_request_duration_seconds_bucket');
    expect(text).not.toContain('did:salus');
  });

  test('GET /readyz is 503 when the head is stale', async () => {
    node.ledger.ageMs = 61_000;
    await expectProblem(await get('/readyz'), 503, 610);
    node.ledger.ageMs = 0;
  });

  test('GET /readyz is 503 while the disk has no room, and the rest answers', async () => {
    const full = await startTestNode({ bytesFreeMin: Number.MAX_SAFE_INTEGER });
    await expectProblem(await fetch(`${full.node.url}/readyz`), 503, 610);
    expect((await fetch(`${full.node.url}/api/status`)).status).toBe(200);
    await full.stop();
  });

  test('GET /api/status names network, head and organisations', async () => {
    const status = await api().status();
    expect(status).toMatchObject({ chain: node.chain, sandbox: true, engine: 'embedded' });
    expect(status.organizations.map((one) => [one.slug, one.role, one.hosted])).toEqual([
      ['hospital', 'hospital', true],
      ['clinic', 'clinic', true],
      ['payer', 'payer', true],
      ['regulator', 'regulator', true],
    ]);
  });

  test('pages are accessible HTML without scripts or foreign assets', async () => {
    for (const path of ['/', '/walkthrough', '/api/reference']) {
      const response = await get(path);
      const text = await response.text();
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(text).toMatch(/<html lang="en">/);
      expect(text.match(/<h1>/g)).toHaveLength(1);
      // The command that a page names says where this node is; nothing else is fetched from anywhere.
      const rest = text.replace(/--url http:\/\/127\.0\.0\.1:\d+/, '');
      expect(rest).not.toMatch(/<script|<img|style="|https?:\/\//);
      for (const id of [...text.matchAll(/href="#([^"]+)"/g)]) expect(text).toContain(`id="${id[1]}"`);
    }
    expect((await get('/assets/page.css')).headers.get('content-type')).toBe('text/css; charset=utf-8');
  });

  test('the OpenAPI document has every route of the core and no other', async () => {
    const document = (await api().openApi()) as { paths: Record<string, Record<string, { operationId: string }>> };
    const published = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
    );
    const core = Object.values(routes).filter((route) => ['operations', 'ledger', 'events'].includes(route.tags[0]));
    const defined = core.map((route) => `${route.method} ${openApiPath(route.path)} ${route.id}`);
    expect(published.sort()).toEqual(defined.sort());
  });
});

describe('R-LED-1 ledger routes', () => {
  test('POST /api/transactions answers when the transaction is durable', async () => {
    const body = await hospital().sign([{ type: 'test/ok' }]);
    const result = await api().submitTransaction({ body });
    expect(result).toMatchObject({ code: 0, index: 0, events: [{ type: 'test/Seen' }] });
    const hash = 'hash' in result ? result.hash : '';
    const found = await api().getTransaction({ params: { id: hash } });
    expect(Buffer.from(found.transaction, 'base64url')).toEqual(Buffer.from(body));
    const receipt = JSON.parse(await api().getReceipt({ params: { id: hash }, query: { state: 'test/count' } }));
    expect(receipt).toEqual({ format: 'test-receipt', hash, stateKey: 'test/count' });
  });

  test('POST /api/transactions?wait=none answers at once, application/json too', async () => {
    const body = Buffer.from(await hospital().sign([{ type: 'test/ok' }]));
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    const response = await get('/api/transactions?wait=none', { method: 'POST', body, headers });
    expect(response.status).toBe(202);
    const { hash } = (await response.json()) as { hash: string };
    expect((await get(`/api/transactions/${hash}`)).status).toBe(200);
  });

  test('a transaction that a rule rejects is a problem with its code and place', async () => {
    const body = Buffer.from(await hospital().sign([{ type: 'test/reject' }]));
    const headers = { 'content-type': 'application/jose+json' };
    const response = await get('/api/transactions', { method: 'POST', body, headers });
    const answer = await expectProblem(response, 422, testRejectCode);
    expect(answer.transaction?.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ['malformed JSON', '{', 4],
    ['not an envelope', '{"a":1}', 10],
    ['a byte order mark', '\ufeff{}', 3],
  ])('%s is refused with its number and without an echo', async (_name, body, code) => {
    const headers = { 'content-type': 'application/jose+json' };
    await expectProblem(await get('/api/transactions', { method: 'POST', body, headers }), 400, code);
  });

  test('wrong content type, empty and oversized bodies are refused', async () => {
    const post = (headers: Record<string, string>, body?: string | Uint8Array) =>
      get('/api/transactions', { method: 'POST', headers, body: body as string });
    await expectProblem(await post({ 'content-type': 'text/plain' }, '{}'), 415, 604);
    await expectProblem(await post({ 'content-type': 'x/y' }, '{}'), 415, 604);
    await expectProblem(await post({ 'content-type': 'application/json' }), 400, 602);
    await expectProblem(await post({}), 400, 602);
    await expectProblem(await post({ 'content-type': 'application/json' }, 'x'.repeat(1_048_577)), 413, 605);
  });

  test('GET /api/transactions pages without gap or repetition', async () => {
    for (let n = 0; n < 5; n += 1) await hospital().submit([{ type: 'test/ok' }]);
    const all = (await api().listTransactions({ query: { limit: 500 } })).transactions.map((one) => one.hash);
    const paged: string[] = [];
    let after: string | undefined;
    do {
      const page = await api().listTransactions({ query: { limit: 2, after } });
      paged.push(...page.transactions.map((one) => one.hash));
      after = page.next;
    } while (after !== undefined);
    expect(paged).toEqual(all);
    const other = await api().listTransactions({ query: { type: 'test/reject', participant: hospital().profile.did } });
    expect(other.transactions.every((one) => one.types.includes('test/reject'))).toBe(true);
  });

  test('GET /api/state gives value and proof; an absent key is an answer', async () => {
    const present = await api().getState({ params: { contract: 'test', key: 'count' }, query: { proof: true } });
    expect(present).toMatchObject({ key: 'test/count', present: true, proof: { present: true } });
    expect(typeof present.content).toBe('number');
    const absent = await api().getState({ params: { contract: 'test', key: 'a/b:c/d~e' } });
    expect(absent).toMatchObject({ key: 'test/a/b:c/d~e', present: false });
    expect(absent.proof).toBeUndefined();
  });

  test('GET /api/blocks/{height} and /api/anchor', async () => {
    const { height } = await api().status();
    expect((await api().getBlock({ params: { height } })).height).toBe(height);
    await expectProblem(await get(`/api/blocks/${height + 1000}`), 404, 631);
    expect(JSON.parse(await api().getAnchor())).toEqual({ format: 'test-anchor', chain: node.chain });
  });

  test.each([
    ['/api/transactions/xyz', 400, 603],
    [`/api/transactions/${'0'.repeat(64)}`, 404, 630],
    [`/api/transactions/${'0'.repeat(64)}/receipt`, 404, 630],
    ['/api/transactions?limit=0', 400, 603],
    ['/api/transactions?limit=x', 400, 603],
    ['/api/transactions?limit=1&limit=2', 400, 603],
    ['/api/transactions?nonsense=1', 400, 603],
    ['/api/transactions?participant=me', 400, 603],
    ['/api/blocks/-1', 400, 603],
    ['/api/blocks/1.5', 400, 603],
    ['/api/blocks/99999999999999999999', 400, 603],
    [`/api/state/test/${'k'.repeat(300)}`, 400, 603],
    ['/api/state/TEST/x', 400, 603],
    ['/api/state/test/x?proof=maybe', 400, 603],
    ['/api/nothing', 404, 606],
    ['/org/nobody/notices', 401, 620],
    ['/%zz', 400, 601],
    ['/api/state/test/%ff', 400, 601],
  ])('GET %s is %i with code %i', async (path, status, code) => {
    const answer = await expectProblem(await get(path), status, code);
    expect(answer.advice).toBe(apiErrors[code as keyof typeof apiErrors].advice);
    expect(JSON.stringify(answer)).not.toContain('nonsense');
  });
});

describe('R-LED-5 nothing of a request is repeated', () => {
  test('errors name members of the schema only, and logs hold patterns', async () => {
    const secret = 'Mrs-Smith-1970-01-01';
    const path = `/api/transactions/${secret}?${secret}=${secret}`;
    const text = await (await get(path, { headers: { authorization: `Bearer ${secret}` } })).text();
    expect(text).not.toContain(secret);
    await get(`/${secret}`);
    await get(`/api/state/test/${secret}`);
    expect(node.logLines.length).toBeGreaterThan(3);
    expect(node.logLines.join('')).not.toContain(secret);
    expect(node.logLines.join('')).toContain('/api/transactions/:id');
  });
});

/** Sends bytes as they are and gives what comes back until the connection ends. */
function raw(text: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(node.node.port, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
    socket.on('error', reject);
    socket.end(text);
  });
}

describe('R-PPL-5 HTTP itself', () => {
  test('HEAD, OPTIONS and wrong methods', async () => {
    const head = await get('/api/status', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await get('/api/events', { method: 'HEAD' })).status).toBe(200);
    const options = await get('/api/transactions', { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS, POST']);
    const wrong = await get('/api/status', { method: 'DELETE' });
    expect(wrong.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    await expectProblem(wrong, 405, 607);
    await expectProblem(await get('/nowhere', { method: 'OPTIONS' }), 404, 606);
  });

  test('bytes that are no HTTP get a problem and the connection ends', async () => {
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"code":600/s);
    expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw('GET  HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw('PROPFIND /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1.1 40[45] /,
    );
  });

  test('a body cut short harms nobody', async () => {
    await raw(
      'POST /api/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    );
    expect((await get('/healthz')).status).toBe(200);
  });

  test('the transaction hash is that of the bytes', async () => {
    const body = await hospital().sign([{ type: 'test/ok' }]);
    const digest = toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(body))));
    const result = await api().submitTransaction({ body });
    expect('hash' in result && result.hash).toBe(digest);
  });
});

describe('R-PPL-5 rate limit', () => {
  test('one address is slowed down with 429 and Retry-After', async () => {
    const limited = await startTestNode({ rateLimitPerMinute: 3, limitLoopback: true });
    try {
      const answers: number[] = [];
      let last: Response | undefined;
      for (let n = 0; n < 5; n += 1) {
        last = await fetch(`${limited.node.url}/healthz`);
        answers.push(last.status);
      }
      expect(answers).toEqual([200, 200, 200, 429, 429]);
      expect(Number(last?.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await last?.json()).toMatchObject({ code: 608, status: 429 });
    } finally {
      await limited.stop();
    }
  });
});

describe('R-PPL-5 methods', () => {
  test('QUERY, which wants a content type, is answered like any other method that a path does not take', async () => {
    const response = await get('/api/status', { method: 'QUERY' });
    await expectProblem(response, 405, 607);
    expect(response.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
  });
});
