import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasUnfaithfulNumber, parseFaithfully, stringifyFaithfully } from './faithful-json.ts';

describe('R-REC-4 faithful JSON', () => {
  it.each(['1.10', '-0.50', '1e3', '1.5E-7', '12345678901234567890', '0.1234567890123456789', '100.00'])(
    'keeps the text of %s',
    (number) => {
      const text = `{"valueQuantity":{"value":${number},"list":[${number},2]}}`;
      expect(hasUnfaithfulNumber(text)).toBe(true);
      expect(stringifyFaithfully(parseFaithfully(text))).toBe(text);
    },
  );

  it('sees nothing to do in numbers that survive', () => {
    expect(hasUnfaithfulNumber('{"a":1,"b":-2.5,"c":[0,10,3.25],"d":"1.10"}')).toBe(false);
  });

  it('reproduces any JSON document', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(stringifyFaithfully(parseFaithfully(text))).toBe(text);
      }),
    );
  });
});
