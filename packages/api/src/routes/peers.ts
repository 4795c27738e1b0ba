import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Slug } from '../schemas.ts';
import { sealedBytesMax } from './wallet.ts';

/** Room for what stands around an envelope. */
const deliveryOverheadBytes = 4_096;
const bySlug = Type.Object({ slug: Slug });
const Sequence = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Epoch = Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: 'chosen anew when numbers begin anew' });
const UpTo = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'none up to this one is missing',
});
const closed = { additionalProperties: false };

/** From one member's node to another's: each call has a token of its own, bound to it and good for one use. */
export const peerRoutes = {
  deliverSealed: route({
    id: 'deliverSealed',
    method: 'POST',
    path: '/org/{slug}/peers/sealed',
    summary: 'Deliver a sealed payload from the node of one member to that of another',
    description:
      'Deliveries of one sender are numbered from 1 within an epoch. The answer says up to where none is missing; the ' +
      'sender goes on from there, whatever was lost, repeated or overtaken on the way.',
    tags: ['peers'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      {
        epoch: Epoch,
        sequence: Sequence,
        oldest: Type.Integer({
          minimum: 1,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'the first delivery that the sender still has',
        }),
        envelope: Type.Unknown({ description: 'salus-sealed/1' }),
      },
      closed,
    ),
    bodyBytesMax: sealedBytesMax + deliveryOverheadBytes,
    responses: {
      200: {
        description: 'kept durably',
        schema: Type.Object({
          upTo: UpTo,
          refused: Type.Optional(Type.Integer({ description: 'number of the error: this one is no envelope' })),
        }),
      },
    },
  }),
  peerCursor: route({
    id: 'peerCursor',
    method: 'POST',
    path: '/org/{slug}/peers/cursor',
    summary: 'Tell a member up to where its deliveries are here: after a start, or when a backup was restored',
    tags: ['peers'],
    auth: 'member',
    params: bySlug,
    body: Type.Object({ epoch: Epoch, upTo: UpTo }, closed),
    responses: { 200: { description: 'it goes on from there', schema: Type.Object({ ok: Type.Boolean() }) } },
  }),
  peerHistory: route({
    id: 'peerHistory',
    method: 'POST',
    path: '/org/{slug}/peers/history',
    summary: 'The part of a patient’s history that this custodian permits somebody of another member',
    description:
      'Through the consent gate. Where nothing is permitted the answer is that of a patient who is not there.',
    tags: ['peers'],
    auth: 'member',
    params: bySlug,
    body: Type.Object({ patient: Did }, closed),
    responses: {
      200: {
        description: 'what is permitted',
        schema: Type.Object({
          entries: Type.Array(
            Type.Object({
              dateMs: Type.Optional(Type.Integer({ description: 'clinical time, milliseconds since 1970' })),
              resource: Type.Unknown({ description: 'FHIR R4' }),
            }),
          ),
        }),
      },
    },
  }),
  memberFhir: route({
    id: 'memberFhir',
    method: 'GET',
    path: '/org/{slug}/members/{custodian}/fhir/R4/{path+}',
    summary: 'Read FHIR at another member, through the node of one’s own organisation',
    description:
      'For a read, a version, and $everything. The node finds the custodian’s address on the ledger and asks with a token ' +
      'that its organisation signs; the custodian’s consent gate decides and records. Nothing is kept here.',
    tags: ['peers'],
    auth: 'member',
    params: Type.Object({ slug: Slug, custodian: Slug, path: Type.String({ maxLength: 256 }) }),
    responses: { 200: { description: 'as the custodian answered it', type: 'application/fhir+json' } },
  }),
};
