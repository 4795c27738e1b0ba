import { join } from 'node:path';
import { createClient, openApiPath, routes } from '@salus/api';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../testing/test-node.ts';
import { nodeParts } from './parts.ts';
import { createSandbox } from './sandbox.ts';
import { startNode } from './start-node.ts';

describe('R-PPL-5 the parts of a node', () => {
  test.skipIf(nodeParts.length === 0)('mount every defined route', async () => {
    const temporary = temporaryDirectory();
    const dataDir = join(temporary.path, 'node');
    await createSandbox(dataDir);
    const node = await startNode({ dataDir, port: 0, logLevel: 'silent' });
    try {
      const document = (await createClient({ baseUrl: node.url }).openApi()) as { paths: Record<string, object> };
      const published = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const defined = Object.values(routes).map((route) => `${route.method} ${openApiPath(route.path)}`);
      expect(published).toEqual(expect.arrayContaining(defined));
    } finally {
      await node.stop();
      temporary.remove();
    }
  });
});
