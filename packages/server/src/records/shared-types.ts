/**
 * Types that may belong to nobody's record: organisations, people who work there, places, products and definitions.
 * Everything else must name its patient, so that nothing about a person ever lies where any member may read it.
 */
const SHARED_TYPES: ReadonlySet<string> = new Set(
  `ActivityDefinition CapabilityStatement CatalogEntry ChargeItemDefinition CodeSystem ConceptMap DeviceDefinition Endpoint
  EventDefinition HealthcareService InsurancePlan Library Location Measure Medication MedicationKnowledge NamingSystem
  ObservationDefinition OperationDefinition Organization OrganizationAffiliation PlanDefinition Practitioner
  PractitionerRole Questionnaire ResearchStudy SearchParameter SpecimenDefinition StructureDefinition StructureMap
  Substance ValueSet`.split(/\s+/),
);

export function isSharedType(type: string): boolean {
  return SHARED_TYPES.has(type);
}
