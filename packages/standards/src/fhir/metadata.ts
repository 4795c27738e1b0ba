import { encounterOf, type IsPatient, subjectOf } from './compartment.ts';
import { rangeOf } from './search/dates.ts';
import { searchParametersOf } from './search/parameters.ts';
import { isObject, type JsonValue, type Resource, textOf, valuesAt } from './types.ts';

/**
 * What an index may know of a resource, before its codes and identifiers are turned into keyed tokens. Nothing of it
 * is fit to be stored in clear.
 */
export type ResourceMetadata = {
  type: string;
  id?: string;
  versionId?: string;
  lastUpdatedMs?: number;
  /** Clinical time: the earliest moment of what the record is about; absent where nothing in it tells. */
  dateMs?: number;
  dateEndMs?: number;
  status?: string;
  /** Reference texts as they stand in the resource. */
  patient?: string;
  encounter?: string;
  /** `parameter=system|code` for every token parameter, code in lower case. Sorted, no repetition. */
  tokens: string[];
};

/** Elements that tell the clinical time, the best first. */
const DATE_PATHS = [
  ...['effective[x]', 'performed[x]', 'occurrence[x]', 'onset[x]', 'period', 'started', 'start', 'billablePeriod'],
  ...['context.period', 'date', 'authoredOn', 'recordedDate', 'occurred[x]', 'whenHandedOver', 'whenPrepared'],
  ...[
    'dateAsserted',
    'collection.collected[x]',
    'serviced[x]',
    'dateTime',
    'assertedDate',
    'created',
    'issued',
    'sent',
  ],
  ...['recorded', 'authored', 'deceasedDateTime', 'dateWritten', 'servicePeriod', 'start[x]', 'timing[x]'],
];

const TOKENS_INDEXED = new Set([
  'code',
  'category',
  'type',
  'status',
  'identifier',
  'class',
  'intent',
  'clinical-status',
]);

export function metadataOf(resource: Resource, isPatient?: IsPatient): ResourceMetadata {
  const meta = isObject(resource.meta) ? resource.meta : {};
  const range = clinicalRange(resource);
  const lastUpdated = rangeOf(meta.lastUpdated);
  const patient = subjectOf(resource, isPatient);
  const encounter = resource.resourceType === 'Encounter' ? undefined : encounterOf(resource);
  return {
    type: resource.resourceType,
    ...(resource.id === undefined ? {} : { id: resource.id }),
    ...(typeof meta.versionId === 'string' ? { versionId: meta.versionId } : {}),
    ...(lastUpdated ? { lastUpdatedMs: lastUpdated.low } : {}),
    ...(range && Number.isFinite(range.low) ? { dateMs: range.low } : {}),
    ...(range && Number.isFinite(range.high) ? { dateEndMs: range.high } : {}),
    ...(typeof resource.status === 'string' ? { status: resource.status } : {}),
    ...(patient === undefined ? {} : { patient }),
    ...(encounter === undefined ? {} : { encounter }),
    tokens: tokensOf(resource),
  };
}

function clinicalRange(resource: Resource) {
  for (const path of DATE_PATHS) {
    for (const value of valuesAt(resource, path)) {
      const range = rangeOf(value);
      if (range) return range;
    }
  }
  return undefined;
}

function tokensOf(resource: Resource): string[] {
  const found = new Set<string>();
  for (const parameter of searchParametersOf(resource.resourceType)?.values() ?? []) {
    if (parameter.kind !== 'token' || !TOKENS_INDEXED.has(parameter.name)) continue;
    for (const path of parameter.paths) {
      for (const value of valuesAt(resource, path)) addTokens(found, parameter.name, value);
    }
  }
  return [...found].sort();
}

function addTokens(found: Set<string>, name: string, value: JsonValue): void {
  if (typeof value === 'string') found.add(`${name}=|${value.toLowerCase()}`);
  if (!isObject(value)) return;
  if (Array.isArray(value.coding)) {
    for (const coding of value.coding) addTokens(found, name, coding);
    return;
  }
  const code = textOf(value.code) ?? textOf(value.value);
  if (code !== undefined) found.add(`${name}=${textOf(value.system) ?? ''}|${code.toLowerCase()}`);
}
