import {
  type Commitment,
  canonicalJson,
  commit,
  type Did,
  type JsonValue,
  utf8,
  verifyCommitment,
} from '@salus/protocol';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { CodeSchema, DidSchema, DigestSchema, TimeMsSchema } from '../kernel/schemas.ts';

/**
 * The sealed part of an authority: who may act for a patient, in what, from when until when. The ledger holds a
 * commitment to it only, because a kind ("court guardian") or a date (majority) says too much and links contexts.
 * Whoever must evaluate it (the gate, the holder's wallet) gets it sealed, compares it with the commitment, and asks
 * `authorityCovers`.
 */
export const authorityFormat = 'salus-authority/1';
export const authorityKinds = [
  'parent',
  'guardian',
  'carer',
  'powerOfAttorney',
  'executor',
  'surrogate',
  'advanceDirective',
] as const;
export type AuthorityKind = (typeof authorityKinds)[number];
export const scopeEntriesMax = 64;

const KindSchema = Type.Unsafe<AuthorityKind>(Type.Union(authorityKinds.map((kind) => Type.Literal(kind))));
const ActionSchema = Type.Union([
  Type.Literal('read'),
  Type.Literal('correct'),
  Type.Literal('share'),
  Type.Literal('compute'),
  Type.Literal('decide'),
  Type.Literal('grant'),
]);
export type AuthorityAction = Static<typeof ActionSchema>;

export const AuthorityContentSchema = Type.Object(
  {
    format: Type.Literal(authorityFormat),
    kind: KindSchema,
    patient: DidSchema,
    holder: DidSchema,
    scope: Type.Object(
      {
        actions: Type.Array(ActionSchema, { minItems: 1, maxItems: scopeEntriesMax }),
        /** Categories of records; absent for all. */
        categories: Type.Optional(Type.Array(CodeSchema, { maxItems: scopeEntriesMax })),
        /** Categories and labels that stay hidden from the holder (adolescent-confidential services). */
        excluded: Type.Optional(Type.Array(CodeSchema, { maxItems: scopeEntriesMax })),
      },
      { additionalProperties: false },
    ),
    fromMs: TimeMsSchema,
    untilMs: Type.Optional(TimeMsSchema),
    /** When the patient comes of age: a parent's authority ends then. */
    majorityMs: Type.Optional(TimeMsSchema),
    /** Commitment to the document that proves the authority (order, deed, certificate). */
    evidence: Type.Optional(DigestSchema),
  },
  { additionalProperties: false },
);
export type AuthorityContent = Static<typeof AuthorityContentSchema>;

const validator = Compile(AuthorityContentSchema);

function contentBytes(content: AuthorityContent): Uint8Array {
  return utf8(canonicalJson(content as unknown as JsonValue));
}

/** Commitment and salt for a content; the commitment goes into the message. */
export function commitAuthority(content: AuthorityContent): Commitment {
  return commit(contentBytes(content));
}

/** The content, when it is well-formed and the one committed to; undefined otherwise. */
export function openAuthority(content: unknown, commitment: Commitment): AuthorityContent | undefined {
  if (!validator.Check(content)) return undefined;
  return verifyCommitment(commitment, contentBytes(content)) ? content : undefined;
}

export type AuthorityUse = {
  patient: Did;
  holder: Did;
  action: AuthorityAction;
  /** The record's categories and labels; empty for what concerns no record. */
  categories: readonly string[];
  blockTimeMs: number;
  patientDeceased: boolean;
};

/** Kinds that begin, or go on, when the patient has died. */
function holdsAfterDeath(kind: AuthorityKind): boolean {
  return kind === 'executor';
}

function isInForce(content: AuthorityContent, blockTimeMs: number): boolean {
  if (blockTimeMs < content.fromMs) return false;
  if (content.untilMs !== undefined && blockTimeMs >= content.untilMs) return false;
  const endsAtMajority = content.kind === 'parent';
  return !(endsAtMajority && content.majorityMs !== undefined && blockTimeMs >= content.majorityMs);
}

/** Whether the authority allows this use at this block time. A parent without a date of majority has none. */
export function authorityCovers(content: AuthorityContent, use: AuthorityUse): boolean {
  if (content.patient !== use.patient || content.holder !== use.holder) return false;
  if (content.kind === 'parent' && content.majorityMs === undefined) return false;
  if (holdsAfterDeath(content.kind) !== use.patientDeceased) return false;
  if (!isInForce(content, use.blockTimeMs)) return false;
  const { actions, categories, excluded = [] } = content.scope;
  if (!actions.includes(use.action)) return false;
  if (use.categories.some((category) => excluded.includes(category))) return false;
  return (
    categories === undefined ||
    (use.categories.length > 0 && use.categories.some((category) => categories.includes(category)))
  );
}
