import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import { listEntries, listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import { validatorsMax } from './changes.ts';
import { isParameterName, parameterDefinitions } from './parameters.ts';
import { openProposals, proposal, ruleSet } from './queries.ts';
import { ruleSetDigest } from './rule-sets.ts';
import {
  allMembers,
  allProposals,
  classPrefix,
  draftsKey,
  formatPrefix,
  type Member,
  memberKey,
  membersPrefix,
  type Parameter,
  type Proposal,
  proposalsPrefix,
  type RuleSetVersion,
  type Validator,
  validatorPrefix,
  versionsPrefix,
} from './state.ts';
import { mayVote } from './tally.ts';
import { announcedSet, validatorUpdates } from './validators.ts';
import { areVotingRules, changeKinds, type VotingRules } from './voting-rules.ts';

const memberPrefix = 'governance/member/';
const parameterPrefix = 'governance/parameter/';
const ballotPrefix = 'governance/ballot/';
const draftPrefix = 'governance/draft/';

function listed(reader: IterableReader, prefix: string, owner: string): Did[] {
  return [...listEntries<Did>(reader, prefix, owner)].map(([, did]) => did);
}

function memberProblems(reader: IterableReader): string[] {
  const all = listed(reader, membersPrefix, allMembers);
  const problems = new Set(all).size === all.length ? [] : ['a member is listed twice'];
  const classes = new Map<MemberClass, Did[]>();
  for (const [key, member] of reader.iterate<Member>(memberPrefix)) {
    const did = key.slice(memberPrefix.length) as Did;
    const ofClass = classes.get(member.class) ?? listed(reader, classPrefix, member.class);
    classes.set(member.class, ofClass);
    if (!all.includes(did)) problems.push(`${did} is a member that is not listed`);
    if (!ofClass.includes(did)) problems.push(`${did} is not listed in its class`);
  }
  for (const did of all) if (!reader.get(memberKey(did))) problems.push(`${did} is listed but no member`);
  return problems;
}

function isActive(reader: IterableReader, did: Did): boolean {
  return reader.get<Member>(memberKey(did))?.status === 'active';
}

/** The set that everything announced leads to is what the steps of the validators say, and theirs who are members. */
function validatorProblems(reader: IterableReader): string[] {
  const set = new Map(announcedSet(reader).map(({ publicKey, member, power }) => [publicKey, { member, power }]));
  const problems = set.size > 0 && set.size <= validatorsMax ? [] : ['the set of validators is empty or too large'];
  for (const [key, { member, power, steps }] of reader.iterate<Validator>(validatorPrefix)) {
    const publicKey = key.slice(validatorPrefix.length);
    const final = steps.at(-1)?.power ?? power;
    const entry = set.get(publicKey);
    set.delete(publicKey);
    if ((entry?.power ?? 0) !== final || (entry && entry.member !== member)) {
      problems.push(`${key} is not what the set says`);
    }
    if (final > 0 && !isActive(reader, member)) problems.push(`${key} belongs to no member`);
    const isTold = steps.every((step) =>
      validatorUpdates(reader, step.height).some((one) => one.publicKey === publicKey && one.power === step.power),
    );
    const isAscending = steps.every((step, index) => index === 0 || step.height > (steps[index - 1]?.height ?? 0));
    if (!isTold || !isAscending) problems.push(`${key} has steps that are not announced`);
  }
  return [...problems, ...[...set.keys()].map((publicKey) => `${publicKey} is in the set but no validator`)];
}

function proposalProblems(reader: IterableReader): string[] {
  const problems: string[] = [];
  for (const { proposal: n, by } of openProposals(reader)) {
    const found = proposal(reader, n);
    if (!found || found.closed || found.by !== by) problems.push(`proposal ${n} is listed as open`);
  }
  for (const [n, { openedMs, deadlineMs, executeUntilMs, rules }] of listEntries<Proposal>(
    reader,
    proposalsPrefix,
    allProposals,
  )) {
    const isWhole = deadlineMs === openedMs + rules.votingMs && executeUntilMs === deadlineMs + rules.executionMs;
    if (!isWhole || !areVotingRules(rules, true)) problems.push(`proposal ${n} has other times than its rules say`);
  }
  for (const [key] of reader.iterate(ballotPrefix)) {
    const [n = '', did = ''] = key.slice(ballotPrefix.length).split('/');
    const found = proposal(reader, Number(n));
    const voter = reader.get<Member>(memberKey(did as Did));
    // A member that left and came back is no longer of the electorate; its ballot stays and does not count.
    const isOfThem =
      found && voter && (mayVote(voter, did as Did, found) || voter.admittedHeight >= found.openedHeight);
    if (!isOfThem) problems.push(`${key} is a ballot of nobody who may vote`);
  }
  return problems;
}

function parameterProblems(reader: IterableReader): string[] {
  const problems: string[] = [];
  for (const [key, { value }] of reader.iterate<Parameter>(parameterPrefix)) {
    const name = key.slice(parameterPrefix.length);
    const bounds = isParameterName(name) ? parameterDefinitions[name] : undefined;
    if (!bounds || value < bounds.min || value > bounds.max) problems.push(`${key} is out of bounds`);
  }
  for (const kind of changeKinds) {
    const rules = reader.get<VotingRules>(`governance/votingRules/${kind}`);
    if (!rules || !areVotingRules(rules, true)) problems.push(`the voting rules of ${kind} are out of bounds`);
  }
  return problems;
}

function ruleSetProblems(reader: IterableReader): string[] {
  const problems: string[] = [];
  for (const [key, version] of reader.iterate<RuleSetVersion | number>(`${versionsPrefix}/`)) {
    if (typeof version === 'number') continue;
    const document = ruleSet(reader, version.digest);
    const isTrue = document && ruleSetDigest(document) === version.digest && document.version === version.version;
    if (!isTrue) problems.push(`${key} does not lead to its content`);
  }
  const drafts = new Map<Did, number>();
  for (const [key, by] of reader.iterate<Did>(draftPrefix)) {
    const digest = key.slice(draftPrefix.length);
    const document = ruleSet(reader, digest);
    if (!document || ruleSetDigest(document) !== digest) problems.push(`${key} does not lead to its content`);
    drafts.set(by, (drafts.get(by) ?? 0) + 1);
  }
  for (const [by, count] of drafts) {
    if (reader.get<number>(draftsKey(by)) !== count) problems.push(`${by} does not have ${count} drafts`);
  }
  return problems;
}

/**
 * Lists are whole, members have one class, validators belong to members and are announced as the set says, ballots are
 * of those who may vote, parameters and rules are within bounds, rule sets are what their digest says.
 */
export function governanceInvariants(reader: IterableReader): string[] {
  const lists = [membersPrefix, classPrefix, versionsPrefix, formatPrefix, proposalsPrefix];
  return [
    ...lists.flatMap((prefix) => listProblems(reader, prefix)),
    ...memberProblems(reader),
    ...validatorProblems(reader),
    ...proposalProblems(reader),
    ...parameterProblems(reader),
    ...ruleSetProblems(reader),
  ];
}
