import { adviceOf, StandardsErrorCodes, standardsError } from '../../errors.ts';
import { RESOURCE_TYPES } from '../resource-types.ts';
import { elementsSubset, type Subset } from '../subset.ts';
import { type DatePrefix, dateRange, type TimeRange } from './dates.ts';
import { type SearchParameter, searchParametersOf } from './parameters.ts';

/** Parameters in one search, and values that are alternatives to each other, all together. */
export const searchParametersMax = 64;
export const searchAlternativesMax = 256;
/** Entries on one page. */
export const pageEntriesDefault = 50;
export const pageEntriesMax = 1000;

export type Alternative =
  /** Token: absent system = any; '' = none. Absent code = any of the system. */
  | { kind: 'token'; system?: string; code?: string }
  | { kind: 'reference'; type?: string; id?: string; url?: string }
  | { kind: 'date'; prefix: DatePrefix; range: TimeRange }
  | { kind: 'string'; text: string };

export type Criterion = {
  parameter: SearchParameter;
  modifier?: 'not' | 'exact' | 'contains' | 'text' | 'identifier' | 'missing';
  /** One of them has to match; for `missing` empty. */
  alternatives: Alternative[];
  /** For `missing`: whether the element has to be absent. */
  missing?: boolean;
};

export type SortKey = { name: string; descending: boolean };
export type Include = { type: string; parameter: string; target?: string };

export type Search = {
  type: string;
  criteria: Criterion[];
  sort: SortKey[];
  count: number;
  offset: number;
  /** What the server put into its paging link; it alone knows what it means. */
  cursor?: string;
  /** Only the number of matches is wanted. */
  countOnly: boolean;
  total: 'none' | 'estimate' | 'accurate';
  include: Include[];
  /** Elements that are wanted; absent where whole resources are. */
  subset?: Subset;
  /** Parameters that are not supported and had no effect, as they came; the answer has to say so (R4 §3.1.1.3). */
  ignored: { name: string; code: number; message: string }[];
};

export type SearchOptions = {
  /** `Prefer: handling=strict`: refuse what is not supported instead of ignoring it. */
  strict?: boolean;
  /** The service's own base URL: a reference by it is one to what is here (R4 §3.1.1.4.12). */
  base?: string;
};

/** Parameters of the representation, which the HTTP layer serves. */
const REPRESENTATION = new Set(['_format', '_pretty']);

/**
 * Understands the query of `GET [type]?…`. Throws for types that cannot be searched and for values that have not the
 * form of their parameter; unknown parameters and modifiers throw when strict, else they are listed as ignored.
 */
export function parseSearch(type: string, query: Iterable<[string, string]>, options: SearchOptions = {}): Search {
  const parameters = searchParametersOf(type);
  if (!parameters) throw standardsError(StandardsErrorCodes.searchTypeUnsupported);
  const search: Search = {
    type,
    criteria: [],
    sort: [],
    count: pageEntriesDefault,
    offset: 0,
    countOnly: false,
    total: 'accurate',
    include: [],
    ignored: [],
  };
  let alternatives = 0;
  let parametersSeen = 0;
  for (const [name, value] of query) {
    parametersSeen += 1;
    if (parametersSeen > searchParametersMax) throw standardsError(StandardsErrorCodes.searchTooComplex);
    if (value === '' || REPRESENTATION.has(name)) continue;
    const problem =
      takeResultParameter(search, name, value) ?? takeCriterion(search, parameters, [name, value], options);
    if (problem !== 'taken') ignore(search, name, problem, options);
    alternatives += search.criteria.at(-1)?.alternatives.length ?? 0;
    if (alternatives > searchAlternativesMax) throw standardsError(StandardsErrorCodes.searchTooComplex);
  }
  return search;
}

function ignore(search: Search, name: string, code: number, options: SearchOptions): void {
  if (options.strict) throw standardsError(code, safeName(name));
  search.ignored.push({ name: safeName(name), code, message: `${safeName(name)}: ${adviceOf(code)}` });
}

/** A name from the URL, fit for a message. */
export function safeName(name: string): string {
  return name.replace(/[^A-Za-z0-9_.:-]/g, '?').slice(0, 64);
}

/** Result parameters (R4 §3.1.1.5); undefined where the name is none. */
function takeResultParameter(search: Search, name: string, value: string): 'taken' | number | undefined {
  const { searchParameterUnknown } = StandardsErrorCodes;
  switch (name) {
    case '_count':
      search.count = Math.min(wholeNumber(name, value), pageEntriesMax);
      if (search.count === 0) search.countOnly = true;
      return 'taken';
    case '_offset':
      search.offset = wholeNumber(name, value);
      return 'taken';
    case '_cursor':
      search.cursor = value;
      return 'taken';
    case '_sort':
      return takeSort(search, value);
    case '_total':
      if (value !== 'none' && value !== 'estimate' && value !== 'accurate') throw invalid(name);
      search.total = value;
      return 'taken';
    case '_summary':
      if (value === 'count') search.countOnly = true;
      else if (value === 'text' || value === 'data') search.subset = { kind: value };
      // `true` asks for the elements that R4 marks as summary, of which there is no list here.
      else if (value !== 'false') return searchParameterUnknown;
      return 'taken';
    case '_elements':
      search.subset = elementsSubset(search.type, value);
      return 'taken';
    case '_include':
      return takeInclude(search, value);
    default:
      return undefined;
  }
}

function takeSort(search: Search, value: string): 'taken' | number {
  const parameters = searchParametersOf(search.type);
  for (const part of value.split(',')) {
    const descending = part.startsWith('-');
    const name = descending ? part.slice(1) : part;
    if (name !== 'date' && !parameters?.has(name)) return StandardsErrorCodes.searchParameterUnknown;
    search.sort.push({ name, descending });
  }
  return 'taken';
}

function takeInclude(search: Search, value: string): 'taken' | number {
  const [type = '', parameter = '', target] = value.split(':');
  const known = searchParametersOf(type)?.get(parameter);
  if (parameter === '*' && type === search.type) search.include.push({ type, parameter });
  else if (known?.kind !== 'reference') return StandardsErrorCodes.searchParameterUnknown;
  else search.include.push({ type, parameter, ...(target ? { target } : {}) });
  return 'taken';
}

function takeCriterion(
  search: Search,
  parameters: ReadonlyMap<string, SearchParameter>,
  [nameAndModifier, value]: readonly [string, string],
  { base }: SearchOptions,
): 'taken' | number {
  const [name = '', modifier, ...more] = nameAndModifier.split(':');
  const parameter = parameters.get(name);
  // A chain (patient.name, subject:Patient.name) names no parameter here, and is reported like any unknown one.
  if (!parameter || modifier?.includes('.')) return StandardsErrorCodes.searchParameterUnknown;
  if (more.length > 0) return StandardsErrorCodes.searchModifierUnsupported;
  if (modifier === 'missing') {
    if (value !== 'true' && value !== 'false') throw invalid(name);
    search.criteria.push({ parameter, modifier, alternatives: [], missing: value === 'true' });
    return 'taken';
  }
  const asType = parameter.kind === 'reference' && modifier && RESOURCE_TYPES.has(modifier) ? modifier : undefined;
  if (modifier !== undefined && !asType && !MODIFIERS[parameter.kind].includes(modifier)) {
    return StandardsErrorCodes.searchModifierUnsupported;
  }
  const alternatives = splitValues(value).map((text) =>
    parseValue(parameter, modifier, asType, withoutBase(parameter, text, base)),
  );
  const kept = asType ? undefined : (modifier as Criterion['modifier']);
  search.criteria.push({ parameter, alternatives, ...(kept ? { modifier: kept } : {}) });
  return 'taken';
}

function withoutBase({ kind }: SearchParameter, text: string, base: string | undefined): string {
  return kind === 'reference' && base !== undefined && text.startsWith(`${base}/`) ? text.slice(base.length + 1) : text;
}

const MODIFIERS: Readonly<Record<SearchParameter['kind'], readonly string[]>> = {
  token: ['not', 'text'],
  reference: ['identifier'],
  date: [],
  string: ['exact', 'contains'],
  id: [],
  lastUpdated: [],
};

function parseValue(
  parameter: SearchParameter,
  modifier: string | undefined,
  asType: string | undefined,
  text: string,
): Alternative {
  if (modifier === 'text' || parameter.kind === 'string') return { kind: 'string', text: unescapeValue(text) };
  if (parameter.kind === 'token' || modifier === 'identifier') return parseToken(text);
  if (parameter.kind === 'id') return { kind: 'token', code: unescapeValue(text) };
  if (parameter.kind === 'reference') return parseReferenceValue(parameter, asType, unescapeValue(text));
  return parseDate(parameter.name, text);
}

/** R4 §3.1.1.4.10. */
function parseToken(text: string): Alternative {
  const bar = text.search(/(?<!\\)(?:\\\\)*\|/);
  if (bar < 0) return { kind: 'token', code: unescapeValue(text) };
  const at = text.indexOf('|', bar);
  const system = unescapeValue(text.slice(0, at));
  const code = unescapeValue(text.slice(at + 1));
  return { kind: 'token', system, ...(code === '' ? {} : { code }) };
}

/** R4 §3.1.1.4.12: an id, `Type/id`, or a URL. */
function parseReferenceValue(parameter: SearchParameter, asType: string | undefined, text: string): Alternative {
  const type = asType ?? parameter.target;
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return { kind: 'reference', url: text };
  const [first = '', second] = text.split('/');
  if (second === undefined) return { kind: 'reference', id: first, ...(type ? { type } : {}) };
  return { kind: 'reference', type: first, id: second };
}

function parseDate(name: string, text: string): Alternative {
  const match = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d.*)$/.exec(text);
  // A "+" that was not encoded arrives as a blank.
  const range = match ? dateRange((match[2] ?? '').replace(' ', '+')) : undefined;
  if (!match || !range) throw invalid(name);
  return { kind: 'date', prefix: (match[1] ?? 'eq') as DatePrefix, range };
}

/** R4 §3.1.1.4.14: commas separate alternatives unless escaped. */
function splitValues(value: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let index = 0; index < value.length; index += 1) {
    const character = value.charAt(index);
    if (character === '\\') {
      part += character + value.charAt(index + 1);
      index += 1;
    } else if (character === ',') {
      parts.push(part);
      part = '';
    } else part += character;
  }
  parts.push(part);
  return parts.filter((text) => text !== '');
}

function unescapeValue(text: string): string {
  return text.replace(/\\([,|$\\])/g, '$1');
}

function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw invalid(name);
  return Number(value);
}

function invalid(name: string) {
  return standardsError(StandardsErrorCodes.searchValueInvalid, safeName(name));
}
