import { Compile } from 'typebox/compile';
import { describe, expect, test } from 'vitest';
import { ApiError, createClient } from './client.ts';
import { apiErrors } from './errors.ts';
import { createEventParser } from './event-stream.ts';
import { fillPath, fillQuery, type RouteDefinition } from './route.ts';
import { routes } from './routes/all.ts';

describe('R-PPL-5 routes are defined once', () => {
  test.each([
    ['/a/{id}', { id: 'x/y' }, '/a/x%2Fy'],
    ['/a/{id}/b', { id: 'é' }, '/a/%C3%A9/b'],
    ['/a/{c}/{key+}', { c: 'kernel', key: 'replay/12 3/%' }, '/a/kernel/replay/12%203/%25'],
  ])('fillPath(%s)', (path, params, expected) => {
    expect(fillPath(path, params)).toBe(expected);
  });

  test('fillPath refuses a missing parameter', () => {
    expect(() => fillPath('/a/{id}', {})).toThrow('id is missing');
  });

  test('fillQuery leaves out what is undefined', () => {
    expect(fillQuery({ a: 1, b: undefined, c: 'x y' })).toBe('?a=1&c=x+y');
    expect(fillQuery()).toBe('');
  });

  test('ids equal their names and no two routes share method and path', () => {
    for (const [id, route] of Object.entries(routes)) expect(route.id).toBe(id);
    const places = Object.values(routes).map((route) => `${route.method} ${route.path}`);
    expect(new Set(places).size).toBe(places.length);
  });

  test('every path parameter is described, and every error has advice', () => {
    for (const route of Object.values(routes)) {
      const names = [...route.path.matchAll(/\{([A-Za-z]+)\+?\}/g)].map((match) => match[1]);
      const described = 'params' in route ? Object.keys(route.params.properties) : [];
      expect(described.sort()).toEqual(names.sort());
    }
    for (const entry of Object.values(apiErrors)) expect(entry.advice.length).toBeGreaterThan(10);
  });
});

describe('R-PPL-5 examples', () => {
  test('every example has the form that its route describes', () => {
    let checked = 0;
    for (const { id, body, bodyExample, responses } of Object.values<RouteDefinition>(routes)) {
      const shown = Object.values(responses).filter(({ example }) => example !== undefined);
      const pairs = [...shown.map(({ schema, example }) => [schema, example] as const), [body, bodyExample] as const];
      for (const [schema, example] of pairs) {
        if (schema === undefined || example === undefined) continue;
        expect([id, Compile(schema).Errors(example)]).toEqual([id, []]);
        checked += 1;
      }
    }
    expect(checked).toBeGreaterThan(5);
  });
});

describe('R-PPL-5 typed client', () => {
  const problem = { type: 'x', title: 'No', status: 404, code: 630, advice: 'Look.', requestId: 'r' };

  test('sends bytes as they are and parses the answer', async () => {
    const seen: { url: string; init: RequestInit }[] = [];
    const client = createClient({
      baseUrl: 'http://node/',
      token: (method, path) => `${method} ${path}`,
      fetch: async (url, init) => {
        seen.push({ url: String(url), init: init ?? {} });
        return Response.json({ hash: 'ab' }, { status: 202 });
      },
    });
    const bytes = new TextEncoder().encode('{}');
    const result = await client.submitTransaction({ query: { wait: 'none' }, body: bytes });
    expect(result).toEqual({ hash: 'ab' });
    expect(seen[0]?.url).toBe('http://node/api/transactions?wait=none');
    expect(seen[0]?.init.body).toEqual(bytes);
    expect(seen[0]?.init.headers).toEqual({
      'content-type': 'application/jose+json',
      authorization: 'Bearer POST /api/transactions',
    });
  });

  test('turns a problem into an ApiError, and an alien answer too', async () => {
    const answer = (response: Response) => createClient({ baseUrl: 'http://node', fetch: async () => response });
    await expect(answer(Response.json(problem, { status: 404 })).status()).rejects.toMatchObject({ code: 630 });
    const alien = answer(new Response('<html>', { status: 502 })).status();
    await expect(alien).rejects.toBeInstanceOf(ApiError);
    await expect(alien).rejects.toMatchObject({ status: 502, code: 0 });
  });
});

describe('R-PPL-5 event stream', () => {
  test('parses events however the text is cut', () => {
    const text = ': hello\nid: 3.0\nevent: event\ndata: {"a":1}\n\nid: 3.1\r\ndata: x\r\ndata: y\r\n\r\ndata: open';
    const expected = [
      { id: '3.0', event: 'event', data: '{"a":1}' },
      { id: '3.1', event: 'message', data: 'x\ny' },
    ];
    for (let size = 1; size <= text.length; size += 1) {
      const parser = createEventParser();
      const events = [];
      for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
      expect(events).toEqual(expected);
    }
  });

  test('refuses an event that never ends', () => {
    const parser = createEventParser();
    const chunk = 'x'.repeat(1_000_000);
    expect(() => {
      for (let i = 0; i < 6; i += 1) parser.push(chunk);
    }).toThrow('too long');
  });
});
