import type { Did, JsonValue } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { governanceErrors } from './errors.ts';
import { activeMember, suspend } from './member-changes.ts';
import type { RatifySuspension, SuspendInEmergency } from './messages.ts';
import { openProposal } from './proposal-handlers.ts';
import { isActiveMember, member, parameter } from './queries.ts';
import { emergencyKey } from './state.ts';
import { isSuspendedMember } from './tally.ts';

/** Two signers of different classes, neither of them the one who is to be suspended. */
function supporters(state: ContractState, target: Did, { signers, sender, blockTimeMs }: TransactionContext): Did[] {
  check(isActiveMember(state, sender, blockTimeMs) && sender !== target, governanceErrors.memberNeeded);
  const senderClass = member(state, sender)?.class;
  const second = signers.find(
    (did) => did !== target && isActiveMember(state, did, blockTimeMs) && member(state, did)?.class !== senderClass,
  );
  if (second === undefined) refuse(governanceErrors.twoClassesNeeded);
  return [sender, second];
}

/**
 * Cuts a member off at once, for a bounded time: it ends by itself unless a vote makes it last. Validators stay: what a
 * hacked validator can do, consensus withstands, and two members must not be able to change who decides.
 */
export function suspendInEmergency(
  state: ContractState,
  { member: did, reason }: SuspendInEmergency,
  context: TransactionContext,
): JsonValue {
  const { blockTimeMs: sinceMs } = context;
  const by = supporters(state, did, context);
  const target = activeMember(state, did);
  check(!isSuspendedMember(target, sinceMs), governanceErrors.memberSuspended);
  const { suspension } = target;
  const isFresh = suspension === undefined || suspension.untilMs + parameter(state, 'emergencyPauseMs') <= sinceMs;
  check(isFresh || suspension.basis === 'vote', governanceErrors.emergencyTooSoon);
  const untilMs = sinceMs + parameter(state, 'emergencySuspensionMs');
  for (const one of by) {
    check((state.get<number>(emergencyKey(one)) ?? 0) <= sinceMs, governanceErrors.emergencyRunning);
    state.put(emergencyKey(one), untilMs);
  }
  suspend(state, did, { basis: 'emergency', sinceMs, untilMs, by }, context);
  const [first = '', second = ''] = by;
  state.emit('SuspendedInEmergency', { participant: did, by: first, with: second, reason, untilMs });
  return { untilMs };
}

/** Opens the vote that makes an emergency suspension last until the member is reinstated. */
export function ratifySuspension(
  state: ContractState,
  { member: did, reason }: RatifySuspension,
  context: TransactionContext,
): JsonValue {
  const isEmergency = isSuspendedMember(activeMember(state, did), context.blockTimeMs);
  check(isEmergency, governanceErrors.memberNotSuspended);
  return openProposal(state, { change: { kind: 'suspend', member: did }, reason, activationHeight: 0 }, context);
}
