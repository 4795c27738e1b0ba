import type { CborValue, Did, JsonValue } from '@salus/protocol';
import { parameter } from '../governance/queries.ts';
import {
  currentPatient,
  custodianOf,
  isActive,
  isActiveOrganisation,
  mayActFor,
  organisation,
} from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { consentErrors } from './errors.ts';
import type { EndCondition, Grant, Revoke } from './messages.ts';
import { isConditionEnded, isIssuerInForce } from './queries.ts';
import { type DirectiveEntry, endedKey, getDirective, patientPrefix, putDirective } from './state.ts';

/** Ends are rounded up to steps, so that an exact date does not tell one directive from another. */
export const expiryStepMs = 30 * 24 * 3_600_000;
export const directivesPerPatientMax = 10_000;

/** The patient, or who holds the authority that the message names. */
function checkActs(
  state: ContractState,
  { patient, authority }: { patient: Did; authority?: string },
  { sender, blockTimeMs }: TransactionContext,
): void {
  const acts =
    authority === undefined
      ? sender === patient && isActive(state, patient)
      : mayActFor(state, sender, patient, authority, blockTimeMs);
  check(acts, consentErrors.notThePatient);
}

export function grant(state: ContractState, message: Grant, context: TransactionContext): JsonValue {
  const { directive, patient, commitment, expiresMs, uses, endToken, hosted, authority } = message;
  const { sender, blockTimeMs: nowMs, height } = context;
  const custodian = custodianOf(state, patient);
  if (custodian === undefined) refuse(consentErrors.notThePatient);
  checkActs(state, message, context);
  const isCoarse =
    expiresMs % expiryStepMs === 0 &&
    expiresMs > nowMs &&
    expiresMs <= nowMs + parameter(state, 'directiveDurationMsMax') + expiryStepMs;
  check(isCoarse, consentErrors.expiryNotCoarse);
  check(uses <= parameter(state, 'directiveUsesMax'), consentErrors.usesTooMany);
  check(getDirective(state, directive) === undefined, consentErrors.directiveExists);
  check(listCount(state, patientPrefix, patient) < directivesPerPatientMax, consentErrors.directivesTooMany);
  const endIssuer = message.endIssuer ?? custodian;
  check(organisation(state, endIssuer), consentErrors.issuerUnknown);
  const entry: DirectiveEntry = {
    patient,
    commitment,
    expiresMs,
    uses,
    used: 0,
    endToken,
    endIssuer,
    by: sender,
    ...(authority !== undefined && { authority }),
    hosted,
    grantedMs: nowMs,
    grantedHeight: height,
  };
  putDirective(state, directive, entry);
  const number = listAppend(state, patientPrefix, patient, directive);
  state.emit('Granted', { directive, patient, custodian });
  return { number };
}

export function revoke(state: ContractState, message: Revoke, context: TransactionContext): void {
  const { patient, directives, authority } = message;
  checkActs(state, message, context);
  const custodian = custodianOf(state, patient) ?? '';
  for (const directive of directives) {
    const entry = getDirective(state, directive);
    if (!entry || entry.patient !== patient) refuse(consentErrors.directiveUnknown);
    check(entry.revokedMs === undefined, consentErrors.directiveRevoked);
    putDirective(state, directive, {
      ...entry,
      revokedMs: context.blockTimeMs,
      revokedBy: context.sender,
      ...(authority !== undefined && { revokedUnder: authority }),
    });
    state.emit('Revoked', { directive, patient, custodian });
  }
}

function end(state: ContractState, issuer: Did, token: string, context: TransactionContext): void {
  const key = endedKey(issuer, token);
  check(state.get(key) === undefined, consentErrors.conditionAlreadyEnded);
  state.put(key, context.blockTimeMs);
  state.emit('ConditionEnded', { issuer, token });
}

export function endCondition(state: ContractState, message: EndCondition, context: TransactionContext): void {
  check(isActiveOrganisation(state, context.sender), consentErrors.organisationNeeded);
  for (const token of message.tokens) end(state, context.sender, token, context);
}

/** For later contracts: `[issuer, token]`; an end that is there already is none of their business. */
export function endConditionOperation(
  state: ContractState,
  argument: CborValue,
  context: TransactionContext,
): CborValue {
  const [issuer, token] = argument as [Did, string];
  if (state.get(endedKey(issuer, token)) === undefined) end(state, issuer, token, context);
  return null;
}

/**
 * For access: `[patient, directive]`. Refuses unless the directive counts at this block, and takes one use of a
 * counted one, in the transaction that releases. Gives the uses left, -1 where they are not counted.
 */
export function useOperation(state: ContractState, argument: CborValue, context: TransactionContext): CborValue {
  const [patient, directive] = argument as [Did, string];
  const entry = getDirective(state, directive);
  // While two patients are merged a release may need a directive of each.
  const isTheirs = entry && currentPatient(state, entry.patient) === currentPatient(state, patient);
  if (!entry || !isTheirs) refuse(consentErrors.directiveUnknown);
  check(entry.revokedMs === undefined, consentErrors.directiveRevoked);
  check(context.blockTimeMs < entry.expiresMs, consentErrors.directiveExpired);
  check(!isConditionEnded(state, entry), consentErrors.conditionEnded);
  check(isIssuerInForce(state, entry, context.blockTimeMs), consentErrors.authorityEnded);
  if (entry.uses === 0) return -1;
  check(entry.used < entry.uses, consentErrors.directiveUsedUp);
  const used = entry.used + 1;
  putDirective(state, directive, { ...entry, used });
  state.emit('Used', { directive, patient });
  return entry.uses - used;
}
