import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import { listEntries } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import { targetOf } from './changes.ts';
import { allMembers, type Ballot, ballotKey, type Member, memberKey, membersPrefix, type Proposal } from './state.ts';

const perMille = 1_000;

export type ClassTally = { members: number; yes: number; no: number; abstain: number; veto: number };
export type Tally = Partial<Record<MemberClass, ClassTally>>;
/** One that may vote on a proposal. `counts` is false for the yes or abstention of who is suspended or removed. */
export type Voter = { did: Did; class: MemberClass; ballot?: Ballot; counts: boolean };
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

/** Everybody that may vote on a proposal, in the order of admission. */
export function votersOf(reader: StateReader, n: number, proposal: Proposal, nowMs: number): Voter[] {
  const voters: Voter[] = [];
  for (const [, did] of listEntries<Did>(reader, membersPrefix, allMembers)) {
    const found = reader.get<Member>(memberKey(did));
    if (!found || !mayVote(found, did, proposal)) continue;
    const ballot = reader.get<Ballot>(ballotKey(n, did));
    const isPresent = found.status === 'active' && !isSuspendedMember(found, nowMs);
    if (!isPresent && ballot === undefined) continue;
    const counts = isPresent || ballot?.choice === 'no' || ballot?.choice === 'veto';
    voters.push({ did, class: found.class, ...(ballot && { ballot }), counts });
  }
  return voters;
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

/** How far a vote is, in numbers of members and of classes, and what would come of it if voting ended now. */
export type Standing = {
  /** Members that may vote; that did, as far as their ballots count; that must have. */
  electorate: number;
  voted: number;
  quorum: number;
  classes: number;
  approving: MemberClass[];
  approvingNeeded: number;
  vetoing: MemberClass[];
  /** So many vetoing classes stop it. */
  vetoingMax: number;
  outcome: 'adopted' | 'rejected' | 'vetoed';
};

/** What the votes say. */
export function standingOf({ rules }: Pick<Proposal, 'rules'>, tally: Tally): Standing {
  const classes = Object.entries(tally) as [MemberClass, ClassTally][];
  const [vetoing, approving]: [MemberClass[], MemberClass[]] = [[], []];
  let [electorate, voted] = [0, 0];
  for (const [name, { members, yes, no, abstain, veto }] of classes) {
    electorate += members;
    voted += yes + no + abstain + veto;
    if (isOver(veto, members, rules.vetoPerMille)) vetoing.push(name);
    if (isOver(yes, yes + no + veto, rules.approvalPerMille)) approving.push(name);
  }
  const isQuorate = voted * perMille >= rules.quorumPerMille * electorate;
  const isApproved = isOver(approving.length, classes.length, rules.classesPerMille);
  return {
    electorate,
    voted,
    quorum: Math.ceil((rules.quorumPerMille * electorate) / perMille),
    classes: classes.length,
    approving,
    approvingNeeded: Math.floor((rules.classesPerMille * classes.length) / perMille) + 1,
    vetoing,
    vetoingMax: rules.vetoClasses,
    outcome: vetoing.length >= rules.vetoClasses ? 'vetoed' : isQuorate && isApproved ? 'adopted' : 'rejected',
  };
}

/** Computed on reading: nothing is written when a deadline passes. */
export function statusOf(reader: StateReader, n: number, proposal: Proposal, nowMs: number): ProposalStatus {
  if (proposal.closed) return proposal.closed.outcome;
  if (nowMs < proposal.deadlineMs) return 'open';
  const { outcome } = standingOf(proposal, tallyOf(reader, n, proposal, nowMs));
  return outcome === 'adopted' && nowMs >= proposal.executeUntilMs ? 'lapsed' : outcome;
}
