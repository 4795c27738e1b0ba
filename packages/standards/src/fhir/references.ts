import { type Identifier, isObject, type JsonObject, type JsonValue, type Reference, type Resource } from './types.ts';

/** R4 §2.3.0: what the text of a literal reference is. */
export type ReferenceTarget =
  /** `#id`: inside the same resource. */
  | { kind: 'contained'; id: string }
  /** `urn:uuid:…`, `urn:oid:…`: another entry of the same Bundle. */
  | { kind: 'urn'; urn: string }
  /** `Type/id` of the same server, a version possible. */
  | { kind: 'relative'; type: string; id: string; version?: string }
  /** `https://other/fhir/Type/id`. */
  | { kind: 'absolute'; url: string; base: string; type: string; id: string; version?: string }
  /** `Type?identifier=system|value` (R4 §3.1.0.11.2 conditional references). */
  | { kind: 'conditional'; type: string; query: string; identifier?: Identifier }
  | { kind: 'other'; text: string };

export type FoundReference = {
  /** Where it stands: `participant[0].individual`. */
  path: string;
  reference: Reference;
  /** Undefined for a logical reference (identifier only). */
  target?: ReferenceTarget;
};

const TYPE_AND_ID = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/;
const ABSOLUTE =
  /^(https?:\/\/\S*?)\/([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/;
const CONDITIONAL = /^([A-Z][A-Za-z]{1,63})\?(.+)$/;
const REFERENCE_MEMBERS = new Set(['id', 'extension', 'reference', 'type', 'identifier', 'display']);

export function parseReference(text: string): ReferenceTarget {
  if (text.startsWith('#')) return { kind: 'contained', id: text.slice(1) };
  if (text.startsWith('urn:')) return { kind: 'urn', urn: text };
  const relative = TYPE_AND_ID.exec(text);
  if (relative) return { kind: 'relative', ...namesOf(relative, 1) };
  const absolute = ABSOLUTE.exec(text);
  if (absolute) return { kind: 'absolute', url: text, base: absolute[1] ?? '', ...namesOf(absolute, 2) };
  const conditional = CONDITIONAL.exec(text);
  if (!conditional) return { kind: 'other', text };
  const query = conditional[2] ?? '';
  const identifier = identifierOfQuery(query);
  return { kind: 'conditional', type: conditional[1] ?? '', query, ...(identifier ? { identifier } : {}) };
}

function namesOf(match: RegExpExecArray, from: number): { type: string; id: string; version?: string } {
  const version = match[from + 2];
  return { type: match[from] ?? '', id: match[from + 1] ?? '', ...(version ? { version } : {}) };
}

/** `identifier=system|value` alone; other queries are left to a search. */
function identifierOfQuery(query: string): Identifier | undefined {
  if (query.includes('&') || !query.startsWith('identifier=')) return undefined;
  const token = decode(query.slice('identifier='.length));
  const bar = token.indexOf('|');
  if (bar < 0) return { value: token };
  return { ...(bar > 0 ? { system: token.slice(0, bar) } : {}), value: token.slice(bar + 1) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A Reference element: literal (a `reference` text), or logical (an `identifier` and nothing foreign). */
function isReference(value: JsonObject): boolean {
  if (typeof value.reference === 'string') return true;
  if (!isObject(value.identifier) || typeof value.identifier.value !== 'string') return false;
  for (const name in value) if (!REFERENCE_MEMBERS.has(name)) return false;
  return true;
}

/** Every Reference in the resource, contained resources included, in document order. */
export function listReferences(resource: Resource): FoundReference[] {
  const found: FoundReference[] = [];
  walk(resource, '', found);
  return found;
}

function walk(value: JsonValue, path: string, found: FoundReference[]): void {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const element = value[index];
      if (typeof element === 'object' && element !== null) walk(element, `${path}[${index}]`, found);
    }
    return;
  }
  if (!isObject(value)) return;
  if (path !== '' && isReference(value)) {
    const reference = value as Reference;
    const text = reference.reference;
    found.push({ path, reference, ...(typeof text === 'string' ? { target: parseReference(text) } : {}) });
  }
  for (const name in value) {
    const member = value[name];
    if (typeof member === 'object' && member !== null) walk(member, path ? `${path}.${name}` : name, found);
  }
}

/**
 * What becomes of a reference: a text replaces the literal reference, an object the whole element; undefined leaves it.
 */
export type ReferenceResolver = (found: FoundReference) => string | Reference | undefined;

/**
 * A copy of the resource with its references rewritten; parts without references are shared with the original, which
 * stays as it was. Members `url` and `uri` that hold a `urn:` (R4 §3.1.0.11.2, e.g. Attachment.url to a Binary) go
 * through the resolver too.
 */
export function rewriteReferences<T extends Resource>(resource: T, resolve: ReferenceResolver): T {
  return rewrite(resource, '', resolve) as T;
}

function rewrite(value: JsonValue, path: string, resolve: ReferenceResolver): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    let copy: JsonValue[] | undefined;
    for (let index = 0; index < value.length; index += 1) {
      const element = value[index] as JsonValue;
      const next = rewrite(element, `${path}[${index}]`, resolve);
      if (next === element) continue;
      copy ??= [...value];
      copy[index] = next;
    }
    return copy ?? value;
  }
  const replaced = path !== '' && isReference(value) ? rewriteReference(value, path, resolve) : value;
  let copy: JsonObject | undefined;
  for (const name in replaced) {
    const member = replaced[name];
    if (member === undefined) continue;
    const at = path ? `${path}.${name}` : name;
    const isUrn = (name === 'url' || name === 'uri') && typeof member === 'string' && member.startsWith('urn:uuid:');
    const next = isUrn ? rewriteUrn(member, at, resolve) : rewrite(member, at, resolve);
    if (next === member) continue;
    copy ??= { ...replaced };
    copy[name] = next;
  }
  return copy ?? replaced;
}

function rewriteReference(value: JsonObject, path: string, resolve: ReferenceResolver): JsonObject {
  const reference = value as Reference;
  const text = reference.reference;
  const found = { path, reference, ...(typeof text === 'string' ? { target: parseReference(text) } : {}) };
  const result = resolve(found);
  if (result === undefined) return value;
  return typeof result === 'string' ? { ...value, reference: result } : ({ ...result } as JsonObject);
}

function rewriteUrn(text: string, path: string, resolve: ReferenceResolver): string {
  const result = resolve({ path, reference: { reference: text }, target: { kind: 'urn', urn: text } });
  return typeof result === 'string' ? result : (result?.reference ?? text);
}

/** The resource that `#id` names inside `resource`; `#` alone is the resource itself. */
export function containedResource(resource: Resource, id: string): Resource | undefined {
  if (id === '') return resource;
  const contained = resource.contained;
  if (!Array.isArray(contained)) return undefined;
  for (const inner of contained) if (isObject(inner) && inner.id === id) return inner as Resource;
  return undefined;
}
