import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Every module that an entry reaches by relative imports, and the packages that these import. */
function reached(entry: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (path: string) => {
    if (files.has(path)) return;
    files.add(path);
    const text = readFileSync(path, 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      if (specifier.startsWith('.')) visit(join(dirname(path), specifier));
      else packages.add(specifier);
    }
  };
  visit(entry);
  return { files, packages };
}

describe('R-LED-5 @salus/vault/browser', () => {
  it('imports nothing of Node, neither itself nor what it reaches', () => {
    const { files, packages } = reached(join(import.meta.dirname, 'browser.ts'));
    expect(files.size).toBeGreaterThan(4);
    expect([...packages].sort()).toEqual(['@hpke/core', '@salus/protocol']);
    for (const path of files) expect(readFileSync(path, 'utf8')).not.toMatch(/\bBuffer\b|\bprocess\.|node:/);
  });

  it('seals and opens content and payloads by WebCrypto alone', async () => {
    const browser = await import('./browser.ts');
    const key = globalThis.crypto.getRandomValues(new Uint8Array(32));
    const content = new TextEncoder().encode('x'.repeat(70_000));
    const stream = browser.encryptContent({ key, context: 'c' }, [content]);
    const opened = await browser.collect(
      browser.decryptContent({ key, context: 'c' }, browser.toReadableStream(stream)),
      100_000,
      () => new Error('too large'),
    );
    expect(Buffer.from(opened).equals(content)).toBe(true);
  });
});
