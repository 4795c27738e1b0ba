import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import { listCount, listEntries, listEntry } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import { type ParameterName, parameterDefinitions } from './parameters.ts';
import { isPolicy, type PolicyDocument, policyFormat, type RuleSetDocument } from './rule-sets.ts';
import {
  allMembers,
  allProposals,
  type Ballot,
  ballotKey,
  classPrefix,
  formatPrefix,
  formatSegment,
  type Member,
  memberKey,
  membersPrefix,
  type OpenProposal,
  openProposalsKey,
  type Parameter,
  type Proposal,
  parameterKey,
  proposalsPrefix,
  type RuleSetVersion,
  ruleSetKey,
  versionsPrefix,
  votingRulesKey,
} from './state.ts';
import {
  isSuspendedMember,
  type ProposalStatus,
  type Standing,
  standingOf,
  statusOf,
  type Tally,
  tallyOf,
  type Voter,
  votersOf,
} from './tally.ts';
import { type ChangeKind, initialVotingRules, type VotingRules } from './voting-rules.ts';

export function member(reader: StateReader, did: Did): Member | undefined {
  return reader.get<Member>(memberKey(did));
}

function isPresent(reader: StateReader, did: Did): boolean {
  return member(reader, did)?.status === 'active';
}

/** The class of a member that was not removed. */
export function memberClass(reader: StateReader, did: Did): MemberClass | undefined {
  const found = member(reader, did);
  return found?.status === 'active' ? found.class : undefined;
}

/** Neither removed nor suspended at this block time: may propose, vote and execute. */
export function isActiveMember(reader: StateReader, did: Did, nowMs: number): boolean {
  const found = member(reader, did);
  return found?.status === 'active' && !isSuspendedMember(found, nowMs);
}

/** Members that were not removed, suspended ones among them, in the order of their first admission. */
export function members(reader: StateReader): Did[] {
  const all = [...listEntries<Did>(reader, membersPrefix, allMembers)].map(([, did]) => did);
  return all.filter((did) => isPresent(reader, did));
}

/** The same, of one class. */
export function membersOfClass(reader: StateReader, wanted: MemberClass): Did[] {
  const all = [...listEntries<Did>(reader, classPrefix, wanted)].map(([, did]) => did);
  return all.filter((did) => isPresent(reader, did));
}

/** The rules by which a proposal of this kind would be decided if it were opened now. */
export function votingRules(reader: StateReader, kind: ChangeKind): VotingRules {
  return reader.get<VotingRules>(votingRulesKey(kind)) ?? initialVotingRules[kind];
}

export function proposalCount(reader: StateReader): number {
  return listCount(reader, proposalsPrefix, allProposals);
}

export function proposal(reader: StateReader, n: number): Proposal | undefined {
  return listEntry<Proposal>(reader, proposalsPrefix, allProposals, n);
}

/** What becomes of a proposal as things stand at this block time. */
export function proposalStatus(reader: StateReader, n: number, nowMs: number): ProposalStatus | undefined {
  const found = proposal(reader, n);
  return found && statusOf(reader, n, found, nowMs);
}

export function proposalTally(reader: StateReader, n: number, nowMs: number): Tally | undefined {
  const found = proposal(reader, n);
  return found && tallyOf(reader, n, found, nowMs);
}

/** How far the vote on a proposal is, and what would come of it if voting ended now. */
export function proposalStanding(reader: StateReader, n: number, nowMs: number): Standing | undefined {
  const found = proposal(reader, n);
  return found && standingOf(found, tallyOf(reader, n, found, nowMs));
}

/** Who may vote on a proposal, and did; those that are suspended or removed only where they did. */
export function proposalVoters(reader: StateReader, n: number, nowMs: number): Voter[] {
  const found = proposal(reader, n);
  return found ? votersOf(reader, n, found, nowMs) : [];
}

/** A member's ballot, the last one that it cast. */
export function ballot(reader: StateReader, n: number, did: Did): Ballot | undefined {
  return reader.get<Ballot>(ballotKey(n, did));
}

/** Not closed; some may have passed the time in which they can be voted on or executed. */
export function openProposals(reader: StateReader): OpenProposal[] {
  return reader.get<OpenProposal[]>(openProposalsKey) ?? [];
}

/** The governed number in force. */
export function parameter(reader: StateReader, name: ParameterName): number {
  return reader.get<Parameter>(parameterKey(name))?.value ?? parameterDefinitions[name].initial;
}

/** A rule set by its content address. */
export function ruleSet(reader: StateReader, digest: string): RuleSetDocument | undefined {
  const text = reader.get<string>(ruleSetKey(digest));
  return text === undefined ? undefined : (JSON.parse(text) as RuleSetDocument);
}

/** The version of a rule set that is in force at a block time: the last one that has taken effect. */
export function activeVersion(reader: StateReader, id: string, nowMs: number): RuleSetVersion | undefined {
  for (let n = listCount(reader, versionsPrefix, id) - 1; n >= 0; n -= 1) {
    const version = listEntry<RuleSetVersion>(reader, versionsPrefix, id, n);
    if (version && version.effectiveMs <= nowMs) return version;
  }
  return undefined;
}

/** Ids of the rule sets of a format, in the order of first publication. */
export function ruleSetIds(reader: StateReader, format: string): string[] {
  return [...listEntries<string>(reader, formatPrefix, formatSegment(format))].map(([, id]) => id);
}

export type ActivePolicy = { digest: string; document: PolicyDocument };

/** The jurisdiction policies in force. A chain without one permits only what directives permit. */
export function activePolicies(reader: StateReader, nowMs: number): ActivePolicy[] {
  const policies: ActivePolicy[] = [];
  for (const id of ruleSetIds(reader, policyFormat)) {
    const digest = activeVersion(reader, id, nowMs)?.digest;
    const document = digest === undefined ? undefined : ruleSet(reader, digest);
    if (digest !== undefined && isPolicy(document)) policies.push({ digest, document });
  }
  return policies;
}
