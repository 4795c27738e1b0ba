import { RuleFault } from '../http/problems.ts';
import type { StoredResource } from '../records/resource-store.ts';
import { FhirErrorCodes } from './errors.ts';
import type { Exchange } from './exchange.ts';

/** The version that `If-Match` asks for (R4 §3.1.0.4.2). */
export function expectedVersion({ header }: Exchange): number | undefined {
  const value = header('if-match');
  if (value === undefined) return undefined;
  const version = /^(?:W\/)?"(\d{1,9})"$/.exec(value)?.[1];
  if (version === undefined) throw new RuleFault(FhirErrorCodes.ifMatchMalformed);
  return Number(version);
}

/**
 * Whether a conditional read (R4 §3.1.0.2.1) found what the requester has already. Tags go before times (RFC 9110
 * §13.2.2), which know whole seconds only; what is not understood is as if it had not been sent.
 */
export function isUnchanged({ header }: Exchange, { version, lastUpdated }: StoredResource): boolean {
  const tags = header('if-none-match');
  if (tags !== undefined) {
    const known = tags.split(',').map((tag) => /^(?:W\/)?"([^"]*)"$/.exec(tag.trim())?.[1]);
    return tags.trim() === '*' || known.includes(String(version));
  }
  const sinceMs = Date.parse(header('if-modified-since') ?? '');
  return Math.floor(Date.parse(lastUpdated) / 1000) * 1000 <= sinceMs;
}
