import { SEARCH_A_TO_G, type SearchTable } from './table-a-to-g.ts';
import { SEARCH_H_TO_Z } from './table-h-to-z.ts';

export type SearchKind = 'token' | 'reference' | 'date' | 'string' | 'id' | 'lastUpdated';

export type SearchParameter = {
  name: string;
  kind: SearchKind;
  paths: readonly string[];
  /** The only type that a reference may lead to. */
  target?: string;
};

const COMMON: readonly SearchParameter[] = [
  { name: '_id', kind: 'id', paths: ['id'] },
  { name: '_lastUpdated', kind: 'lastUpdated', paths: ['meta.lastUpdated'] },
  { name: '_profile', kind: 'token', paths: ['meta.profile'] },
  { name: '_security', kind: 'token', paths: ['meta.security'] },
  { name: '_tag', kind: 'token', paths: ['meta.tag'] },
];

/** Reference parameters that by definition lead to one type (`resolve() is …`). */
const TARGETS: Readonly<Record<string, string>> = { patient: 'Patient', practitioner: 'Practitioner' };

const byType = new Map<string, ReadonlyMap<string, SearchParameter>>();

/** The search parameters of a type by name; undefined for types that cannot be searched. */
export function searchParametersOf(type: string): ReadonlyMap<string, SearchParameter> | undefined {
  const known = byType.get(type);
  if (known) return known;
  const table = Object.hasOwn(SEARCH_A_TO_G, type) ? SEARCH_A_TO_G[type] : undefined;
  const parameters = table ?? (Object.hasOwn(SEARCH_H_TO_Z, type) ? SEARCH_H_TO_Z[type] : undefined);
  if (!parameters) return undefined;
  const parsed = parseTable(parameters);
  byType.set(type, parsed);
  return parsed;
}

/** The types that can be searched, in alphabetical order. */
export function searchableTypes(): string[] {
  return [...Object.keys(SEARCH_A_TO_G), ...Object.keys(SEARCH_H_TO_Z)].sort();
}

function parseTable(table: SearchTable): ReadonlyMap<string, SearchParameter> {
  const parameters = new Map(COMMON.map((parameter) => [parameter.name, parameter]));
  for (const [kind, list] of Object.entries(table)) {
    for (const item of list.split(' ')) {
      const [name = '', paths = name] = item.split('=');
      const target = kind === 'reference' ? TARGETS[name] : undefined;
      parameters.set(name, { name, kind: kind as SearchKind, paths: paths.split('+'), ...(target ? { target } : {}) });
    }
  }
  return parameters;
}
