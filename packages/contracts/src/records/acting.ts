import type { Did } from '@salus/protocol';
import { isActive, mayActFor } from '../identity/queries.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';

/** Whether a signer is the patient, or holds the named authority for the patient as far as the ledger can tell. */
export function actsForPatient(
  state: ContractState,
  patient: Did,
  authority: string | undefined,
  context: TransactionContext,
): boolean {
  if (context.signers.includes(patient)) return isActive(state, patient);
  return authority !== undefined && mayActFor(state, context.sender, patient, authority, context.blockTimeMs);
}
