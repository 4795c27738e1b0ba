import { createClient, openApiPath, type RouteDefinition, routes } from '@salus/api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RecordsNode, startRecordsNode } from '../testing/records-node.ts';

let node: RecordsNode;
beforeAll(async () => {
  node = await startRecordsNode();
});
afterAll(() => node.stop());

/** One line per method and path from the router's own tree: what is mounted, whoever mounted it. */
function served(tree: string): string[] {
  const parts: string[] = [];
  const found: string[] = [];
  for (const line of tree.split('\n')) {
    const match = /^([│ ]*)[├└]── (.*?)(?: \(([A-Z, ]+)\))?$/.exec(line);
    if (match === null) continue;
    const [, indent = '', part = '', methods = ''] = match;
    parts.length = indent.length / 4;
    parts.push(part);
    const path = parts.join('').replaceAll('//', '/');
    for (const method of methods === '' ? [] : methods.split(', ')) found.push(`${method} ${path}`);
  }
  return found;
}

/** Names of parameters count for nothing: the router knows the rest of a path as `*`, and a slash at the end is none. */
function normalized(line: string): string {
  const [method = '', path = ''] = line.split(' ');
  const named = path.replace(/\{[A-Za-z]+\}|:[A-Za-z]+|\*/g, '{}');
  return `${method} ${named.length > 1 ? named.replace(/\/$/, '') : named}`;
}

async function described(): Promise<string[]> {
  const document = (await createClient({ baseUrl: node.node.url }).openApi()) as { paths: Record<string, object> };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

const unique = (lines: string[]): string[] => [...new Set(lines.map(normalized))].sort();

describe('R-PPL-5 the parts of a node', () => {
  test('the router serves what the document describes and nothing else; HEAD wherever there is GET', async () => {
    const mounted = unique(served(node.node.app.http.printRoutes()));
    expect(mounted.length).toBeGreaterThan(60);
    const shown = unique(await described());
    expect(mounted.filter((line) => !line.startsWith('HEAD '))).toEqual(shown);
    const heads = shown.filter((line) => line.startsWith('GET ')).map((line) => line.replace('GET', 'HEAD'));
    expect(mounted.filter((line) => line.startsWith('HEAD '))).toEqual(heads);
  });

  test('the document describes every definition under its id, and no other', async () => {
    const all = Object.values<RouteDefinition>(routes);
    const defined = all.map(({ method, path }) => `${method} ${openApiPath(path)}`);
    expect((await described()).sort()).toEqual(defined.sort());
  });
});
