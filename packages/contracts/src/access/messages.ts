import { type Static, Type } from 'typebox';
import { DidSchema, DigestSchema, Id128Schema, messageSchema, TimeMsSchema } from '../kernel/schemas.ts';

/** Bounded by the size of a transaction: an entry takes about 120 bytes of it. Governance may set less. */
export const entriesPerBatchMax = 5_000;
/** More than one only while patients are merged. */
export const directivesPerReleaseMax = 4;
const timeoutMsMax = 7_776_000_000;
const windowMsMax = 259_200_000;
const closed = { additionalProperties: false } as const;

/** Signed by the requester's organisation, or its practitioner. Says the same whoever is asked about. */
export const RequestSchema = messageSchema('access/request', {
  request: Id128Schema,
  custodian: DidSchema,
  patient: DidSchema,
  /** Salted commitment to the sealed request: who asks, for what, why. */
  commitment: DigestSchema,
  /** Shorter or longer than the governed time-out, up to the governed most. */
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1_000, maximum: timeoutMsMax })),
});
export type Request = Static<typeof RequestSchema>;

/** Signed by the patient, or by the holder of an authority. */
export const DecideSchema = messageSchema('access/decide', {
  request: Id128Schema,
  decision: Type.Union([Type.Literal('permit'), Type.Literal('deny')]),
  /** First millisecond at which a permit no longer holds; 0 for a denial. */
  untilMs: TimeMsSchema,
  /** Salted commitment to the sealed decision. */
  commitment: DigestSchema,
  /** A directive that goes beyond this request. */
  directive: Type.Optional(Id128Schema),
  hosted: Type.Boolean(),
  authority: Type.Optional(Id128Schema),
});
export type Decide = Static<typeof DecideSchema>;

const BasisSchema = Type.Union([
  Type.Object({ kind: Type.Literal('request'), request: Id128Schema }, closed),
  Type.Object(
    {
      kind: Type.Literal('directive'),
      directives: Type.Array(Id128Schema, { minItems: 1, maxItems: directivesPerReleaseMax }),
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('breakGlass'), glass: Id128Schema }, closed),
  /** Which rule stands in the sealed content; the rule set is public. */
  Type.Object({ kind: Type.Literal('rule'), ruleSet: DigestSchema }, closed),
  Type.Object({ kind: Type.Literal('authority'), authority: Id128Schema }, closed),
  Type.Object({ kind: Type.Literal('subject') }, closed),
]);
export type ReleaseBasis = Static<typeof BasisSchema>;

/** Signed by the custodian before data leaves. Takes one use of each counted directive that it names. */
export const ReleaseSchema = messageSchema('access/release', {
  release: Id128Schema,
  patient: DidSchema,
  basis: BasisSchema,
  /** Salted commitment to what is released, to whom, for what. */
  commitment: DigestSchema,
});
export type Release = Static<typeof ReleaseSchema>;

/** Signed by the custodian: routine accesses, each `[patient, commitment]`. */
export const AnchorBatchSchema = messageSchema('access/anchorBatch', {
  entries: Type.Array(Type.Tuple([DidSchema, DigestSchema]), { minItems: 1, maxItems: entriesPerBatchMax }),
});
export type AnchorBatch = Static<typeof AnchorBatchSchema>;

/** Signed by the custodian: accesses that went on while the ledger could not commit, with when they happened. */
export const LateAnchorSchema = messageSchema('access/lateAnchor', {
  entries: Type.Array(Type.Tuple([DidSchema, DigestSchema, TimeMsSchema]), {
    minItems: 1,
    maxItems: entriesPerBatchMax,
  }),
  /** Salted commitment to the reason. */
  reason: DigestSchema,
});
export type LateAnchor = Static<typeof LateAnchorSchema>;

/** Signed by the practitioner, or by the organisation that registered them. */
export const BreakGlassSchema = messageSchema('access/breakGlass', {
  glass: Id128Schema,
  custodian: DidSchema,
  patient: DidSchema,
  practitioner: DidSchema,
  /** Salted commitment to reason code and text. */
  reason: DigestSchema,
  windowMs: Type.Integer({ minimum: 1_000, maximum: windowMsMax }),
});
export type BreakGlass = Static<typeof BreakGlassSchema>;

/** Signed by the custodian's privacy officer. */
export const ReviewSchema = messageSchema('access/review', {
  glass: Id128Schema,
  outcome: Type.Union([Type.Literal('justified'), Type.Literal('unjustified')]),
  commitment: DigestSchema,
});
export type Review = Static<typeof ReviewSchema>;
