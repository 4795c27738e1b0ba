/** Small FHIR resources for scenarios. */
let serial = 0;
export const nextId = (name: string): string => `${name}-${++serial}`;

export const labelled = (code: string) => ({
  meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code }] },
});

export function lab(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    resourceType: 'Observation',
    id: nextId(name),
    status: 'final',
    category: [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] },
    ],
    code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
    effectiveDateTime: '2026-12-01T08:00:00Z',
    valueQuantity: { value: 5, unit: 'mmol/L' },
    ...more,
  };
}

export function condition(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    resourceType: 'Condition',
    id: nextId(name),
    code: { coding: [{ system: 'http://snomed.info/sct', code: '38341003' }] },
    ...more,
  };
}

export function medicine(name: string): Record<string, unknown> {
  return {
    resourceType: 'MedicationRequest',
    id: nextId(name),
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: { text: 'amlodipine' },
  };
}

export function note(name: string): Record<string, unknown> {
  return {
    resourceType: 'DocumentReference',
    id: nextId(name),
    status: 'current',
    content: [{ attachment: { contentType: 'text/plain', data: 'bm90ZQ==' } }],
  };
}
