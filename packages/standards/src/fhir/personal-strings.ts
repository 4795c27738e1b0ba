import { attachmentText, narrativeText } from './texts.ts';
import { isObject, type JsonObject, type JsonValue, objectsOf, type Resource } from './types.ts';

export type PersonalString = {
  kind: 'name' | 'address' | 'telecom' | 'identifier' | 'birthDate' | 'display' | 'text';
  value: string;
};

/** Texts shorter than this occur by chance everywhere, so that finding them proves nothing. */
export const personalStringCharsMin = 4;

const PEOPLE = new Set(['Patient', 'Practitioner', 'RelatedPerson', 'Person']);
/** Members that hold free text, in any resource. */
const FREE_TEXTS = new Set([
  'comment',
  'conclusion',
  'valueString',
  'valueMarkdown',
  'patientInstruction',
  'note',
  'presentation',
]);

/**
 * Everything in a resource by which somebody could be recognised: for patients and practitioners names, addresses,
 * telecoms, identifiers and birth dates; in every resource displays of references to people, free text, narrative and
 * the text of attachments. Names of organisations and places are public and not listed.
 */
export function personalStrings(resource: Resource): PersonalString[] {
  const found = new Map<string, PersonalString>();
  const add = (kind: PersonalString['kind'], value: JsonValue | undefined) => {
    if (typeof value !== 'string') return;
    const text = value.trim();
    if (text.length >= personalStringCharsMin) found.set(`${kind} ${text}`, { kind, value: text });
  };
  collect(resource, add);
  return [...found.values()];
}

type Add = (kind: PersonalString['kind'], value: JsonValue | undefined) => void;

function collect(resource: Resource, add: Add): void {
  if (PEOPLE.has(resource.resourceType)) collectPerson(resource, add);
  if (resource.resourceType === 'Binary') add('text', attachmentText(resource));
  if (isObject(resource.text)) add('text', narrativeText(resource.text.div));
  collectTexts(resource, resource.resourceType, add);
  for (const contained of objectsOf(resource.contained)) {
    if (typeof contained.resourceType === 'string') collect(contained as Resource, add);
  }
}

function collectPerson(person: JsonObject, add: Add): void {
  for (const name of objectsOf(person.name)) collectName(name, add);
  for (const address of objectsOf(person.address)) collectAddress(address, add);
  for (const telecom of objectsOf(person.telecom)) add('telecom', telecom.value);
  for (const identifier of objectsOf(person.identifier)) add('identifier', identifier.value);
  add('birthDate', person.birthDate);
  for (const contact of objectsOf(person.contact)) collectPerson(contact, add);
  for (const extension of objectsOf(person.extension)) {
    if (isObject(extension.valueAddress)) collectAddress(extension.valueAddress, add);
    if (typeof extension.url === 'string' && /mothersMaidenName/.test(extension.url))
      add('name', extension.valueString);
  }
}

function collectName(name: JsonObject, add: Add): void {
  add('name', name.text);
  add('name', name.family);
  if (Array.isArray(name.given)) for (const given of name.given) add('name', given);
}

function collectAddress(address: JsonObject, add: Add): void {
  if (Array.isArray(address.line)) for (const line of address.line) add('address', line);
  for (const member of ['text', 'city', 'postalCode']) add('address', address[member]);
}

function collectTexts(value: JsonValue | undefined, type: string, add: Add): void {
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object') collectTexts(element, type, add);
    return;
  }
  if (!isObject(value)) return;
  if (typeof value.display === 'string' && namesPerson(value)) add('display', value.display);
  if (typeof value.data === 'string') add('text', attachmentText(value));
  for (const name in value) {
    const member = value[name];
    // Extensions of people hold race and ethnicity, whose texts tell nobody apart; the others are collected above.
    if (name === 'extension' && PEOPLE.has(type)) continue;
    if (FREE_TEXTS.has(name)) addFreeText(member, add);
    else if (typeof member === 'object' && member !== null && name !== 'contained') collectTexts(member, type, add);
  }
  if (typeof value.text === 'string' && (value.time !== undefined || value.authorString !== undefined)) {
    add('text', value.text);
  }
}

function addFreeText(value: JsonValue | undefined, add: Add): void {
  add('text', value);
  for (const note of objectsOf(value)) add('text', note.text);
}

/** A Reference (not a Coding) that may lead to a person: Synthea names people in displays. */
function namesPerson(value: JsonObject): boolean {
  if (value.code !== undefined || value.system !== undefined) return false;
  const { reference, type } = value;
  if (typeof type === 'string') return PEOPLE.has(type);
  if (typeof reference !== 'string') return isObject(value.identifier);
  return !/^(Organization|Location|Medication|Device|HealthcareService|Endpoint)[/?]/.test(reference);
}
