import type { Did } from '@salus/protocol';
import { authority, isAuthorityActive, patient as patientOf } from '../identity/queries.ts';
import { listCount, listEntries } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import type { DirectiveState } from './facts.ts';
import { type DirectiveEntry, endedMs, getDirective, patientPrefix } from './state.ts';

/** The four answers that a holder of a grant may learn; everybody else learns nothing. */
export type DirectiveStatus = 'active' | 'expired' | 'used-up' | 'revoked';

export function directive(reader: StateReader, id: string): DirectiveEntry | undefined {
  return getDirective(reader, id);
}

/** How many directives a patient ever gave: who has unsealed so many has them all. */
export function directiveCount(reader: StateReader, patient: Did): number {
  return listCount(reader, patientPrefix, patient);
}

/** Ids of all directives of a patient, in the order of granting. */
export function directivesOf(reader: StateReader, patient: Did): string[] {
  return [...listEntries<string>(reader, patientPrefix, patient)].map(([, id]) => id);
}

export function isConditionEnded(reader: StateReader, { endIssuer, endToken }: DirectiveEntry): boolean {
  return endedMs(reader, endIssuer, endToken) !== undefined;
}

/** Whether the authority under which a directive was given still stands on the ledger; true for the patient's own. */
export function isIssuerInForce(reader: StateReader, entry: DirectiveEntry, nowMs: number): boolean {
  if (entry.authority === undefined) return true;
  const held = authority(reader, entry.patient, entry.authority);
  const deceased = patientOf(reader, entry.patient)?.status === 'deceased';
  return held !== undefined && isAuthorityActive(held, nowMs) && !(deceased && held.basis === 'patient');
}

/**
 * The directive's standing as checkConsent takes it. Where an authority gave or revoked it, the gate still has to
 * compare the authority's sealed scope: `issuerInForce` says what the ledger knows.
 */
export function directiveState(reader: StateReader, id: string, nowMs: number): DirectiveState | undefined {
  const entry = getDirective(reader, id);
  if (!entry) return undefined;
  const { revokedMs, uses, used, expiresMs } = entry;
  const usedUp = uses > 0 && used >= uses;
  return {
    status: revokedMs !== undefined ? 'revoked' : usedUp ? 'used-up' : 'active',
    expiresMs,
    ...(uses > 0 && { usesLeft: uses - used }),
    conditionEnded: isConditionEnded(reader, entry),
    issuerInForce: isIssuerInForce(reader, entry, nowMs),
  };
}

/** One of four answers; the end of a condition is an expiry. Undefined for a directive that does not exist. */
export function directiveStatus(reader: StateReader, id: string, nowMs: number): DirectiveStatus | undefined {
  const state = directiveState(reader, id, nowMs);
  if (!state) return undefined;
  if (state.status !== 'active') return state.status;
  const over = nowMs >= (state.expiresMs ?? 0) || state.conditionEnded || !state.issuerInForce;
  return over ? 'expired' : 'active';
}
