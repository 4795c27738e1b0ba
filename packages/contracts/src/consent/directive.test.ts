import { describe, expect, it } from 'vitest';
import type { AuthorityContent } from '../identity/authority-content.ts';
import type { AuthorityEntry } from '../identity/state.ts';
import { testDid, testDigest, testId } from '../kernel/test-kit.ts';
import { authorityFact } from './authority-fact.ts';
import { type DirectiveContent, directiveProblems, isDirectiveContent } from './directive.ts';
import { purposeCovers } from './purposes.ts';

const good: DirectiveContent = {
  format: 'salus-directive/1',
  id: testId('directive'),
  patient: testDid('patient'),
  custodian: testDid('custodian'),
  effect: 'permit',
  grantees: [{ kind: 'role', id: 'nurse', within: testDid('clinic') }],
  what: { categories: ['labs'], except: { labels: ['PSY'] }, period: { fromMs: 1, untilMs: 2 } },
  purposes: ['TREAT'],
  actions: ['read'],
  untilMs: 10,
  usesMax: 3,
  condition: { kind: 'referral', id: 'ref-1' },
  obligations: ['notify'],
  issuer: testDid('patient'),
  text: 'Nurses of the clinic may read my laboratory results.',
  language: 'en',
  readingLevel: 6,
};
const without = (member: keyof DirectiveContent) =>
  Object.fromEntries(Object.entries(good).filter(([k]) => k !== member));

describe('R-CON-1 R-CON-7 the content of a directive', () => {
  it('is accepted in full', () => {
    expect(isDirectiveContent(good)).toBe(true);
    expect(directiveProblems(good)).toEqual([]);
  });

  it.each([
    ['another format', { ...good, format: 'salus-directive/2' }],
    ['an unknown member', { ...good, extra: 1 }],
    ['an unknown effect', { ...good, effect: 'allow' }],
    ['no grantee', { ...good, grantees: [] }],
    ['a grantee without a name', { ...good, grantees: [{ kind: 'person' }] }],
    ['an unknown action', { ...good, actions: ['delete'] }],
    ['an unknown condition', { ...good, condition: { kind: 'weather', id: 'rain' } }],
    ['a time with a fraction', { ...good, untilMs: 1.5 }],
    ['no uses at all', { ...good, usesMax: 0 }],
    ['a patient who is no participant', { ...good, patient: 'Ann' }],
    ['no issuer', without('issuer')],
    ['no purposes', without('purposes')],
    ['nothing', null],
  ])('refuses %s', (_name, value) => expect(isDirectiveContent(value)).toBe(false));

  it.each<[string, Partial<DirectiveContent>, string]>([
    ['an open extent', { what: { except: { labels: ['PSY'] } } }, 'which entries'],
    ['empty lists', { what: { categories: [], labels: [], records: [] } }, 'which entries'],
    ['an end before the beginning', { fromMs: 10, untilMs: 10 }, 'before the beginning'],
    ['a permit for no purpose', { purposes: [] }, 'purpose'],
    ['a permit of no action', { actions: [] }, 'action'],
    ['a denial that is counted', { effect: 'deny' }, 'number of uses'],
  ])('says what is unfit: %s', (_name, change, words) => {
    expect(directiveProblems({ ...good, ...change }).join(' ')).toContain(words);
  });

  it('lets a denial leave purposes and actions open', () => {
    const { usesMax: _usesMax, ...deny } = good;
    expect(directiveProblems({ ...deny, effect: 'deny', purposes: [], actions: [] })).toEqual([]);
  });
});

describe('R-CON-1 purposes', () => {
  it.each([
    ['TREAT', 'TREAT', true],
    ['TREAT', 'ETREAT', true],
    ['TREAT', 'BTG', true],
    ['ETREAT', 'TREAT', false],
    ['HPAYMT', 'ELIGVER', true],
    ['HPAYMT', 'TREAT', false],
    ['HRESCH', 'CLINTRCH', true],
    ['UNKNOWN', 'UNKNOWN', true],
    ['TREAT', 'UNKNOWN', false],
  ])('%s covers %s: %s', (listed, asked, covered) => expect(purposeCovers(listed, asked)).toBe(covered));
});

describe('R-CON-4 an authority as a fact', () => {
  const content: AuthorityContent = {
    format: 'salus-authority/1',
    kind: 'parent',
    patient: testDid('child'),
    holder: testDid('parent'),
    scope: { actions: ['read'], excluded: ['SEX'] },
    fromMs: 5,
    untilMs: 9,
  };
  const entry: AuthorityEntry = {
    authority: testId('authority'),
    holder: testDid('parent'),
    commitment: testDigest('authority'),
    expiresMs: 100,
    basis: 'custodian',
    by: testDid('custodian'),
    grantedMs: 0,
    grantedHeight: 1,
  };

  it('takes scope and dates from the content, and its standing from the ledger', () => {
    expect(authorityFact(content, entry, 50)).toEqual({
      id: entry.authority,
      kind: 'parent',
      revoked: false,
      excludedByCourt: false,
      fromMs: 5,
      untilMs: 9,
      scope: { actions: ['read'], what: { all: true, except: { categories: ['SEX'], labels: ['SEX'] } } },
    });
    expect(authorityFact(content, { ...entry, revokedMs: 20 }, 50).revoked).toBe(true);
    expect(authorityFact(content, entry, 100).revoked).toBe(true);
    expect(authorityFact(content, entry, 50, true).excludedByCourt).toBe(true);
  });

  it('keeps to the categories that its scope names', () => {
    const narrow = { ...content, scope: { actions: content.scope.actions, categories: ['medicines'] } };
    expect(authorityFact(narrow, entry, 50).scope.what).toEqual({ categories: ['medicines'] });
  });
});
