import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Hash, Slug } from '../schemas.ts';

export const noteCharsMax = 2_000;
export const codesMax = 32;
const bySlug = Type.Object({ slug: Slug });
const byId = Type.Object({ slug: Slug, id: Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' }) });
const CodeText = Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,64}$' });
const Purpose = Type.String({ pattern: '^[A-Z]{2,16}$', description: 'HL7 v3 PurposeOfUse, as TREAT' });
const Note = Type.String({ maxLength: noteCharsMax, description: 'read by the patient; sealed, never on the ledger' });
const TimeMs = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });

export const What = Type.Object(
  {
    all: Type.Optional(Type.Boolean()),
    categories: Type.Optional(Type.Array(CodeText, { maxItems: codesMax })),
    labels: Type.Optional(Type.Array(CodeText, { maxItems: codesMax })),
    records: Type.Optional(Type.Array(CodeText, { maxItems: codesMax })),
  },
  { additionalProperties: false, description: 'what part of the record' },
);

const somebody = 'did:salus:AAECAwQFBgcICQoLDA0ODxAREhM';
const somebodyElse = 'did:salus:ExIREA8ODQwLCgkIBwYFBAMCAQA';

const RequestState = Type.Object({
  id: Type.String(),
  status: Type.String({ description: 'pending, permitted, denied or timed-out' }),
  expiresMs: TimeMs,
});

const AuthorityKind = Type.Union(
  (['parent', 'guardian', 'carer', 'powerOfAttorney', 'executor', 'surrogate', 'advanceDirective'] as const).map(
    (kind) => Type.Literal(kind),
  ),
);
const AuthorityAction = Type.Union(
  (['read', 'correct', 'share', 'compute', 'decide', 'grant'] as const).map((action) => Type.Literal(action)),
);

export const accessRoutes = {
  createAccessRequest: route({
    id: 'createAccessRequest',
    method: 'POST',
    path: '/org/{slug}/access-requests',
    summary: 'Ask a patient for access to what another organisation holds',
    description:
      'The patient decides with their own key. Who does not exist is asked just the same: pending, then timed out.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      {
        custodian: Slug,
        patient: Did,
        purpose: Purpose,
        what: What,
        actions: Type.Optional(
          Type.Array(Type.Union([Type.Literal('read'), Type.Literal('correct')]), { maxItems: 2 }),
        ),
        note: Type.Optional(Note),
      },
      { additionalProperties: false },
    ),
    bodyExample: { custodian: 'hospital', patient: somebody, purpose: 'TREAT', what: { categories: ['laboratory'] } },
    responses: { 202: { description: 'recorded on the ledger', schema: RequestState } },
  }),
  getAccessRequest: route({
    id: 'getAccessRequest',
    method: 'GET',
    path: '/org/{slug}/access-requests/{id}',
    summary: 'What became of a request of this organisation',
    tags: ['access'],
    auth: 'member',
    params: byId,
    responses: { 200: { description: 'state at block time', schema: RequestState } },
  }),
  breakGlass: route({
    id: 'breakGlass',
    method: 'POST',
    path: '/org/{slug}/break-glass',
    summary: 'Emergency access of a licensed clinician of this organisation to a patient’s record at a custodian',
    description: 'Opens a short window, tells patient and privacy officer at once, and opens a review.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      { custodian: Slug, patient: Did, reasonCode: CodeText, reasonText: Note },
      { additionalProperties: false },
    ),
    bodyExample: { custodian: 'hospital', patient: somebody, reasonCode: 'ETREAT', reasonText: 'Found unconscious.' },
    responses: {
      201: {
        description: 'the window is open',
        schema: Type.Object({
          id: Type.String(),
          windowUntilMs: TimeMs,
          alarm: Type.Boolean(),
          late: Type.Boolean({ description: 'logged here while the ledger cannot commit' }),
          transaction: Type.Optional(Hash),
        }),
      },
    },
  }),
  listReviews: route({
    id: 'listReviews',
    method: 'GET',
    path: '/org/{slug}/reviews',
    summary: 'Emergency accesses that the privacy officer has to review',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    responses: {
      200: {
        description: 'open reviews, the most urgent first',
        schema: Type.Object({
          reviews: Type.Array(
            Type.Object({
              id: Type.String(),
              patient: Did,
              practitioner: Did,
              reasonCode: Type.Optional(Type.String()),
              reasonText: Type.Optional(Type.String()),
              openedMs: TimeMs,
              dueMs: TimeMs,
              overdue: Type.Boolean(),
            }),
          ),
        }),
      },
    },
  }),
  closeReview: route({
    id: 'closeReview',
    method: 'POST',
    path: '/org/{slug}/reviews/{id}',
    summary: 'Record the outcome of a review',
    tags: ['access'],
    auth: 'member',
    params: byId,
    body: Type.Object(
      { outcome: Type.Union([Type.Literal('justified'), Type.Literal('unjustified')]), note: Type.Optional(Note) },
      { additionalProperties: false },
    ),
    bodyExample: { outcome: 'justified' },
    responses: { 200: { description: 'on the ledger', schema: Type.Object({ transaction: Hash }) } },
  }),
  setRelationship: route({
    id: 'setRelationship',
    method: 'POST',
    path: '/org/{slug}/relationships',
    summary: 'Tell the gate who is in a patient’s care team, or personally tied to the patient',
    description: 'From ADT and appointments, or declared by the person. Kept at the custodian, not on the ledger.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      {
        patient: Did,
        person: Did,
        kind: Type.Union([Type.Literal('careTeam'), Type.Literal('personalTie'), Type.Literal('excludedByCourt')]),
        untilMs: Type.Optional(TimeMs),
        ended: Type.Optional(Type.Boolean()),
      },
      { additionalProperties: false },
    ),
    bodyExample: { patient: somebody, person: somebodyElse, kind: 'careTeam' },
    responses: { 200: { description: 'in force from now on', schema: Type.Object({ ok: Type.Boolean() }) } },
  }),
  createAuthority: route({
    id: 'createAuthority',
    method: 'POST',
    path: '/org/{slug}/authorities',
    summary: 'Attest that somebody may act for a patient: a parent, a court’s guardian, an executor',
    description:
      'For staff who saw the proof. The ledger shows that an authority stands; kind, scope and dates are sealed. What its holder signs beyond the scope does not count.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      {
        patient: Did,
        holder: Did,
        kind: AuthorityKind,
        actions: Type.Array(AuthorityAction, { minItems: 1, maxItems: 6 }),
        categories: Type.Optional(Type.Array(CodeText, { maxItems: codesMax })),
        excluded: Type.Optional(
          Type.Array(CodeText, { maxItems: codesMax, description: 'categories and labels that stay hidden' }),
        ),
        fromMs: Type.Optional(TimeMs),
        untilMs: Type.Optional(TimeMs),
        majorityMs: Type.Optional(TimeMs),
        evidence: Type.Optional(
          Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: 'SHA-256 of the document (base64url)' }),
        ),
      },
      { additionalProperties: false },
    ),
    responses: {
      201: { description: 'on the ledger', schema: Type.Object({ id: Type.String(), transaction: Hash }) },
    },
  }),
  endAuthority: route({
    id: 'endAuthority',
    method: 'POST',
    path: '/org/{slug}/authorities/{id}/end',
    summary: 'End an authority that this organisation attested',
    tags: ['access'],
    auth: 'member',
    params: byId,
    body: Type.Object({ patient: Did }, { additionalProperties: false }),
    responses: { 200: { description: 'on the ledger', schema: Type.Object({ transaction: Hash }) } },
  }),
  listAuthorities: route({
    id: 'listAuthorities',
    method: 'GET',
    path: '/org/{slug}/authorities',
    summary: 'Who may act for a patient: for the patient’s own wallet, and for staff',
    tags: ['access'],
    auth: 'member-or-wallet',
    params: bySlug,
    query: Type.Object({ patient: Type.Optional(Did) }, { additionalProperties: false }),
    responses: {
      200: {
        description: 'in the order in which they were given, ended ones too',
        schema: Type.Object({
          authorities: Type.Array(
            Type.Object({
              id: Type.String(),
              holder: Type.String(),
              basis: Type.String({ description: 'patient, custodian or regulator: who gave it' }),
              status: Type.String({ description: 'active or ended' }),
              content: Type.Optional(Type.Unknown({ description: 'kind, scope and dates, as they are sealed' })),
            }),
          ),
        }),
      },
    },
  }),
};
