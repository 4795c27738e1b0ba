/**
 * A jurisdiction's policy as the decision reads it: a rule set of governance (`salus-policy/1`), under its content
 * address, which every decision that it decides names.
 */
import { jurisdictionUsa } from '../governance/packs/usa.ts';
import type { ActivePolicy } from '../governance/queries.ts';
import { type PolicyDocument, ruleSetDigest } from '../governance/rule-sets.ts';

export type Policy = Omit<PolicyDocument, 'format' | 'version'>;
export type PolicyRule = Policy['rules'][number];
export type ProtectedLabel = Policy['protectedLabels'][number];

/** A policy in force (governance, activePolicies) as a fact of a decision. */
export function policyFact({ digest, document }: ActivePolicy): Policy {
  const { format: _format, version: _version, ...policy } = document;
  return { ...policy, id: digest };
}

/** The federal law of the United States, as the chain publishes it at genesis. */
export const usaPolicy: Policy = policyFact({ digest: ruleSetDigest(jurisdictionUsa), document: jurisdictionUsa });
