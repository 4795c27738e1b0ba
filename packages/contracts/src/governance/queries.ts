import type { Did } from '@salus/protocol';
import type { MemberClass } from '../kernel/genesis.ts';
import { listCount, listEntries, listEntry } from '../kernel/lists.ts';
import type { StateReader } from '../kernel/types.ts';
import { type ParameterName, parameterDefinitions } from './parameters.ts';
import { isPolicy, type PolicyDocument, policyFormat, type RuleSetDocument } from './rule-sets.ts';
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
  versionsPrefix,
} from './state.ts';

export function member(reader: StateReader, did: Did): Member | undefined {
  return reader.get<Member>(memberKey(did));
}

export function memberClass(reader: StateReader, did: Did): MemberClass | undefined {
  return member(reader, did)?.class;
}

export function members(reader: StateReader): Did[] {
  return [...listEntries<Did>(reader, membersPrefix, allMembers)].map(([, did]) => did);
}

export function membersOfClass(reader: StateReader, wanted: MemberClass): Did[] {
  return [...listEntries<Did>(reader, classPrefix, wanted)].map(([, did]) => did);
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
