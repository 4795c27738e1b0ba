import { utf8Text } from '@salus/protocol';
import { isObject, type JsonObject, objectsOf, type Resource } from '@salus/standards';
import { hasUnfaithfulNumber, parseFaithfully, stringifyFaithfully } from '../records/faithful-json.ts';
import type { StoredContent, StoredResource } from '../records/resource-store.ts';

const actCode = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const confidentiality = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';
const confidentialityCodes: ReadonlySet<string> = new Set(['R', 'V', 'N', 'L', 'M', 'U']);

/** A resource as it is given out. Its numbers are still marked: only `textOfResource` may write it. */
export interface Presented {
  stored: StoredResource;
  resource: Resource;
  bytes: number;
}

function securityOf(meta: JsonObject, labels: readonly string[]): JsonObject[] {
  const security = objectsOf(meta.security);
  const known = new Set(security.map(({ code }) => code));
  const added = labels.filter((label) => !known.has(label));
  return [
    ...security,
    ...added.map((code) => ({ system: confidentialityCodes.has(code) ? confidentiality : actCode, code })),
  ];
}

/** The stored content with version, time and sensitivity labels in its meta. */
export function present(stored: StoredResource, { content }: StoredContent): Presented {
  const text = utf8Text(content);
  const parsed = hasUnfaithfulNumber(text) ? parseFaithfully<Resource>(text) : (JSON.parse(text) as Resource);
  const { resourceType, id, meta: found, ...rest } = parsed;
  const before = isObject(found) ? found : {};
  const security = securityOf(before, stored.labels);
  const meta = {
    ...before,
    versionId: String(stored.version),
    lastUpdated: stored.lastUpdated,
    ...(security.length > 0 && { security }),
  };
  return { stored, resource: { resourceType, id: stored.id, meta, ...rest }, bytes: content.length };
}

export function textOfResource(resource: Resource): string {
  return stringifyFaithfully(resource);
}

export function etagOf(version: number): string {
  return `W/"${version}"`;
}
