import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Slug } from '../schemas.ts';

/** Contexts of one patient that one question may join. */
export const contextsMax = 32;

export const historyRoutes = {
  history: route({
    id: 'history',
    method: 'POST',
    path: '/org/{slug}/history',
    summary: 'One history over the organisations that hold a part of a patient’s record',
    description:
      'For a clinician whom the patient gave the pseudonyms (a QR card, a wallet). Every part goes through the consent gate of its ' +
      'custodian; where nothing is permitted the answer is that of a patient who is not there.',
    tags: ['access'],
    auth: 'member',
    params: Type.Object({ slug: Slug }),
    body: Type.Object(
      {
        contexts: Type.Array(Type.Object({ custodian: Slug, patient: Did }, { additionalProperties: false }), {
          minItems: 1,
          maxItems: contextsMax,
        }),
      },
      { additionalProperties: false },
    ),
    responses: {
      200: {
        description: 'what is permitted, newest first',
        schema: Type.Object({
          custodians: Type.Array(
            Type.Object({
              slug: Slug,
              hosted: Type.Boolean({ description: 'whether this node serves that custodian' }),
              reached: Type.Optional(
                Type.Boolean({ description: 'false: that custodian’s node gave no answer; ask again later' }),
              ),
              entries: Type.Integer(),
            }),
          ),
          entries: Type.Array(
            Type.Object({
              custodian: Slug,
              dateMs: Type.Optional(Type.Integer({ description: 'clinical time, milliseconds since 1970' })),
              resource: Type.Unknown({ description: 'FHIR R4' }),
            }),
          ),
        }),
      },
    },
  }),
};
