import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import type { Change } from './changes.ts';
import type { VotingRules } from './voting-rules.ts';

/** `untilMs` in the past: it has ended by itself or was ended. */
export type Suspension = { basis: 'emergency' | 'vote'; sinceMs: number; untilMs: number; by: Did[] };
export type Member = {
  class: MemberClass;
  status: 'active' | 'removed';
  admittedMs: number;
  admittedHeight: number;
  suspension?: Suspension;
};

/** A change of power; block `height` announces it to the engine (ABCI FinalizeBlock). */
export type PowerStep = { height: number; power: number };
/** `power` before the first step. Steps are ascending; those that have long taken effect are folded into `power`. */
export type Validator = { member: Did; power: number; addedMs: number; steps: PowerStep[] };
/** The set that all announced changes lead to, by key. */
export type SetEntry = { publicKey: string; member: Did; power: number };
export type ValidatorUpdate = { publicKey: string; power: number };

export type Ballot = { choice: 'yes' | 'no' | 'abstain' | 'veto'; atMs: number; height: number };
/** Everything that decides it is fixed when it is opened. */
export type Proposal = {
  by: Did;
  change: Change;
  digest: string;
  reason: string;
  openedMs: number;
  openedHeight: number;
  deadlineMs: number;
  executeUntilMs: number;
  activationHeight: number;
  rules: VotingRules;
  /** Members of each class that may vote. */
  electorate: Partial<Record<MemberClass, number>>;
  closed?: { outcome: 'executed' | 'withdrawn'; height: number; effectiveHeight?: number };
};
export type OpenProposal = { proposal: number; by: Did; untilMs: number };
export type Parameter = { value: number; sinceMs: number };
/** A published version; its content stands under its digest. */
export type RuleSetVersion = { digest: string; version: number; format: string; effectiveMs: number };

/** Lists: all members; the members of a class; the versions of a rule set; the ids of the rule sets of a format. */
export const membersPrefix = 'governance/members';
export const classPrefix = 'governance/class';
export const versionsPrefix = 'governance/versions';
export const formatPrefix = 'governance/format';
export const allMembers = 'all';
export const proposalsPrefix = 'governance/proposals';
export const allProposals = 'all';
export const openProposalsKey = 'governance/open/all';
export const validatorSetKey = 'governance/validatorSet/announced';
/** The latest height at which a change of the set is announced: later decided changes never come before it. */
export const validatorHeightKey = 'governance/validatorSet/height';

export const memberKey = (did: Did): string => `governance/member/${did}`;
export const validatorPrefix = 'governance/validator/';
export const validatorKey = (publicKey: string): string => `${validatorPrefix}${publicKey}`;
export const parameterKey = (name: string): string => `governance/parameter/${name}`;
export const ruleSetKey = (digest: string): string => `governance/ruleSet/${digest}`;
/** A format's name as a segment of a state key, which has no slash. */
export const formatSegment = (format: string): string => format.replaceAll('/', '~');

export const votingRulesKey = (kind: string): string => `governance/votingRules/${kind}`;
export const proposalKey = (n: number): string => `${proposalsPrefix}/${allProposals}/${n}`;
export const ballotKey = (proposal: number, did: Did): string => `governance/ballot/${proposal}/${did}`;
/** Height at which a subject was last changed by an executed proposal. */
export const changedKey = (subject: string): string => `governance/changed/${subject}`;
/** What block `height` announces to the engine. */
export const updatesKey = (height: number): string => `governance/updates/${height}`;
/** Until when a member's support of an emergency suspension binds it. */
export const emergencyKey = (did: Did): string => `governance/emergency/${did}`;
/** Who published a rule set that is not adopted, and how many such rule sets a member has. */
export const draftKey = (digest: string): string => `governance/draft/${digest}`;
export const draftsKey = (did: Did): string => `governance/drafts/${did}`;
