import { canonicalJson, type Did, type JsonValue, sha256, toBase64url, utf8 } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { subjectsOf } from './changes.ts';
import { applyChange, checkChange, checkProposer, isAnnounced } from './effects.ts';
import { governanceErrors } from './errors.ts';
import type { Execute, Propose, Veto, Vote, Withdraw } from './messages.ts';
import { isActiveMember, member, openProposals, parameter, proposal, proposalStatus, votingRules } from './queries.ts';
import {
  allProposals,
  type Ballot,
  ballotKey,
  changedKey,
  type OpenProposal,
  openProposalsKey,
  type Proposal,
  proposalKey,
  proposalsPrefix,
} from './state.ts';
import { electorateOf, mayVote } from './tally.ts';

/** Over all members. */
export const proposalsOpenMax = 200;
/** How far ahead of its opening a proposal may ask for its activation. */
export const activationAheadBlocksMax = 1_000_000;

function checkMember(state: ContractState, { sender, blockTimeMs }: TransactionContext): void {
  check(isActiveMember(state, sender, blockTimeMs), governanceErrors.memberNeeded);
}

/** Names what is voted on: the proposal with its number, so that no vote can be taken for another one. */
function digestOf(n: number, { change, reason, activationHeight }: Omit<Propose, 'type'>): string {
  const named = { proposal: n, change, reason, activationHeight } as unknown as JsonValue;
  return toBase64url(sha256(utf8(canonicalJson(named))));
}

/** Proposals that can still be voted on or executed; those whose time has passed leave the list. */
function roomFor(state: ContractState, sender: Did, nowMs: number): OpenProposal[] {
  const open = openProposals(state).filter(({ untilMs }) => untilMs > nowMs);
  const own = open.filter(({ by }) => by === sender);
  const isRoom = open.length < proposalsOpenMax && own.length < parameter(state, 'proposalsOpenPerMemberMax');
  check(isRoom, governanceErrors.proposalsTooMany);
  return open;
}

export function openProposal(
  state: ContractState,
  { change, reason, activationHeight }: Omit<Propose, 'type'>,
  context: TransactionContext,
): JsonValue {
  const { sender: by, height: openedHeight, blockTimeMs: openedMs } = context;
  checkMember(state, context);
  const open = roomFor(state, by, openedMs);
  check(activationHeight <= openedHeight + activationAheadBlocksMax, governanceErrors.activationTooFar);
  checkChange(state, change, context);
  checkProposer(state, change, context);
  const electorate = electorateOf(state, { change, openedHeight });
  check(Object.keys(electorate).length > 0, governanceErrors.electorateEmpty);
  const rules = votingRules(state, change.kind);
  const deadlineMs = openedMs + rules.votingMs;
  const executeUntilMs = deadlineMs + rules.executionMs;
  const n = listCount(state, proposalsPrefix, allProposals);
  const digest = digestOf(n, { change, reason, activationHeight });
  const times = { openedMs, openedHeight, deadlineMs, executeUntilMs, activationHeight };
  const opened: Proposal = { by, change, digest, reason, ...times, rules, electorate };
  listAppend(state, proposalsPrefix, allProposals, opened);
  state.put(openProposalsKey, [...open, { proposal: n, by, untilMs: executeUntilMs }]);
  state.emit('Proposed', { proposal: n, kind: change.kind, participant: by, deadlineMs });
  return { proposal: n, digest, deadlineMs };
}

export function propose(state: ContractState, message: Propose, context: TransactionContext): JsonValue {
  return openProposal(state, message, context);
}

/** The proposal that a message means, by number and content. */
function meant(state: ContractState, named: { proposal: number; digest: string }): Proposal {
  const found = proposal(state, named.proposal);
  if (!found) refuse(governanceErrors.proposalUnknown);
  check(found.digest === named.digest, governanceErrors.proposalDiffers);
  return found;
}

function cast(
  state: ContractState,
  named: { proposal: number; digest: string },
  choice: Ballot['choice'],
  context: TransactionContext,
): void {
  const { sender, blockTimeMs: atMs, height } = context;
  const found = meant(state, named);
  checkMember(state, context);
  check(!found.closed && atMs < found.deadlineMs, governanceErrors.votingEnded);
  check(mayVote(member(state, sender), sender, found), governanceErrors.notInElectorate);
  const ballot: Ballot = { choice, atMs, height };
  state.put(ballotKey(named.proposal, sender), ballot);
  state.emit('Voted', { proposal: named.proposal, participant: sender, choice });
}

/** A member has one ballot; the last one before the deadline counts. */
export function vote(state: ContractState, message: Vote, context: TransactionContext): void {
  cast(state, message, message.choice, context);
}

export function veto(state: ContractState, message: Veto, context: TransactionContext): void {
  cast(state, message, 'veto', context);
}

function close(state: ContractState, n: number, found: Proposal, closed: NonNullable<Proposal['closed']>): void {
  const done: Proposal = { ...found, closed };
  state.put(proposalKey(n), done);
  state.put(
    openProposalsKey,
    openProposals(state).filter((open) => open.proposal !== n),
  );
}

export function withdraw(state: ContractState, message: Withdraw, context: TransactionContext): void {
  const { sender, height, blockTimeMs } = context;
  const found = meant(state, message);
  checkMember(state, context);
  const isOwn = found.by === sender && !found.closed && blockTimeMs < found.deadlineMs;
  check(isOwn, governanceErrors.notYourProposal);
  close(state, message.proposal, found, { outcome: 'withdrawn', height });
  state.emit('Withdrawn', { proposal: message.proposal, participant: sender });
}

/** Any member brings an adopted proposal into force; what it needs is checked again on the state as it is now. */
export function execute(state: ContractState, message: Execute, context: TransactionContext): JsonValue {
  const { sender, height, blockTimeMs } = context;
  const n = message.proposal;
  const found = meant(state, message);
  checkMember(state, context);
  check(proposalStatus(state, n, blockTimeMs) === 'adopted', governanceErrors.notAdopted);
  const { change, activationHeight, openedHeight, rules } = found;
  check(isAnnounced(change) || height >= activationHeight, governanceErrors.tooEarly);
  for (const subject of subjectsOf(change)) {
    const changed = state.get<number>(changedKey(subject));
    check(changed === undefined || changed < openedHeight, governanceErrors.proposalOutdated);
  }
  checkChange(state, change, context);
  const wanted = Math.max(activationHeight, height + rules.noticeBlocks);
  const effectiveHeight = applyChange(state, found, wanted, context);
  for (const subject of subjectsOf(change)) state.put(changedKey(subject), height);
  close(state, n, found, { outcome: 'executed', height, effectiveHeight });
  state.emit('Executed', { proposal: n, kind: change.kind, participant: sender, effectiveHeight });
  return { effectiveHeight };
}
