/**
 * The content of a directive: what a patient (or who lawfully acts for them) decided. It is sealed to its parties and
 * never stands on the ledger, which holds only its random id and a salted commitment. Terms follow FHIR Consent R4 and
 * HL7 v3 PurposeOfUse.
 */
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';

export const DIRECTIVE_FORMAT = 'salus-directive/1';
export const directiveListMax = 64;
const codeCharsMax = 64;
const idCharsMax = 64;
const directiveTextCharsMax = 8_192;
const directiveUsesMax = 1_000_000;
const timeMsMax = 8_640_000_000_000_000;

const id = Type.String({ minLength: 1, maxLength: idCharsMax });
const did = Type.String({ pattern: '^did:salus:[A-Za-z0-9_-]{27}$' });
const code = Type.String({ minLength: 1, maxLength: codeCharsMax, pattern: '^[A-Za-z0-9_.:-]+$' });
const codes = Type.Array(code, { maxItems: directiveListMax });
const timeMs = Type.Integer({ minimum: 0, maximum: timeMsMax });
const strict = { additionalProperties: false };

/** The sets a directive may name; several of them together mean their union. */
const selection = {
  categories: Type.Optional(codes),
  labels: Type.Optional(codes),
  records: Type.Optional(Type.Array(id, { maxItems: directiveListMax })),
};

export const whatSchema = Type.Object(
  {
    all: Type.Optional(Type.Boolean()),
    ...selection,
    except: Type.Optional(Type.Object(selection, strict)),
    /** Clinical time of the entries, both ends included. */
    period: Type.Optional(Type.Object({ fromMs: Type.Optional(timeMs), untilMs: Type.Optional(timeMs) }, strict)),
  },
  strict,
);

const granteeSchema = Type.Union([
  Type.Object({ kind: Type.Literal('person'), id: did }, strict),
  /** A role anywhere, or within one organisation. */
  Type.Object({ kind: Type.Literal('role'), id: code, within: Type.Optional(did) }, strict),
  Type.Object({ kind: Type.Literal('organization'), id: did }, strict),
  Type.Object({ kind: Type.Literal('careTeam') }, strict),
  Type.Object({ kind: Type.Literal('anyone') }, strict),
]);

export const actionSchema = Type.Union([
  Type.Literal('read'),
  Type.Literal('correct'),
  Type.Literal('share'),
  Type.Literal('compute'),
]);
const obligationSchema = Type.Union([
  Type.Literal('notify'),
  Type.Literal('noRedisclosure'),
  Type.Literal('deidentifiedOnly'),
]);
const conditionSchema = Type.Object(
  {
    kind: Type.Union([
      Type.Literal('referral'),
      Type.Literal('encounter'),
      Type.Literal('prescription'),
      Type.Literal('enrolment'),
    ]),
    id,
  },
  strict,
);

export const directiveContentSchema = Type.Object(
  {
    format: Type.Literal(DIRECTIVE_FORMAT),
    id,
    patient: did,
    custodian: did,
    effect: Type.Union([Type.Literal('permit'), Type.Literal('deny')]),
    grantees: Type.Array(granteeSchema, { minItems: 1, maxItems: directiveListMax }),
    what: whatSchema,
    /** HL7 v3 PurposeOfUse codes. A permit names every purpose that it allows; a denial without one covers all. */
    purposes: codes,
    /** A permit names every action that it allows; a denial without one covers all. */
    actions: Type.Array(actionSchema, { maxItems: 4 }),
    fromMs: Type.Optional(timeMs),
    /** First millisecond at which the directive no longer applies. */
    untilMs: Type.Optional(timeMs),
    usesMax: Type.Optional(Type.Integer({ minimum: 1, maximum: directiveUsesMax })),
    condition: Type.Optional(conditionSchema),
    obligations: Type.Optional(Type.Array(obligationSchema, { maxItems: 3 })),
    /** The patient, or the id of the authority under which somebody else gave it. */
    issuer: id,
    /** The words that were shown and signed, their language (BCP 47) and reading level (school grade). */
    text: Type.Optional(Type.String({ maxLength: directiveTextCharsMax })),
    language: Type.Optional(Type.String({ maxLength: codeCharsMax })),
    readingLevel: Type.Optional(Type.Integer({ minimum: 1, maximum: 20 })),
  },
  strict,
);

export type DirectiveContent = Static<typeof directiveContentSchema>;
export type Grantee = Static<typeof granteeSchema>;
export type What = Static<typeof whatSchema>;
export type Action = Static<typeof actionSchema>;
export type Obligation = Static<typeof obligationSchema>;
export type Condition = Static<typeof conditionSchema>;

const compiled = Compile(directiveContentSchema);

/** Whether a value (parsed JSON) has the shape of a directive. */
export function isDirectiveContent(value: unknown): value is DirectiveContent {
  return compiled.Check(value);
}

/**
 * What is wrong with a directive beyond its shape, in words for the person who writes it; empty when it is fit to be
 * signed. A permit that leaves purposes, actions or its extent open would say yes to what nobody thought of.
 */
export function directiveProblems(content: DirectiveContent): string[] {
  const { what, fromMs = 0, untilMs } = content;
  const problems: string[] = [];
  const named = [what.categories, what.labels, what.records].some((list) => (list?.length ?? 0) > 0);
  if (!what.all && !named) problems.push('Say which entries are meant: all, categories, labels or single records.');
  if (untilMs !== undefined && untilMs <= fromMs) problems.push('The end lies before the beginning.');
  if (content.effect === 'permit' && content.purposes.length === 0) problems.push('Name at least one purpose.');
  if (content.effect === 'permit' && content.actions.length === 0) problems.push('Name at least one action.');
  if (content.effect === 'deny' && content.usesMax !== undefined) problems.push('A denial has no number of uses.');
  return problems;
}
