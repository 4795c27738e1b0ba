import { metadataOf } from '../metadata.ts';
import { isObject, type JsonValue, type Resource, valuesAt } from '../types.ts';
import { rangeOf } from './dates.ts';
import { fold } from './match.ts';
import { searchParametersOf } from './parameters.ts';
import type { Search, SortKey } from './parse.ts';

type SortValue = number | string | undefined;

/**
 * Order of two resources under `_sort`; without it by clinical date, newest first. Resources without a value come last,
 * and the id decides at the end, so that pages never overlap.
 */
export function compareForSearch(search: Search): (left: Resource, right: Resource) => number {
  const keys: SortKey[] = search.sort.length > 0 ? search.sort : [{ name: 'date', descending: true }];
  return (left, right) => {
    for (const key of keys) {
      const order = compareValues(sortValueOf(left, key.name), sortValueOf(right, key.name), key.descending);
      if (order !== 0) return order;
    }
    return compareTexts(left.id ?? '', right.id ?? '');
  };
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareValues(left: SortValue, right: SortValue, descending: boolean): number {
  if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined);
  const order =
    typeof left === 'number' && typeof right === 'number' ? left - right : compareTexts(String(left), String(right));
  return descending ? -order : order;
}

/** What the resource is sorted by. `date` is the clinical date also of types that have no such parameter. */
export function sortValueOf(resource: Resource, name: string): SortValue {
  const parameter = searchParametersOf(resource.resourceType)?.get(name);
  if (name === 'date') return metadataOf(resource).dateMs;
  for (const path of parameter?.paths ?? []) {
    for (const value of valuesAt(resource, path)) {
      const found =
        parameter?.kind === 'date' || parameter?.kind === 'lastUpdated' ? rangeOf(value)?.low : textFor(value);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function textFor(value: JsonValue): string | undefined {
  if (typeof value === 'string') return fold(value);
  if (!isObject(value)) return undefined;
  const given = Array.isArray(value.given) ? value.given.join(' ') : undefined;
  if (typeof value.family === 'string') return fold(`${value.family} ${given ?? ''}`);
  const text = value.text ?? value.reference ?? value.code ?? value.value;
  if (typeof text === 'string') return fold(text);
  return Array.isArray(value.coding) && value.coding[0] !== undefined ? textFor(value.coding[0]) : undefined;
}
