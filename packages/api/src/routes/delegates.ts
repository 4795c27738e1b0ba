import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Slug, TransactionResult } from '../schemas.ts';

const tags = ['delegates'];
const bySlug = Type.Object({ slug: Slug });
const Code = Type.String({
  pattern: '^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$',
  description: 'one-time code, XXXX-XXXX-XXXX-XXXX',
});
const TimeMs = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });

/** People who act for patients: carers, parents, guardians. */
export const delegateRoutes = {
  createDelegateCode: route({
    id: 'createDelegateCode',
    method: 'POST',
    path: '/org/{slug}/delegate-codes',
    summary: 'Give somebody who acts for a patient, and whose identity was checked, a code to register a wallet with',
    tags,
    auth: 'member',
    params: bySlug,
    responses: {
      201: { description: 'valid once, until it expires', schema: Type.Object({ code: Code, expiresMs: TimeMs }) },
    },
  }),
  openDelegate: route({
    id: 'openDelegate',
    method: 'POST',
    path: '/org/{slug}/delegates/open',
    summary: 'What a wallet has to know to register its holder as a delegate (identity/registerDelegate)',
    tags,
    auth: 'none',
    params: bySlug,
    body: Type.Object({ code: Code }, { additionalProperties: false }),
    responses: {
      200: {
        description: 'the chain and the organisation',
        schema: Type.Object({
          chain: Type.String(),
          custodian: Type.Object({ did: Did, slug: Slug, name: Type.String(), sealingKey: Type.String() }),
        }),
      },
    },
  }),
  registerDelegate: route({
    id: 'registerDelegate',
    method: 'POST',
    path: '/org/{slug}/delegates',
    summary: 'Have the wallet’s signed identity/registerDelegate countersigned by the organisation and committed',
    description:
      'It permits nothing yet: patients, courts and custodians give authorities to the DID that it registers.',
    tags,
    auth: 'none',
    params: bySlug,
    body: Type.Object(
      { code: Code, transaction: Type.String({ maxLength: 65_536, description: 'the signed transaction (JWS JSON)' }) },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'committed', schema: TransactionResult } },
  }),
  delegation: route({
    id: 'delegation',
    method: 'GET',
    path: '/org/{slug}/wallet/delegation',
    summary: 'What the holder of this wallet may do here for a patient, and the requests that they may answer',
    description:
      'Authorities in force only. For somebody who holds none, and for a patient who does not exist, nothing. What a ' +
      'request says comes from the custodian, to whom it was sealed.',
    tags,
    auth: 'wallet',
    params: bySlug,
    query: Type.Object({ patient: Did }, { additionalProperties: false }),
    responses: {
      200: {
        description:
          'authorities, the patient’s FHIR id where one includes reading, requests where one includes deciding',
        schema: Type.Object({
          authorities: Type.Array(
            Type.Object({ id: Type.String(), content: Type.Unknown({ description: 'salus-authority/1' }) }),
          ),
          fhirId: Type.Optional(Type.String()),
          requests: Type.Array(
            Type.Object({
              id: Type.String(),
              status: Type.String({ description: 'pending, permitted, denied or timed-out' }),
              expiresMs: TimeMs,
              content: Type.Unknown({ description: 'salus-request/1' }),
            }),
          ),
        }),
      },
    },
  }),
};
