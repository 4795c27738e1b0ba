import Type, { type Static } from 'typebox';
import { route } from '../route.ts';
import { Did, Slug } from '../schemas.ts';

const tags = ['records'];
/** What an import takes before it is decompressed. */
export const importBytesMax = 4 * 1024 ** 3;
const entriesMax = 5_000_000;

export const ImportReport = Type.Object(
  {
    resources: Type.Integer({ minimum: 0, description: 'entries read' }),
    accepted: Type.Integer({ minimum: 0, description: 'stored and anchored, or here already' }),
    rejected: Type.Integer({ minimum: 0 }),
    unchanged: Type.Integer({ minimum: 0, description: 'of the accepted: those that were here already' }),
    seconds: Type.Number({ minimum: 0 }),
    complete: Type.Boolean({ description: 'false: the input could not be read to its end; go on from `resources`' }),
    errors: Type.Array(
      Type.Object({
        entry: Type.Integer({ minimum: 0, description: 'position in the input' }),
        code: Type.Integer({ description: 'stable number of the error' }),
        message: Type.String(),
      }),
      { description: 'the first thousand' },
    ),
    patients: Type.Array(Type.Object({ id: Type.String({ description: 'FHIR id at this organisation' }), did: Did })),
  },
  { description: 'what became of an input' },
);
export type ImportReport = Static<typeof ImportReport>;

export const recordRoutes = {
  importRecords: route({
    id: 'importRecords',
    method: 'POST',
    path: '/api/orgs/{slug}/imports',
    summary: 'Import FHIR: a Bundle, NDJSON or one resource, gzip too',
    description:
      'For systems of the organisation itself. Entries are stored one by one: a broken one is reported and the others ' +
      'go on. Everything accepted is anchored on the ledger when this answers. Importing the same again changes nothing.',
    tags,
    auth: 'member',
    params: Type.Object({ slug: Slug }),
    query: Type.Object(
      {
        from: Type.Optional(
          Type.Integer({ minimum: 0, maximum: entriesMax, description: 'passes over the entries before: to resume' }),
        ),
      },
      { additionalProperties: false },
    ),
    rawBody: {
      types: [
        'application/fhir+json',
        'application/json',
        'application/fhir+ndjson',
        'application/x-ndjson',
        'application/gzip',
        'application/octet-stream',
      ],
      bytesMax: importBytesMax,
      stream: true,
      description: 'FHIR R4 as JSON or NDJSON; gzip is recognised by its bytes',
    },
    responses: { 200: { description: 'what was read and stored', schema: ImportReport } },
  }),
  exportRecords: route({
    id: 'exportRecords',
    method: 'POST',
    path: '/org/{slug}/exports',
    summary: 'A patient’s whole record, with what proves the export',
    description:
      'Through the consent gate, and on the ledger before the first byte leaves. Whoever the token speaks for takes the ' +
      'copy; a system of the organisation hands over the patient’s own (45 CFR 164.524), or takes one itself. Lines of ' +
      'JSON: `resource`, then `file` and `receipt`; without a line `end` the answer was cut off.',
    tags,
    auth: 'member',
    params: Type.Object({ slug: Slug }),
    body: Type.Object(
      {
        patient: Type.String({ pattern: '^[A-Za-z0-9.-]{1,64}$', description: 'FHIR id at this organisation' }),
        purpose: Type.Optional(Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,31}$', description: 'HL7 PurposeOfUse' })),
        asSystem: Type.Optional(Type.Boolean({ description: 'a system takes the copy for itself' })),
      },
      { additionalProperties: false },
    ),
    responses: { 200: { description: 'lines of JSON', type: 'application/x-ndjson' } },
  }),
};
