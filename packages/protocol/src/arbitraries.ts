import fc from 'fast-check';
import type { CborValue } from './cbor.ts';
import { ProtocolErrorCodes } from './errors.ts';
import type { JsonValue } from './json.ts';

/** Random values and texts for the property tests of this package. */

const name = fc.oneof(
  fc.string({ maxLength: 6, unit: 'binary' }),
  fc.constantFrom('a', 'b', '__proto__', '1', '2', ''),
);

const text = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ maxLength: 30, unit: 'binary' }),
  fc.string({ minLength: 60, maxLength: 70, unit: 'grapheme' }),
);

const integer = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);

function record<T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> {
  return fc.array(fc.tuple(name, value), { maxLength: 5 }).map((pairs) => Object.fromEntries(pairs));
}

export const cborValue: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false),
    integer,
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 5 }),
    record(tie('value')),
  ),
})).value;

export const jsonValue: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false),
    integer,
    text,
    fc.array(tie('value'), { maxLength: 5 }),
    record(tie('value')),
  ),
})).value;

const space = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom(' ', '\n\t') },
);

const characters = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('a', 'b', 'é', '😀', '1', '', '\\n', '\\/', '\\\\') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '\\u0061',
      '\\ud83d\\ude00',
      '\\u00e9',
      '\\\\ud800',
      '{',
      ':',
      ',',
      '"'.padStart(2, '\\'),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('\\ud800', '\\uDC00', '\\uDBFFx', '\ud800', '\udc00') },
);

const jsonText = fc.array(characters, { maxLength: 3 }).map((parts) => `"${parts.join('')}"`);

const numberText = fc.oneof(
  { weight: 6, arbitrary: integer.map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '1.0',
      '1e3',
      '-0',
      '0.5',
      '1E2',
      '9007199254740993',
      '-9007199254740992',
      '01',
      '+1',
      '1.',
    ),
  },
);

/** Texts that are JSON, nearly JSON, or JSON that strict parsing refuses: duplicates, lone surrogates, odd numbers. */
export const strangeJson: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('null', 'true', 'false'),
    numberText,
    jsonText,
    fc
      .array(
        fc.tuple(space, tie('value'), space).map((parts) => parts.join('')),
        { maxLength: 4 },
      )
      .map((items) => `[${items.join(',')}]`),
    fc
      .array(
        fc
          .tuple(space, jsonText, space, tie('value'))
          .map(([before, key, between, value]) => `${before}${key}${between}:${value}`),
        { maxLength: 4 },
      )
      .map((members) => `{${members.join(',')}}`),
  ),
})).value;

/** Texts of nearly `bytesMax` that would take a careless parser long, and the error of each (none: it is accepted). */
export function hostileTexts(bytesMax: number): { text: string; code?: number }[] {
  const memberBytes = '"000000":1,'.length;
  const members = Array.from({ length: Math.floor(bytesMax / memberBytes) }, (_, index) => `"${index}":1`);
  return [
    { text: '['.repeat(bytesMax), code: ProtocolErrorCodes.jsonSyntax },
    { text: ` [${'1'.repeat(bytesMax - 3)}]`, code: ProtocolErrorCodes.jsonNumber },
    { text: ` ["${'\\'.repeat(bytesMax - 6)}"]` },
    { text: ` {${members.join(',')}}` },
    { text: ` {${members.join(',')},"0":1}`.slice(-bytesMax), code: ProtocolErrorCodes.jsonDuplicateMember },
    { text: ` [${'"",'.repeat(Math.floor(bytesMax / 3) - 2)}""]` },
  ];
}
