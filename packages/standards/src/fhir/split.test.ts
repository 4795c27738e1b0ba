import { createReadStream } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StandardsErrorCodes } from '../errors.ts';
import { generatePatients } from './generator/generate.ts';
import { sandboxDirectory, sandboxOrganizations } from './generator/organizations.ts';
import { classify } from './labels.ts';
import { readFhir } from './reader.ts';
import { ReferenceIndex } from './reference-index.ts';
import { listReferences } from './references.ts';
import { type SplitEntry, splitByServiceProvider } from './split.ts';
import { syntheaFiles } from './test-data.ts';
import type { Resource } from './types.ts';
import { validateResource } from './validation.ts';

const entry = (name: string, resource: Resource): SplitEntry => ({ fullUrl: `urn:uuid:${name}`, resource });
const at = (name: string) => ({ reference: `urn:uuid:${name}` });
const MR = { coding: [{ code: 'MR' }] };

const record: SplitEntry[] = [
  entry('p', {
    resourceType: 'Patient',
    id: 'p',
    name: [{ family: 'Samplewood', given: ['Testa', 'Bo'], text: 'Testa Bo Samplewood' }],
    identifier: [
      { type: MR, value: 'OLD' },
      { value: 'untyped' },
      { type: { coding: [{ code: 'SS' }] }, value: '999-00-0000' },
    ],
  }),
  entry('e1', { resourceType: 'Encounter', id: 'e1', subject: at('p'), serviceProvider: { ...at('h'), display: 'H' } }),
  entry('e2', { resourceType: 'Encounter', id: 'e2', subject: at('p'), serviceProvider: { ...at('h'), display: 'H' } }),
  entry('e3', {
    resourceType: 'Encounter',
    id: 'e3',
    subject: at('p'),
    serviceProvider: { ...at('c'), display: 'C' },
    identifier: [{ system: 'urn:c', value: 'visit-3' }],
  }),
  entry('o1', { resourceType: 'Observation', subject: at('p'), encounter: at('e1') }),
  entry('o3', { resourceType: 'Observation', subject: at('p'), encounter: at('e3'), derivedFrom: [at('o1')] }),
  entry('m', { resourceType: 'Medication', code: { text: 'x' } }),
  entry('r3', {
    resourceType: 'MedicationRequest',
    subject: at('p'),
    encounter: at('e3'),
    medicationReference: at('m'),
  }),
  entry('pr', { resourceType: 'Provenance', target: [at('p'), { ...at('e3'), display: 'visit' }] }),
];

describe('R-REC-1 splitByServiceProvider lays a record at those who made it', () => {
  const split = splitByServiceProvider(record, { nameVariantAt: 'urn:uuid:c' });
  const [hospital, clinic] = split.parts;
  const urls = (part: typeof hospital) => part!.entries.map(({ fullUrl }) => fullUrl?.slice(9));
  const find = (part: typeof hospital, name: string) =>
    part!.entries.find(({ fullUrl }) => fullUrl === `urn:uuid:${name}`)!;

  it('encounters to their provider, resources to their encounter, the rest to the main custodian', () => {
    expect(split.main).toBe('urn:uuid:h');
    expect(split.parts.map(({ custodian, display, encounters }) => [custodian, display, encounters])).toEqual([
      ['urn:uuid:h', 'H', 2],
      ['urn:uuid:c', 'C', 1],
    ]);
    expect(urls(hospital)).toEqual(['p', 'e1', 'e2', 'o1', 'pr']);
    expect(urls(clinic)).toEqual(['p', 'e3', 'o3', 'm', 'r3']);
  });

  it('references to elsewhere become logical ones', () => {
    expect(find(clinic, 'o3').resource.derivedFrom).toEqual([
      { type: 'Observation', identifier: { system: 'urn:ietf:rfc:3986', value: 'urn:uuid:o1' } },
    ]);
    expect(find(hospital, 'pr').resource.target).toEqual([
      at('p'),
      { type: 'Encounter', identifier: { system: 'urn:c', value: 'visit-3' }, display: 'visit' },
    ]);
    expect(find(hospital, 'o1')).toMatchObject({ changed: false, resource: record[4]!.resource });
  });

  it('each has the patient under a number of its own, one under a name spelt differently', () => {
    const identifiers = split.parts.map((part) => find(part, 'p').resource.identifier as { value: string }[]);
    expect(identifiers.map((list) => list[1])).toEqual([identifiers[0]![1], identifiers[0]![1]]);
    expect(identifiers[0]![1]).toMatchObject({ value: '999-00-0000' });
    expect(identifiers[0]![0]!.value).not.toBe(identifiers[1]![0]!.value);
    expect(JSON.stringify(identifiers)).not.toMatch(/OLD|untyped/);
    expect(find(hospital, 'p').resource.name).toEqual(record[0]!.resource.name);
    expect(find(clinic, 'p').resource.name).toEqual([{ family: 'Samplewodo', given: ['Testa'] }]);
  });

  it('refuses by number what cannot be split', () => {
    const code = StandardsErrorCodes;
    expect(() => splitByServiceProvider(record.slice(1))).toThrow(
      expect.objectContaining({ code: code.patientMissing }),
    );
    expect(() => splitByServiceProvider(record.slice(0, 1))).toThrow(
      expect.objectContaining({ code: code.custodianMissing }),
    );
    const only = splitByServiceProvider(record.slice(0, 1), { mainCustodian: 'x' });
    expect(only.parts).toMatchObject([{ custodian: 'x', entries: [{ fullUrl: 'urn:uuid:p' }] }]);
  });
});

const files = syntheaFiles().filter((name) => !/hospital|practitioner/.test(name));

describe.skipIf(files.length === 0)(
  'R-REC-1 real records split over custodians (skipped where SALUS_DATA has none)',
  () => {
    it('loses nothing, copies nothing but patient and support, and leaves no reference dangling', async () => {
      for (const file of files) {
        const entries: SplitEntry[] = [];
        for await (const event of readFhir(createReadStream(file))) if (event.kind === 'entry') entries.push(event);
        const { parts } = splitByServiceProvider(entries);
        const seen = new Map<string, number>();
        for (const { entries: own } of parts) {
          const index = new ReferenceIndex();
          for (const { resource, fullUrl } of own) index.add(resource, fullUrl);
          for (const { resource, fullUrl } of own) {
            seen.set(fullUrl ?? '', (seen.get(fullUrl ?? '') ?? 0) + 1);
            for (const { target } of listReferences(resource)) {
              if (target?.kind === 'urn') expect(index.resolve(target.urn)).toBeDefined();
            }
          }
        }
        expect(seen.size).toBe(entries.length);
        for (const { resource, fullUrl } of entries) {
          if (!/Patient|Medication$|Device/.test(resource.resourceType)) expect(seen.get(fullUrl ?? '')).toBe(1);
        }
      }
    });
  },
);

describe('R-REC-1 generated patients', () => {
  const patients = generatePatients({ seed: 'test', count: 20 });
  const resourcesOf = (bundle: unknown) => (bundle as { entry: { fullUrl: string; resource: Resource }[] }).entry;

  it('are the same for the same seed, different for another', () => {
    expect(JSON.stringify(generatePatients({ seed: 'test', count: 20 }))).toBe(JSON.stringify(patients));
    expect(JSON.stringify(generatePatients({ seed: 'test', count: 5 }))).toBe(JSON.stringify(patients.slice(0, 5)));
    expect(generatePatients({ seed: 'other', count: 1 })[0]!.id).not.toBe(patients[0]!.id);
    expect(() => generatePatients({ seed: 'x', count: -1 })).toThrow(RangeError);
  });

  it('have 60–200 valid resources each, whose references all resolve', () => {
    for (const { bundle } of patients) {
      const entries = resourcesOf(bundle);
      expect(entries.length).toBeGreaterThanOrEqual(60);
      expect(entries.length).toBeLessThanOrEqual(200);
      const index = new ReferenceIndex();
      for (const { resource, fullUrl } of [...resourcesOf(sandboxDirectory()), ...entries])
        index.add(resource, fullUrl);
      for (const { resource } of entries) {
        expect(validateResource(resource)).toEqual([]);
        for (const found of listReferences(resource))
          expect(index.resolveFound(found), JSON.stringify(found)).toBeDefined();
      }
    }
  });

  it('include families, a teenager, the elderly, and every sensitivity', () => {
    const teenager = patients.find(({ age }) => age === 16)!;
    expect(patients.find(({ id }) => id === teenager.parentId)?.family).toBe(teenager.family);
    expect(patients.some(({ age }) => age > 70)).toBe(true);
    const labels = new Set(
      patients.flatMap(({ bundle }) => resourcesOf(bundle).flatMap(({ resource }) => classify(resource).labels)),
    );
    for (const label of ['HIV', 'SUD', 'PSY', 'PSYTHPN', 'SEX']) expect(labels).toContain(label);
    const types = new Set(
      patients.flatMap(({ bundle }) => resourcesOf(bundle).map(({ resource }) => resource.resourceType)),
    );
    for (const type of [
      'AllergyIntolerance',
      'Claim',
      'DocumentReference',
      'ExplanationOfBenefit',
      'ImagingStudy',
      'Immunization',
      'RelatedPerson',
    ]) {
      expect(types).toContain(type);
    }
  });

  it('lie at several organisations of the sandbox, with telephone numbers that nobody has', () => {
    const slugs = new Set(sandboxOrganizations.map(({ slug }) => slug));
    for (const { custodians, bundle } of patients) {
      expect(custodians.length).toBeGreaterThan(1);
      expect(custodians.every((slug) => slugs.has(slug))).toBe(true);
      expect(splitByServiceProvider(resourcesOf(bundle)).parts).toHaveLength(custodians.length);
      for (const [, value] of JSON.stringify(bundle).matchAll(/"system":"phone","value":"([^"]*)"/g)) {
        expect(value).toMatch(/^555-01\d\d$/);
      }
    }
  });
});
