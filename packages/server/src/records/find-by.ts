import {
  isObject,
  metadataOf,
  parseReference,
  type Resource,
  searchParametersOf,
  textOf,
  valuesAt,
} from '@salus/standards';

/** What the sealed index knows of a resource, so that a search opens only what it may release. */
export interface FindBy {
  tokens: string[];
  encounter?: string;
  /** Clinical time, ms since 1970. */
  periodMs?: number;
}

/** Reads what a resource can be found by; references must be the ones under which it is stored. */
export function findByOf(resource: Resource): FindBy {
  const { tokens, encounter, dateMs } = metadataOf(resource);
  return {
    tokens: [...tokens, ...referenceTokens(resource)],
    ...(encounter !== undefined && { encounter }),
    ...(dateMs !== undefined && { periodMs: dateMs }),
  };
}

function referenceTokens(resource: Resource): string[] {
  const found = new Set<string>();
  for (const { name, kind, paths } of searchParametersOf(resource.resourceType)?.values() ?? []) {
    if (kind !== 'reference') continue;
    for (const value of paths.flatMap((path) => valuesAt(resource, path))) {
      const text = isObject(value) ? textOf(value.reference) : textOf(value);
      const target = text === undefined ? undefined : parseReference(text);
      if (target !== undefined && 'id' in target && 'type' in target) found.add(`${name}=${target.type}/${target.id}`);
    }
  }
  return [...found];
}
