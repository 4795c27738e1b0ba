import Type from 'typebox';
import { route } from '../route.ts';
import { Slug } from '../schemas.ts';

const cursor = Type.String({
  maxLength: 64,
  description: 'the id of the last event received; as header: Last-Event-ID',
});

export const eventRoutes = {
  ledgerEvents: route({
    id: 'ledgerEvents',
    method: 'GET',
    path: '/api/events',
    summary: 'What is committed, as it happens (server-sent events)',
    description:
      'One `event` per ledger event and one `block` after the last of each block. Ids are height.index; a client that ' +
      'comes back with Last-Event-ID misses nothing. `from=genesis` begins with the first block.',
    tags: ['events'],
    auth: 'none',
    query: Type.Object(
      { lastEventId: Type.Optional(cursor), from: Type.Optional(Type.Literal('genesis')) },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'a stream', type: 'text/event-stream' } },
  }),
  notices: route({
    id: 'notices',
    method: 'GET',
    path: '/org/{slug}/notices',
    summary: 'Private notices of one organisation, as they come (server-sent events)',
    description:
      'Staff of the organisation receive its notices, a patient those to the patient alone. Ids are consecutive in the ' +
      'store of the organisation; a client that comes back with Last-Event-ID misses nothing.',
    tags: ['events'],
    auth: 'member-or-wallet',
    params: Type.Object({ slug: Slug }),
    query: Type.Object({ lastEventId: Type.Optional(cursor) }, { additionalProperties: false }),
    responses: { 200: { description: 'a stream', type: 'text/event-stream' } },
  }),
};
