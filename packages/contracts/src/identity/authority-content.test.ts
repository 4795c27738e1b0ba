import { describe, expect, it } from 'vitest';
import { testDid } from '../kernel/test-kit.ts';
import {
  type AuthorityContent,
  type AuthorityUse,
  authorityCovers,
  commitAuthority,
  openAuthority,
} from './authority-content.ts';

const content: AuthorityContent = {
  format: 'salus-authority/1',
  kind: 'carer',
  patient: testDid('patient'),
  holder: testDid('holder'),
  scope: { actions: ['read', 'decide'], categories: ['medications', 'appointments'], excluded: ['SEX'] },
  fromMs: 1_000,
  untilMs: 2_000,
};
const use: AuthorityUse = {
  patient: testDid('patient'),
  holder: testDid('holder'),
  action: 'read',
  categories: ['medications'],
  blockTimeMs: 1_500,
  patientDeceased: false,
};
const all = { actions: ['read' as const] };

describe('R-CON-4 authorityCovers', () => {
  const parent: AuthorityContent = { ...content, kind: 'parent', scope: all, untilMs: undefined, majorityMs: 1_800 };
  const executor: AuthorityContent = { ...content, kind: 'executor', scope: all };
  const table: [title: string, content: AuthorityContent, use: AuthorityUse, expected: boolean][] = [
    ['within scope', content, use, true],
    ['another patient', content, { ...use, patient: testDid('other') }, false],
    ['another holder', content, { ...use, holder: testDid('other') }, false],
    ['before it begins', content, { ...use, blockTimeMs: 999 }, false],
    ['at its first moment', content, { ...use, blockTimeMs: 1_000 }, true],
    ['at its end', content, { ...use, blockTimeMs: 2_000 }, false],
    ['another action', content, { ...use, action: 'grant' }, false],
    ['another category', content, { ...use, categories: ['notes'] }, false],
    ['no category where categories are limited', content, { ...use, categories: [] }, false],
    ['an excluded label', content, { ...use, categories: ['medications', 'SEX'] }, false],
    ['a carer after death', content, { ...use, patientDeceased: true }, false],
    ['a parent before majority', parent, use, true],
    ['a parent at majority', parent, { ...use, blockTimeMs: 1_800 }, false],
    ['a parent without a date of majority', { ...parent, majorityMs: undefined }, use, false],
    ['an executor before death', executor, use, false],
    ['an executor after death', executor, { ...use, patientDeceased: true }, true],
  ];
  it.each(table)('%s', (_title, authority, asked, expected) => {
    expect(authorityCovers(authority, asked)).toBe(expected);
  });

  it('opens only what was committed to', () => {
    const commitment = commitAuthority(content);
    expect(openAuthority(content, commitment)).toEqual(content);
    expect(openAuthority({ ...content, untilMs: 9_000 }, commitment)).toBeUndefined();
    expect(openAuthority({ ...content, more: true }, commitment)).toBeUndefined();
    expect(openAuthority(null, commitment)).toBeUndefined();
  });
});
