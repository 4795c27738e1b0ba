/**
 * What kind of record an entry is. The one list: labelling gives entries these codes (standards), directives and the
 * rules of a jurisdiction name them (contracts), and a code that stands in only one of the two would silently never match.
 */
export const recordCategories = [
  'activity',
  'allergy',
  'care-plan',
  'claims',
  'condition',
  'consent',
  'demographics',
  'device',
  'directory',
  'encounter',
  'exam',
  'family-history',
  'genomics',
  'imaging',
  'immunization',
  'laboratory',
  'medication',
  'notes',
  'observation',
  'order',
  'other',
  'procedure',
  'provenance',
  'research',
  'social-history',
  'survey',
  'therapy',
  'vital-signs',
] as const;
export type RecordCategory = (typeof recordCategories)[number];
