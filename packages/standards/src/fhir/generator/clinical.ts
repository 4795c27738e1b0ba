import type {
  AllergyIntolerance,
  Claim,
  CodeableConcept,
  Condition,
  DiagnosticReport,
  DocumentReference,
  ExplanationOfBenefit,
  ImagingStudy,
  Immunization,
  MedicationDispense,
  MedicationRequest,
  Observation,
  Procedure,
  Reference,
} from '@medplum/fhirtypes';
import { coded, LABS, loinc, sct, VITALS } from './codes.ts';
import { organizationReference, practitionerReference, sandboxOrganization } from './organizations.ts';
import { type RecordBuilder, usCore, type Visit } from './record-builder.ts';

/** What happens in visits, as US Core-like resources. All texts are written for this project. */

const CLINICAL_STATUS = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const VERIFICATION = 'http://terminology.hl7.org/CodeSystem/condition-ver-status';

function timeOf(visit: Visit, minutes = 15): string {
  return new Date(visit.startMs + minutes * 60_000).toISOString();
}

export function addCondition(
  record: RecordBuilder,
  visit: Visit,
  code: CodeableConcept,
  status: 'active' | 'resolved' = 'active',
): Reference<Condition> {
  return record.add<Condition>({
    resourceType: 'Condition',
    meta: usCore('condition'),
    clinicalStatus: coded(CLINICAL_STATUS, status),
    verificationStatus: coded(VERIFICATION, 'confirmed'),
    category: [
      coded('http://terminology.hl7.org/CodeSystem/condition-category', 'encounter-diagnosis', 'Encounter Diagnosis'),
    ],
    code,
    subject: record.patient,
    encounter: visit.reference,
    onsetDateTime: timeOf(visit),
    recordedDate: timeOf(visit),
    ...(status === 'resolved' ? { abatementDateTime: new Date(visit.startMs + 30 * 86_400_000).toISOString() } : {}),
  });
}

export function addAllergy(
  record: RecordBuilder,
  visit: Visit,
  code: CodeableConcept,
  reaction: CodeableConcept,
): void {
  record.add<AllergyIntolerance>({
    resourceType: 'AllergyIntolerance',
    meta: usCore('allergyintolerance'),
    clinicalStatus: coded('http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', 'active'),
    verificationStatus: coded('http://terminology.hl7.org/CodeSystem/allergyintolerance-verification', 'confirmed'),
    type: 'allergy',
    category: ['medication'],
    criticality: 'high',
    code,
    patient: record.patient,
    encounter: visit.reference,
    recordedDate: timeOf(visit),
    reaction: [{ manifestation: [reaction], severity: 'severe' }],
  });
}

export function addVitals(
  record: RecordBuilder,
  visit: Visit,
  heightCm: number,
  weightKg: number,
  systolic: number,
): void {
  const { random } = record;
  record.observation(visit, 'vital-signs', VITALS.height, heightCm);
  record.observation(visit, 'vital-signs', VITALS.weight, weightKg);
  record.observation(visit, 'vital-signs', VITALS.bmi, weightKg / (heightCm / 100) ** 2);
  record.observation(visit, 'vital-signs', VITALS.heartRate, random.around(74, 12));
  record.observation(visit, 'vital-signs', VITALS.respiration, random.around(15, 3));
  const part = (code: CodeableConcept, value: number) => ({
    code,
    valueQuantity: { value, unit: 'mm[Hg]', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
  });
  record.observe(visit, 'vital-signs', loinc('85354-9', 'Blood pressure panel with all children optional'), {
    component: [
      part(loinc('8480-6', 'Systolic blood pressure'), Math.round(systolic)),
      part(loinc('8462-4', 'Diastolic blood pressure'), Math.round(systolic * 0.62)),
    ],
  });
}

/** A panel: one Observation for each result, and the report that groups them. */
export function addLabs(
  record: RecordBuilder,
  visit: Visit,
  name: CodeableConcept,
  results: Partial<Record<keyof typeof LABS, number>>,
): Reference<DiagnosticReport> {
  const result: Reference<Observation>[] = [];
  for (const [test, value] of Object.entries(results) as [keyof typeof LABS, number][]) {
    result.push(record.observation(visit, 'laboratory', LABS[test], value));
  }
  return record.add<DiagnosticReport>({
    resourceType: 'DiagnosticReport',
    meta: usCore('diagnosticreport-lab'),
    status: 'final',
    category: [coded('http://terminology.hl7.org/CodeSystem/v2-0074', 'LAB', 'Laboratory')],
    code: name,
    subject: record.patient,
    encounter: visit.reference,
    effectiveDateTime: timeOf(visit),
    issued: timeOf(visit, 240),
    performer: [organizationReference(visit.organization)],
    result,
  });
}

export function addMedication(
  record: RecordBuilder,
  visit: Visit,
  medication: CodeableConcept,
  options: { dose: string; reason?: Reference<Condition>; status?: 'active' | 'completed' | 'stopped'; fills?: number },
): Reference<MedicationRequest> {
  const request = record.add<MedicationRequest>({
    resourceType: 'MedicationRequest',
    meta: usCore('medicationrequest'),
    status: options.status ?? 'active',
    intent: 'order',
    medicationCodeableConcept: medication,
    subject: record.patient,
    encounter: visit.reference,
    authoredOn: timeOf(visit),
    requester: practitionerReference(visit.practitioner),
    ...(options.reason ? { reasonReference: [options.reason] } : {}),
    dosageInstruction: [{ text: options.dose }],
  });
  const pharmacy = sandboxOrganization('cedarpost');
  for (let fill = 0; fill < (options.fills ?? 0); fill += 1) {
    record.add<MedicationDispense>({
      resourceType: 'MedicationDispense',
      status: 'completed',
      medicationCodeableConcept: medication,
      subject: record.patient,
      context: visit.reference,
      performer: [{ actor: organizationReference(pharmacy) }],
      authorizingPrescription: [request],
      quantity: { value: 30, unit: 'tablets' },
      daysSupply: { value: 30, unit: 'days', system: 'http://unitsofmeasure.org', code: 'd' },
      whenHandedOver: new Date(visit.startMs + (fill * 30 + 1) * 86_400_000).toISOString(),
    });
  }
  return request;
}

export function addImmunization(record: RecordBuilder, visit: Visit, vaccineCode: CodeableConcept): void {
  record.add<Immunization>({
    resourceType: 'Immunization',
    meta: usCore('immunization'),
    status: 'completed',
    vaccineCode,
    patient: record.patient,
    encounter: visit.reference,
    occurrenceDateTime: timeOf(visit),
    primarySource: true,
    lotNumber: `SBX${record.random.digits(5)}`,
    performer: [{ actor: practitionerReference(visit.practitioner) }],
  });
}

export function addProcedure(
  record: RecordBuilder,
  visit: Visit,
  code: CodeableConcept,
  reason?: Reference<Condition>,
): Reference<Procedure> {
  return record.add<Procedure>({
    resourceType: 'Procedure',
    meta: usCore('procedure'),
    status: 'completed',
    code,
    subject: record.patient,
    encounter: visit.reference,
    performedPeriod: { start: timeOf(visit), end: timeOf(visit, 45) },
    performer: [{ actor: practitionerReference(visit.practitioner) }],
    ...(reason ? { reasonReference: [reason] } : {}),
  });
}

/** A note as plain text; `security` for notes that the law keeps apart. */
export function addNote(
  record: RecordBuilder,
  visit: Visit,
  type: CodeableConcept,
  text: string,
  security?: { code: string; display: string },
): void {
  const meta = usCore('documentreference');
  record.add<DocumentReference>({
    resourceType: 'DocumentReference',
    meta: security
      ? { ...meta, security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', ...security }] }
      : meta,
    status: 'current',
    type,
    category: [
      coded(
        'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category',
        'clinical-note',
        'Clinical Note',
      ),
    ],
    subject: record.patient,
    date: timeOf(visit, 30),
    author: [practitionerReference(visit.practitioner)],
    custodian: organizationReference(visit.organization),
    content: [
      { attachment: { contentType: 'text/plain; charset=utf-8', data: Buffer.from(text, 'utf8').toString('base64') } },
    ],
    context: { encounter: [visit.reference] },
  });
}

const MODALITIES = { CT: 'Computed Tomography', US: 'Ultrasound', MR: 'Magnetic Resonance', DX: 'Digital Radiography' };

/** A study (one series) and its report. Unique identifiers are under the root for UUIDs (2.25). */
export function addImaging(
  record: RecordBuilder,
  visit: Visit,
  modality: keyof typeof MODALITIES,
  code: CodeableConcept,
  conclusion: string,
): void {
  const uid = () => `2.25.${record.random.int(1, 9)}${record.random.digits(36)}`;
  const study = record.add<ImagingStudy>({
    resourceType: 'ImagingStudy',
    identifier: [{ system: 'urn:dicom:uid', value: `urn:oid:${uid()}` }],
    status: 'available',
    subject: record.patient,
    encounter: visit.reference,
    started: timeOf(visit),
    numberOfSeries: 1,
    numberOfInstances: 1,
    procedureCode: [code],
    series: [
      {
        uid: uid(),
        modality: {
          system: 'http://dicom.nema.org/resources/ontology/DCM',
          code: modality,
          display: MODALITIES[modality],
        },
        numberOfInstances: 1,
      },
    ],
  });
  record.add<DiagnosticReport>({
    resourceType: 'DiagnosticReport',
    meta: usCore('diagnosticreport-note'),
    status: 'final',
    category: [coded('http://terminology.hl7.org/CodeSystem/v2-0074', 'RAD', 'Radiology')],
    code,
    subject: record.patient,
    encounter: visit.reference,
    effectiveDateTime: timeOf(visit),
    issued: timeOf(visit, 180),
    performer: [practitionerReference(visit.practitioner)],
    imagingStudy: [study],
    conclusion,
  });
}

/** The bill of a visit and what the payer made of it. */
export function addClaim(record: RecordBuilder, visit: Visit, service: CodeableConcept, cents: number): void {
  const money = (value: number) => ({ value: Number((value / 100).toFixed(2)), currency: 'USD' as const });
  const payer = organizationReference(sandboxOrganization('everfield'));
  const type = coded('http://terminology.hl7.org/CodeSystem/claim-type', 'professional');
  const common = {
    status: 'active',
    type,
    use: 'claim',
    patient: record.patient,
    billablePeriod: { start: timeOf(visit, 0), end: timeOf(visit, 30) },
    created: timeOf(visit, 60),
    insurer: payer,
    provider: organizationReference(visit.organization),
  } as const;
  const claim = record.add<Claim>({
    resourceType: 'Claim',
    ...common,
    priority: coded('http://terminology.hl7.org/CodeSystem/processpriority', 'normal'),
    insurance: [{ sequence: 1, focal: true, coverage: { display: 'Everfield Sandbox Health Plan' } }],
    item: [{ sequence: 1, productOrService: service, encounter: [visit.reference], net: money(cents) }],
    total: money(cents),
  });
  record.add<ExplanationOfBenefit>({
    resourceType: 'ExplanationOfBenefit',
    ...common,
    outcome: 'complete',
    claim,
    insurance: [{ focal: true, coverage: { display: 'Everfield Sandbox Health Plan' } }],
    item: [{ sequence: 1, productOrService: service, encounter: [visit.reference], net: money(cents) }],
    total: [
      { category: coded('http://terminology.hl7.org/CodeSystem/adjudication', 'submitted'), amount: money(cents) },
      { category: coded('http://terminology.hl7.org/CodeSystem/adjudication', 'benefit'), amount: money(cents * 0.8) },
    ],
    payment: { amount: money(cents * 0.8) },
  });
}

export const VISITS = {
  checkup: sct('162673000', 'General examination of patient'),
  wellChild: sct('410620009', 'Well child visit'),
  followUp: sct('390906007', 'Follow-up encounter'),
  problem: sct('185347001', 'Encounter for problem'),
  emergency: sct('50849002', 'Emergency room admission'),
  inpatient: sct('183452005', 'Emergency hospital admission'),
  prenatal: sct('424619006', 'Prenatal visit'),
  vaccination: sct('33879002', 'Administration of vaccine to produce active immunity'),
} as const;
