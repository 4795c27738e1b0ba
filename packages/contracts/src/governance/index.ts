import { type Contract, defineMessage } from '../kernel/types.ts';
import { governanceErrors } from './errors.ts';
import { governanceGenesis, publishRuleSet } from './handlers.ts';
import { governanceInvariants } from './invariants.ts';
import * as messages from './messages.ts';
import * as proposals from './proposal-handlers.ts';
import { ratifySuspension, suspendInEmergency } from './suspension-handlers.ts';

const cost = 10;

export const governanceContract: Contract = {
  name: 'governance',
  number: 3,
  messages: {
    'governance/propose': defineMessage({
      schema: messages.ProposeSchema,
      cost,
      check: messages.checkPropose,
      handle: proposals.propose,
    }),
    'governance/vote': defineMessage({ schema: messages.VoteSchema, cost, handle: proposals.vote }),
    'governance/veto': defineMessage({ schema: messages.VetoSchema, cost, handle: proposals.veto }),
    'governance/withdraw': defineMessage({ schema: messages.WithdrawSchema, cost, handle: proposals.withdraw }),
    'governance/execute': defineMessage({ schema: messages.ExecuteSchema, cost, handle: proposals.execute }),
    'governance/suspendInEmergency': defineMessage({
      schema: messages.SuspendInEmergencySchema,
      cost,
      handle: suspendInEmergency,
    }),
    'governance/ratifySuspension': defineMessage({
      schema: messages.RatifySuspensionSchema,
      cost,
      handle: ratifySuspension,
    }),
    'governance/publishRuleSet': defineMessage({ schema: messages.PublishRuleSetSchema, cost, handle: publishRuleSet }),
  },
  reserved: messages.reservedMessages,
  errors: governanceErrors,
  invariants: governanceInvariants,
  genesis: governanceGenesis,
};

export type { Change, ValidatorChange } from './changes.ts';
export { isAnnounced } from './effects.ts';
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
export type {
  Ballot,
  Member,
  Parameter,
  Proposal,
  RuleSetVersion,
  SetEntry,
  Validator,
  ValidatorUpdate,
} from './state.ts';
export type { ClassTally, ProposalStatus, Standing, Tally, Voter } from './tally.ts';
export { announcedSet, signingValidators, validatorDelayBlocks, validatorUpdates } from './validators.ts';
export { type ChangeKind, changeKinds, type VotingRules } from './voting-rules.ts';
export { type KeyWarning, keyWarnings } from './warnings.ts';
