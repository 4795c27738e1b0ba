import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostileTexts, jsonValue, strangeJson } from './arbitraries.ts';
import { utf8 } from './bytes.ts';
import { ProtocolErrorCodes, SalusError } from './errors.ts';
import { canonicalJson, canonicalJsonDepthMax, type JsonLimits, type JsonValue, parseJsonStrict } from './json.ts';

const limits = { bytesMax: 100_000, depthMax: 16 };
const hostileBytesMax = 1024 * 1024;
/** Fixed: the test below counts how many texts fall on either side. */
const strangeSeed = 20_260_101;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

function outcome(input: string | Uint8Array, within: JsonLimits = limits): JsonValue | { refused: number } {
  try {
    return { parsed: parseJsonStrict(input, within) };
  } catch (error) {
    if (error instanceof SalusError) return { refused: error.code };
    throw error;
  }
}

/** Says independently, token by token, whether a text that JSON.parse accepts is also strict. */
function isStrict(text: string): boolean {
  const tokens = text.match(TOKEN) ?? [];
  const scopes: (string[] | undefined)[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token === '{' || token === '[') scopes.push(token === '{' ? [] : undefined);
    if (token === '}' || token === ']') scopes.pop();
    if (scopes.length > limits.depthMax) return false;
    if (/^[-\d]/.test(token)) {
      if (!/^(-?[1-9]\d*|0)$/.test(token)) return false;
      if (BigInt(token) >= 2n ** 53n || BigInt(token) <= -(2n ** 53n)) return false;
    }
    if (!token.startsWith('"')) continue;
    const content: string = JSON.parse(token);
    if (/\p{Surrogate}/u.test(content)) return false;
    if (tokens[index + 1] !== ':') continue;
    const names = scopes.at(-1) ?? [];
    if (names.includes(content)) return false;
    names.push(content);
  }
  return true;
}

describe('R-LED-1 parseJsonStrict', () => {
  it('reads every value that JSON.stringify writes, compact or indented', () => {
    fc.assert(
      fc.property(jsonValue, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseJsonStrict(utf8(text), limits)).toEqual(JSON.parse(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('accepts what JSON.parse accepts and an independent check finds strict, with the same value', () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(strangeJson, (text) => {
        let parsed: JsonValue;
        try {
          parsed = JSON.parse(text);
        } catch {
          expect(outcome(text)).toEqual({ refused: ProtocolErrorCodes.jsonSyntax });
          return;
        }
        if (isStrict(text)) {
          accepted += 1;
          expect(outcome(text)).toEqual({ parsed });
        } else {
          refused += 1;
          expect(outcome(text)).toHaveProperty('refused');
        }
      }),
      { numRuns: 5000, seed: strangeSeed },
    );
    expect(accepted).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(500);
  });

  it('decides the same with and without the quick comparison (a space in front forces the scan)', () => {
    fc.assert(
      fc.property(strangeJson, (text) => {
        expect(outcome(text)).toEqual(outcome(` ${text}`));
      }),
      { numRuns: 5000 },
    );
  });

  it('refuses by size before it reads', () => {
    expect(() => parseJsonStrict('[1,2]', { bytesMax: 4, depthMax: 1 })).toThrow(SalusError);
    expect(parseJsonStrict('[1,2]', { bytesMax: 5, depthMax: 1 })).toEqual([1, 2]);
  });

  it('keeps __proto__ an ordinary member', () => {
    const value = parseJsonStrict('{"__proto__":{"polluted":1}}', limits) as { polluted?: number };
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(value.polluted).toBeUndefined();
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('never quotes the input in an error', () => {
    for (const text of ['{"name":"Mustermann"', '{"Mustermann":1,"Mustermann":2}', '["Mustermann\\ud800"]']) {
      expect(() => parseJsonStrict(text, limits)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('Mustermann') }),
      );
    }
  });

  it('answers hostile texts of full size (bench/parsing.ts measures how quickly)', () => {
    for (const { text, code } of hostileTexts(hostileBytesMax)) {
      expect(text.length).toBeLessThanOrEqual(hostileBytesMax);
      const answer = outcome(text, { bytesMax: hostileBytesMax, depthMax: 16 });
      if (code === undefined) expect(answer).toHaveProperty('parsed');
      else expect(answer).toEqual({ refused: code });
    }
  });
});

describe('R-LED-1 canonicalJson', () => {
  it('agrees with an independent RFC 8785 implementation', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        expect(canonicalJson(value)).toBe(canonicalize(value));
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same however the members were ordered', () => {
    expect(canonicalJson({ b: 1, a: [{ d: 1, c: 2 }] })).toBe(canonicalJson({ a: [{ c: 2, d: 1 }], b: 1 }));
  });

  it('refuses what is no JSON', () => {
    const deep = Array.from({ length: canonicalJsonDepthMax + 1 }).reduce<JsonValue>((inner) => [inner], null);
    const holes = new Array(2);
    for (const value of [
      undefined,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '\ud800',
      { '\ud800': 1 },
      { a: undefined },
      new Map(),
      new Uint8Array(1),
      holes,
      1n,
      () => 1,
      deep,
    ]) {
      expect(() => canonicalJson(value as JsonValue)).toThrow(SalusError);
    }
  });
});
