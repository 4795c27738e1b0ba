import { type Static, Type } from 'typebox';
import { check } from '../kernel/errors.ts';
import { DidSchema, DigestSchema, Id128Schema, messageSchema, TimeMsSchema } from '../kernel/schemas.ts';
import { consentErrors } from './errors.ts';

export const directivesPerRevocationMax = 32;
export const tokensPerMessageMax = 64;
export const usesMax = 1_000_000;

const Hosted = Type.Boolean();

/**
 * Signed by the patient, or by the holder of an authority. Says nothing of who, what and why; every member that could
 * tell one kind of directive from another is always there.
 */
export const GrantSchema = messageSchema('consent/grant', {
  /** Random. */
  directive: Id128Schema,
  patient: DidSchema,
  /** Salted commitment to the DirectiveContent (directive.ts), which its parties have sealed. */
  commitment: DigestSchema,
  /** Rounded up to whole steps; the exact end is sealed. */
  expiresMs: TimeMsSchema,
  /** 0: not counted. */
  uses: Type.Integer({ minimum: 0, maximum: usesMax }),
  /** The condition that ends the directive, blinded; random where there is none. */
  endToken: Id128Schema,
  /** The organisation that may end the condition; the patient's custodian where absent. */
  endIssuer: Type.Optional(DidSchema),
  /** Whether a hosted wallet signed. */
  hosted: Hosted,
  authority: Type.Optional(Id128Schema),
});
export type Grant = Static<typeof GrantSchema>;

/** Signed like a grant. Whether the other side is told stands in the sealed notice, so a quiet one looks the same. */
export const RevokeSchema = messageSchema('consent/revoke', {
  patient: DidSchema,
  directives: Type.Array(Id128Schema, { minItems: 1, maxItems: directivesPerRevocationMax }),
  /** Salted commitment to the sealed notice. */
  notice: DigestSchema,
  hosted: Hosted,
  authority: Type.Optional(Id128Schema),
});
export type Revoke = Static<typeof RevokeSchema>;

/** Signed by the organisation that issued the condition: the referral is closed, the encounter over. */
export const EndConditionSchema = messageSchema('consent/endCondition', {
  tokens: Type.Array(Id128Schema, { minItems: 1, maxItems: tokensPerMessageMax }),
});
export type EndCondition = Static<typeof EndConditionSchema>;

function checkDistinct(list: readonly string[]): void {
  check(new Set(list).size === list.length, consentErrors.sameTwice);
}

export function checkRevoke({ directives }: Revoke): void {
  checkDistinct(directives);
}

export function checkEndCondition({ tokens }: EndCondition): void {
  checkDistinct(tokens);
}
