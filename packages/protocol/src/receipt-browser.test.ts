import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const dir = new URL('../../../vectors/receipts/', import.meta.url);

/** A browser has no `process`: the modules then take the audited libraries instead of Node's own. */
describe('R-LED-1 verifyReceipt without Node', () => {
  const { getBuiltinModule } = process;

  beforeAll(() => {
    vi.resetModules();
    Object.defineProperty(process, 'getBuiltinModule', { value: undefined, configurable: true, writable: true });
  });

  afterAll(() => {
    Object.defineProperty(process, 'getBuiltinModule', { value: getBuiltinModule, configurable: true, writable: true });
  });

  it('accepts and refuses the same files', async () => {
    const files = readdirSync(dir).filter((name) => name.endsWith('.receipt'));
    const contents = files.map((name) => new Uint8Array(readFileSync(new URL(name, dir))));
    const anchorText = readFileSync(new URL('anchor.json', dir), 'utf8');
    const { verifyReceipt } = await import('./receipt.ts');
    const { parseAnchor } = await import('./anchor.ts');
    const { ed25519PublicKey, signEd25519, verifyEd25519 } = await import('./ed25519.ts');
    const anchor = parseAnchor(anchorText);
    for (const [index, name] of files.entries()) {
      const verify = () => verifyReceipt(contents[index]!, anchor);
      if (name.startsWith('accept-')) expect(verify().chain).toBe(anchor.chain);
      else expect(verify).toThrow();
    }
    const seed = new Uint8Array(32).fill(9);
    const signature = signEd25519(seed, contents[0]!);
    expect(verifyEd25519(ed25519PublicKey(seed), contents[0]!, signature)).toBe(true);
    expect(verifyEd25519(ed25519PublicKey(seed), contents[1]!, signature)).toBe(false);
  });
});
