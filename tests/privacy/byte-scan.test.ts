import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ByteScanner } from '../support/byte-scan.ts';

const canary = 'Quillfeather Möller-17';

function hide(encoding: (text: string) => Buffer | string): Buffer {
  return Buffer.concat([randomBytes(1_001), Buffer.from(encoding(canary) as string), randomBytes(777)]);
}

describe('R-LED-5 the byte scan itself', () => {
  it.each<[string, (text: string) => Buffer | string]>([
    ['UTF-8', (text) => text],
    ['UTF-16LE', (text) => Buffer.from(text, 'utf16le')],
    ['UTF-16BE', (text) => Buffer.from(text, 'utf16le').swap16()],
    ['hex', (text) => Buffer.from(text).toString('hex')],
    ['base64', (text) => Buffer.from(text).toString('base64')],
    ['base64 at offset 1', (text) => Buffer.from(`x${text} and more`).toString('base64')],
    ['base64url at offset 2', (text) => Buffer.from(`xy${text} and more`).toString('base64url')],
    ['SHA-256', (text) => createHash('sha256').update(text).digest()],
    ['SHA-256 as hex', (text) => createHash('sha256').update(text).digest('hex')],
    ['MD5 of lower case', (text) => createHash('md5').update(text.toLowerCase()).digest()],
    ['gzip', (text) => gzipSync(`{"name":"${text}"}`)],
    ['deflate', (text) => deflateSync(`{"name":"${text}"}`)],
  ])('finds a planted canary as %s', (_name, encoding) => {
    const scanner = new ByteScanner([canary]);
    scanner.scan(hide(encoding), 'memory');
    expect(scanner.findings.length).toBeGreaterThan(0);
  });

  it('finds it across the border of two pieces of a large file, and in a file name', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'salus-scan-'));
    try {
      const bytes = Buffer.alloc(9 * 1024 * 1024, 1);
      bytes.write(canary, 8 * 1024 * 1024 - 5);
      writeFileSync(join(dir, 'large'), bytes);
      writeFileSync(join(dir, `x-${canary}`), '');
      const scanner = new ByteScanner([canary]);
      await scanner.scanDirectory(dir);
      expect(scanner.findings.map(({ file }) => file.endsWith('large'))).toContain(true);
      expect(scanner.findings.map(({ file }) => file.includes('file name'))).toContain(true);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('finds nothing in random bytes', () => {
    const scanner = new ByteScanner([canary, 'Boston', '555-0100-1234']);
    scanner.scan(randomBytes(2_000_000), 'memory');
    expect(scanner.findings).toEqual([]);
  });
});
