import type { Did, JsonValue } from '@salus/protocol';
import { isActive, mayActFor } from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { actsForPatient } from './acting.ts';
import { recordsErrors } from './errors.ts';
import { liveHead, supersede } from './handlers.ts';
import type { ChangePolicy, Dispute, Reject, Validate } from './messages.ts';
import { getVersion, putHead, putVersion, type RecordHead, type RecordVersion } from './state.ts';

type Ballot = { head: RecordHead; version: RecordVersion; policy: ChangePolicy; voter: Did };

function versionOf(state: ContractState, record: string, n: number): RecordVersion {
  const version = getVersion(state, record, n);
  if (!version || 'erasedMs' in version) refuse(recordsErrors.versionUnknown);
  return version;
}

/** The approver whose voice this is: the sender, or the patient for whom the sender acts. */
function voterOf(
  state: ContractState,
  head: RecordHead,
  message: Validate | Reject,
  context: TransactionContext,
): Did | undefined {
  const { sender, blockTimeMs } = context;
  const approvers = head.policy?.approvers ?? [];
  if (approvers.includes(sender)) return isActive(state, sender) ? sender : undefined;
  const { authority } = message;
  if (authority === undefined || !approvers.includes(head.patient)) return undefined;
  return mayActFor(state, sender, head.patient, authority, blockTimeMs) ? head.patient : undefined;
}

function ballot(state: ContractState, message: Validate | Reject, context: TransactionContext): Ballot {
  const head = liveHead(state, message.record);
  const version = versionOf(state, message.record, message.version);
  const { policy } = head;
  check(version.status === 'proposed', recordsErrors.versionDecided);
  const voter = voterOf(state, head, message, context);
  if (voter === undefined || !policy) refuse(recordsErrors.notAnApprover);
  const voted = [...(version.accepted ?? []), ...(version.rejected ?? [])];
  check(!voted.includes(voter), recordsErrors.votedAlready);
  return { head, version, policy, voter };
}

function withoutOpen({ open: _open, ...head }: RecordHead): RecordHead {
  return head;
}

export function validate(state: ContractState, message: Validate, context: TransactionContext): JsonValue {
  const { record, version: n } = message;
  const { head, version, policy, voter } = ballot(state, message, context);
  const accepted = [...(version.accepted ?? []), voter];
  const nowMs = context.blockTimeMs;
  if (accepted.length < policy.needed) {
    putVersion(state, record, n, { ...version, accepted });
    state.emit('Supported', { record, version: n, custodian: head.custodian, patient: head.patient });
    return { status: 'proposed', accepted: accepted.length, needed: policy.needed };
  }
  supersede(state, record, head, nowMs);
  putVersion(state, record, n, { ...version, accepted, status: 'current', currentFromMs: nowMs });
  putHead(state, record, { ...withoutOpen(head), current: n });
  state.emit('Accepted', { record, version: n, custodian: head.custodian, patient: head.patient });
  return { status: 'current', accepted: accepted.length, needed: policy.needed };
}

/** Rejected as soon as the approvers who are left can no longer carry it. */
export function reject(state: ContractState, message: Reject, context: TransactionContext): JsonValue {
  const { record, version: n, reason } = message;
  const { head, version, policy, voter } = ballot(state, message, context);
  const rejected = [...(version.rejected ?? []), voter];
  const lost = policy.approvers.length - rejected.length < policy.needed;
  const reasons = [...(version.reasons ?? []), reason];
  putVersion(state, record, n, { ...version, rejected, reasons, status: lost ? 'rejected' : 'proposed' });
  if (lost) putHead(state, record, withoutOpen(head));
  state.emit(lost ? 'Rejected' : 'Opposed', { record, version: n, custodian: head.custodian, patient: head.patient });
  return { status: lost ? 'rejected' : 'proposed' };
}

export const statementsPerVersionMax = 64;

export function dispute(state: ContractState, message: Dispute, context: TransactionContext): void {
  const { record, version: n, statement, authority } = message;
  const head = liveHead(state, record);
  const version = versionOf(state, record, n);
  const isCustodian = context.sender === head.custodian && isActive(state, head.custodian);
  check(isCustodian || actsForPatient(state, head.patient, authority, context), recordsErrors.notThePatient);
  const reasons = [...(version.reasons ?? []), statement];
  check(reasons.length <= statementsPerVersionMax, recordsErrors.votedAlready);
  putVersion(state, record, n, { ...version, disputed: true, reasons });
  state.emit('Disputed', { record, version: n, custodian: head.custodian, patient: head.patient });
}
