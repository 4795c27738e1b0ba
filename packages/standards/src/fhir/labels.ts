import type { RecordCategory } from '@salus/protocol';
import {
  CIEL_LABELS,
  type CodeTable,
  CPT_LABELS,
  ICD10_LABELS,
  INGREDIENT_LABELS,
  LABEL_WORDS,
  LOINC_LABELS,
  type SensitivityLabel,
  SNOMED_LABELS,
} from './label-codes.ts';
import { clinicalTexts } from './texts.ts';
import { isObject, type JsonObject, type JsonValue, lookup, objectsOf, type Resource } from './types.ts';

export type Classification = {
  /** What kind of record it is; never empty. Sorted. */
  categories: RecordCategory[];
  /** Why it is sensitive: codes of HL7 v3 ActCode and Confidentiality. Sorted. */
  labels: string[];
};

/** Categories by resource type; where content decides, see `refineCategories`. */
const TYPE_CATEGORIES: Readonly<Record<string, readonly RecordCategory[]>> = {
  Patient: ['demographics'],
  Person: ['demographics'],
  RelatedPerson: ['demographics'],
  AllergyIntolerance: ['allergy'],
  AdverseEvent: ['condition'],
  BodyStructure: ['condition'],
  ClinicalImpression: ['condition'],
  Condition: ['condition'],
  DetectedIssue: ['condition'],
  FamilyMemberHistory: ['family-history'],
  Flag: ['condition'],
  RiskAssessment: ['condition'],
  CarePlan: ['care-plan'],
  CareTeam: ['care-plan'],
  Goal: ['care-plan'],
  NutritionOrder: ['care-plan'],
  RequestGroup: ['care-plan'],
  ServiceRequest: ['order'],
  Task: ['order'],
  Appointment: ['encounter'],
  AppointmentResponse: ['encounter'],
  Encounter: ['encounter'],
  EpisodeOfCare: ['encounter'],
  Device: ['device'],
  DeviceRequest: ['device'],
  DeviceUseStatement: ['device'],
  SupplyDelivery: ['device'],
  SupplyRequest: ['device'],
  ImagingStudy: ['imaging'],
  Media: ['imaging'],
  Immunization: ['immunization'],
  ImmunizationEvaluation: ['immunization'],
  ImmunizationRecommendation: ['immunization'],
  Specimen: ['laboratory'],
  MolecularSequence: ['genomics'],
  Medication: ['medication'],
  MedicationAdministration: ['medication'],
  MedicationDispense: ['medication'],
  MedicationRequest: ['medication'],
  MedicationStatement: ['medication'],
  VisionPrescription: ['order'],
  Procedure: ['procedure'],
  Binary: ['notes'],
  Communication: ['notes'],
  CommunicationRequest: ['notes'],
  Composition: ['notes'],
  DocumentManifest: ['notes'],
  DocumentReference: ['notes'],
  QuestionnaireResponse: ['survey'],
  Account: ['claims'],
  ChargeItem: ['claims'],
  Claim: ['claims'],
  ClaimResponse: ['claims'],
  Coverage: ['claims'],
  CoverageEligibilityRequest: ['claims'],
  CoverageEligibilityResponse: ['claims'],
  EnrollmentRequest: ['claims'],
  ExplanationOfBenefit: ['claims'],
  Invoice: ['claims'],
  PaymentNotice: ['claims'],
  Consent: ['consent'],
  AuditEvent: ['provenance'],
  Provenance: ['provenance'],
  ResearchSubject: ['research'],
  Organization: ['directory'],
  Location: ['directory'],
  Practitioner: ['directory'],
  PractitionerRole: ['directory'],
};

const NO_CATEGORY: readonly RecordCategory[] = ['other'];

/** Observation.category (R4 value set observation-category) that are categories of their own here. */
const OBSERVATION_CATEGORIES: Readonly<Record<string, RecordCategory>> = {
  'social-history': 'social-history',
  'vital-signs': 'vital-signs',
  imaging: 'imaging',
  laboratory: 'laboratory',
  procedure: 'procedure',
  survey: 'survey',
  exam: 'exam',
  therapy: 'therapy',
  activity: 'activity',
};

/** DiagnosticReport.category of HL7 v2 table 0074 and LOINC, by what they are here. */
const REPORT_CATEGORIES: Readonly<Record<string, RecordCategory>> = {
  RAD: 'imaging',
  'LP29684-5': 'imaging',
  CT: 'imaging',
  NMR: 'imaging',
  US: 'imaging',
  NMS: 'imaging',
  GE: 'genomics',
  'LP29708-2': 'imaging',
  '34117-2': 'notes',
  '51847-2': 'notes',
  'LP173421-1': 'notes',
};

/** Categories and sensitivity labels for a resource, from its type, its codes, its words, and its meta.security. */
export function classify(resource: Resource): Classification {
  const labels = new Set<string>();
  addSecurityLabels(resource, labels);
  addCodeLabels(resource, labels);
  if (resource.resourceType === 'MolecularSequence') labels.add('GDIS');
  if (!NOT_CLINICAL.has(resource.resourceType)) {
    for (const text of clinicalTexts(resource)) addWordLabels(text, labels);
  }
  return { categories: categoriesOf(resource), labels: [...labels].sort() };
}

/**
 * The labels of a resource together with those of what it belongs to: a prescription whose reason is a sensitive
 * condition, or a bill for a sensitive visit, tells as much as these do.
 */
export function inheritLabels(own: Classification, related: Iterable<Classification>): Classification {
  const labels = new Set(own.labels);
  for (const { labels: inherited } of related) for (const label of inherited) labels.add(label);
  return { categories: own.categories, labels: [...labels].sort() };
}

/** References that carry labels from their target to the resource: reasons, billed diagnoses, results of a report. */
const LABEL_PATHS = [
  'reasonReference',
  'diagnosis.diagnosisReference',
  'diagnosis.condition',
  'addresses',
  'item.encounter',
  'prescription',
  'medicationReference',
  'result',
  'basedOn',
  'request',
  'claim',
  'authorizingPrescription',
  'manifestation',
  'hasMember',
  'partOf',
];

/** Texts of the references from which labels are inherited (`inheritLabels`). */
export function labelReferences(resource: Resource): string[] {
  const found = new Set<string>();
  for (const path of LABEL_PATHS) {
    let values: JsonValue[] = [resource];
    for (const step of path.split('.'))
      values = values.flatMap((value) => (isObject(value) ? objectsOf(value[step]) : []));
    for (const value of values) if (isObject(value) && typeof value.reference === 'string') found.add(value.reference);
  }
  return [...found];
}

/** People and places: their texts are names, which must not make them sensitive. */
const NOT_CLINICAL = new Set(['Organization', 'Location', 'Practitioner', 'PractitionerRole', 'Provenance', 'Patient']);

const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const CONFIDENTIALITY = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';

/** Codes of ActCode that mean the same to a directive. */
const SAME_LABEL: Readonly<Record<string, readonly string[]>> = {
  ETH: ['SUD'],
  ETHUD: ['SUD'],
  OPIOIDUD: ['SUD'],
  SUBSTAB: ['SUD'],
  MH: ['PSY'],
  // Behavioural health is mental health and substance use together.
  BH: ['PSY', 'SUD'],
  STD: ['SEX'],
  REPRO: ['SEX'],
  SEXUALITY: ['SEX'],
  PREGNANT: ['SEX'],
  DVD: ['SDV'],
  DV: ['SDV'],
};

function addSecurityLabels(resource: Resource, labels: Set<string>): void {
  if (!isObject(resource.meta)) return;
  for (const { system, code } of objectsOf(resource.meta.security)) {
    if (typeof code !== 'string' || !/^[A-Za-z0-9_.:-]{1,64}$/.test(code)) continue;
    if (system === CONFIDENTIALITY) {
      if (code === 'R' || code === 'V') labels.add(code);
    } else {
      const same = system === ACT_CODE || system === undefined ? lookup(SAME_LABEL, code) : undefined;
      for (const label of same ?? [code]) labels.add(label);
    }
  }
}

type CodeIndex = { exact: Map<string, SensitivityLabel[]>; prefixes: [string, SensitivityLabel][] };

function indexOf(table: CodeTable): CodeIndex {
  const index: CodeIndex = { exact: new Map(), prefixes: [] };
  for (const [label, codes] of Object.entries(table) as [SensitivityLabel, readonly string[]][]) {
    for (const code of codes) {
      if (code.endsWith('*')) index.prefixes.push([code.slice(0, -1), label]);
      else index.exact.set(code, [...(index.exact.get(code) ?? []), label]);
    }
  }
  return index;
}

const CIEL = indexOf(CIEL_LABELS);
const ICD10 = indexOf(ICD10_LABELS);
const CPT = indexOf(CPT_LABELS);
const SYSTEMS: ReadonlyMap<string, CodeIndex> = new Map([
  ['http://snomed.info/sct', indexOf(SNOMED_LABELS)],
  ['http://loinc.org', indexOf(LOINC_LABELS)],
  ['http://hl7.org/fhir/sid/icd-10', ICD10],
  ['http://hl7.org/fhir/sid/icd-10-cm', ICD10],
  ['urn:oid:2.16.840.1.113883.6.90', ICD10],
  ['http://www.ama-assn.org/go/cpt', CPT],
  ['https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets', CPT],
  ['urn:oid:2.16.840.1.113883.6.285', CPT],
  ['https://openconceptlab.org/orgs/CIEL/sources/CIEL', CIEL],
]);

const CIEL_PADDED = /^(\d{2,7})A{20,}$/;
const INGREDIENTS = new Map(
  (Object.entries(INGREDIENT_LABELS) as [SensitivityLabel, readonly string[]][]).map(([label, names]) => [
    label,
    new RegExp(`\\b(${names.join('|')})\\b`, 'i'),
  ]),
);
const MEDICATION_TYPES = /^Medication/;

/** Every Coding anywhere in the resource, extensions included. */
function addCodeLabels(value: JsonValue | undefined, labels: Set<string>): void {
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object') addCodeLabels(element, labels);
    return;
  }
  if (!isObject(value)) return;
  if (typeof value.code === 'string') addCodingLabels(value, value.code, labels);
  if (typeof value.resourceType === 'string' && MEDICATION_TYPES.test(value.resourceType))
    addIngredientLabels(value, labels);
  for (const name in value) {
    if (name === 'meta' || name === 'text') continue;
    const member = value[name];
    if (typeof member === 'object' && member !== null) addCodeLabels(member, labels);
  }
}

function addCodingLabels(coding: JsonObject, code: string, labels: Set<string>): void {
  const padded = CIEL_PADDED.exec(code);
  const index = padded ? CIEL : typeof coding.system === 'string' ? SYSTEMS.get(coding.system) : undefined;
  if (!index) return;
  for (const label of index.exact.get(padded?.[1] ?? code) ?? []) labels.add(label);
  for (const [prefix, label] of index.prefixes) if (code.startsWith(prefix)) labels.add(label);
}

/** Clinical drug codes are many; their displays name the ingredients. */
function addIngredientLabels(resource: JsonObject, labels: Set<string>): void {
  for (const concept of [...objectsOf(resource.medicationCodeableConcept), ...objectsOf(resource.code)]) {
    const texts = [concept.text, ...objectsOf(concept.coding).map(({ display }) => display)];
    for (const text of texts) {
      if (typeof text !== 'string') continue;
      for (const [label, names] of INGREDIENTS) if (names.test(text)) labels.add(label);
    }
  }
}

function addWordLabels(text: string, labels: Set<string>): void {
  for (const label in LABEL_WORDS) {
    if (!labels.has(label) && LABEL_WORDS[label as SensitivityLabel].test(text)) labels.add(label);
  }
}

function categoriesOf(resource: Resource): RecordCategory[] {
  const found = new Set<RecordCategory>();
  if (resource.resourceType === 'Observation') {
    for (const code of categoryCodes(resource)) {
      const category = lookup(OBSERVATION_CATEGORIES, code);
      if (category) found.add(category);
    }
    if (found.size === 0) found.add('observation');
  } else if (resource.resourceType === 'DiagnosticReport') {
    for (const code of categoryCodes(resource)) {
      const category = lookup(REPORT_CATEGORIES, code);
      if (category) found.add(category);
    }
    if (resource.presentedForm !== undefined) found.add('notes');
    if (found.size === 0) found.add('laboratory');
  } else for (const category of lookup(TYPE_CATEGORIES, resource.resourceType) ?? NO_CATEGORY) found.add(category);
  return [...found].sort();
}

function categoryCodes(resource: Resource): string[] {
  const codes: string[] = [];
  for (const concept of objectsOf(resource.category)) {
    for (const { code } of objectsOf(concept.coding)) if (typeof code === 'string') codes.push(code);
  }
  return codes;
}
