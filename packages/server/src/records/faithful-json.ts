/**
 * FHIR decimals carry their precision (R4 §2.24.0.1: 1.10 is not 1.1), which JSON.parse drops. Numbers that would change
 * travel through a rewriting as marked strings and are put back on serialisation.
 */
const MARK = '\u0000number:';
const MARKED = /"\\u0000number:([-+.0-9eE]+)"/g;
/** A number with a fraction that ends in zero, an exponent, or more digits than a double holds. */
const MAY_CHANGE = /[:,[]\s*-?\d+(?:\.\d*0\b|(?:\.\d+)?[eE]|\.?\d{14,}|\.\d{14,})/;

export function hasUnfaithfulNumber(text: string): boolean {
  return MAY_CHANGE.test(text);
}

/** Parses; a number whose text JSON.stringify would not reproduce becomes a marked string. */
export function parseFaithfully<T>(text: string): T {
  const reviver = (_name: string, value: unknown, context?: { source?: string }): unknown => {
    const source = context?.source;
    return typeof value === 'number' && source !== undefined && String(value) !== source ? MARK + source : value;
  };
  return JSON.parse(text, reviver);
}

export function stringifyFaithfully(value: unknown): string {
  return JSON.stringify(value).replace(MARKED, '$1');
}
