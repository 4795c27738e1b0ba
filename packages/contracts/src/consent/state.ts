import type { Did } from '@salus/protocol';
import type { ContractState, StateReader } from '../kernel/types.ts';

/** What the ledger knows of a directive: that it stands, not what it says. */
export type DirectiveEntry = {
  patient: Did;
  commitment: string;
  expiresMs: number;
  /** 0: not counted. */
  uses: number;
  used: number;
  endToken: string;
  endIssuer: Did;
  /** Who signed, and under which authority if not as the patient. */
  by: Did;
  authority?: string;
  hosted: boolean;
  grantedMs: number;
  grantedHeight: number;
  revokedMs?: number;
  revokedBy?: Did;
  /** The gate heeds it only if this authority's sealed scope includes it. */
  revokedUnder?: string;
};

/** The list of a patient's directive ids, with its authenticated counter: a gate that misses one notices. */
export const patientPrefix = 'consent/patient';
export const directivePrefix = 'consent/directive/';
export const endedPrefix = 'consent/ended/';

export const directiveKey = (directive: string): string => `${directivePrefix}${directive}`;
export const endedKey = (issuer: Did, token: string): string => `${endedPrefix}${issuer}/${token}`;

export function getDirective(reader: StateReader, directive: string): DirectiveEntry | undefined {
  return reader.get<DirectiveEntry>(directiveKey(directive));
}

export function putDirective(state: ContractState, directive: string, entry: DirectiveEntry): void {
  state.put(directiveKey(directive), entry);
}

/** When an issuer ended a condition. */
export function endedMs(reader: StateReader, issuer: Did, token: string): number | undefined {
  return reader.get<number>(endedKey(issuer, token));
}
