import { describe, expect, it } from 'vitest';
import { StandardsErrorCodes } from '../../errors.ts';
import { compareForEverything, includedReferences, searchsetBundle, selfLink } from '../bundle.ts';
import { capabilityStatement } from '../capability.ts';
import { isPatientType, PATIENT_COMPARTMENT } from '../compartment.ts';
import { metadataOf } from '../metadata.ts';
import { RESOURCE_TYPES } from '../resource-types.ts';
import { subsetOf } from '../subset.ts';
import type { Resource } from '../types.ts';
import { validateResource } from '../validation.ts';
import { compareRanges, type DatePrefix, dateRange, rangeOf } from './dates.ts';
import { matchesSearch } from './match.ts';
import { searchableTypes, searchParametersOf } from './parameters.ts';
import { pageEntriesMax, parseSearch } from './parse.ts';
import { compareForSearch } from './sort.ts';

const codes = StandardsErrorCodes;

const observation: Resource = {
  resourceType: 'Observation',
  id: 'o1',
  meta: { lastUpdated: '2024-03-01T10:00:00Z', security: [{ system: 's', code: 'HIV' }] },
  identifier: [{ system: 'urn:lab', value: 'A|7,x' }],
  status: 'final',
  category: [{ coding: [{ system: 'urn:cat', code: 'laboratory' }] }],
  code: {
    coding: [{ system: 'http://loinc.org', code: '718-7', display: 'Hemoglobin in Blood' }, { code: 'HB' }],
    text: 'Hb',
  },
  subject: { reference: 'Patient/p1' },
  encounter: { reference: 'Encounter/e1' },
  effectiveDateTime: '2024-02-10T08:30:00+01:00',
};

const patient: Resource = {
  resourceType: 'Patient',
  id: 'p1',
  name: [{ family: 'Größe-Müller', given: ['Testa', 'Bo'] }],
  birthDate: '1980-05',
  active: true,
  generalPractitioner: [{ identifier: { system: 'npi', value: '9' } }],
};

function matches(resource: Resource, query: [string, string][]): boolean {
  return matchesSearch(resource, parseSearch(resource.resourceType, query, { strict: true }), {
    base: 'https://h/fhir',
  });
}

describe('R-REC-1 search parameters have the semantics of R4', () => {
  it.each<[string, string, boolean]>([
    ['_id', 'o1', true],
    ['_id', 'o2,o1', true],
    ['_id', 'o2', false],
    ['_lastUpdated', 'ge2024-03-01', true],
    ['_lastUpdated', 'lt2024-03', false],
    ['_security', 's|HIV', true],
    ['code', '718-7', true],
    ['code', 'http://loinc.org|718-7', true],
    ['code', 'http://snomed.info/sct|718-7', false],
    ['code', 'http://loinc.org|', true],
    ['code', '|hb', true],
    ['code', '|718-7', false],
    ['code', 'zz,HB', true],
    ['code:not', '718-7', false],
    ['code:not', 'zz', true],
    ['code:text', 'hemoglobin', true],
    ['code:missing', 'false', true],
    ['method:missing', 'true', true],
    ['method:not', 'zz', true],
    ['identifier', 'urn:lab|A\\|7\\,x', true],
    ['identifier', 'urn:lab|A', false],
    ['status', 'final', true],
    ['status', 'FINAL', true],
    ['status', 'amended', false],
    ['category', 'laboratory', true],
    ['patient', 'p1', true],
    ['patient', 'Patient/p1', true],
    ['patient', 'https://h/fhir/Patient/p1', true],
    ['patient', 'https://other/fhir/Patient/p1', false],
    ['patient', 'p', false],
    ['subject:Patient', 'p1', true],
    ['subject:Group', 'p1', false],
    ['encounter', 'e1', true],
    ['date', '2024-02-10', true],
    ['date', '2024-02', true],
    ['date', '2024-02-10T07:30:00Z', true],
    ['date', 'ne2024-02-10', false],
    ['date', 'gt2024-02-09', true],
    ['date', 'sa2024-02-10', false],
    ['date', 'eb2024-02-11', true],
    ['date', 'le2024-02-10', true],
    ['date:missing', 'true', false],
  ])('Observation?%s=%s is %s', (name, value, expected) => {
    expect(matches(observation, [[name, value]])).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['name', 'gross', false],
    ['name', 'GRÖSSE', false],
    ['name', 'größe', true],
    ['family', 'grö', true],
    ['name', 'mull', false],
    ['name:contains', 'muller', true],
    ['family:exact', 'Größe-Müller', true],
    ['family:exact', 'größe-müller', false],
    ['given', 'bo', true],
    ['given', 'testa,x', true],
    ['birthdate', '1980', true],
    ['birthdate', '1980-05-03', false],
    ['birthdate', 'ge1980-05-03', true],
    ['active', 'true', true],
    ['general-practitioner:identifier', 'npi|9', true],
  ])('Patient?%s=%s is %s', (name, value, expected) => {
    expect(matches(patient, [[name, value]])).toBe(expected);
  });

  it('joins repeated parameters by and', () => {
    expect(
      matches(observation, [
        ['date', 'ge2024-01'],
        ['date', 'lt2024-03'],
      ]),
    ).toBe(true);
    expect(
      matches(observation, [
        ['date', 'ge2024-01'],
        ['date', 'lt2024-02'],
      ]),
    ).toBe(false);
  });

  it('a type is found only by its own search', () => {
    expect(matchesSearch(patient, parseSearch('Observation', []))).toBe(false);
  });
});

describe('R-REC-1 dates are ranges by their precision', () => {
  it.each([
    ['2024', '2024-01-01T00:00:00.000Z', '2025-01-01T00:00:00.000Z'],
    ['2024-12', '2024-12-01T00:00:00.000Z', '2025-01-01T00:00:00.000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z', '2024-03-01T00:00:00.000Z'],
    ['2024-02-29T10:00', '2024-02-29T10:00:00.000Z', '2024-02-29T10:01:00.000Z'],
    ['2024-02-29T10:00:05-05:00', '2024-02-29T15:00:05.000Z', '2024-02-29T15:00:06.000Z'],
    ['2024-02-29T10:00:05.25Z', '2024-02-29T10:00:05.250Z', '2024-02-29T10:00:05.251Z'],
    ['0050', '0050-01-01T00:00:00.000Z', '0051-01-01T00:00:00.000Z'],
  ])('%s', (text, low, high) => {
    const range = dateRange(text);
    expect([new Date(range!.low).toISOString(), new Date(range!.high).toISOString()]).toEqual([low, high]);
  });

  it.each(['', 'x', '24', '2024-13', '2023-02-29', '2024-1-1', '2024-02-10T25:00', '2024-02-10 10:00'])(
    '%j is none',
    (text) => {
      expect(dateRange(text)).toBeUndefined();
    },
  );

  it.each<[DatePrefix, boolean, boolean, boolean]>([
    // against elements inside, before, and overlapping the end of the search value 2024-02
    ['eq', true, false, false],
    ['ne', false, true, true],
    ['gt', false, false, true],
    ['lt', false, true, false],
    ['ge', true, false, true],
    ['le', true, true, false],
    ['sa', false, false, false],
    ['eb', false, true, false],
  ])('%s', (prefix, inside, before, overlapping) => {
    const value = dateRange('2024-02')!;
    const elements = [
      dateRange('2024-02-10')!,
      dateRange('2023')!,
      rangeOf({ start: '2024-02-20', end: '2024-03-02' })!,
    ];
    expect(elements.map((element) => compareRanges(element, prefix, value, 0))).toEqual([inside, before, overlapping]);
  });

  it('open periods have no end', () => {
    const open = rangeOf({ start: '2020' })!;
    expect(compareRanges(open, 'gt', dateRange('2999')!, 0)).toBe(true);
    expect(rangeOf({ start: 'x' })).toBeUndefined();
    expect(rangeOf({ event: ['2020-01-01', '2021-01-01'] })).toEqual({
      low: Date.UTC(2020, 0, 1),
      high: Date.UTC(2021, 0, 2),
    });
  });
});

describe('R-REC-1 what is not supported is refused or reported, never silently ignored', () => {
  it.each<[string, string, number]>([
    ['foo', '1', codes.searchParameterUnknown],
    ['patient.name', 'x', codes.searchParameterUnknown],
    ['subject:Patient.name', 'x', codes.searchParameterUnknown],
    ['subject:Patients', 'x', codes.searchModifierUnsupported],
    ['_has:Observation:patient:code', 'x', codes.searchParameterUnknown],
    ['code:in', 'x', codes.searchModifierUnsupported],
    ['date:exact', '2024', codes.searchModifierUnsupported],
    ['_sort', 'foo', codes.searchParameterUnknown],
    ['_summary', 'true', codes.searchParameterUnknown],
    ['_include', 'Observation:foo', codes.searchParameterUnknown],
  ])('%s=%s', (name, value, code) => {
    expect(() => parseSearch('Observation', [[name, value]], { strict: true })).toThrow(
      expect.objectContaining({ code }),
    );
    const { ignored, criteria } = parseSearch('Observation', [[name, value]]);
    expect(ignored.map((item) => item.code)).toEqual([code]);
    expect(criteria).toEqual([]);
  });

  it.each<[string, [string, string][], number]>([
    ['Foo', [], codes.searchTypeUnsupported],
    ['__proto__', [], codes.searchTypeUnsupported],
    ['Observation', [['date', 'yesterday']], codes.searchValueInvalid],
    ['Observation', [['_count', '-1']], codes.searchValueInvalid],
    ['Observation', [['code:missing', 'maybe']], codes.searchValueInvalid],
    ['Observation', [['code', 'a,'.repeat(300)]], codes.searchTooComplex],
    ['Observation', Array.from({ length: 65 }, () => ['status', 'final'] as [string, string]), codes.searchTooComplex],
  ])('%s %j throws', (type, query, code) => {
    expect(() => parseSearch(type, query)).toThrow(expect.objectContaining({ code }));
  });

  it('error texts do not repeat values', () => {
    expect(() => parseSearch('Patient', [['birthdate', 'Secret Name']])).toThrow(/^birthdate: (?!.*Secret)/);
  });
});

describe('R-REC-1 pages', () => {
  const query: [string, string][] = [
    ['code', '718-7'],
    ['_count', '2'],
    ['_offset', '2'],
    ['foo', '1'],
  ];
  const search = parseSearch('Observation', query);
  const page = {
    base: 'https://h/fhir',
    search,
    self: selfLink('https://h/fhir', search, query),
    next: 'https://h/fhir/Observation?_cursor=abc',
    matches: [observation],
    included: [patient],
    total: 5,
  };

  it('searchsetBundle gives matches, included ones, what was ignored, total, and links', () => {
    const bundle = searchsetBundle(page);
    expect(validateResource(bundle)).toEqual([]);
    expect(bundle).toMatchObject({ type: 'searchset', total: 5 });
    expect(bundle.link).toEqual([
      { relation: 'self', url: 'https://h/fhir/Observation?code=718-7&_count=2&_offset=2' },
      { relation: 'next', url: 'https://h/fhir/Observation?_cursor=abc' },
    ]);
    expect((bundle.entry as { search: object }[]).map((entry) => entry.search)).toEqual([
      { mode: 'match' },
      { mode: 'include' },
      { mode: 'outcome' },
    ]);
  });

  it('tells no total where the server gives none or nobody asked, and counts without entries', () => {
    expect(searchsetBundle({ ...page, total: undefined }).total).toBeUndefined();
    const none = parseSearch('Observation', [['_total', 'none']]);
    expect(searchsetBundle({ ...page, search: none }).total).toBeUndefined();
    const count = parseSearch('Observation', [['_summary', 'count']]);
    const bundle = searchsetBundle({ ...page, search: count });
    expect(bundle.entry).toBeUndefined();
    expect(bundle.total).toBe(5);
  });

  it('a page that is the last has no next one, and a cursor is understood', () => {
    const { next: _next, ...last } = page;
    expect(searchsetBundle(last).link).toHaveLength(1);
    const query: [string, string][] = [
      ['_cursor', 'abc'],
      ['_count', '9999999'],
    ];
    expect(parseSearch('Observation', query)).toMatchObject({ cursor: 'abc', count: pageEntriesMax });
  });

  it('the self link leaves out what had no effect, whatever its name', () => {
    const odd: [string, string][] = [
      ['code', '718-7'],
      ['tëst name', 'x'],
      ['date', ''],
    ];
    const understood = parseSearch('Observation', odd);
    expect(understood.ignored.map(({ name }) => name)).toEqual(['t?st?name']);
    expect(selfLink('https://h', understood, odd)).toBe('https://h/Observation?code=718-7&_count=50');
  });

  it('sorts by any parameter, absent values last, the id at the end', () => {
    const make = (id: string, date?: string): Resource => ({
      resourceType: 'Observation',
      id,
      ...(date ? { effectiveDateTime: date } : {}),
    });
    const all = [make('c', '2024'), make('a'), make('b', '2024'), make('d', '2020')];
    const order = (sort: string) =>
      [...all].sort(compareForSearch(parseSearch('Observation', [['_sort', sort]]))).map(({ id }) => id);
    expect(order('date')).toEqual(['d', 'b', 'c', 'a']);
    expect(order('-date')).toEqual(['b', 'c', 'd', 'a']);
    expect(order('-_id')).toEqual(['d', 'c', 'b', 'a']);
  });

  it('names what _include asks for', () => {
    const include = parseSearch('Observation', [
      ['_include', 'Observation:subject:Patient'],
      ['_include', 'Observation:encounter'],
    ]);
    expect(includedReferences(observation, include)).toEqual(['Patient/p1', 'Encounter/e1']);
  });

  it('$everything gives the patient first, then encounters, then the rest', () => {
    const types = ['Observation', 'Encounter', 'Claim', 'Patient', 'Practitioner'];
    const ordered = types.map((resourceType) => ({ resourceType })).sort(compareForEverything);
    expect(ordered.map(({ resourceType }) => resourceType)).toEqual([
      'Patient',
      'Practitioner',
      'Encounter',
      'Claim',
      'Observation',
    ]);
  });
});

describe('R-REC-1 a part of a resource', () => {
  const whole: Resource = {
    resourceType: 'Observation',
    id: 'o',
    meta: { versionId: '1', tag: [{ code: 'own' }] },
    text: { status: 'generated', div: '<div/>' },
    status: 'final',
    _status: { id: 's' },
    code: { text: 'c' },
    effectiveDateTime: '2024',
    valueString: 'v',
    valueSetNote: 'no choice',
    note: [{ text: 'n' }],
  };
  const always = ['resourceType', 'id', 'meta', 'status', '_status', 'code'];

  it.each([
    ['_elements', 'note', [...always, 'note']],
    ['_elements', 'value,Observation.effective,Patient.note', [...always, 'effectiveDateTime', 'valueString']],
    ['_summary', 'text', [...always, 'text']],
    ['_summary', 'data', Object.keys(whole).filter((name) => name !== 'text')],
  ])('%s=%s', (name, value, members) => {
    const part = subsetOf(whole, parseSearch('Observation', [[name, value]]).subset);
    expect(Object.keys(part).sort()).toEqual([...members].sort());
    expect(part.meta).toMatchObject({ versionId: '1', tag: [{ code: 'own' }, { code: 'SUBSETTED' }] });
  });

  it('whole resources are not marked; what is no name of an element is refused, and nothing is cut in silence', () => {
    expect(subsetOf(whole, undefined)).toBe(whole);
    expect(parseSearch('Observation', [['_summary', 'true']]).ignored).toHaveLength(1);
    for (const value of ['a b', 'A', 'a.b.c', '__proto__', Array(65).fill('a').join(',')]) {
      expect(() => parseSearch('Observation', [['_elements', value]])).toThrow();
    }
  });
});

describe('R-REC-1 the tables cover what R4 defines', () => {
  it('every type of the compartment can be searched by patient', () => {
    for (const [type, parameters] of Object.entries(PATIENT_COMPARTMENT)) {
      expect(RESOURCE_TYPES.has(type)).toBe(true);
      for (const name of Object.keys(parameters))
        expect(searchParametersOf(type)?.has(name), `${type}.${name}`).toBe(true);
    }
    expect(searchableTypes().every((type) => RESOURCE_TYPES.has(type))).toBe(true);
    expect(RESOURCE_TYPES.size).toBe(146);
    expect(isPatientType('Organization')).toBe(false);
  });

  it('the CapabilityStatement says what is served', () => {
    const statement = capabilityStatement({
      url: 'https://h/fhir',
      date: '2026-01-01',
      version: '1',
      types: ['Observation', 'Patient'],
      system: ['batch'],
      interactions: ['read', 'search-type'],
      conditional: { conditionalRead: 'full-support' },
      operations: [{ type: 'Patient', name: 'everything' }],
    });
    expect(validateResource(statement)).toEqual([]);
    const [rest] = statement.rest as { resource: { type: string; searchParam: { name: string; type: string }[] }[] }[];
    expect(rest!.resource.map(({ type }) => type)).toEqual(['Observation', 'Patient']);
    expect(rest!.resource[0]!.searchParam).toContainEqual({ name: 'date', type: 'date' });
    expect(rest).toMatchObject({
      interaction: [{ code: 'batch' }],
      resource: [
        { conditionalRead: 'full-support', interaction: [{ code: 'read' }, { code: 'search-type' }] },
        { operation: [{ name: 'everything' }] },
      ],
    });
    expect(rest!.resource[0]).not.toHaveProperty('operation');
  });

  it('metadataOf gives the index its tokens, dates and references', () => {
    expect(metadataOf(observation)).toEqual({
      type: 'Observation',
      id: 'o1',
      lastUpdatedMs: Date.parse('2024-03-01T10:00:00Z'),
      dateMs: Date.parse('2024-02-10T07:30:00Z'),
      dateEndMs: Date.parse('2024-02-10T07:30:01Z'),
      status: 'final',
      patient: 'Patient/p1',
      encounter: 'Encounter/e1',
      tokens: [
        'category=urn:cat|laboratory',
        'code=http://loinc.org|718-7',
        'code=|hb',
        'identifier=urn:lab|a|7,x',
        'status=|final',
      ],
    });
  });
});
