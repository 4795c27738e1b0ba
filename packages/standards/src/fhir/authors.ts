import { parseReference } from './references.ts';
import { isObject, type JsonObject, objectsOf, type Resource } from './types.ts';

/** Where the resources that somebody writes in their own words name who did (FHIR R4). */
const AUTHOR_MEMBERS: Readonly<Record<string, string>> = {
  ClinicalImpression: 'assessor',
  Communication: 'sender',
  Composition: 'author',
  DocumentReference: 'author',
  QuestionnaireResponse: 'author',
};

/**
 * The one practitioner who wrote a document, by the name that the organisation has for them: the id of a Practitioner
 * that is kept beside the document, or the identifier by which it is referred to. Undefined where nobody or several are
 * named, or where only another server knows who is meant.
 */
export function authorName(resource: Resource): string | undefined {
  const member = AUTHOR_MEMBERS[resource.resourceType];
  if (member === undefined) return undefined;
  const named = objectsOf(resource[member]).filter(isPractitioner).map(nameOf);
  return named.length === 1 ? named[0] : undefined;
}

function isPractitioner({ reference, type }: JsonObject): boolean {
  if (typeof reference !== 'string') return type === 'Practitioner';
  const target = parseReference(reference);
  return 'type' in target ? target.type === 'Practitioner' : type === 'Practitioner';
}

function nameOf({ reference, identifier }: JsonObject): string | undefined {
  const target = typeof reference === 'string' ? parseReference(reference) : undefined;
  if (target?.kind === 'relative') return target.id;
  if (target?.kind === 'conditional') return target.identifier?.value;
  return isObject(identifier) && typeof identifier.value === 'string' ? identifier.value : undefined;
}
