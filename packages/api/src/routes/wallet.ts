import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Hash, Slug, TransactionResult } from '../schemas.ts';

/** Largest sealed payload (the vault's size classes, base64, and room for its entries). */
export const sealedBytesMax = 6 * 1024 * 1024;
const bySlug = Type.Object({ slug: Slug });
const Code = Type.String({
  pattern: '^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$',
  description: 'one-time code, XXXX-XXXX-XXXX-XXXX',
});
const FhirId = Type.String({ pattern: '^[A-Za-z0-9.-]{1,64}$' });
const TimeMs = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
const Custodian = Type.Object({
  did: Did,
  slug: Slug,
  name: Type.String(),
  sealingKey: Type.String({ description: 'name of its key for sealed payloads: identity/key/DID/NAME proves it' }),
});
const Commitment = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });

export const walletRoutes = {
  createLinkingCode: route({
    id: 'createLinkingCode',
    method: 'POST',
    path: '/org/{slug}/linking-codes',
    summary: 'Give a patient, whose identity was checked, a code to link a wallet with',
    tags: ['wallets'],
    auth: 'member',
    params: bySlug,
    body: Type.Object({ patient: FhirId }, { additionalProperties: false }),
    bodyExample: { patient: 'a1b2' },
    responses: {
      201: {
        description: 'valid once, until it expires',
        schema: Type.Object({ code: Code, expiresMs: TimeMs, patient: Did }),
      },
    },
  }),
  openLink: route({
    id: 'openLink',
    method: 'POST',
    path: '/org/{slug}/links',
    summary: 'What a wallet has to sign to be linked (identity/bindPatient)',
    tags: ['wallets'],
    auth: 'none',
    params: bySlug,
    body: Type.Object({ code: Code }, { additionalProperties: false }),
    bodyExample: { code: 'ABCD-EFGH-IJKL-MNOP' },
    responses: {
      200: {
        description: 'the chain, the custodian, and the pseudonym that the patient has there',
        schema: Type.Object({ chain: Type.String(), custodian: Custodian, patient: Did }),
      },
    },
  }),
  confirmLink: route({
    id: 'confirmLink',
    method: 'POST',
    path: '/org/{slug}/links/confirm',
    summary: 'Have the wallet’s signed identity/bindPatient countersigned by the custodian and committed',
    tags: ['wallets'],
    auth: 'none',
    params: bySlug,
    body: Type.Object(
      { code: Code, transaction: Type.String({ maxLength: 65_536, description: 'the signed transaction (JWS JSON)' }) },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'committed', schema: TransactionResult } },
  }),
  putSealed: route({
    id: 'putSealed',
    method: 'POST',
    path: '/api/sealed',
    summary: 'Leave a sealed payload for its parties (salus-sealed/1)',
    description: 'Found again by its commitment, which stands on the ledger. The node cannot read it.',
    tags: ['sealed payloads'],
    auth: 'member-or-wallet',
    rawBody: { types: ['application/json'], bytesMax: sealedBytesMax, description: 'the envelope' },
    responses: { 201: { description: 'kept durably', schema: Type.Object({ commitment: Commitment, address: Hash }) } },
  }),
  getSealed: route({
    id: 'getSealed',
    method: 'GET',
    path: '/api/sealed/{commitment}',
    summary: 'Sealed payloads with a commitment: usually one; whoever can open one checks its content',
    tags: ['sealed payloads'],
    auth: 'member-or-wallet',
    params: Type.Object({ commitment: Commitment }),
    responses: {
      200: { description: 'envelopes', schema: Type.Object({ envelopes: Type.Array(Type.Unknown()) }) },
    },
  }),
  walletRequests: route({
    id: 'walletRequests',
    method: 'GET',
    path: '/org/{slug}/wallet/requests',
    summary: 'Requests to the patient of this wallet, newest first',
    tags: ['wallets'],
    auth: 'wallet',
    params: bySlug,
    responses: {
      200: {
        description: 'their content is sealed to the wallet',
        schema: Type.Object({
          requests: Type.Array(
            Type.Object({
              id: Type.String(),
              commitment: Commitment,
              organization: Type.Object({ did: Did, name: Type.String() }),
              status: Type.String({ description: 'pending, permitted, denied or timed-out' }),
              askedMs: TimeMs,
              expiresMs: TimeMs,
            }),
          ),
        }),
      },
    },
  }),
  accounting: route({
    id: 'accounting',
    method: 'GET',
    path: '/org/{slug}/accounting',
    summary: 'Who looked: every access to the patient’s records here, newest first',
    description:
      'For the patient’s own wallet, or the privacy officer with `patient`. `complete` says that as many entries are on the ledger as are shown.',
    tags: ['wallets'],
    auth: 'member-or-wallet',
    params: bySlug,
    query: Type.Object({ patient: Type.Optional(Did) }, { additionalProperties: false }),
    responses: {
      200: {
        description: 'entries with what proves them',
        schema: Type.Object({
          complete: Type.Boolean(),
          anchored: Type.Integer({ description: 'accesses that the ledger counts for this patient' }),
          entries: Type.Array(
            Type.Object({
              disclosure: Type.Unknown({ description: 'salus-disclosure/1' }),
              commitment: Commitment,
              salt: Type.String(),
              path: Type.String({
                description:
                  'ledger: its own transaction; batch: anchored with others; local: refused, in the log here only',
              }),
              transaction: Type.Optional(Hash),
            }),
          ),
        }),
      },
    },
  }),
};
