import type { Did } from '@salus/protocol';
import { listProblems } from '../kernel/lists.ts';
import type { IterableReader } from '../kernel/types.ts';
import { isParameterName, parameterDefinitions } from './parameters.ts';
import { members, membersOfClass, ruleSet } from './queries.ts';
import { ruleSetDigest } from './rule-sets.ts';
import {
  classPrefix,
  formatPrefix,
  type Member,
  memberKey,
  membersPrefix,
  type Parameter,
  type RuleSetVersion,
  type Validator,
  versionsPrefix,
} from './state.ts';

const memberPrefix = 'governance/member/';
const parameterPrefix = 'governance/parameter/';

function memberProblems(reader: IterableReader): string[] {
  const listed = new Set(members(reader));
  const problems: string[] = [];
  for (const [key, member] of reader.iterate<Member>(memberPrefix)) {
    const did = key.slice(memberPrefix.length) as Did;
    if (!listed.has(did)) problems.push(`${did} is a member that is not listed`);
    if (!membersOfClass(reader, member.class).includes(did)) problems.push(`${did} is not listed in its class`);
  }
  for (const did of listed) if (!reader.get(memberKey(did))) problems.push(`${did} is listed but no member`);
  for (const [key, validator] of reader.iterate<Validator>('governance/validator/')) {
    if (!listed.has(validator.member)) problems.push(`${key} belongs to no member`);
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
  return problems;
}

/** Lists are whole, members have one class, parameters are within bounds, rule sets are what their digest says. */
export function governanceInvariants(reader: IterableReader): string[] {
  const lists = [membersPrefix, classPrefix, versionsPrefix, formatPrefix];
  return [
    ...lists.flatMap((prefix) => listProblems(reader, prefix)),
    ...memberProblems(reader),
    ...parameterProblems(reader),
    ...ruleSetProblems(reader),
  ];
}
