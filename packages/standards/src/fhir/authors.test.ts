import { describe, expect, it } from 'vitest';
import { authorName } from './authors.ts';
import type { JsonValue, Resource } from './types.ts';

const document = (author: JsonValue): Resource => ({ resourceType: 'DocumentReference', author });
const npi = 'http://hl7.org/fhir/sid/us-npi';

describe('R-CON-1 authorName: who wrote a document, by the name that the organisation has for them', () => {
  it.each<[title: string, resource: Resource, name: string | undefined]>([
    ['a practitioner kept beside it', document([{ reference: 'Practitioner/dr-a' }]), 'dr-a'],
    ['a version of the practitioner', document([{ reference: 'Practitioner/dr-a/_history/2' }]), 'dr-a'],
    ['a conditional reference', document([{ reference: `Practitioner?identifier=${npi}|1234` }]), '1234'],
    ['a logical reference', document([{ type: 'Practitioner', identifier: { system: npi, value: '1234' } }]), '1234'],
    ['an organisation besides', document([{ reference: 'Organization/o' }, { reference: 'Practitioner/a' }]), 'a'],
    ['a sender', { resourceType: 'Communication', sender: { reference: 'Practitioner/dr-a' } }, 'dr-a'],
    ['two practitioners', document([{ reference: 'Practitioner/a' }, { reference: 'Practitioner/b' }]), undefined],
    ['the patient', document([{ reference: 'Patient/p' }]), undefined],
    ['a practitioner of another server', document([{ reference: 'https://x.test/Practitioner/a' }]), undefined],
    ['a reference inside a Bundle', document([{ reference: 'urn:uuid:1' }]), undefined],
    ['a practitioner without a name', document([{ type: 'Practitioner', display: 'somebody' }]), undefined],
    ['an author that is a text', document('dr-a'), undefined],
    ['nobody', { resourceType: 'DocumentReference' }, undefined],
    ['a resource without authors', { resourceType: 'Basic', author: { reference: 'Practitioner/a' } }, undefined],
  ])('%s', (_title, resource, name) => {
    expect(authorName(resource)).toBe(name);
  });
});
