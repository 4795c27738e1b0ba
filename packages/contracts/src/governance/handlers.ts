import type { JsonValue } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { GenesisDocument } from '../kernel/genesis.ts';
import { listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { addVersion, putParameter } from './effects.ts';
import { governanceErrors } from './errors.ts';
import { admit } from './member-changes.ts';
import type { PublishRuleSet } from './messages.ts';
import { isParameterName, type ParameterName, parameterDefinitions } from './parameters.ts';
import { isActiveMember, parameter, ruleSet } from './queries.ts';
import { encodeRuleSet, parseRuleSet, ruleSetDigest } from './rule-sets.ts';
import {
  draftKey,
  draftsKey,
  memberKey,
  ruleSetKey,
  type SetEntry,
  type Validator,
  validatorKey,
  validatorSetKey,
  versionsPrefix,
  votingRulesKey,
} from './state.ts';
import {
  areVotingRules,
  changeKinds,
  initialVotingRules,
  isChangeKind,
  isVotingRule,
  type VotingRules,
} from './voting-rules.ts';

/** Members, validators, parameters and rule sets with which a chain begins; they change by votes. */
export function governanceGenesis(state: ContractState, document: GenesisDocument, context: TransactionContext): void {
  for (const { did, class: memberClass } of document.members) {
    check(state.get(memberKey(did)) === undefined, governanceErrors.memberExists);
    admit(state, did, memberClass, context);
  }
  foundingValidators(state, document, context);
  setParameters(state, document.parameters, context);
  setVotingRules(state, document.votingRules ?? {});
  for (const value of document.ruleSets) {
    const { document: valid, text } = encodeRuleSet(value);
    const isNext = valid.version === listCount(state, versionsPrefix, valid.id) + 1;
    check(isNext, governanceErrors.ruleSetVersion);
    const digest = ruleSetDigest(valid);
    state.put(ruleSetKey(digest), text);
    addVersion(state, valid, digest, context.blockTimeMs);
  }
}

/** As genesis says: the parameters bound what votes make of it. */
function foundingValidators(state: ContractState, document: GenesisDocument, context: TransactionContext): void {
  const set: SetEntry[] = [];
  for (const { publicKey, power, member } of document.validators) {
    check(state.get(memberKey(member)) !== undefined, governanceErrors.memberUnknown);
    check(state.get(validatorKey(publicKey)) === undefined, governanceErrors.validatorTwice);
    const validator: Validator = { member, power, addedMs: context.blockTimeMs, steps: [] };
    state.put(validatorKey(publicKey), validator);
    set.push({ publicKey, member, power });
  }
  state.put(
    validatorSetKey,
    set.sort((left, right) => (left.publicKey < right.publicKey ? -1 : 1)),
  );
}

/** Every parameter stands in state, so that the value that decided something can be proven. */
function setParameters(state: ContractState, chosen: GenesisDocument['parameters'], context: TransactionContext): void {
  for (const name of Object.keys(chosen)) check(isParameterName(name), governanceErrors.parameterUnknown);
  for (const name of Object.keys(parameterDefinitions) as ParameterName[]) {
    const { initial, min, max } = parameterDefinitions[name];
    const value = chosen[name] ?? initial;
    check(value >= min && value <= max, governanceErrors.parameterOutOfBounds);
    putParameter(state, name, value, context.blockTimeMs);
  }
}

function setVotingRules(state: ContractState, chosen: NonNullable<GenesisDocument['votingRules']>): void {
  for (const [kind, rules] of Object.entries(chosen)) {
    const isKnown = isChangeKind(kind) && Object.keys(rules).every(isVotingRule);
    check(isKnown, governanceErrors.votingRulesOutOfBounds);
  }
  for (const kind of changeKinds) {
    const rules: VotingRules = { ...initialVotingRules[kind], ...chosen[kind] };
    check(areVotingRules(rules, true), governanceErrors.votingRulesOutOfBounds);
    state.put(votingRulesKey(kind), rules);
  }
}

/** Makes a rule set readable before anybody votes on it; it is in force only when a vote adopted it. */
export function publishRuleSet(
  state: ContractState,
  { content }: PublishRuleSet,
  { sender, blockTimeMs }: TransactionContext,
): JsonValue {
  check(isActiveMember(state, sender, blockTimeMs), governanceErrors.memberNeeded);
  const digest = ruleSetDigest(parseRuleSet(content));
  if (ruleSet(state, digest)) refuse(governanceErrors.ruleSetExists);
  const drafts = state.get<number>(draftsKey(sender)) ?? 0;
  check(drafts < parameter(state, 'ruleSetDraftsPerMemberMax'), governanceErrors.draftsTooMany);
  state.put(ruleSetKey(digest), content);
  state.put(draftKey(digest), sender);
  state.put(draftsKey(sender), drafts + 1);
  state.emit('RuleSetPublished', { digest, participant: sender });
  return { digest };
}
