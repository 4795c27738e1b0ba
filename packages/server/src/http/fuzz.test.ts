import { request } from 'node:http';
import { routes } from '@salus/api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestNode, type TestNode } from '../testing/test-node.ts';

const runs = 400;
let node: TestNode;
beforeAll(async () => {
  node = await startTestNode({ heartbeatMs: 5 });
});
afterAll(async () => {
  await node.stop();
});

interface Shot {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

/** Status and content type; a stream is left as soon as it has answered. */
function shoot(shot: Shot): Promise<{ status: number; type: string }> {
  return new Promise((resolve, reject) => {
    const { method, path, headers } = shot;
    const call = request(
      { host: '127.0.0.1', port: node.node.port, method, path, headers, agent: false },
      (response) => {
        resolve({ status: response.statusCode ?? 0, type: String(response.headers['content-type'] ?? '') });
        response.destroy();
      },
    );
    call.on('error', (error) => {
      // The server may close while a refused body is still being sent.
      if ('code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE'))
        resolve({ status: 400, type: '' });
      else reject(error);
    });
    call.end(shot.body);
  });
}

const segment = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.stringMatching(/^[!-~]{0,12}$/).map((text) => text.replace(/[#]/g, '')),
  fc.constantFrom('..', '%', '%00', '%ff', '%2f', ';', '__proto__', 'constructor', '0'.repeat(64), '1', '-1', ''),
);
const knownPath = fc
  .tuple(fc.constantFrom(...Object.values(routes).map((route) => route.path)), fc.array(segment, { maxLength: 4 }))
  .map(([path, parts]) => {
    let at = 0;
    return path.replace(/\{[A-Za-z]+\+?\}/g, () => parts[at++ % Math.max(parts.length, 1)] ?? 'x');
  });
const anyPath = fc.array(segment, { maxLength: 5 }).map((parts) => `/${parts.join('/')}`);
const query = fc.array(fc.tuple(fc.constantFrom('limit', 'after', 'wait', 'proof', 'state', 'x', ''), segment), {
  maxLength: 3,
});

const shot = fc
  .record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE', 'SEARCH'),
    path: fc.oneof(knownPath, anyPath),
    query,
    type: fc.constantFrom(
      'application/json',
      'application/jose+json',
      'text/plain',
      'a',
      '',
      'application/json; charset=x',
    ),
    token: fc.option(
      fc.oneof(fc.stringMatching(/^[!-~]{0,40}$/), fc.constant('Bearer a.b.c'), fc.constant('Bearer ..')),
      {
        nil: undefined,
      },
    ),
    cursor: fc.option(fc.constantFrom('0.0', '1.0', '99999.1', 'x', '1', '-1', '1.0.0'), { nil: undefined }),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(text)),
      fc
        .constantFrom('{"__proto__":{}}', '{"payload":"","protected":"","signature":""}', '[[[[', '')
        .map((text) => Buffer.from(text)),
    ),
  })
  .map(({ method, path, query: pairs, type, token, cursor, body }): Shot => {
    const search = pairs.map(([name, value]) => `${name}=${value}`).join('&');
    const headers: Record<string, string> = { 'content-type': type };
    if (token !== undefined) headers.authorization = token;
    if (cursor !== undefined) headers['last-event-id'] = cursor;
    return { method, path: search === '' ? path : `${path}?${search}`, headers, body };
  });

describe('R-LED-8 nothing that comes in makes the node fail', () => {
  test('random methods, paths, headers and bodies never give a 5xx, and every error is a problem', async () => {
    const check = async (one: Shot): Promise<void> => {
      const { status, type } = await shoot(one);
      expect(status).toBeLessThan(500);
      if (status >= 400 && one.method !== 'HEAD' && type !== '') expect(type).toBe('application/problem+json');
    };
    await fc.assert(fc.asyncProperty(shot, check), { numRuns: runs });
    expect((await fetch(`${node.node.url}/healthz`)).status).toBe(200);
  });
});
