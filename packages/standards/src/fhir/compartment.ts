import { parseReference } from './references.ts';
import { isObject, type JsonValue, lookup, type Resource, valuesAt } from './types.ts';

/**
 * CompartmentDefinition/patient of R4 (4.0.1): which search parameters put a resource into a patient's compartment,
 * and the elements that they look at.
 */
export const PATIENT_COMPARTMENT: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  Account: { subject: ['subject'] },
  AdverseEvent: { subject: ['subject'] },
  AllergyIntolerance: { patient: ['patient'], recorder: ['recorder'], asserter: ['asserter'] },
  Appointment: { actor: ['participant.actor'] },
  AppointmentResponse: { actor: ['actor'] },
  AuditEvent: { patient: ['agent.who', 'entity.what'] },
  Basic: { patient: ['subject'], author: ['author'] },
  BodyStructure: { patient: ['patient'] },
  CarePlan: { patient: ['subject'], performer: ['activity.detail.performer'] },
  CareTeam: { patient: ['subject'], participant: ['participant.member'] },
  ChargeItem: { subject: ['subject'] },
  Claim: { patient: ['patient'], payee: ['payee.party'] },
  ClaimResponse: { patient: ['patient'] },
  ClinicalImpression: { subject: ['subject'] },
  Communication: { subject: ['subject'], sender: ['sender'], recipient: ['recipient'] },
  CommunicationRequest: {
    subject: ['subject'],
    sender: ['sender'],
    recipient: ['recipient'],
    requester: ['requester'],
  },
  Composition: { subject: ['subject'], author: ['author'], attester: ['attester.party'] },
  Condition: { patient: ['subject'], asserter: ['asserter'] },
  Consent: { patient: ['patient'] },
  Coverage: {
    'policy-holder': ['policyHolder'],
    subscriber: ['subscriber'],
    beneficiary: ['beneficiary'],
    payor: ['payor'],
  },
  CoverageEligibilityRequest: { patient: ['patient'] },
  CoverageEligibilityResponse: { patient: ['patient'] },
  DetectedIssue: { patient: ['patient'] },
  DeviceRequest: { subject: ['subject'], performer: ['performer'] },
  DeviceUseStatement: { subject: ['subject'] },
  DiagnosticReport: { subject: ['subject'] },
  DocumentManifest: { subject: ['subject'], author: ['author'], recipient: ['recipient'] },
  DocumentReference: { subject: ['subject'], author: ['author'] },
  Encounter: { patient: ['subject'] },
  EnrollmentRequest: { subject: ['candidate'] },
  EpisodeOfCare: { patient: ['patient'] },
  ExplanationOfBenefit: { patient: ['patient'], payee: ['payee.party'] },
  FamilyMemberHistory: { patient: ['patient'] },
  Flag: { patient: ['subject'] },
  Goal: { patient: ['subject'] },
  Group: { member: ['member.entity'] },
  ImagingStudy: { patient: ['subject'] },
  Immunization: { patient: ['patient'] },
  ImmunizationEvaluation: { patient: ['patient'] },
  ImmunizationRecommendation: { patient: ['patient'] },
  Invoice: { subject: ['subject'], patient: ['subject'], recipient: ['recipient'] },
  List: { subject: ['subject'], source: ['source'] },
  MeasureReport: { patient: ['subject'] },
  Media: { subject: ['subject'] },
  MedicationAdministration: { patient: ['subject'], performer: ['performer.actor'], subject: ['subject'] },
  MedicationDispense: { subject: ['subject'], patient: ['subject'], receiver: ['receiver'] },
  MedicationRequest: { subject: ['subject'] },
  MedicationStatement: { subject: ['subject'] },
  MolecularSequence: { patient: ['patient'] },
  NutritionOrder: { patient: ['patient'] },
  Observation: { subject: ['subject'], performer: ['performer'] },
  Patient: { link: ['link.other'] },
  Person: { patient: ['link.target'] },
  Procedure: { patient: ['subject'], performer: ['performer.actor'] },
  Provenance: { patient: ['target'] },
  QuestionnaireResponse: { subject: ['subject'], author: ['author'] },
  RelatedPerson: { patient: ['patient'] },
  RequestGroup: { subject: ['subject'], participant: ['action.participant'] },
  ResearchSubject: { individual: ['individual'] },
  RiskAssessment: { subject: ['subject'] },
  Schedule: { actor: ['actor'] },
  ServiceRequest: { subject: ['subject'], performer: ['performer'] },
  Specimen: { subject: ['subject'] },
  SupplyDelivery: { patient: ['patient'] },
  SupplyRequest: { subject: ['deliverTo'] },
  VisionPrescription: { patient: ['patient'] },
};

/** Types outside the compartment definition that may name a patient all the same. */
const SUBJECT_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  Contract: ['subject'],
  Device: ['patient'],
  GuidanceResponse: ['subject'],
  MedicinalProductUndesirableEffect: ['subject'],
  Task: ['for'],
};

/** Parameters that name whom the resource is about, not who wrote or received it. */
const SUBJECT_PARAMETERS = ['patient', 'subject', 'beneficiary', 'individual'];

/** True where the text of a reference leads to a patient; the default takes `Patient/…` in any form. */
export type IsPatient = (reference: string) => boolean;

function looksLikePatient(reference: string): boolean {
  const target = parseReference(reference);
  return 'type' in target && target.type === 'Patient';
}

/**
 * References to patients in whose compartment the resource is, without repetition. `urn:uuid:` references need
 * `isPatient`, since their text does not say what they lead to.
 */
export function compartmentPatients(resource: Resource, isPatient: IsPatient = looksLikePatient): string[] {
  const found = new Set<string>();
  for (const paths of Object.values(lookup(PATIENT_COMPARTMENT, resource.resourceType) ?? {})) {
    for (const path of paths) addPatients(found, valuesAt(resource, path), isPatient);
  }
  return [...found];
}

/** True where the type can belong to a patient at all. */
export function isPatientType(type: string): boolean {
  return Object.hasOwn(PATIENT_COMPARTMENT, type);
}

/**
 * The reference to the patient whom the resource is about; for a Patient `Patient/id`. Undefined where there is none,
 * or where it names no patient (a group, a device, a location).
 */
export function subjectOf(resource: Resource, isPatient: IsPatient = looksLikePatient): string | undefined {
  if (resource.resourceType === 'Patient') return resource.id ? `Patient/${resource.id}` : undefined;
  const parameters = lookup(PATIENT_COMPARTMENT, resource.resourceType) ?? {};
  const found = new Set<string>();
  for (const name of SUBJECT_PARAMETERS) {
    for (const path of parameters[name] ?? []) addPatients(found, valuesAt(resource, path), isPatient);
  }
  for (const path of lookup(SUBJECT_ELSEWHERE, resource.resourceType) ?? []) {
    addPatients(found, valuesAt(resource, path), isPatient);
  }
  return found.values().next().value;
}

function addPatients(found: Set<string>, values: JsonValue[], isPatient: IsPatient): void {
  for (const value of values) {
    if (!isObject(value) || typeof value.reference !== 'string') continue;
    if (isPatient(value.reference)) found.add(value.reference);
  }
}

/** Elements by which resources name the encounter that they belong to. */
const ENCOUNTER_PATHS = ['encounter', 'context', 'context.encounter', 'item.encounter'];

/** The reference to the encounter that the resource belongs to, as it stands there. */
export function encounterOf(resource: Resource): string | undefined {
  for (const path of ENCOUNTER_PATHS) {
    for (const value of valuesAt(resource, path)) {
      if (isObject(value) && typeof value.reference === 'string') return value.reference;
    }
  }
  return undefined;
}
