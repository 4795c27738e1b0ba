import { utf8 } from '@salus/protocol';
import type { ImportOptions, ImportReport } from '../records/import.ts';
import type { Exchange } from './exchange.ts';

/** Bytes that can be read twice. */
export function openable(...parts: Uint8Array[]): () => AsyncGenerator<Uint8Array> {
  return async function* () {
    for (const part of parts) yield part;
  };
}

interface OneRequest {
  method: 'POST' | 'PUT';
  url: string;
  fullUrl?: string;
  ifNoneExist?: string;
}

/**
 * Stores one resource by the way of all imports: as a Bundle around its exact bytes. The original that is kept is the
 * resource alone.
 */
export async function importOne(
  { records }: Exchange,
  bytes: Uint8Array,
  { method, url, fullUrl, ifNoneExist }: OneRequest,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const request = { method, url, ...(ifNoneExist !== undefined && { ifNoneExist }) };
  const named = fullUrl === undefined ? '' : `"fullUrl":${JSON.stringify(fullUrl)},`;
  const head = utf8(`{"resourceType":"Bundle","type":"batch","entry":[{${named}"resource":`);
  const tail = utf8(`,"request":${JSON.stringify(request)}}]}`);
  return await records.import(openable(head, bytes, tail), { ...options, listEntries: true, original: 'resource' });
}
