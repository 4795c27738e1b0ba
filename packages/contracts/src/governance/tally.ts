import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import { listEntries } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import { targetOf } from './changes.ts';
import { allMembers, type Ballot, ballotKey, type Member, memberKey, membersPrefix, type Proposal } from './state.ts';

const perMille = 1_000;

export type ClassTally = { members: number; yes: number; no: number; abstain: number; veto: number };
export type Tally = Partial<Record<MemberClass, ClassTally>>;
export type ProposalStatus = 'open' | 'adopted' | 'rejected' | 'vetoed' | 'lapsed' | 'executed' | 'withdrawn';

export function isSuspendedMember({ suspension }: Member, nowMs: number): boolean {
  return suspension !== undefined && suspension.untilMs > nowMs;
}

/** Of the electorate: a member when it was opened, and not about itself. */
export function mayVote(
  found: Member | undefined,
  did: Did,
  proposal: Pick<Proposal, 'change' | 'openedHeight'>,
): boolean {
  return found !== undefined && found.admittedHeight < proposal.openedHeight && targetOf(proposal.change) !== did;
}

export function electorateOf(
  reader: StateReader,
  proposal: Pick<Proposal, 'change' | 'openedHeight'>,
): Proposal['electorate'] {
  const electorate: Proposal['electorate'] = {};
  for (const [, did] of listEntries<Did>(reader, membersPrefix, allMembers)) {
    const found = reader.get<Member>(memberKey(did));
    if (found?.status !== 'active' || !mayVote(found, did, proposal)) continue;
    electorate[found.class] = (electorate[found.class] ?? 0) + 1;
  }
  return electorate;
}

/**
 * Ballots by class. A suspended or removed member stays in the electorate, its no and veto count and its yes and
 * abstention do not: so nobody can bring a proposal through by suspending those who are against it.
 */
export function tallyOf(reader: StateReader, n: number, proposal: Proposal, nowMs: number): Tally {
  const tally: Tally = {};
  for (const [memberClass, members] of Object.entries(proposal.electorate) as [MemberClass, number][]) {
    tally[memberClass] = { members, yes: 0, no: 0, abstain: 0, veto: 0 };
  }
  for (const [, did] of listEntries<Did>(reader, membersPrefix, allMembers)) {
    const found = reader.get<Member>(memberKey(did));
    const ballot = reader.get<Ballot>(ballotKey(n, did));
    const ofClass = found && tally[found.class];
    if (!ballot || !ofClass || !mayVote(found, did, proposal)) continue;
    const isPresent = found.status === 'active' && !isSuspendedMember(found, nowMs);
    if (isPresent || ballot.choice === 'no' || ballot.choice === 'veto') ofClass[ballot.choice] += 1;
  }
  return tally;
}

/** Whether more than a share; integers only, so that every machine gives the same. */
function isOver(part: number, whole: number, share: number): boolean {
  return part * perMille > share * whole;
}

/** What the votes say when voting is over. */
function outcomeOf({ rules }: Proposal, tally: Tally): 'adopted' | 'rejected' | 'vetoed' {
  const classes = Object.values(tally);
  const vetoing = classes.filter(({ veto, members }) => isOver(veto, members, rules.vetoPerMille));
  if (vetoing.length >= rules.vetoClasses) return 'vetoed';
  let [members, voted] = [0, 0];
  for (const one of classes) {
    members += one.members;
    voted += one.yes + one.no + one.abstain + one.veto;
  }
  if (voted * perMille < rules.quorumPerMille * members) return 'rejected';
  const approving = classes.filter(({ yes, no, veto }) => isOver(yes, yes + no + veto, rules.approvalPerMille));
  return isOver(approving.length, classes.length, rules.classesPerMille) ? 'adopted' : 'rejected';
}

/** Computed on reading: nothing is written when a deadline passes. */
export function statusOf(reader: StateReader, n: number, proposal: Proposal, nowMs: number): ProposalStatus {
  if (proposal.closed) return proposal.closed.outcome;
  if (nowMs < proposal.deadlineMs) return 'open';
  const outcome = outcomeOf(proposal, tallyOf(reader, n, proposal, nowMs));
  return outcome === 'adopted' && nowMs >= proposal.executeUntilMs ? 'lapsed' : outcome;
}
