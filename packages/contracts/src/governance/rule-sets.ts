import { canonicalJson, type JsonValue, parseJsonStrict, sha256, toBase64url, utf8 } from '@salus/protocol';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { check, refuse } from '../kernel/errors.ts';
import { CodeSchema, codeLengthMax } from '../kernel/schemas.ts';
import { governanceErrors } from './errors.ts';

export const ruleSetBytesMax = 256 * 1024;
const ruleSetDepthMax = 32;
export const policyFormat = 'salus-policy/1';
const listLengthMax = 100;
const textLengthMax = 600;

/** What every rule set has; the rest belongs to its format. */
export type RuleSetDocument = { format: string; id: string; version: number } & { [member: string]: JsonValue };

const closed = { additionalProperties: false } as const;
const CodesSchema = Type.Array(CodeSchema, { maxItems: listLengthMax });
const TextSchema = Type.String({ minLength: 1, maxLength: textLengthMax });
const CitationSchema = Type.String({ minLength: 1, maxLength: 120 });
const RuleIdSchema = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,59}$', maxLength: 60 });
const ActionsSchema = Type.Array(
  Type.Union([Type.Literal('read'), Type.Literal('correct'), Type.Literal('share'), Type.Literal('compute')]),
  { minItems: 1, maxItems: 4 },
);

const PolicyRuleSchema = Type.Object(
  {
    id: RuleIdSchema,
    effect: Type.Literal('permit'),
    /** The clause of law. */
    citation: CitationSchema,
    /** The rule in words that a patient understands. */
    text: TextSchema,
    /** `custodian`: the requester's organisation holds the entry itself. */
    relation: Type.Union([Type.Literal('custodian'), Type.Literal('any')]),
    /** Classes or roles of the requester's organisation; absent for any. */
    classes: Type.Optional(CodesSchema),
    /** Roles of the person, of which one is needed; absent for any. */
    roles: Type.Optional(CodesSchema),
    /** HL7 v3 PurposeOfUse. */
    purposes: CodesSchema,
    actions: ActionsSchema,
    /** The request states one of these legal bases. */
    legalBases: Type.Optional(CodesSchema),
    categories: Type.Optional(CodesSchema),
    /** Required by law: a patient's denial does not bind. */
    overridesDirectives: Type.Optional(Type.Boolean()),
  },
  closed,
);

const ProtectedLabelSchema = Type.Object(
  {
    label: CodeSchema,
    citation: CitationSchema,
    text: TextSchema,
    reason: Type.Union([
      Type.Literal('specific-consent-required'),
      Type.Literal('confidential-service'),
      Type.Literal('self-pay-restriction'),
    ]),
    /** Against whom the protection stands. */
    against: Type.Union([Type.Literal('everyone'), Type.Literal('payers'), Type.Literal('parents')]),
    /** The custodian's own staff is free for these purposes. */
    custodianPurposes: Type.Optional(CodesSchema),
    authorFree: Type.Optional(Type.Boolean()),
    liftedByBreakGlass: Type.Optional(Type.Boolean()),
    liftedByLaw: Type.Optional(Type.Boolean()),
  },
  closed,
);

/**
 * A jurisdiction's policy: what holds where no directive of the patient speaks, and what a general directive cannot
 * open. Rules are read in order and the first that applies decides; where none applies access is denied.
 */
export const PolicyDocumentSchema = Type.Object(
  {
    format: Type.Literal(policyFormat),
    id: RuleIdSchema,
    version: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    jurisdiction: Type.String({ pattern: '^[A-Z]{2}(?:-[A-Z0-9]{1,3})?$', maxLength: 6 }),
    rules: Type.Array(PolicyRuleSchema, { maxItems: listLengthMax }),
    protectedLabels: Type.Array(ProtectedLabelSchema, { maxItems: listLengthMax }),
    /** Labels that the patient's own right of access does not reach. */
    subjectExcludedLabels: CodesSchema,
    subjectCitation: CitationSchema,
    breakGlassRoles: CodesSchema,
    breakGlassPurposes: CodesSchema,
    breakGlassCitation: CitationSchema,
    /** Purposes for which asking the patient is an open road. */
    requestPurposes: CodesSchema,
    /** Authorities given by law, which a denial by the patient does not shut out. */
    authoritiesAboveDirectives: CodesSchema,
    authorityCitation: CitationSchema,
  },
  closed,
);
export type PolicyDocument = Static<typeof PolicyDocumentSchema>;

const policyValidator = Compile(PolicyDocumentSchema);

export function isPolicy(document: unknown): document is PolicyDocument {
  return policyValidator.Check(document);
}

const RULE_SET_ID = /^[a-z0-9][a-z0-9-]{0,59}$/;

/** The rule set as canonical JSON (RFC 8785); refuses what is none. */
export function encodeRuleSet(document: JsonValue): { document: RuleSetDocument; text: string } {
  const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
  check(isObject, governanceErrors.ruleSetMalformed);
  const { format, id, version } = document as { [member: string]: JsonValue };
  const isNamed = typeof format === 'string' && typeof id === 'string' && typeof version === 'number';
  check(isNamed && format.length <= codeLengthMax && RULE_SET_ID.test(id), governanceErrors.ruleSetMalformed);
  check(Number.isSafeInteger(version) && version >= 1, governanceErrors.ruleSetMalformed);
  if (format === policyFormat) check(isPolicy(document), governanceErrors.policyMalformed);
  const text = canonicalJson(document);
  check(utf8(text).length <= ruleSetBytesMax, governanceErrors.ruleSetMalformed);
  return { document: document as RuleSetDocument, text };
}

/** A rule set from its canonical JSON: any other text of the same document is refused, because its digest differs. */
export function parseRuleSet(content: string): JsonValue {
  let value: JsonValue;
  try {
    value = parseJsonStrict(utf8(content), { bytesMax: ruleSetBytesMax, depthMax: ruleSetDepthMax });
  } catch {
    refuse(governanceErrors.ruleSetMalformed);
  }
  check(encodeRuleSet(value).text === content, governanceErrors.ruleSetMalformed);
  return value;
}

/** The rule set's content address: SHA-256 of its canonical JSON. Decisions name it. */
export function ruleSetDigest(document: JsonValue): string {
  return toBase64url(sha256(utf8(canonicalJson(document))));
}
