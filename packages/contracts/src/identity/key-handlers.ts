import type { Did } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { identityErrors } from './errors.ts';
import type { AddKey, RevokeKey, RotateKey } from './messages.ts';
import { isKeyActive } from './queries.ts';
import { addKeyTo, getKey, getParticipant, type KeyEntry, type Participant, putKey } from './state.ts';

/** How long an old key may go on beside the new one. */
export const keyOverlapMsMax = 30 * 24 * 3_600_000;

/**
 * A participant manages its own keys. A practitioner's or device's organisation may do it too; a patient's or
 * delegate's custodian never, because whoever can add a key can make approvals.
 */
function checkKeyManager(state: ContractState, did: Did, context: TransactionContext): Participant {
  const existing = getParticipant(state, did);
  if (!existing) refuse(identityErrors.participantUnknown);
  check(existing.kind !== 'patient' || existing.bound, identityErrors.patientNotBound);
  const isManaged = existing.kind === 'practitioner' || existing.kind === 'device';
  const byOrganisation = isManaged && context.signers.includes(existing.registeredBy);
  check(context.signers.includes(did) || byOrganisation, identityErrors.notResponsible);
  return existing;
}

function activeKey(state: ContractState, did: Did, name: string, context: TransactionContext): KeyEntry {
  const entry = getKey(state, did, name);
  if (!entry) refuse(identityErrors.keyUnknown);
  check(isKeyActive(entry, context.blockTimeMs), identityErrors.keyNotActive);
  return entry;
}

function revoked(entry: KeyEntry, context: TransactionContext): KeyEntry {
  return { ...entry, revokedMs: context.blockTimeMs, revokedHeight: context.height };
}

export function addKey(state: ContractState, { participant, key }: AddKey, context: TransactionContext): void {
  checkKeyManager(state, participant, context);
  addKeyTo(state, participant, key, context);
  state.emit('KeyAdded', { participant, name: key.name, purpose: key.purpose });
}

export function rotateKey(state: ContractState, message: RotateKey, context: TransactionContext): void {
  const { participant, name, key, oldUntilMs } = message;
  checkKeyManager(state, participant, context);
  const old = activeKey(state, participant, name, context);
  check(old.purpose === key.purpose, identityErrors.keyUnknown);
  if (oldUntilMs !== undefined) {
    check(oldUntilMs > context.blockTimeMs, identityErrors.keyExpiryPast);
    check(oldUntilMs <= context.blockTimeMs + keyOverlapMsMax, identityErrors.overlapTooLong);
  }
  addKeyTo(state, participant, key, context);
  const expiresMs = Math.min(oldUntilMs ?? 0, old.expiresMs ?? Number.MAX_SAFE_INTEGER);
  putKey(state, participant, name, oldUntilMs === undefined ? revoked(old, context) : { ...old, expiresMs });
  state.emit('KeyRotated', { participant, name: key.name, old: name, purpose: key.purpose });
}

export function revokeKey(state: ContractState, message: RevokeKey, context: TransactionContext): void {
  const { participant, name, reason } = message;
  checkKeyManager(state, participant, context);
  const entry = activeKey(state, participant, name, context);
  putKey(state, participant, name, revoked(entry, context));
  state.emit('KeyRevoked', { participant, name, purpose: entry.purpose, reason });
}
