import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type * as Bytes from './bytes.ts';
import type * as Protocol from './index.ts';

const data = fc.uint8Array({ maxLength: 300 });

/** The modules as a browser loads them: they find nothing of Node. */
async function loadWithout<T>(node: boolean, path: string): Promise<T> {
  vi.resetModules();
  const spy = vi.spyOn(process, 'getBuiltinModule');
  if (!node) spy.mockReturnValue(undefined);
  try {
    return await import(path);
  } finally {
    spy.mockRestore();
  }
}

describe.each([
  ['Node', true],
  ['a browser', false],
])('R-PPL-5 bytes in %s', (_name, node) => {
  let bytes: typeof Bytes;
  beforeEach(async () => {
    bytes = await loadWithout<typeof Bytes>(node, './bytes.ts');
  });

  it('write and read hex and base64url', () => {
    fc.assert(
      fc.property(data, (value) => {
        const buffer = Buffer.from(value);
        expect(bytes.toHex(value)).toBe(buffer.toString('hex'));
        expect(bytes.fromHex(bytes.toHex(value))).toEqual(value);
        expect(bytes.toBase64url(value)).toBe(buffer.toString('base64url'));
        expect(bytes.fromBase64url(bytes.toBase64url(value))).toEqual(value);
      }),
    );
  });

  it('read base64url only where it is the text that would be written', () => {
    const near = fc.array(fc.constantFrom(...'ABQgwz019-_=+/ é\n'), { maxLength: 9 }).map((units) => units.join(''));
    fc.assert(
      fc.property(near, (text) => {
        const canonical = Buffer.from(text, 'base64url').toString('base64url') === text;
        expect(bytes.isBase64url(text)).toBe(canonical);
        if (canonical) expect(bytes.toBase64url(bytes.fromBase64url(text))).toBe(text);
        else expect(() => bytes.fromBase64url(text)).toThrow();
      }),
      { numRuns: 2000 },
    );
    for (const text of ['0', 'AA', 'aA', '0g', '0x00', 'é0', '00\n', ' 00']) {
      expect(() => bytes.fromHex(text)).toThrow();
    }
  });

  it('hash parts as if they were joined', () => {
    fc.assert(
      fc.property(fc.array(data, { maxLength: 4 }), data, (parts, key) => {
        const joined = Buffer.concat(parts);
        expect(bytes.toHex(bytes.sha256(...parts))).toBe(createHash('sha256').update(joined).digest('hex'));
        expect(bytes.toHex(bytes.hmacSha256(key, joined))).toBe(createHmac('sha256', key).update(joined).digest('hex'));
        expect(bytes.concatBytes(...parts)).toEqual(new Uint8Array(joined));
      }),
    );
    const large = [new Uint8Array(70_000).fill(1), new Uint8Array(10).fill(2)];
    expect(bytes.toHex(bytes.sha256(...large))).toBe(createHash('sha256').update(Buffer.concat(large)).digest('hex'));
  });

  it('hash a view, not the buffer under it', () => {
    const view = new Uint8Array(64).fill(7).subarray(3, 9);
    expect(bytes.toHex(bytes.sha256(view))).toBe(createHash('sha256').update(Buffer.alloc(6, 7)).digest('hex'));
    expect(bytes.toHex(view)).toBe('070707070707');
  });

  it('convert strict UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(text.isWellFormed());
        expect(bytes.utf8(text)).toEqual(new Uint8Array(Buffer.from(text)));
        expect(bytes.utf8Text(bytes.utf8(text))).toBe(text);
      }),
    );
    expect(bytes.utf8Text(bytes.utf8('\ufeffx'))).toBe('\ufeffx');
    expect(bytes.asciiBytes('abc'.repeat(50))).toEqual(bytes.utf8('abc'.repeat(50)));
    expect(() => bytes.utf8('\ud800')).toThrow();
    for (const hex of ['ff', 'c3', 'c0af', 'eda080', 'f4908080', '80']) {
      expect(() => bytes.utf8Text(bytes.fromHex(hex))).toThrow();
    }
  });

  it('compare', () => {
    fc.assert(
      fc.property(data, data, (left, right) => {
        expect(Math.sign(bytes.compareBytes(left, right))).toBe(Buffer.compare(left, right));
        expect(bytes.equalBytes(left, right)).toBe(Buffer.compare(left, right) === 0);
        expect(bytes.equalBytes(left, left.slice())).toBe(true);
      }),
    );
  });

  it('make random bytes of any length', () => {
    expect(bytes.randomBytes(0)).toHaveLength(0);
    const large = bytes.randomBytes(200_000);
    expect(large).toHaveLength(200_000);
    expect(new Set(large).size).toBe(256);
    expect(large.subarray(199_900).some((byte) => byte !== 0)).toBe(true);
  });
});

describe('R-PPL-5 the package without Node', () => {
  it('signs, parses and derives as with Node', async () => {
    const browser = await loadWithout<typeof Protocol>(false, './index.ts');
    const here = await loadWithout<typeof Protocol>(true, './index.ts');
    const root = here.randomBytes(32);
    const context = await browser.deriveContext(root, 'clinic');
    expect(context).toEqual(await here.deriveContext(root, 'clinic'));
    const signers = [browser.signerFromJwk(`${context.did}#main`, context.signing.privateJwk)];
    const bytes = await browser.signTransaction({ chain: 'c', messages: [{ type: 'a/b' }], signers, validUntil: 1 });
    expect(browser.parseTransaction(bytes)).toEqual(here.parseTransaction(bytes));
    expect(browser.blind(root, 'a', 'b')).toBe(here.blind(root, 'a', 'b'));
  });
});
