import { createReadStream } from 'node:fs';
import { recordCategories } from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import { type Classification, classify, inheritLabels, labelReferences } from './labels.ts';
import { metadataOf } from './metadata.ts';
import { personalStrings } from './personal-strings.ts';
import { readFhir } from './reader.ts';
import { RESOURCE_TYPES } from './resource-types.ts';
import { syntheaFiles } from './test-data.ts';
import type { Resource } from './types.ts';
import { validateResource } from './validation.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const coded = (system: string, code: string, display = 'x') => ({ coding: [{ system, code, display }] });
const SCT = 'http://snomed.info/sct';
const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';

describe('R-CON-1 sensitivity labels are assigned on ingest', () => {
  it.each<[string, Resource, string[]]>([
    ['HIV by SNOMED', { resourceType: 'Condition', code: coded(SCT, '86406008') }, ['HIV']],
    ['HIV by ICD-10', { resourceType: 'Condition', code: coded(ICD, 'B20') }, ['HIV']],
    ['HIV by LOINC', { resourceType: 'Observation', code: coded('http://loinc.org', '20447-9') }, ['HIV']],
    [
      'HIV by padded CIEL',
      { resourceType: 'Observation', code: coded('http://loinc.org', `856${'A'.repeat(33)}`) },
      ['HIV'],
    ],
    [
      'HIV by ingredient',
      { resourceType: 'MedicationRequest', medicationCodeableConcept: { text: 'Dolutegravir 50 MG Oral Tablet' } },
      ['HIV'],
    ],
    [
      'an ingredient in a contained Medication',
      {
        resourceType: 'MedicationRequest',
        contained: [{ resourceType: 'Medication', code: { text: 'Sertraline 50 MG' } }],
      },
      ['PSY'],
    ],
    [
      'substance use by block of ICD-10',
      { resourceType: 'Claim', diagnosis: [{ diagnosisCodeableConcept: coded(ICD, 'F11.20') }] },
      ['SUD'],
    ],
    ['a code of another system', { resourceType: 'Condition', code: coded('urn:other', '86406008') }, []],
    [
      'psychiatry by CPT',
      { resourceType: 'Claim', item: [{ productOrService: coded('http://www.ama-assn.org/go/cpt', '90834') }] },
      ['PSY'],
    ],
    ['reproductive health', { resourceType: 'Procedure', code: coded(SCT, '65200003') }, ['SEX']],
    ['genetics', { resourceType: 'Observation', code: coded('http://loinc.org', '48018-6') }, ['GDIS']],
    ['a sequence', { resourceType: 'MolecularSequence' }, ['GDIS']],
    ['violence', { resourceType: 'Observation', code: coded('http://loinc.org', '76501-6') }, ['SDV']],
    [
      'words of a note',
      {
        resourceType: 'DocumentReference',
        content: [{ attachment: { contentType: 'text/plain', data: base64('Known HIV infection, pregnant.') } }],
      },
      ['HIV', 'SEX'],
    ],
    [
      'words of a narrative',
      { resourceType: 'CarePlan', text: { div: '<div>treated for <b>opioid</b> dependence</div>' } },
      ['SUD'],
    ],
    [
      'ordinary illness',
      { resourceType: 'Condition', code: coded(SCT, '10509002', 'Acute bronchitis with ST depression') },
      [],
    ],
    ['the name of a hospital', { resourceType: 'Organization', name: 'Institute for Psychiatric Care' }, []],
  ])('%s', (_name, resource, labels) => {
    expect(classify(resource).labels).toEqual(labels);
  });

  it('reads meta.security: ActCode under one name for the same thing, restricted confidentiality, nothing else', () => {
    const act = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
    const confidentiality = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';
    const security = [
      { system: act, code: 'PSYTHPN' },
      { system: act, code: 'ETH' },
      { system: act, code: 'STD' },
      { system: act, code: 'BH' },
      { system: confidentiality, code: 'R' },
      { system: confidentiality, code: 'N' },
      { system: act, code: 'no code at all' },
    ];
    expect(classify({ resourceType: 'Basic', meta: { security } }).labels).toEqual([
      'PSY',
      'PSYTHPN',
      'R',
      'SEX',
      'SUD',
    ]);
  });

  it('inherits labels from reasons, billed visits and results', () => {
    const claim: Resource = {
      resourceType: 'Claim',
      item: [{ encounter: [{ reference: 'Encounter/e' }] }],
      diagnosis: [{ diagnosisReference: { reference: 'Condition/c' } }],
    };
    expect(labelReferences(claim).sort()).toEqual(['Condition/c', 'Encounter/e']);
    const related: Classification[] = [{ categories: ['condition'], labels: ['HIV'] }];
    expect(inheritLabels(classify(claim), related)).toEqual({ categories: ['claims'], labels: ['HIV'] });
  });

  it.each(['constructor', '__proto__', 'toString'])('names of JavaScript are names like others: %s', (name) => {
    const resource: Resource = { resourceType: name, meta: { security: [{ code: name }] } };
    expect(classify(resource)).toEqual({ categories: ['other'], labels: [name] });
    const report: Resource = { resourceType: 'DiagnosticReport', category: [{ coding: [{ code: name }] }] };
    expect(classify(report).categories).toEqual(['laboratory']);
    expect(metadataOf(resource)).toEqual({ type: name, tokens: [] });
    expect(validateResource(resource).map(({ path }) => path)).toEqual(['resourceType']);
  });

  it.each<[Resource, string[]]>([
    [{ resourceType: 'Patient' }, ['demographics']],
    [{ resourceType: 'AllergyIntolerance' }, ['allergy']],
    [{ resourceType: 'Observation', category: [coded('c', 'vital-signs')] }, ['vital-signs']],
    [
      { resourceType: 'Observation', category: [coded('c', 'laboratory'), coded('c', 'survey')] },
      ['laboratory', 'survey'],
    ],
    [{ resourceType: 'Observation' }, ['observation']],
    [{ resourceType: 'DiagnosticReport', category: [coded('c', 'RAD')] }, ['imaging']],
    [{ resourceType: 'DiagnosticReport', category: [coded('c', 'LAB')] }, ['laboratory']],
    [{ resourceType: 'DiagnosticReport', presentedForm: [{}], category: [coded('c', '34117-2')] }, ['notes']],
    [{ resourceType: 'ExplanationOfBenefit' }, ['claims']],
    [{ resourceType: 'Substance' }, ['other']],
  ])('category of %j', (resource, categories) => {
    expect(classify(resource).categories).toEqual(categories);
  });
});

describe('R-CON-1 categories are those that directives and rules of law name', () => {
  it('gives every category of the list to some resource, and no other', () => {
    const codes = [...recordCategories, 'RAD', 'GE', '34117-2', 'unheard-of'];
    const resources: Resource[] = [...RESOURCE_TYPES].flatMap((resourceType) =>
      codes.map((code) => ({ resourceType, category: [coded('c', code)] })),
    );
    const given = new Set(resources.flatMap((resource) => classify(resource).categories));
    expect([...given].sort()).toEqual([...recordCategories].sort());
  });
});

const files = syntheaFiles();

describe.skipIf(files.length === 0)('R-CON-1 labels on real records (skipped where SALUS_DATA has none)', () => {
  it('labels every patient of the HIV set, and nobody of the other', async () => {
    let withHiv = 0;
    for (const file of files.filter((name) => !/hospital|practitioner/.test(name))) {
      let labelled = 0;
      for await (const event of readFhir(createReadStream(file))) {
        if (event.kind !== 'entry') continue;
        const { labels, categories } = classify(event.resource);
        expect(categories.length).toBeGreaterThan(0);
        expect(categories).not.toContain('other');
        if (labels.includes('HIV')) labelled += 1;
      }
      expect(labelled > 0).toBe(file.includes('/hiv/'));
      if (labelled > 0) withHiv += 1;
    }
    expect(withHiv).toBe(9);
  });
});

describe('R-LED-5 personalStrings lists what could show a person', () => {
  it('for people: names, addresses, telecoms, identifiers, birth date, contacts, narrative', () => {
    const strings = personalStrings({
      resourceType: 'Patient',
      name: [{ family: 'Examplesson', given: ['Testa', 'Bo'] }],
      address: [{ line: ['1 Lorem Court'], city: 'Mockford', postalCode: '00123' }],
      telecom: [{ value: '555-0123' }],
      identifier: [{ value: 'MRN-77' }],
      birthDate: '1980-01-02',
      contact: [{ name: { family: 'Placeholt' } }],
      text: { div: '<div>Testa &amp; Mocka</div>' },
      extension: [{ url: 'us-core-race', extension: [{ valueString: 'White' }] }],
    });
    expect(strings.map(({ value }) => value).sort()).toEqual(
      [
        '00123',
        '1 Lorem Court',
        '1980-01-02',
        '555-0123',
        'Examplesson',
        'MRN-77',
        'Mockford',
        'Placeholt',
        'Testa',
        'Testa & Mocka',
      ].sort(),
    );
  });

  it('in other resources: displays of people, notes, comments, attachments; not codes and organisations', () => {
    const strings = personalStrings({
      resourceType: 'DocumentReference',
      subject: { reference: 'urn:uuid:1', display: 'Testa Examplesson' },
      custodian: { reference: 'Organization/o', display: 'Sandbox Hospital' },
      type: { coding: [{ system: 'http://loinc.org', code: '1', display: 'Progress note' }], text: 'Progress note' },
      note: [{ text: 'called her at home' }],
      contained: [{ resourceType: 'Practitioner', name: [{ family: 'Specimen' }] }],
      content: [{ attachment: { contentType: 'text/plain', data: base64('lives alone') } }],
    });
    expect(strings.map(({ value }) => value).sort()).toEqual([
      'Specimen',
      'Testa Examplesson',
      'called her at home',
      'lives alone',
    ]);
  });
});
