import { type Static, Type } from 'typebox';
import { check } from '../kernel/errors.ts';
import { DidSchema, DigestSchema, Id128Schema, messageSchema } from '../kernel/schemas.ts';
import { recordsErrors } from './errors.ts';

/** Bounded by the size of a transaction: an entry takes about 250 bytes of it. */
export const recordsPerAnchorMax = 2_000;
export const approversMax = 32;
export const versionsPerRecordMax = 100_000;
export const recordsPerErasureMax = 500;
const kidCharsMax = 54;

const VersionSchema = Type.Integer({ minimum: 1, maximum: versionsPerRecordMax });
/** `DID#name`: the key with which the author signed the content, where there is one. */
const KidSchema = Type.String({ pattern: '^did:salus:[A-Za-z0-9_-]{27}#[a-z0-9-]{1,16}$', maxLength: kidCharsMax });

const contentMembers = {
  /** Salted commitment to the version's content. */
  commitment: DigestSchema,
  /** Salted commitment to the original message that it came from. */
  source: Type.Optional(DigestSchema),
  author: Type.Optional(KidSchema),
};

const EntrySchema = Type.Object(
  { record: Id128Schema, version: VersionSchema, patient: DidSchema, ...contentMembers },
  { additionalProperties: false },
);
export type AnchorEntry = Static<typeof EntrySchema>;

/** Signed by the custodian. Each entry becomes current at once. */
export const AnchorSchema = messageSchema('records/anchor', {
  entries: Type.Array(EntrySchema, { minItems: 1, maxItems: recordsPerAnchorMax }),
});
export type Anchor = Static<typeof AnchorSchema>;

const PolicySchema = Type.Object(
  {
    kind: Type.Union([Type.Literal('authorAndPatient'), Type.Literal('reviewers'), Type.Literal('careTeam')]),
    approvers: Type.Array(DidSchema, { minItems: 1, maxItems: approversMax }),
    /** How many approvers make a version current. */
    needed: Type.Integer({ minimum: 1, maximum: approversMax }),
  },
  { additionalProperties: false },
);
export type ChangePolicy = Static<typeof PolicySchema>;

/** Signed by the custodian, and by enough approvers of the policy that it replaces. */
export const SetPolicySchema = messageSchema('records/setPolicy', { record: Id128Schema, policy: PolicySchema });
export type SetPolicy = Static<typeof SetPolicySchema>;

/** Signed by the custodian, one of its practitioners, an approver, or the patient. */
export const ProposeSchema = messageSchema('records/propose', {
  record: Id128Schema,
  version: VersionSchema,
  ...contentMembers,
  authority: Type.Optional(Id128Schema),
});
export type Propose = Static<typeof ProposeSchema>;

const voteMembers = { record: Id128Schema, version: VersionSchema, authority: Type.Optional(Id128Schema) };
/** Signed by an approver; one who holds an authority for an approving patient names it. */
export const ValidateSchema = messageSchema('records/validate', voteMembers);
export type Validate = Static<typeof ValidateSchema>;
/** `reason` is a salted commitment. */
export const RejectSchema = messageSchema('records/reject', { ...voteMembers, reason: DigestSchema });
export type Reject = Static<typeof RejectSchema>;
/** Signed by the patient or the custodian; the version stays, marked as disputed. */
export const DisputeSchema = messageSchema('records/dispute', { ...voteMembers, statement: DigestSchema });
export type Dispute = Static<typeof DisputeSchema>;

/** Signed by the patient: a statement that stays beside the record. */
export const AnnotateSchema = messageSchema('records/annotate', {
  record: Id128Schema,
  commitment: DigestSchema,
  authority: Type.Optional(Id128Schema),
});
export type Annotate = Static<typeof AnnotateSchema>;

/** Signed by the custodian: processing is limited to storage (GDPR Art. 18, legal hold), or free again. */
export const RestrictSchema = messageSchema('records/restrict', {
  record: Id128Schema,
  restricted: Type.Boolean(),
  reason: DigestSchema,
});
export type Restrict = Static<typeof RestrictSchema>;

/** Signed by the custodian after the keys were destroyed; `certificate` is a commitment to what was erased and left. */
export const EraseSchema = messageSchema('records/erase', {
  records: Type.Array(Id128Schema, { minItems: 1, maxItems: recordsPerErasureMax }),
  certificate: DigestSchema,
});
export type Erase = Static<typeof EraseSchema>;

export function checkDistinct(ids: readonly string[]): void {
  check(new Set(ids).size === ids.length, recordsErrors.sameTwice);
}

export function checkAnchor({ entries }: Anchor): void {
  checkDistinct(entries.map(({ record }) => record));
}

export function checkErase({ records }: Erase): void {
  checkDistinct(records);
}

export function checkPolicy({ policy }: SetPolicy): void {
  const { kind, approvers, needed } = policy;
  const count = approvers.length;
  const fits = {
    authorAndPatient: count === 2 && needed === 2,
    reviewers: needed <= count,
    careTeam: needed === Math.floor(count / 2) + 1,
  };
  check(fits[kind] && new Set(approvers).size === count, recordsErrors.policyUnfit);
}
