import { describe, expect, it } from 'vitest';
import { compartmentPatients, encounterOf, subjectOf } from './compartment.ts';
import { ReferenceIndex } from './reference-index.ts';
import { containedResource, listReferences, parseReference, rewriteReferences } from './references.ts';
import type { Resource } from './types.ts';

const observation: Resource = {
  resourceType: 'Observation',
  contained: [{ resourceType: 'Practitioner', id: 'p' }],
  subject: { reference: 'urn:uuid:1', display: 'x' },
  performer: [{ reference: '#p' }, { reference: 'Practitioner?identifier=http://npi|99' }],
  encounter: { type: 'Encounter', identifier: { system: 's', value: 'e1' } },
  hasMember: [{ reference: 'Observation/o2/_history/3' }],
  extension: [{ url: 'u', valueReference: { reference: 'https://other.example/fhir/Device/d' } }],
};

describe('R-REC-4 references', () => {
  it.each([
    ['#p', { kind: 'contained', id: 'p' }],
    ['urn:uuid:1', { kind: 'urn', urn: 'urn:uuid:1' }],
    ['Patient/a.b-C', { kind: 'relative', type: 'Patient', id: 'a.b-C' }],
    ['Patient/a/_history/2', { kind: 'relative', type: 'Patient', id: 'a', version: '2' }],
    [
      'https://h/base/Patient/a',
      { kind: 'absolute', url: 'https://h/base/Patient/a', base: 'https://h/base', type: 'Patient', id: 'a' },
    ],
    [
      'Practitioner?identifier=http://npi|99',
      {
        kind: 'conditional',
        type: 'Practitioner',
        query: 'identifier=http://npi|99',
        identifier: { system: 'http://npi', value: '99' },
      },
    ],
    ['Patient?name=x&identifier=1', { kind: 'conditional', type: 'Patient', query: 'name=x&identifier=1' }],
    [
      'Patient?identifier=%7C7',
      { kind: 'conditional', type: 'Patient', query: 'identifier=%7C7', identifier: { value: '7' } },
    ],
    ['not a reference', { kind: 'other', text: 'not a reference' }],
    ['Patient/', { kind: 'other', text: 'Patient/' }],
  ])('parseReference understands %s', (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
  });

  it('listReferences finds literal and logical ones with their place', () => {
    expect(listReferences(observation).map(({ path, target }) => [path, target?.kind])).toEqual([
      ['subject', 'urn'],
      ['performer[0]', 'contained'],
      ['performer[1]', 'conditional'],
      ['encounter', undefined],
      ['hasMember[0]', 'relative'],
      ['extension[0].valueReference', 'absolute'],
    ]);
  });

  it('rewriteReferences copies what changes and leaves the original', () => {
    const before = JSON.stringify(observation);
    const rewritten = rewriteReferences(observation, ({ target }) =>
      target?.kind === 'urn' ? 'Patient/9' : undefined,
    );
    expect(rewritten.subject).toEqual({ reference: 'Patient/9', display: 'x' });
    expect(rewritten.performer).toBe(observation.performer);
    expect(JSON.stringify(observation)).toBe(before);
    expect(rewriteReferences(observation, () => undefined)).toBe(observation);
    const attachment: Resource = {
      resourceType: 'DocumentReference',
      content: [{ attachment: { url: 'urn:uuid:5' } }],
    };
    expect(rewriteReferences(attachment, () => 'Binary/5').content).toEqual([{ attachment: { url: 'Binary/5' } }]);
  });

  it('containedResource finds what # names', () => {
    expect(containedResource(observation, 'p')?.resourceType).toBe('Practitioner');
    expect(containedResource(observation, '')).toBe(observation);
    expect(containedResource(observation, 'q')).toBeUndefined();
  });

  it('the index resolves fullUrl, base, id, and identifiers that are unique', () => {
    const index = new ReferenceIndex();
    index.add({ resourceType: 'Patient', id: 'a' }, 'urn:uuid:1', { type: 'Patient', id: 'stored' });
    index.add({ resourceType: 'Patient', id: 'b' }, 'https://h/fhir/Patient/b');
    index.add({ resourceType: 'Patient', id: 'b' }, 'https://other/fhir/Patient/b');
    index.add(
      { resourceType: 'Practitioner', id: 'p', identifier: [{ system: 'http://npi', value: '99' }] },
      'urn:uuid:2',
    );
    index.add(
      { resourceType: 'Practitioner', id: 'q', identifier: [{ system: 'http://npi', value: '98' }] },
      'urn:uuid:3',
    );
    index.add(
      { resourceType: 'Practitioner', id: 'r', identifier: [{ system: 'http://npi', value: '98' }] },
      'urn:uuid:4',
    );
    expect(index.resolve('urn:uuid:1')).toMatchObject({ type: 'Patient', id: 'stored' });
    expect(index.resolve('Patient/b', 'https://h/fhir/Observation/1')?.fullUrl).toBe('https://h/fhir/Patient/b');
    expect(index.resolve('Practitioner?identifier=http://npi|99')?.id).toBe('p');
    expect(index.resolve('Practitioner?identifier=99')?.id).toBe('p');
    expect(index.resolve('Practitioner?identifier=http://npi|98')).toBeUndefined();
    expect(index.resolve('Organization?identifier=http://npi|99')).toBeUndefined();
    const [logical] = listReferences({
      resourceType: 'Basic',
      author: { type: 'Practitioner', identifier: { system: 'http://npi', value: '99' } },
    });
    expect(index.resolveFound(logical!)?.id).toBe('p');
  });
});

describe('R-REC-1 the patient compartment', () => {
  it('names every patient of the compartment, and the one it is about', () => {
    const resource: Resource = {
      resourceType: 'Observation',
      subject: { reference: 'Patient/a' },
      performer: [{ reference: 'Patient/b' }, { reference: 'Practitioner/p' }],
      encounter: { reference: 'Encounter/e' },
    };
    expect(compartmentPatients(resource)).toEqual(['Patient/a', 'Patient/b']);
    expect(subjectOf(resource)).toBe('Patient/a');
    expect(encounterOf(resource)).toBe('Encounter/e');
  });

  it.each<[Resource, string | undefined]>([
    [{ resourceType: 'Patient', id: 'a' }, 'Patient/a'],
    [
      { resourceType: 'Coverage', beneficiary: { reference: 'Patient/a' }, subscriber: { reference: 'Patient/b' } },
      'Patient/a',
    ],
    [{ resourceType: 'Claim', patient: { reference: 'https://h/Patient/a' } }, 'https://h/Patient/a'],
    [{ resourceType: 'Device', patient: { reference: 'Patient/a' } }, 'Patient/a'],
    [{ resourceType: 'Observation', subject: { reference: 'Group/g' } }, undefined],
    [{ resourceType: 'Organization' }, undefined],
    [{ resourceType: 'Provenance', target: [{ reference: 'Observation/1' }, { reference: 'Patient/a' }] }, 'Patient/a'],
  ])('subjectOf %j', (resource, expected) => {
    expect(subjectOf(resource)).toBe(expected);
  });

  it('asks what urn references lead to', () => {
    expect(subjectOf(observation)).toBeUndefined();
    expect(subjectOf(observation, (text) => text === 'urn:uuid:1')).toBe('urn:uuid:1');
  });
});
