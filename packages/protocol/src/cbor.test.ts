import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cborValue } from './arbitraries.ts';
import { equalBytes, fromHex, toHex } from './bytes.ts';
import { type CborValue, cborBytesMax, cborDepthMax, decodeCbor, encodeCbor } from './cbor.ts';
import { ProtocolErrorCodes, SalusError } from './errors.ts';

function shuffled(value: CborValue): CborValue {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(shuffled);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, item]) => [name, shuffled(item)]),
  );
}

function codeOf(action: () => unknown): number | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof SalusError) return error.code;
    throw error;
  }
}

describe('R-LED-1 encodeCbor and decodeCbor', () => {
  it('bring every value back, and one value has one encoding', () => {
    fc.assert(
      fc.property(cborValue, (value) => {
        const bytes = encodeCbor(value);
        expect(decodeCbor(bytes)).toEqual(value);
        expect(equalBytes(encodeCbor(shuffled(value)), bytes)).toBe(true);
        expect(equalBytes(encodeCbor(decodeCbor(bytes)), bytes)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('agree with an independent implementation (cborg, RFC 8949 options)', () => {
    fc.assert(
      fc.property(cborValue, (value) => {
        expect(toHex(encodeCbor(value))).toBe(toHex(encode(value, rfc8949EncodeOptions)));
        expect(decode(encodeCbor(value))).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('accept no second encoding: changed bytes are refused or another value', () => {
    fc.assert(
      fc.property(cborValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, position, change) => {
        const bytes = encodeCbor(value);
        const at = position % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ change;
        let decoded: CborValue;
        try {
          decoded = decodeCbor(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SalusError);
          return;
        }
        expect(equalBytes(encodeCbor(decoded), bytes)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it('accept of random bytes only what they would write themselves', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const code = codeOf(() => expect(toHex(encodeCbor(decodeCbor(bytes)))).toBe(toHex(bytes)));
        if (code !== undefined) expect(code).toBeLessThan(100);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['a float', 0.5],
    ['NaN', Number.NaN],
    ['an integer beyond 2^53−1', 2 ** 53],
    ['undefined', undefined],
    ['an undefined member', { a: undefined }],
    ['a hole', new Array(1)],
    ['a bigint', 1n],
    ['a Map', new Map()],
    ['a Date', new Date(0)],
    ['another typed array', new Uint16Array(1)],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
  ])('refuse to encode %s', (_name, value) => {
    expect(codeOf(() => encodeCbor(value as CborValue))).toBe(ProtocolErrorCodes.cborValue);
  });

  it('refuse to encode lone surrogates, in texts of any length and in names', () => {
    const values: CborValue[] = ['\ud800', `${'a'.repeat(100)}\udc00`, { '\ud800': 1 }, { '\ud800': 1, a: 2 }];
    for (const value of values) {
      expect(codeOf(() => encodeCbor(value))).toBe(ProtocolErrorCodes.loneSurrogate);
    }
  });

  it('bound depth and size', () => {
    let deep: CborValue = null;
    for (let level = 0; level < cborDepthMax; level += 1) deep = { a: deep };
    expect(decodeCbor(encodeCbor(deep))).toEqual(deep);
    expect(codeOf(() => encodeCbor([deep]))).toBe(ProtocolErrorCodes.cborTooDeep);
    expect(codeOf(() => encodeCbor(new Uint8Array(cborBytesMax)))).toBe(ProtocolErrorCodes.cborTooLarge);
    expect(codeOf(() => decodeCbor(new Uint8Array(cborBytesMax + 1)))).toBe(ProtocolErrorCodes.cborTooLarge);
    const largest = new Uint8Array(cborBytesMax - 5);
    expect(encodeCbor(largest).length).toBe(cborBytesMax);
  });

  it('keep their results apart: no view of a shared buffer, no state after an error', () => {
    const first = encodeCbor({ a: 1 });
    const copy = first.slice();
    expect(() => encodeCbor([1, undefined as unknown as CborValue])).toThrow(SalusError);
    encodeCbor('something else');
    expect(first).toEqual(copy);
    expect(first.buffer.byteLength).toBe(first.length);
    const source = fromHex('4401020304');
    const decoded = decodeCbor(source) as Uint8Array;
    source[1] = 9;
    expect(decoded).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
});
