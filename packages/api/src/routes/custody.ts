import Type from 'typebox';
import { route } from '../route.ts';
import { Did, Hash, Slug } from '../schemas.ts';

const bySlug = Type.Object({ slug: Slug });
const TimeMs = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });

const AuditEntry = Type.Object({
  sequence: Type.Integer({ minimum: 1, description: 'place in the custodian’s log' }),
  path: Type.String({ description: 'ledger, batch, or local for what released nothing' }),
  disclosure: Type.Unknown({ description: 'who, when, for what, and what came of it' }),
  transaction: Type.Optional(Hash),
});

const LogHead = Type.Object({
  sequence: Type.Integer({ minimum: 1, description: 'entries up to here are covered' }),
  digest: Type.String({ description: 'salted commitment to the head of the log, stamped on the ledger' }),
  timeMs: TimeMs,
  stands: Type.Boolean({ description: 'the ledger holds it, and it fits the head that is kept here' }),
});

/** What a custodian’s officers and registrars do about the records that it keeps. */
export const custodyRoutes = {
  audit: route({
    id: 'audit',
    method: 'GET',
    path: '/org/{slug}/audit',
    summary: 'For the privacy officer: everything that was asked, refused, written and given out here, newest first',
    description:
      'Attempts at what is not here stand under a pseudonym that nobody has. With `verify` the whole log is checked against its heads on the ledger.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    query: Type.Object(
      {
        person: Type.Optional(Did),
        exit: Type.Optional(Type.String({ pattern: '^[a-z]{2,32}$', description: 'as read, write, linking' })),
        before: Type.Optional(Type.Integer({ minimum: 1, description: 'the `next` of an earlier page' })),
        verify: Type.Optional(Type.Boolean()),
      },
      { additionalProperties: false },
    ),
    responses: {
      200: {
        description: 'one page; `next` where there is more',
        schema: Type.Object({
          entries: Type.Array(AuditEntry),
          heads: Type.Array(LogHead),
          next: Type.Optional(Type.Integer()),
          problems: Type.Optional(Type.Array(Type.String())),
        }),
      },
    },
  }),
  mergePatients: route({
    id: 'mergePatients',
    method: 'POST',
    path: '/org/{slug}/merges',
    summary: 'Treat two pseudonyms of this organisation as one patient, or end that',
    description:
      'While they are merged the stricter answer of both patients’ directives holds for both. Each keeps its own pseudonym, directives, receipts and accounting, and has them back when the merge ends.',
    tags: ['access'],
    auth: 'member',
    params: bySlug,
    body: Type.Object(
      { survivor: Did, merged: Did, ended: Type.Optional(Type.Boolean()) },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'on the ledger', schema: Type.Object({ transaction: Hash }) } },
  }),
};
