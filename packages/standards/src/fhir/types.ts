/** A JSON value as JSON.parse returns it. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [name: string]: JsonValue | undefined };

/**
 * A FHIR R4 resource as it was parsed, whatever its type. Deliberately loose: what comes from outside is not known to
 * follow R4, so every access has to look.
 */
export type Resource = JsonObject & { resourceType: string; id?: string };

export type Coding = { system?: string; code?: string; display?: string };
export type Identifier = { system?: string; value?: string };

/** R4 §2.3: either a literal reference, or a logical one by identifier. */
export type Reference = { reference?: string; type?: string; identifier?: Identifier; display?: string };

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a list: R4 elements that may repeat are lists in JSON, others single values. */
export function listOf(value: JsonValue | undefined): JsonValue[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

export function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return listOf(value).filter(isObject);
}

export function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/**
 * Values at a dotted path, lists flattened on the way: `valuesAt(encounter, 'participant.individual')`. A step that
 * ends in `[x]` takes every member with that prefix (R4 §2.1.3.5 choice of types): `effective[x]`.
 */
export function valuesAt(root: JsonObject, path: string): JsonValue[] {
  let values: JsonValue[] = [root];
  for (const step of path.split('.')) {
    const next: JsonValue[] = [];
    for (const value of values) {
      if (!isObject(value)) continue;
      if (step.endsWith('[x]')) pushChoice(next, value, step.slice(0, -3));
      else pushAll(next, value[step]);
    }
    values = next;
    if (values.length === 0) break;
  }
  return values;
}

function pushAll(target: JsonValue[], value: JsonValue | undefined): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) target.push(...value);
  else target.push(value);
}

function pushChoice(target: JsonValue[], value: JsonObject, prefix: string): void {
  for (const [name, member] of Object.entries(value)) {
    const next = name.charCodeAt(prefix.length);
    if (name.startsWith(prefix) && next >= 65 && next <= 90) pushAll(target, member);
  }
}

/** The member of a table that belongs to a text from outside, which may be called `constructor`. */
export function lookup<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
