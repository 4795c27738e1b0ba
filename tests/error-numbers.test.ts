import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../packages/', import.meta.url));
const TABLE = /ErrorCodes = \{([^}]*)\}/g;
const ENTRY = /^\s+([A-Za-z0-9]+): (\d+),$/gm;

/** Every number that stands in a table `…ErrorCodes = {name: number}`, with the places that give it a meaning. */
function numbers(): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!/^[a-z]+\/src\/.*errors\.ts$/.test(path)) continue;
    for (const [, table = ''] of readFileSync(root + path, 'utf8').matchAll(TABLE)) {
      for (const [, name, number] of table.matchAll(ENTRY)) {
        found.set(Number(number), [...(found.get(Number(number)) ?? []), `${path} ${name}`]);
      }
    }
  }
  return found;
}

describe('error numbers', () => {
  it('one number has one meaning, whichever package gives it', () => {
    const all = [...numbers()];
    expect(all.length).toBeGreaterThan(200);
    expect(all.filter(([, places]) => places.length > 1)).toEqual([]);
  });
});
