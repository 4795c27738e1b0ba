import { type Static, Type } from 'typebox';
import { check } from '../kernel/errors.ts';
import { CountSchema, DidSchema, DigestSchema, messageSchema } from '../kernel/schemas.ts';
import { ChangeSchema } from './changes.ts';
import { governanceErrors } from './errors.ts';
import { ruleSetBytesMax } from './rule-sets.ts';

const ProposalSchema = { proposal: CountSchema, digest: DigestSchema };

export const ProposeSchema = messageSchema('governance/propose', {
  change: ChangeSchema,
  /** Digest of the document that explains it, published elsewhere. */
  reason: DigestSchema,
  /** Takes effect no sooner than this block. */
  activationHeight: CountSchema,
});
export type Propose = Static<typeof ProposeSchema>;

/** `digest` is the one that the proposal got: a vote is for what its voter read, whatever the number stands for. */
export const VoteSchema = messageSchema('governance/vote', {
  ...ProposalSchema,
  choice: Type.Union([Type.Literal('yes'), Type.Literal('no'), Type.Literal('abstain')]),
});
export type Vote = Static<typeof VoteSchema>;

export const VetoSchema = messageSchema('governance/veto', { ...ProposalSchema, reason: DigestSchema });
export type Veto = Static<typeof VetoSchema>;

export const WithdrawSchema = messageSchema('governance/withdraw', ProposalSchema);
export type Withdraw = Static<typeof WithdrawSchema>;

export const ExecuteSchema = messageSchema('governance/execute', ProposalSchema);
export type Execute = Static<typeof ExecuteSchema>;

export const SuspendInEmergencySchema = messageSchema('governance/suspendInEmergency', {
  member: DidSchema,
  reason: DigestSchema,
});
export type SuspendInEmergency = Static<typeof SuspendInEmergencySchema>;

export const RatifySuspensionSchema = messageSchema('governance/ratifySuspension', {
  member: DidSchema,
  reason: DigestSchema,
});
export type RatifySuspension = Static<typeof RatifySuspensionSchema>;

export const PublishRuleSetSchema = messageSchema('governance/publishRuleSet', {
  /** Canonical JSON (RFC 8785). */
  content: Type.String({ minLength: 2, maxLength: ruleSetBytesMax }),
});
export type PublishRuleSet = Static<typeof PublishRuleSetSchema>;

export function checkPropose({ change }: Propose): void {
  if (change.kind === 'validators') {
    const keys = change.changes.map(({ publicKey }) => publicKey);
    check(new Set(keys).size === keys.length, governanceErrors.validatorTwice);
  }
  if (change.kind === 'rotateValidator') check(change.validator !== change.publicKey, governanceErrors.validatorTwice);
}

/** Kept for contracts that organisations supply. */
export const reservedMessages = ['governance/uploadContract'] as const;
