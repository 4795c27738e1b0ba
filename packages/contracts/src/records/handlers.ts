import type { Did, JsonValue } from '@salus/protocol';
import { parameter } from '../governance/queries.ts';
import { custodianOf, isActive, isActiveOrganisation, practitioner } from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { actsForPatient } from './acting.ts';
import { recordsErrors } from './errors.ts';
import type { Anchor, AnchorEntry, Annotate, ChangePolicy, Erase, Propose, Restrict, SetPolicy } from './messages.ts';
import {
  annotationPrefix,
  getCount,
  getHead,
  getVersion,
  nextNumber,
  patientCountKey,
  putHead,
  putVersion,
  type RecordHead,
  type RecordVersion,
} from './state.ts';

/** The record's head, when it is there and not erased. */
export function liveHead(state: ContractState, record: string): RecordHead {
  const head = getHead(state, record);
  if (!head) refuse(recordsErrors.recordUnknown);
  if (head.status === 'erased') refuse(recordsErrors.recordErased);
  return head;
}

function ownHead(state: ContractState, record: string, custodian: Did): RecordHead {
  check(isActiveOrganisation(state, custodian), recordsErrors.custodianNeeded);
  const head = liveHead(state, record);
  check(head.custodian === custodian, recordsErrors.notYourRecord);
  return head;
}

function content({ commitment, source, author }: AnchorEntry | Propose) {
  return { commitment, ...(source !== undefined && { source }), ...(author !== undefined && { author }) };
}

/** Closes the version that counted until now. */
export function supersede(state: ContractState, record: string, head: RecordHead, nowMs: number): void {
  if (head.current === 0) return;
  const before = getVersion(state, record, head.current);
  if (!before || 'erasedMs' in before) return;
  putVersion(state, record, head.current, { ...before, status: 'superseded', currentUntilMs: nowMs });
}

function anchorEntry(state: ContractState, entry: AnchorEntry, context: TransactionContext): void {
  const { record, version, patient } = entry;
  const { sender: custodian, blockTimeMs: nowMs, height } = context;
  const head = getHead(state, record);
  check((head?.latest ?? 0) + 1 === version, recordsErrors.versionNotNext);
  check(custodianOf(state, patient) === custodian, recordsErrors.patientUnknown);
  if (head) {
    check(head.custodian === custodian, recordsErrors.notYourRecord);
    if (head.status === 'erased') refuse(recordsErrors.recordErased);
    check(head.patient === patient, recordsErrors.patientDiffers);
    check(head.policy === undefined, recordsErrors.policyRequired);
    supersede(state, record, head, nowMs);
  }
  const next: RecordHead = head
    ? { ...head, latest: version, current: version }
    : { custodian, patient, status: 'active', latest: version, current: version };
  putVersion(state, record, version, {
    patient,
    number: nextNumber(state, patient),
    ...content(entry),
    status: 'current',
    anchoredMs: nowMs,
    anchoredHeight: height,
    currentFromMs: nowMs,
  });
  putHead(state, record, next);
}

export function anchor(state: ContractState, message: Anchor, context: TransactionContext): JsonValue {
  check(isActiveOrganisation(state, context.sender), recordsErrors.custodianNeeded);
  check(message.entries.length <= parameter(state, 'batchEntriesMax'), recordsErrors.batchTooLarge);
  for (const entry of message.entries) anchorEntry(state, entry, context);
  state.emit('Anchored', { custodian: context.sender, entries: message.entries.length });
  return { entries: message.entries.length };
}

/** Whether those who sign are enough of a policy's approvers to replace it. */
function carriedBy(policy: ChangePolicy, signers: readonly Did[]): boolean {
  return policy.approvers.filter((approver) => signers.includes(approver)).length >= policy.needed;
}

export function setPolicy(state: ContractState, message: SetPolicy, context: TransactionContext): void {
  const { record, policy } = message;
  const head = ownHead(state, record, context.sender);
  check(head.open === undefined, recordsErrors.proposalOpen);
  check(policy.approvers.length <= parameter(state, 'reviewersMax'), recordsErrors.policyUnfit);
  check(!head.policy || carriedBy(head.policy, context.signers), recordsErrors.policyNotYours);
  putHead(state, record, { ...head, policy });
  state.emit('PolicySet', { record, custodian: head.custodian });
}

function mayPropose(state: ContractState, head: RecordHead, message: Propose, context: TransactionContext): boolean {
  const { sender } = context;
  if (!isActive(state, sender)) return false;
  if (sender === head.custodian || practitioner(state, sender)?.registeredBy === head.custodian) return true;
  if (head.policy?.approvers.includes(sender)) return true;
  return actsForPatient(state, head.patient, message.authority, context);
}

/** An approver who proposes has accepted. */
export function propose(state: ContractState, message: Propose, context: TransactionContext): JsonValue {
  const { record, version } = message;
  const { sender, blockTimeMs: nowMs, height } = context;
  const head = liveHead(state, record);
  const { policy, patient } = head;
  if (!policy) refuse(recordsErrors.policyMissing);
  check(mayPropose(state, head, message, context), recordsErrors.proposerNotAllowed);
  check(head.open === undefined, recordsErrors.proposalOpen);
  check(head.latest + 1 === version, recordsErrors.versionNotNext);
  const voter = policy.approvers.includes(sender) ? sender : undefined;
  const proposed: RecordVersion = {
    patient,
    number: nextNumber(state, patient),
    ...content(message),
    status: 'proposed',
    anchoredMs: nowMs,
    anchoredHeight: height,
    proposedBy: sender,
    accepted: voter ? [voter] : [],
    rejected: [],
  };
  const alone = voter !== undefined && policy.needed === 1;
  if (alone) supersede(state, record, head, nowMs);
  putVersion(state, record, version, alone ? { ...proposed, status: 'current', currentFromMs: nowMs } : proposed);
  putHead(state, record, { ...head, latest: version, ...(alone ? { current: version } : { open: version }) });
  state.emit(alone ? 'Accepted' : 'Proposed', { record, version, custodian: head.custodian, patient });
  return { status: alone ? 'current' : 'proposed' };
}

export function annotate(state: ContractState, message: Annotate, context: TransactionContext): JsonValue {
  const { record, commitment, authority } = message;
  const head = liveHead(state, record);
  check(actsForPatient(state, head.patient, authority, context), recordsErrors.notThePatient);
  const n = listAppend(state, annotationPrefix, record, {
    commitment,
    by: context.sender,
    timeMs: context.blockTimeMs,
  });
  state.emit('Annotated', { record, number: n, custodian: head.custodian, patient: head.patient });
  return { number: n };
}

export function restrict(state: ContractState, message: Restrict, context: TransactionContext): void {
  const { record, restricted, reason } = message;
  const head = ownHead(state, record, context.sender);
  const status = restricted ? 'restricted' : 'active';
  check(head.status !== status, recordsErrors.restrictionUnchanged);
  putHead(state, record, { ...head, status, restrictionReason: reason });
  state.emit(restricted ? 'Restricted' : 'Released', { record, custodian: head.custodian });
}

/** What names the patient leaves state; commitments stay, whose salts went with the record's key. */
function eraseRecord(state: ContractState, record: string, certificate: string, context: TransactionContext): void {
  const head = ownHead(state, record, context.sender);
  const { blockTimeMs: erasedMs } = context;
  let erased = 0;
  for (let n = 1; n <= head.latest; n += 1) {
    const version = getVersion(state, record, n);
    if (!version || 'erasedMs' in version) continue;
    putVersion(state, record, n, { erasedMs, commitment: version.commitment });
    erased += 1;
  }
  const count = getCount(state, head.patient);
  state.put(patientCountKey(head.patient), { ...count, erased: count.erased + erased });
  putHead(state, record, { status: 'erased', custodian: head.custodian, latest: head.latest, certificate, erasedMs });
}

export function erase(state: ContractState, message: Erase, context: TransactionContext): void {
  for (const record of message.records) eraseRecord(state, record, message.certificate, context);
  state.emit('Erased', {
    custodian: context.sender,
    records: message.records.length,
    certificate: message.certificate,
  });
}
