import type { Contract } from '../kernel/types.ts';
import { governanceErrors } from './errors.ts';
import { governanceGenesis } from './handlers.ts';
import { governanceInvariants } from './invariants.ts';
import { reservedMessages } from './messages.ts';

export const governanceContract: Contract = {
  name: 'governance',
  number: 3,
  messages: {},
  reserved: reservedMessages,
  errors: governanceErrors,
  invariants: governanceInvariants,
  genesis: governanceGenesis,
};

export * from './errors.ts';
export * from './packs/usa.ts';
export * from './parameters.ts';
export * from './queries.ts';
export {
  encodeRuleSet,
  isPolicy,
  type PolicyDocument,
  PolicyDocumentSchema,
  policyFormat,
  type RuleSetDocument,
  ruleSetBytesMax,
  ruleSetDigest,
} from './rule-sets.ts';
export type { Member, Parameter, RuleSetVersion, Validator } from './state.ts';
