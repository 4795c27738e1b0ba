import type { Did, JsonValue } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import { entryKey, listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { identityErrors } from './errors.ts';
import type { AttestAuthority, GrantAuthority, RevokeAuthority } from './messages.ts';
import { authorityNumber, isAuthorityActive, isRegulator, patient } from './queries.ts';
import { type AuthorityBasis, type AuthorityEntry, authorityIndexKey, authorityPrefix } from './state.ts';

/** Ends are rounded to steps, so that a date of birth or a court's term does not show. */
export const authorityExpiryStepMs = 30 * 24 * 3_600_000;
/** 30 years of 365 days. */
export const authorityDurationMsMax = 30 * 365 * 24 * 3_600_000;
const authoritiesPerPatientMax = 1_000;

function append(
  state: ContractState,
  message: GrantAuthority | AttestAuthority,
  basis: AuthorityBasis,
  by: Did,
  context: TransactionContext,
): JsonValue {
  const { patient: did, authority, holder, commitment, expiresMs } = message;
  const now = context.blockTimeMs;
  const isCoarse = expiresMs % authorityExpiryStepMs === 0;
  check(isCoarse && expiresMs > now && expiresMs <= now + authorityDurationMsMax, identityErrors.authorityExpiry);
  check(authorityNumber(state, did, authority) === undefined, identityErrors.authorityExists);
  check(listCount(state, authorityPrefix, did) < authoritiesPerPatientMax, identityErrors.authoritiesTooMany);
  const entry: AuthorityEntry = {
    authority,
    holder,
    commitment,
    expiresMs,
    basis,
    by,
    grantedMs: now,
    grantedHeight: context.height,
  };
  const n = listAppend(state, authorityPrefix, did, entry);
  state.put(authorityIndexKey(did, authority), n);
  state.emit('AuthorityGranted', { patient: did, authority, holder, basis, by });
  return { number: n };
}

export function grantAuthority(state: ContractState, message: GrantAuthority, context: TransactionContext): JsonValue {
  check(patient(state, message.patient), identityErrors.notAPatient);
  check(context.signers.includes(message.patient), identityErrors.authorityNotYours);
  return append(state, message, 'patient', message.patient, context);
}

export function attestAuthority(
  state: ContractState,
  message: AttestAuthority,
  context: TransactionContext,
): JsonValue {
  const subject = patient(state, message.patient);
  if (!subject) refuse(identityErrors.notAPatient);
  const { sender } = context;
  if (subject.registeredBy === sender) return append(state, message, 'custodian', sender, context);
  check(isRegulator(state, sender), identityErrors.attesterNotAllowed);
  return append(state, message, 'regulator', sender, context);
}

/** What the patient gave, the patient takes back; a regulator may also end what a custodian attested. */
function mayRevoke(state: ContractState, entry: AuthorityEntry, signers: readonly Did[]): boolean {
  if (signers.some((signer) => signer === entry.by || signer === entry.holder)) return true;
  return entry.basis !== 'patient' && signers.some((signer) => isRegulator(state, signer));
}

export function revokeAuthority(state: ContractState, message: RevokeAuthority, context: TransactionContext): void {
  const { patient: did, authority } = message;
  const n = authorityNumber(state, did, authority);
  const entry = n === undefined ? undefined : state.get<AuthorityEntry>(entryKey(authorityPrefix, did, n));
  if (n === undefined || !entry) refuse(identityErrors.authorityUnknown);
  check(mayRevoke(state, entry, context.signers), identityErrors.authorityNotYours);
  check(isAuthorityActive(entry, context.blockTimeMs), identityErrors.authorityEnded);
  const ended: AuthorityEntry = { ...entry, revokedMs: context.blockTimeMs, revokedBy: context.sender };
  state.put(entryKey(authorityPrefix, did, n), ended);
  state.emit('AuthorityRevoked', { patient: did, authority, holder: entry.holder, by: context.sender });
}
