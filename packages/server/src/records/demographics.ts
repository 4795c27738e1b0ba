import { identifiersOf, type JsonObject, objectsOf, type Resource, textOf } from '@salus/standards';
import type { Demographics } from './patient-directory.ts';

function nameTexts(name: JsonObject): string[] {
  const given = Array.isArray(name.given) ? name.given.filter((part): part is string => typeof part === 'string') : [];
  const family = textOf(name.family) ?? '';
  const parts = [...given, family].filter((part) => part !== '').join(' ');
  return [parts, textOf(name.text) ?? ''].filter((text) => text !== '');
}

/** What the patient directory searches by. */
export function demographicsOf(patient: Resource, id: string): Demographics {
  const names = [...new Set(objectsOf(patient.name).flatMap(nameTexts))];
  const birthDate = textOf(patient.birthDate);
  const gender = textOf(patient.gender);
  return {
    id,
    names,
    ...(birthDate !== undefined && { birthDate }),
    ...(gender !== undefined && { gender }),
    identifiers: identifiersOf(patient).map(({ system = '', value = '' }) => ({ system, value })),
    deceased: patient.deceasedBoolean === true || typeof patient.deceasedDateTime === 'string',
  };
}
