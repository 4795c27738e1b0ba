import type { Did } from '@salus/protocol';
import { isInStanding, organisation } from '../identity/queries.ts';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import { timeMsMax } from '../kernel/schemas.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import type { ChangeOf } from './changes.ts';
import { governanceErrors } from './errors.ts';
import { member, membersOfClass } from './queries.ts';
import { allMembers, classPrefix, type Member, memberKey, membersPrefix, type Suspension } from './state.ts';
import { isSuspendedMember } from './tally.ts';
import { announceWithdrawal, checkWithdrawal } from './validators.ts';

/** All that ever were: a vote is counted over this list, which bounds its cost. */
export const membersMax = 1_000;

export function activeMember(state: ContractState, did: Did): Member {
  const found = member(state, did);
  if (found?.status !== 'active') refuse(governanceErrors.memberUnknown);
  return found;
}

export function checkAdmit(state: ContractState, change: ChangeOf<'admit'>, context: TransactionContext): void {
  const { member: did, class: memberClass } = change;
  check(isInStanding(organisation(state, did), context.blockTimeMs), governanceErrors.organisationUnfit);
  const existing = member(state, did);
  check(existing?.status !== 'active', governanceErrors.memberExists);
  check(!existing || existing.class === memberClass, governanceErrors.classFixed);
  const isRoom = existing !== undefined || listCount(state, membersPrefix, allMembers) < membersMax;
  check(isRoom, governanceErrors.membersTooMany);
}

export function admit(state: ContractState, did: Did, memberClass: Member['class'], context: TransactionContext): void {
  const isNew = member(state, did) === undefined;
  const { blockTimeMs: admittedMs, height: admittedHeight } = context;
  const admitted: Member = { class: memberClass, status: 'active', admittedMs, admittedHeight };
  state.put(memberKey(did), admitted);
  if (isNew) {
    listAppend(state, membersPrefix, allMembers, did);
    listAppend(state, classPrefix, memberClass, did);
  }
}

export function checkRemove(state: ContractState, { member: did }: ChangeOf<'remove'>): void {
  const found = activeMember(state, did);
  check(membersOfClass(state, found.class).length > 1, governanceErrors.lastOfClass);
  checkWithdrawal(state, did);
}

/** The organisation goes on as a participant: it keeps records whose patients need it. */
export function remove(
  state: ContractState,
  { member: did }: ChangeOf<'remove'>,
  wanted: number,
  context: TransactionContext,
): number | undefined {
  const found = activeMember(state, did);
  const removed: Member = { ...found, status: 'removed' };
  state.put(memberKey(did), removed);
  setStanding(state, did, removed, context);
  return announceWithdrawal(state, did, wanted, context);
}

export function checkSuspend(
  state: ContractState,
  { member: did }: { member: Did },
  context: TransactionContext,
): void {
  const found = activeMember(state, did);
  const isByVote = isSuspendedMember(found, context.blockTimeMs) && found.suspension?.basis === 'vote';
  check(!isByVote, governanceErrors.memberSuspended);
}

export function suspend(state: ContractState, did: Did, suspension: Suspension, context: TransactionContext): void {
  const suspended: Member = { ...activeMember(state, did), suspension };
  state.put(memberKey(did), suspended);
  setStanding(state, did, suspended, context);
}

export function suspendByVote(state: ContractState, did: Did, by: Did, context: TransactionContext): void {
  const { blockTimeMs: sinceMs } = context;
  suspend(state, did, { basis: 'vote', sinceMs, untilMs: timeMsMax, by: [by] }, context);
}

/** A member that was removed while suspended is reinstated as an organisation, not as a member. */
export function checkReinstate(state: ContractState, { member: did }: { member: Did }, nowMs: number): void {
  const found = member(state, did);
  if (!found) refuse(governanceErrors.memberUnknown);
  check(isSuspendedMember(found, nowMs), governanceErrors.memberNotSuspended);
}

export function reinstate(state: ContractState, did: Did, context: TransactionContext): void {
  const found = member(state, did);
  if (!found?.suspension) refuse(governanceErrors.memberNotSuspended);
  const reinstated: Member = { ...found, suspension: { ...found.suspension, untilMs: context.blockTimeMs } };
  state.put(memberKey(did), reinstated);
  setStanding(state, did, reinstated, context);
}

/** What identity must know: who may sign until when, and whose status no single party changes. */
function setStanding(
  state: ContractState,
  did: Did,
  { status, suspension }: Member,
  context: TransactionContext,
): void {
  const untilMs = suspension && suspension.untilMs > context.blockTimeMs ? suspension.untilMs : 0;
  state.call('identity', 'setStanding', [did, status === 'active', untilMs]);
}

export function announceMembership(state: ContractState, did: Did, context: TransactionContext): void {
  setStanding(state, did, activeMember(state, did), context);
}
