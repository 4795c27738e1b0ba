import type { JsonValue } from '@salus/protocol';
import { check, refuse } from '../kernel/errors.ts';
import type { GenesisDocument } from '../kernel/genesis.ts';
import { listAppend, listCount } from '../kernel/lists.ts';
import type { ContractState, TransactionContext } from '../kernel/types.ts';
import { governanceErrors } from './errors.ts';
import { isParameterName, type ParameterName, parameterDefinitions } from './parameters.ts';
import { encodeRuleSet, ruleSetDigest } from './rule-sets.ts';
import {
  allMembers,
  classPrefix,
  formatPrefix,
  formatSegment,
  type Member,
  memberKey,
  membersPrefix,
  type Parameter,
  parameterKey,
  type RuleSetVersion,
  ruleSetKey,
  type Validator,
  validatorKey,
  versionsPrefix,
} from './state.ts';

/** Members, validators, parameters and rule sets with which a chain begins; they change by votes. */
export function governanceGenesis(state: ContractState, document: GenesisDocument, context: TransactionContext): void {
  admitFounders(state, document, context);
  for (const { publicKey, power, member } of document.validators) {
    check(state.get(memberKey(member)) !== undefined, governanceErrors.memberUnknown);
    const validator: Validator = { power, member };
    state.put(validatorKey(publicKey), validator);
  }
  setParameters(state, document.parameters, context);
  for (const ruleSet of document.ruleSets) publishRuleSet(state, ruleSet, context.blockTimeMs);
}

function admitFounders(state: ContractState, { members }: GenesisDocument, context: TransactionContext): void {
  for (const { did, class: memberClass } of members) {
    check(state.get(memberKey(did)) === undefined, governanceErrors.memberExists);
    const { blockTimeMs: admittedMs, height: admittedHeight } = context;
    const member: Member = { class: memberClass, status: 'active', admittedMs, admittedHeight };
    state.put(memberKey(did), member);
    listAppend(state, membersPrefix, allMembers, did);
    listAppend(state, classPrefix, memberClass, did);
  }
}

/** Every parameter stands in state, so that the value that decided something can be proven. */
function setParameters(state: ContractState, chosen: GenesisDocument['parameters'], context: TransactionContext): void {
  for (const name of Object.keys(chosen)) check(isParameterName(name), governanceErrors.parameterUnknown);
  for (const name of Object.keys(parameterDefinitions) as ParameterName[]) {
    const { initial, min, max } = parameterDefinitions[name];
    const value = chosen[name] ?? initial;
    check(value >= min && value <= max, governanceErrors.parameterOutOfBounds);
    const parameter: Parameter = { value, sinceMs: context.blockTimeMs };
    state.put(parameterKey(name), parameter);
  }
}

function publishRuleSet(state: ContractState, value: JsonValue, effectiveMs: number): void {
  const { document, text } = encodeRuleSet(value);
  const { id, version, format } = document;
  const count = listCount(state, versionsPrefix, id);
  if (version !== count + 1) refuse(governanceErrors.ruleSetVersion);
  const digest = ruleSetDigest(document);
  state.put(ruleSetKey(digest), text);
  const entry: RuleSetVersion = { digest, version, format, effectiveMs };
  listAppend(state, versionsPrefix, id, entry);
  if (count === 0) listAppend(state, formatPrefix, formatSegment(format), id);
}
