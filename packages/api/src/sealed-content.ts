import type { consent } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { What } from './routes/access.ts';
import { Did as DidSchema } from './schemas.ts';

/** What a sealed payload belongs to; authenticated by its encryption, so that none can be passed off as another. */
export function sealedContext(chain: string, type: string, id: string): string {
  return `${chain} ${type} ${id}`;
}

export const sealedRequestFormat = 'salus-request/1';
const Code = Type.String({ maxLength: 64 });
const closed = { additionalProperties: false };

/** A request as the patient and the custodian read it; the ledger has its salted commitment. */
export const SealedRequestSchema = Type.Object(
  {
    format: Type.Literal(sealedRequestFormat),
    id: Code,
    custodian: DidSchema,
    patient: DidSchema,
    organization: DidSchema,
    organizationName: Type.String({ maxLength: 200 }),
    person: DidSchema,
    roles: Type.Array(Code, { maxItems: 16 }),
    purpose: Code,
    actions: Type.Array(Type.Union([Type.Literal('read'), Type.Literal('correct')]), { minItems: 1, maxItems: 2 }),
    what: What,
    note: Type.Optional(Type.String({ maxLength: 2_000 })),
  },
  closed,
);
export type SealedRequest = Omit<
  Static<typeof SealedRequestSchema>,
  'custodian' | 'patient' | 'organization' | 'person' | 'what'
> & { custodian: Did; patient: Did; organization: Did; person: Did; what: consent.What };

const compiled = Compile(SealedRequestSchema);

export function isSealedRequest(value: unknown): value is SealedRequest {
  return compiled.Check(value);
}
