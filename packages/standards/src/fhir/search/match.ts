import { parseReference } from '../references.ts';
import { isObject, type JsonObject, type JsonValue, type Resource, valuesAt } from '../types.ts';
import { compareRanges, rangeOf } from './dates.ts';
import type { Alternative, Criterion, Search } from './parse.ts';

export type MatchOptions = {
  /** The base URL under which relative references stand, for searches by absolute URL. */
  base?: string;
  /** What `ap` compares with. */
  nowMs?: number;
};

/** Whether the resource is of the searched type and meets every criterion. */
export function matchesSearch(resource: Resource, search: Search, options: MatchOptions = {}): boolean {
  if (resource.resourceType !== search.type) return false;
  for (const criterion of search.criteria) if (!meets(resource, criterion, options)) return false;
  return true;
}

function meets(resource: Resource, criterion: Criterion, options: MatchOptions): boolean {
  const values = criterion.parameter.paths.flatMap((path) => valuesAt(resource, path));
  if (criterion.modifier === 'missing') {
    const relevant = criterion.parameter.target ? values.filter((value) => leadsTo(value, criterion)) : values;
    return (relevant.length === 0) === criterion.missing;
  }
  const some = criterion.alternatives.some((alternative) =>
    values.some((value) => matchesValue(value, criterion, alternative, options)),
  );
  return criterion.modifier === 'not' ? !some : some;
}

function leadsTo(value: JsonValue, { parameter }: Criterion): boolean {
  if (!isObject(value) || typeof value.reference !== 'string') return false;
  const target = parseReference(value.reference);
  return 'type' in target && target.type === parameter.target;
}

function matchesValue(
  value: JsonValue,
  { modifier }: Criterion,
  alternative: Alternative,
  options: MatchOptions,
): boolean {
  switch (alternative.kind) {
    case 'token':
      if (modifier === 'identifier') return isObject(value) && matchesToken(value.identifier, alternative);
      return matchesToken(value, alternative);
    case 'reference':
      return matchesReference(value, alternative, options);
    case 'date': {
      const range = rangeOf(value);
      return range !== undefined && compareRanges(range, alternative.prefix, alternative.range, options.nowMs ?? 0);
    }
    case 'string':
      if (modifier === 'text') return conceptTexts(value).some((text) => fold(text).includes(fold(alternative.text)));
      return stringsOf(value).some((text) => matchesString(text, alternative.text, modifier));
  }
}

function matchesString(text: string, wanted: string, modifier: Criterion['modifier']): boolean {
  if (modifier === 'exact') return text === wanted;
  const folded = fold(text);
  return modifier === 'contains' ? folded.includes(fold(wanted)) : folded.startsWith(fold(wanted));
}

/** R4 §3.1.1.4.8: without regard to case and accents. */
export function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().replace(/\s+/g, ' ').trim();
}

/** The texts in a string, HumanName or Address. */
function stringsOf(value: JsonValue): string[] {
  if (typeof value === 'string') return [value];
  if (!isObject(value)) return [];
  const texts: string[] = [];
  for (const name of [
    'text',
    'family',
    'given',
    'prefix',
    'suffix',
    'line',
    'city',
    'district',
    'state',
    'postalCode',
    'country',
  ]) {
    const member = value[name];
    if (typeof member === 'string') texts.push(member);
    else if (Array.isArray(member)) texts.push(...member.filter((text) => typeof text === 'string'));
  }
  return texts;
}

function conceptTexts(value: JsonValue): string[] {
  if (!isObject(value)) return [];
  const texts = [value.text, value.display];
  if (Array.isArray(value.coding)) for (const coding of value.coding) if (isObject(coding)) texts.push(coding.display);
  return texts.filter((text) => typeof text === 'string');
}

type TokenAlternative = { system?: string; code?: string };

/** Codes without regard to case, as R4 §3.1.1.4.10 recommends where the code system does not say. */
function matchesToken(value: JsonValue | undefined, wanted: TokenAlternative): boolean {
  if (typeof value === 'string' || typeof value === 'boolean') {
    const sameSystem = wanted.system === undefined || wanted.system === '';
    return sameSystem && wanted.code?.toLowerCase() === String(value).toLowerCase();
  }
  if (!isObject(value)) return false;
  if (Array.isArray(value.coding)) return value.coding.some((coding) => matchesToken(coding, wanted));
  return matchesCoding(value, wanted);
}

/** A Coding, Identifier or ContactPoint (whose system is not a URI and does not count). */
function matchesCoding(value: JsonObject, wanted: TokenAlternative): boolean {
  const code = typeof value.code === 'string' ? value.code : value.value;
  if (typeof code !== 'string') return false;
  if (wanted.system !== undefined && wanted.system !== (typeof value.system === 'string' ? value.system : ''))
    return false;
  return wanted.code === undefined || wanted.code.toLowerCase() === code.toLowerCase();
}

type ReferenceAlternative = { type?: string; id?: string; url?: string };

function matchesReference(value: JsonValue, wanted: ReferenceAlternative, { base }: MatchOptions): boolean {
  const text = isObject(value) ? value.reference : value;
  if (typeof text !== 'string') return false;
  if (wanted.url !== undefined) {
    return text === wanted.url || (base !== undefined && `${base.replace(/\/$/, '')}/${text}` === wanted.url);
  }
  const target = parseReference(text);
  if (target.kind === 'absolute' && (base === undefined || target.base !== base.replace(/\/$/, ''))) return false;
  if (target.kind !== 'relative' && target.kind !== 'absolute') return false;
  return target.id === wanted.id && (wanted.type === undefined || target.type === wanted.type);
}
