import { StandardsErrorCodes } from '../errors.ts';
import type { ScannedValue } from './entry-scanner.ts';
import { isObject, type JsonObject, type JsonValue, type Resource } from './types.ts';

export type ParsedEntry = {
  /** The entry around the resource (fullUrl, request, …); empty for a resource on its own. */
  envelope: JsonObject;
  resource: Resource;
  /** The exact bytes of the resource. */
  resourceBytes: Uint8Array;
};

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Parses what the scanner found; a number is the error code of what is wrong with it. */
export function parseEntry(value: ScannedValue): ParsedEntry | number {
  if (value.refused !== undefined) return value.refused;
  let text: string;
  try {
    text = decoder.decode(value.bytes);
  } catch {
    return StandardsErrorCodes.entryEncoding;
  }
  const parsed = parseText(text, value.memberCount, value.unicodeEscapes);
  if (typeof parsed === 'number') return parsed;
  const inner = value.kind === 'entry' ? parsed.resource : parsed;
  if (!isObject(inner) || value.resourceStart < 0) return StandardsErrorCodes.entryWithoutResource;
  if (typeof inner.resourceType !== 'string') return StandardsErrorCodes.resourceTypeMissing;
  const envelope: JsonObject = {};
  if (value.kind === 'entry') {
    for (const [name, member] of Object.entries(parsed)) if (name !== 'resource') envelope[name] = member;
  }
  const resourceBytes = value.bytes.subarray(value.resourceStart, value.resourceEnd);
  return { envelope, resource: inner as Resource, resourceBytes };
}

/**
 * JSON.parse, which accepts a member twice and halves of surrogate pairs: both are caught by comparing with what the
 * scanner counted in the text.
 */
export function parseText(text: string, memberCount: number, unicodeEscapes: boolean): JsonObject | number {
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(text);
  } catch {
    return StandardsErrorCodes.entrySyntax;
  }
  if (!isObject(parsed)) return StandardsErrorCodes.entryNotAnObject;
  if (countMembers(parsed) !== memberCount) return StandardsErrorCodes.entryDuplicateMember;
  if (unicodeEscapes && !isWellFormed(parsed)) return StandardsErrorCodes.entryLoneSurrogate;
  return parsed;
}

function countMembers(value: JsonObject | JsonValue[]): number {
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object' && element !== null) count += countMembers(element);
    return count;
  }
  for (const name in value) {
    count += 1;
    const member = value[name];
    if (typeof member === 'object' && member !== null) count += countMembers(member);
  }
  return count;
}

function isWellFormed(value: JsonValue | undefined): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (Array.isArray(value)) return value.every(isWellFormed);
  if (!isObject(value)) return true;
  return Object.entries(value).every(([name, member]) => name.isWellFormed() && isWellFormed(member));
}
