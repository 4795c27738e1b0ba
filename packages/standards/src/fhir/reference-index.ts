import { type FoundReference, parseReference } from './references.ts';
import { type Identifier, isObject, listOf, type Resource } from './types.ts';

/** What a reference leads to. */
export type IndexedResource = { type: string; id?: string; fullUrl?: string; identifier?: Identifier };

/**
 * Where the entries of Bundles are found again: by fullUrl, by `Type/id`, and by business identifier for conditional
 * references. Several Bundles may share one index (Synthea's patients refer to practitioners of another file).
 */
export class ReferenceIndex {
  readonly #byUrl = new Map<string, IndexedResource>();
  readonly #byTypeAndId = new Map<string, IndexedResource>();
  readonly #byIdentifier = new Map<string, IndexedResource | 'ambiguous'>();

  get size(): number {
    return this.#byUrl.size;
  }

  /** Adds one entry; returns what will be found for it. `as` replaces type and id by those it is stored under. */
  add(resource: Resource, fullUrl?: string, as?: { type: string; id: string }): IndexedResource {
    const identifiers = identifiersOf(resource);
    const indexed: IndexedResource = {
      type: as?.type ?? resource.resourceType,
      ...(as ? { id: as.id } : typeof resource.id === 'string' ? { id: resource.id } : {}),
      ...(fullUrl ? { fullUrl } : {}),
      ...(identifiers[0] ? { identifier: identifiers[0] } : {}),
    };
    if (fullUrl) this.#byUrl.set(fullUrl, indexed);
    if (typeof resource.id === 'string') this.#byTypeAndId.set(`${resource.resourceType}/${resource.id}`, indexed);
    for (const identifier of identifiers) this.#addIdentifier(resource.resourceType, identifier, indexed);
    return indexed;
  }

  #addIdentifier(type: string, identifier: Identifier, indexed: IndexedResource): void {
    for (const key of [
      `${type}?${identifier.system ?? ''}|${identifier.value}`,
      ...(identifier.system ? [`${type}?*|${identifier.value}`] : []),
    ]) {
      const known = this.#byIdentifier.get(key);
      const same = known === undefined || (known !== 'ambiguous' && known.fullUrl === indexed.fullUrl);
      this.#byIdentifier.set(key, same ? indexed : 'ambiguous');
    }
  }

  /**
   * The resource that the text of a reference names. A relative reference is looked up beside `from`, the fullUrl of
   * the entry that contains it, before `Type/id` alone is (R4 §3.1.1.5.3 resolving references in Bundles).
   */
  resolve(text: string, from?: string): IndexedResource | undefined {
    const target = parseReference(text);
    switch (target.kind) {
      case 'urn':
        return this.#byUrl.get(target.urn);
      case 'relative': {
        const key = `${target.type}/${target.id}`;
        const base = from && /^https?:/.test(from) ? from.replace(/\/[A-Z][A-Za-z]*\/[^/]+$/, '') : undefined;
        return (base ? this.#byUrl.get(`${base}/${key}`) : undefined) ?? this.#byTypeAndId.get(key);
      }
      case 'absolute':
        return this.#byUrl.get(`${target.base}/${target.type}/${target.id}`);
      case 'conditional':
        return target.identifier ? this.#identified(target.type, target.identifier) : undefined;
      default:
        return undefined;
    }
  }

  /** By business identifier; undefined also where it is not unique. */
  #identified(type: string, identifier: Identifier): IndexedResource | undefined {
    const found = this.#byIdentifier.get(`${type}?${identifier.system ?? '*'}|${identifier.value}`);
    const withoutSystem = identifier.system ? undefined : this.#byIdentifier.get(`${type}?|${identifier.value}`);
    const result = found ?? withoutSystem;
    return result === 'ambiguous' ? undefined : result;
  }

  /** The resource of a found reference, logical references by their identifier included. */
  resolveFound(found: FoundReference, from?: string): IndexedResource | undefined {
    const { reference } = found;
    if (typeof reference.reference === 'string') return this.resolve(reference.reference, from);
    const { type, identifier } = reference;
    return type && identifier ? this.#identified(type, identifier) : undefined;
  }
}

/** The identifiers of a resource that have a value. */
export function identifiersOf(resource: Resource): Identifier[] {
  const identifiers: Identifier[] = [];
  for (const value of listOf(resource.identifier)) {
    if (!isObject(value) || typeof value.value !== 'string') continue;
    identifiers.push({ ...(typeof value.system === 'string' ? { system: value.system } : {}), value: value.value });
  }
  return identifiers;
}
