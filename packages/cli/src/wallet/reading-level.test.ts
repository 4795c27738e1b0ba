import { describe, expect, it } from 'vitest';
import { readingLevelOf } from './reading-level.ts';

describe('R-CON-6 readingLevelOf', () => {
  it.each([
    ['', 1],
    ['You may see it.', 1],
    ['your care team may read your whole record to treat you.', 3],
    ['the organisation did:salus:aaaaaaaaaaaaaaaaaaaaaaaaaaa may read your record.', 7],
    ['Notwithstanding contractual obligations, organisational representatives retain discretionary authority.', 20],
  ])('%s', (text, level) => {
    expect(readingLevelOf(text)).toBe(level);
  });

  it('rises with longer words and sentences, and does not count what a name looks like', () => {
    const named = 'the person did:salus:aaaaaaaaaaaaaaaaaaaaaaaaaaa may read your lab until 2026-03-01T00:00:00.000Z.';
    expect(readingLevelOf(named)).toBe(readingLevelOf('the person name may read your lab until name.'));
    expect(readingLevelOf('I do. You do. We do.')).toBeLessThan(readingLevelOf('I do and you do and we do.') + 1);
  });
});
