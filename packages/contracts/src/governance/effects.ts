import type { Did } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { applicationVersion, pendingVersion } from '../kernel/versions.ts';
import type { Change, ChangeOf } from './changes.ts';
import { governanceErrors } from './errors.ts';
import * as members from './member-changes.ts';
import { isParameterName, parameterDefinitions } from './parameters.ts';
import { parameter, ruleSet, votingRules } from './queries.ts';
import type { RuleSetDocument } from './rule-sets.ts';
import {
  draftKey,
  draftsKey,
  formatPrefix,
  formatSegment,
  type Parameter,
  parameterKey,
  type RuleSetVersion,
  versionsPrefix,
  votingRulesKey,
} from './state.ts';
import * as validators from './validators.ts';
import { areVotingRules, votingRuleNames } from './voting-rules.ts';

/** Throws where a change cannot be made now; asked when it is proposed and again when it is executed. */
export function checkChange(state: ContractState, change: Change, context: TransactionContext): void {
  switch (change.kind) {
    case 'admit':
      members.checkAdmit(state, change, context);
      break;
    case 'remove':
      members.checkRemove(state, change);
      break;
    case 'suspend':
      members.checkSuspend(state, change, context);
      break;
    case 'reinstate':
      members.checkReinstate(state, change, context.blockTimeMs);
      break;
    case 'validators':
      validators.checkValidators(state, change.changes, context);
      break;
    case 'rotateValidator':
      validators.checkRotation(state, change, context);
      break;
    case 'parameter':
      checkParameter(state, change);
      break;
    case 'votingRules':
      checkVotingRules(state, change);
      break;
    case 'ruleSet':
      draftToAdopt(state, change);
      break;
    case 'upgrade':
      checkUpgrade(state, change, context);
      break;
    case 'cancelUpgrade':
      checkCancellation(state, change, context);
      break;
  }
}

/** What only those may propose whom it concerns. */
export function checkProposer(state: ContractState, change: Change, context: TransactionContext): void {
  if (change.kind === 'validators') validators.checkConsentOfMembers(state, change.changes, context);
  if (change.kind === 'rotateValidator') {
    const owner = validators.checkRotation(state, change, context);
    check(owner === context.sender, governanceErrors.validatorOfOther);
  }
}

/** Kinds that take effect at a height announced when they are executed; the others are in force at once. */
export function isAnnounced({ kind }: Change): boolean {
  return kind === 'validators' || kind === 'rotateValidator' || kind === 'upgrade';
}

/** Makes the change; gives the height at which it takes effect. `wanted` lies after this block. */
export function applyChange(
  state: ContractState,
  { change, by }: { change: Change; by: Did },
  wanted: number,
  context: TransactionContext,
): number {
  const { height } = context;
  switch (change.kind) {
    case 'admit':
      members.admit(state, change.member, change.class, context);
      members.announceMembership(state, change.member, context);
      return height;
    case 'remove':
      return members.remove(state, change, wanted, context) ?? height;
    case 'suspend':
      members.suspendByVote(state, change.member, by, context);
      return height;
    case 'reinstate':
      members.reinstate(state, change.member, context);
      return height;
    case 'validators':
      return validators.announceValidators(state, change.changes, wanted, context);
    case 'rotateValidator':
      return validators.announceRotation(state, change, wanted, context);
    case 'parameter':
      putParameter(state, change.name, change.value, context.blockTimeMs);
      return height;
    case 'votingRules':
      state.put(votingRulesKey(change.of), change.rules);
      return height;
    case 'ruleSet':
      adoptRuleSet(state, change, context.blockTimeMs);
      return height;
    case 'upgrade':
      state.call('kernel', 'scheduleVersion', [change.version, wanted]);
      return wanted;
    case 'cancelUpgrade':
      state.call('kernel', 'cancelVersion', null);
      return height;
  }
}

export function putParameter(state: ContractState, name: string, value: number, sinceMs: number): void {
  const entry: Parameter = { value, sinceMs };
  state.put(parameterKey(name), entry);
}

function checkParameter(state: ContractState, { name, value }: ChangeOf<'parameter'>): void {
  if (!isParameterName(name)) refuse(governanceErrors.parameterUnknown);
  const { min, max } = parameterDefinitions[name];
  check(value >= min && value <= max, governanceErrors.parameterOutOfBounds);
  check(value !== parameter(state, name), governanceErrors.nothingToChange);
}

function checkVotingRules(state: ContractState, { of, rules }: ChangeOf<'votingRules'>): void {
  check(areVotingRules(rules, false), governanceErrors.votingRulesOutOfBounds);
  const present = votingRules(state, of);
  check(
    votingRuleNames.some((name) => present[name] !== rules[name]),
    governanceErrors.nothingToChange,
  );
}

/** The published rule set that follows what is in force. */
function draftToAdopt(state: ContractState, { digest }: ChangeOf<'ruleSet'>): { document: RuleSetDocument; by: Did } {
  const by = state.get<Did>(draftKey(digest));
  const document = by && ruleSet(state, digest);
  if (!by || !document) refuse(governanceErrors.ruleSetUnknown);
  check(document.version === listCount(state, versionsPrefix, document.id) + 1, governanceErrors.ruleSetVersion);
  return { document, by };
}

function adoptRuleSet(state: ContractState, change: ChangeOf<'ruleSet'>, nowMs: number): void {
  const { document, by } = draftToAdopt(state, change);
  addVersion(state, document, change.digest, Math.max(change.effectiveMs, nowMs));
  state.remove(draftKey(change.digest));
  state.put(draftsKey(by), Math.max(0, (state.get<number>(draftsKey(by)) ?? 0) - 1));
}

export function addVersion(state: ContractState, document: RuleSetDocument, digest: string, effectiveMs: number): void {
  const { id, version, format } = document;
  const entry: RuleSetVersion = { digest, version, format, effectiveMs };
  const n = listAppend(state, versionsPrefix, id, entry);
  if (n === 0) listAppend(state, formatPrefix, formatSegment(format), id);
}

function checkUpgrade(state: ContractState, { version }: ChangeOf<'upgrade'>, { height }: TransactionContext): void {
  const isNext = version === applicationVersion(state, height) + 1;
  check(isNext && !pendingVersion(state, height), governanceErrors.versionUnfit);
}

function checkCancellation(
  state: ContractState,
  { version }: ChangeOf<'cancelUpgrade'>,
  { height }: TransactionContext,
): void {
  check(pendingVersion(state, height)?.version === version, governanceErrors.nothingAnnounced);
}
