import Type from 'typebox';
import { type RouteDefinition, route } from '../route.ts';
import { Slug } from '../schemas.ts';

/** Body of one resource; bodies of Bundles have their own bounds. */
export const resourceBodyBytesMax = 1_048_576;
/** A transaction or batch of the organisation's own system. */
export const bundleBytesMax = 64 * 1_048_576;
/** A batch of anybody else. */
export const smallBundleBytesMax = 1_048_576;
/** Form of POST …/_search. */
export const searchFormBytesMax = 65_536;

export const fhirType = 'application/fhir+json';
export const formType = 'application/x-www-form-urlencoded';
const bodyTypes = [fhirType, 'application/json'];

const tags = ['FHIR R4'];
const closed = { additionalProperties: false };
const FhirType = Type.String({ pattern: '^[A-Z][A-Za-z]{1,63}$', description: 'name of an R4 resource type' });
const FhirId = Type.String({ pattern: '^[A-Za-z0-9.-]{1,64}$', description: 'id of the resource' });
const Resource = Type.Object(
  { resourceType: Type.String() },
  { additionalProperties: true, description: 'a FHIR R4 resource' },
);

const bySlug = Type.Object({ slug: Slug });
const byType = Type.Object({ slug: Slug, type: FhirType });
const byId = Type.Object({ slug: Slug, type: FhirType, id: FhirId });
const byVersion = Type.Object({
  slug: Slug,
  type: FhirType,
  id: FhirId,
  version: Type.String({ pattern: '^[0-9]{1,9}$', description: 'versionId' }),
});

const text = (description: string) => Type.Optional(Type.String({ description }));
const Count = text('entries on one page; 0 asks for their number alone');
const Since = text('only what was changed at this instant or later');
const Cursor = text('from a `next` link; it names nothing of the search');
const subset = {
  _summary: text('`true`, `text`, `data`, `count` or `false`'),
  _elements: text('names of elements, separated by commas'),
};
const SubsetQuery = Type.Object(subset, { additionalProperties: true });
const SearchQuery = Type.Object(
  {
    ...subset,
    _count: Count,
    _cursor: Cursor,
    _sort: text('names of search parameters, `-` in front for descending, separated by commas'),
    _total: text('`none`, `estimate` or `accurate`'),
    _include: text('Type:parameter, or Type:parameter:Target'),
    _lastUpdated: text('instant, with a prefix such as `ge`'),
  },
  { additionalProperties: true, description: 'and the search parameters of the type, which /metadata lists' },
);

const handling = text('`handling=strict` refuses parameters that are not known here');
const returning = text('`return=minimal`, `return=representation` or `return=OperationOutcome`');
const ReadHeaders = Type.Object({
  'if-none-match': text('304 where this is the version that is here'),
  'if-modified-since': text('304 where nothing was changed since'),
});

const outcomes = { errors: 'OperationOutcome' } as const;
const found = (description: string) => ({ description, type: fhirType, schema: Resource });
const unchanged = { 304: { description: 'If-None-Match or If-Modified-Since: nothing has changed' } };
const written = {
  201: found('stored as a new resource; Location names its version'),
  200: found('stored as the next version, or here already'),
};
const body = (description: string, bytesMax: number, types: readonly string[] = bodyTypes) => ({
  rawBody: { types, bytesMax, description },
});

const observation = {
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: 'Patient/a1b2' },
  effectiveDateTime: '2026-05-06T07:08:09Z',
  valueQuantity: { value: 72, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
};
const readBatch = {
  resourceType: 'Bundle',
  type: 'batch',
  entry: [
    { request: { method: 'GET', url: 'Patient/a1b2' } },
    { request: { method: 'GET', url: 'Observation?patient=a1b2&code=8867-4&_count=10' } },
  ],
};

/**
 * FHIR R4 of one organisation. The server mounts these, the OpenAPI document shows them, and the CapabilityStatement
 * lists the interactions that they name.
 */
export const fhirRoutes = {
  fhirMetadata: route({
    id: 'fhirMetadata',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/metadata',
    summary: 'CapabilityStatement: what this FHIR service can do',
    tags,
    auth: 'none',
    params: bySlug,
    responses: { 200: found('CapabilityStatement') },
    ...outcomes,
  }),
  fhirBundle: route({
    id: 'fhirBundle',
    method: 'POST',
    path: '/org/{slug}/fhir/R4',
    summary: 'A Bundle of requests: batch, or transaction',
    description:
      'Each read or search of a batch is decided by the consent gate on its own. Only the organisation’s own system sends ' +
      'transactions, writes, and more than 1 MiB.',
    tags,
    auth: 'member-or-wallet',
    interaction: { system: ['batch', 'transaction'] },
    params: bySlug,
    ...body('Bundle of type batch or transaction', bundleBytesMax),
    bodyExample: readBatch,
    responses: { 200: found('Bundle of type batch-response or transaction-response') },
    ...outcomes,
  }),
  fhirSearch: route({
    id: 'fhirSearch',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/{type}',
    summary: 'Search a resource type',
    description:
      'What is denied is as if it were not there, also in totals. A name or number of a person does not belong into an ' +
      'address, which proxies and browsers keep: send such searches to `_search`.',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['search-type'] },
    params: byType,
    query: SearchQuery,
    headers: Type.Object({ prefer: handling }),
    responses: { 200: found('Bundle of type searchset') },
    ...outcomes,
  }),
  fhirSearchForm: route({
    id: 'fhirSearchForm',
    method: 'POST',
    path: '/org/{slug}/fhir/R4/{type}/_search',
    summary: 'Search a resource type; the parameters travel in the body',
    description: 'No address of the answer, neither `self` nor `next`, repeats what the body asked for.',
    tags,
    auth: 'member-or-wallet',
    params: byType,
    query: SearchQuery,
    headers: Type.Object({ prefer: handling }),
    ...body('the search parameters as a form', searchFormBytesMax, [formType]),
    bodyExample: { name: 'Quillfeather', birthdate: '1971-03-05' },
    responses: { 200: found('Bundle of type searchset') },
    ...outcomes,
  }),
  fhirCreate: route({
    id: 'fhirCreate',
    method: 'POST',
    path: '/org/{slug}/fhir/R4/{type}',
    summary: 'Create a resource under a new id',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['create'], conditional: { conditionalCreate: true } },
    params: byType,
    headers: Type.Object({
      prefer: returning,
      'if-none-exist': text('`identifier=system|value`: only where nobody has it; for the organisation’s own system'),
    }),
    ...body('the resource', resourceBodyBytesMax),
    bodyExample: observation,
    responses: written,
    ...outcomes,
  }),
  fhirConditionalUpdate: route({
    id: 'fhirConditionalUpdate',
    method: 'PUT',
    path: '/org/{slug}/fhir/R4/{type}',
    summary: 'Update the resource with an identifier, or create it; for the organisation’s own system',
    tags,
    auth: 'member-or-wallet',
    interaction: { conditional: { conditionalUpdate: true } },
    params: byType,
    query: Type.Object({ identifier: text('`system|value`, the only condition that is understood') }, closed),
    headers: Type.Object({ prefer: returning, 'if-match': text('the version that must be current: `W/"3"`') }),
    ...body('the resource', resourceBodyBytesMax),
    responses: written,
    ...outcomes,
  }),
  fhirRead: route({
    id: 'fhirRead',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/{type}/{id}',
    summary: 'Read the current version of a resource',
    description: 'What the requester may not know of is 404, exactly as what is not there.',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['read'], conditional: { conditionalRead: 'full-support' } },
    params: byId,
    query: SubsetQuery,
    headers: ReadHeaders,
    responses: {
      200: found('the resource'),
      ...unchanged,
      410: { description: 'it was deleted', type: fhirType, schema: Resource },
    },
    ...outcomes,
  }),
  fhirUpdate: route({
    id: 'fhirUpdate',
    method: 'PUT',
    path: '/org/{slug}/fhir/R4/{type}/{id}',
    summary: 'Store the next version of a resource, or the first one under this id',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['update'], conditional: { updateCreate: true } },
    params: byId,
    headers: Type.Object({ prefer: returning, 'if-match': text('the version that must be current: `W/"3"`') }),
    ...body('the resource, with this id', resourceBodyBytesMax),
    bodyExample: { ...observation, id: 'c3d4' },
    responses: written,
    ...outcomes,
  }),
  fhirDelete: route({
    id: 'fhirDelete',
    method: 'DELETE',
    path: '/org/{slug}/fhir/R4/{type}/{id}',
    summary: 'Take a resource out of the record; its versions stay, for those who may see the history',
    description:
      'A deletion is a version of its own, anchored like every other; nothing is destroyed by it. A mistake is better ' +
      'corrected by an update with status `entered-in-error`. A Patient cannot be deleted.',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['delete'] },
    params: byId,
    headers: Type.Object({ 'if-match': text('the version that must be current: `W/"3"`') }),
    responses: { 204: { description: 'deleted, or deleted before' } },
    ...outcomes,
  }),
  fhirHistory: route({
    id: 'fhirHistory',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/{type}/{id}/_history',
    summary: 'The versions of a resource, newest first',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['history-instance'] },
    params: byId,
    query: Type.Object({ _since: Since, _count: Count, _cursor: Cursor }, closed),
    responses: { 200: found('Bundle of type history') },
    ...outcomes,
  }),
  fhirVersion: route({
    id: 'fhirVersion',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/{type}/{id}/_history/{version}',
    summary: 'Read one version of a resource',
    tags,
    auth: 'member-or-wallet',
    interaction: { type: ['vread'] },
    params: byVersion,
    query: SubsetQuery,
    headers: ReadHeaders,
    responses: {
      200: found('the version'),
      ...unchanged,
      410: { description: 'a deletion', type: fhirType, schema: Resource },
    },
    ...outcomes,
  }),
  fhirEverything: route({
    id: 'fhirEverything',
    method: 'GET',
    path: '/org/{slug}/fhir/R4/Patient/{id}/$everything',
    summary: 'All that the requester may see of a patient, and whom and what it names',
    description: 'Streamed whole; with `_count` in pages, all of one release.',
    tags,
    auth: 'member-or-wallet',
    interaction: { operation: { type: 'Patient', name: 'everything' } },
    params: Type.Object({ slug: Slug, id: FhirId }),
    query: Type.Object(
      {
        start: text('clinical date, the first that is wanted'),
        end: text('clinical date, the last that is wanted'),
        _since: Since,
        _type: text('resource types, separated by commas'),
        _count: Count,
        _cursor: Cursor,
      },
      closed,
    ),
    headers: Type.Object({ prefer: handling }),
    responses: { 200: found('Bundle of type searchset') },
    ...outcomes,
  }),
} satisfies Record<string, RouteDefinition>;
