import { adviceOf, StandardsErrorCodes } from '../errors.ts';
import { RESOURCE_TYPES } from './resource-types.ts';
import { dateRange } from './search/dates.ts';
import { isObject, type JsonObject, type JsonValue, lookup, type Resource } from './types.ts';

/** `path` is the element, never its content. */
export type ValidationProblem = { code: number; path: string; message: string };

/** Problems reported for one resource. */
export const problemsMax = 100;

const ID = /^[A-Za-z0-9\-.]{1,64}$/;

/** Elements without which a resource of the type means nothing in R4 (cardinality 1..). */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  AllergyIntolerance: ['patient'],
  CarePlan: ['status', 'intent', 'subject'],
  Claim: ['status', 'type', 'use', 'patient', 'created', 'provider', 'priority', 'insurance'],
  Condition: ['subject'],
  Consent: ['status', 'scope', 'category'],
  Coverage: ['status', 'beneficiary', 'payor'],
  DiagnosticReport: ['status', 'code'],
  DocumentReference: ['status', 'content'],
  Encounter: ['status', 'class'],
  ExplanationOfBenefit: ['status', 'type', 'use', 'patient', 'created', 'insurer', 'provider', 'outcome', 'insurance'],
  FamilyMemberHistory: ['status', 'patient', 'relationship'],
  Goal: ['lifecycleStatus', 'description', 'subject'],
  ImagingStudy: ['status', 'subject'],
  Immunization: ['status', 'vaccineCode', 'patient', 'occurrence[x]'],
  MedicationAdministration: ['status', 'medication[x]', 'subject', 'effective[x]'],
  MedicationDispense: ['status', 'medication[x]'],
  MedicationRequest: ['status', 'intent', 'medication[x]', 'subject'],
  MedicationStatement: ['status', 'medication[x]', 'subject'],
  Observation: ['status', 'code'],
  Procedure: ['status', 'subject'],
  Provenance: ['target', 'recorded', 'agent'],
  RelatedPerson: ['patient'],
  ServiceRequest: ['status', 'intent', 'subject'],
};

/** Elements without which a resource of the type means nothing; a choice of types as `name[x]`. */
export function requiredElements(type: string): readonly string[] {
  return lookup(REQUIRED, type) ?? [];
}

/** JSON types of elements whose name means the same in every resource of R4. */
const TEXTS = [
  'status',
  'language',
  'implicitRules',
  'birthDate',
  'gender',
  'intent',
  'authoredOn',
  'recordedDate',
  'issued',
];
const OBJECTS = ['meta', 'text', 'subject', 'patient', 'encounter'];
const LISTS = [
  'contained',
  'extension',
  'modifierExtension',
  'name',
  'telecom',
  'address',
  'note',
  'performer',
  'coding',
];
/** Elements of the same name that are single in one type and a list in another. */
const LIST_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  name: ['Patient', 'Person', 'Practitioner', 'RelatedPerson'],
  telecom: ['Patient', 'Person', 'Practitioner', 'PractitionerRole', 'RelatedPerson', 'Organization', 'Location'],
  address: ['Patient', 'Person', 'Practitioner', 'RelatedPerson', 'Organization'],
  performer: ['DiagnosticReport', 'Immunization', 'Observation', 'Procedure', 'MedicationDispense', 'ServiceRequest'],
  coding: [],
  note: [
    'AllergyIntolerance',
    'CarePlan',
    'Condition',
    'Immunization',
    'MedicationRequest',
    'Observation',
    'Procedure',
  ],
};
const OBJECT_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  subject: ['Account', 'ActivityDefinition', 'Contract', 'PlanDefinition'],
  encounter: ['Claim'],
  patient: [],
};
const DATES = [
  'birthDate',
  'authoredOn',
  'recordedDate',
  'issued',
  'effectiveDateTime',
  'performedDateTime',
  'onsetDateTime',
];

/**
 * The checks that keep nonsense out of the store: known type, id, required elements, JSON types and dates of common
 * elements, no empty values (R4 §2.6.2). Profiles and value sets are not checked.
 */
export function validateResource(value: JsonValue | undefined): ValidationProblem[] {
  if (!isObject(value)) return [problem(StandardsErrorCodes.entryNotAnObject, '')];
  if (typeof value.resourceType !== 'string') return [problem(StandardsErrorCodes.resourceTypeMissing, 'resourceType')];
  if (!RESOURCE_TYPES.has(value.resourceType))
    return [problem(StandardsErrorCodes.resourceTypeUnknown, 'resourceType')];
  const resource = value as Resource;
  const problems: ValidationProblem[] = [];
  checkElements(resource, problems);
  checkEmpty(resource, resource.resourceType, problems);
  return problems.slice(0, problemsMax);
}

function problem(code: number, path: string, detail?: string): ValidationProblem {
  const message = detail ? `${detail} ${adviceOf(code)}` : adviceOf(code);
  return { code, path, message };
}

function checkElements(resource: Resource, problems: ValidationProblem[]): void {
  const type = resource.resourceType;
  const structure = (name: string, detail: string) =>
    problems.push(problem(StandardsErrorCodes.resourceStructure, `${type}.${name}`, detail));
  if (resource.id !== undefined && (typeof resource.id !== 'string' || !ID.test(resource.id))) {
    problems.push(problem(StandardsErrorCodes.resourceIdInvalid, `${type}.id`));
  }
  for (const name of requiredElements(type))
    if (!hasElement(resource, name)) structure(name, 'The element is required.');
  for (const name of TEXTS) {
    const member = type.startsWith('MedicinalProduct') ? undefined : resource[name];
    if (member !== undefined && typeof member !== 'string') structure(name, 'The element has to be a text.');
  }
  for (const name of OBJECTS) {
    const member = resource[name];
    if (member === undefined || OBJECT_EXCEPTIONS[name]?.includes(type)) continue;
    if (!isObject(member)) structure(name, 'The element has to be a JSON object.');
  }
  for (const name of LISTS) {
    const member = resource[name];
    const only = LIST_EXCEPTIONS[name];
    if (member === undefined || (only && !only.includes(type))) continue;
    if (!Array.isArray(member)) structure(name, 'The element may repeat, so it has to be a list.');
  }
  for (const name of DATES) {
    const member = resource[name];
    if (typeof member === 'string' && !dateRange(member)) structure(name, 'The element is no date of R4.');
  }
}

function hasElement(resource: JsonObject, name: string): boolean {
  if (!name.endsWith('[x]')) return resource[name] !== undefined || resource[`_${name}`] !== undefined;
  const prefix = name.slice(0, -3);
  return Object.keys(resource).some((key) => key.startsWith(prefix) && /^[A-Z]/.test(key.slice(prefix.length)));
}

/** R4 §2.6.2: no empty texts, objects or lists; null only in lists that have extensions beside them. */
function checkEmpty(value: JsonObject, path: string, problems: ValidationProblem[]): void {
  for (const name in value) {
    const member = value[name];
    const at = `${path}.${name}`;
    if (problems.length >= problemsMax) return;
    const empty =
      member === '' || member === null || (typeof member === 'object' && Object.keys(member ?? {}).length === 0);
    if (empty) problems.push(problem(StandardsErrorCodes.resourceStructure, at, 'The element is empty: leave it out.'));
    else if (Array.isArray(member)) {
      for (const element of member) if (isObject(element)) checkEmpty(element, at, problems);
    } else if (isObject(member)) checkEmpty(member, at, problems);
  }
}
