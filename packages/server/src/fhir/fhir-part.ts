import { ApiErrorCodes, fhirRoutes, fhirType, formType, type RouteDefinition, smallBundleBytesMax } from '@salus/api';
import { capabilityStatement, RESOURCE_TYPES, searchableTypes, standardsErrors } from '@salus/standards';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { allowedMethods } from '../http/allowed-methods.ts';
import { describedRoute } from '../http/mount.ts';
import { ApiFault, addErrorTable, RuleFault, setErrorStatus } from '../http/problems.ts';
import type { NodePart } from '../node/parts.ts';
import type { NodeContext } from '../node/start-node.ts';
import { softwareVersion } from '../node/version.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';
import { recordsOf } from '../records/records-part.ts';
import { type Answer, answer, sendAnswer } from './answer.ts';
import { handleBundle } from './bundles.ts';
import { FhirErrorCodes, fhirErrorStatus, fhirErrors } from './errors.ts';
import { everythingOf } from './everything.ts';
import { type Exchange, isOwnSystem, type Query } from './exchange.ts';
import { historyOf } from './history.ts';
import { sendOutcome } from './outcomes.ts';
import { PageStore } from './pages.ts';
import { readResource } from './reads.ts';
import { searchType } from './search.ts';
import { createResource, deleteResource, updateByCondition, updateResource } from './writes.ts';

/** Of versions before R4: taken, and not described, for readers of the document that know registered types alone. */
const olderFhirType = 'application/json+fhir';
const cursorKeyName = 'fhir-cursor';
const softwareDate = '2026-11-21';
const prefix = '/org/:slug/fhir/R4';
const idPattern = /^[A-Za-z0-9.-]{1,64}$/;

interface Params {
  slug: string;
  type: string;
  id: string;
  version: string;
}

type Handler = (exchange: Exchange, params: Params, request: FastifyRequest) => Promise<Answer>;

function publishErrors(): void {
  addErrorTable(fhirErrors);
  addErrorTable(standardsErrors);
  for (const [code, status] of fhirErrorStatus) setErrorStatus(code, status);
}

/** The address by which the requester reached this node: links lead back to it. */
function baseOf(request: FastifyRequest, slug: string): string {
  const host = /^[A-Za-z0-9.:[\]-]{1,255}$/.test(request.host) ? request.host : 'localhost';
  return `${request.protocol}://${host}/org/${slug}/fhir/R4`;
}

/** `_format` goes before the header (R4 §3.1.0.1.11). A plus that was not encoded arrives as a blank. */
function checkFormat(request: FastifyRequest, query: Query): void {
  const format = query.find(([name]) => name === '_format')?.[1].replace(' ', '+');
  const accept = request.headers.accept ?? '*/*';
  const fits =
    format === undefined || format === ''
      ? /\*\/\*|application\/(\*|fhir\+json|json)|text\/json/.test(accept)
      : /^(json|(application\/(fhir\+json|json(\+fhir)?)|text\/json)( *;.*)?)$/.test(format);
  if (!fits) throw new RuleFault(FhirErrorCodes.notAcceptable);
}

/** Types that do not exist are an error of the caller; an id of another form names nothing. */
function checkType(type: string | undefined): void {
  if (type !== undefined && !RESOURCE_TYPES.has(type)) throw new ApiFault(ApiErrorCodes.notFound);
}

/** An id that cannot exist gets the same answer as one that does not. */
function checkId(id: string | undefined): string {
  return id !== undefined && idPattern.test(id) ? id : 'none';
}

function queryOf(request: FastifyRequest): [string, string][] {
  const [, text = ''] = request.url.split(/\?(.*)/s);
  const form = typeof request.body === 'string' ? request.body : '';
  return [...new URLSearchParams(text), ...new URLSearchParams(form)];
}

function headerOf(request: FastifyRequest): Exchange['header'] {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
}

/** A form where a resource is wanted, or the other way round, would otherwise be taken for an empty body. */
function checkContentType({ rawBody }: RouteDefinition, { body, headers }: FastifyRequest): void {
  if (rawBody === undefined || body === undefined) return;
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  const name = type.trim().toLowerCase();
  if (!rawBody.types.includes(name === olderFhirType ? fhirType : name))
    throw new ApiFault(ApiErrorCodes.unsupportedContentType);
}

function bytesOf(request: FastifyRequest): Uint8Array {
  if (!Buffer.isBuffer(request.body) || request.body.length === 0) {
    throw new ApiFault(ApiErrorCodes.malformedJson, { detail: 'The body is empty.' });
  }
  return new Uint8Array(request.body);
}

/** The interactions that an entry of a batch may ask for, by the same functions as the routes. */
async function dispatch(exchange: Exchange, method: string, path: string): Promise<Answer> {
  const [type, id, history, version, ...more] = path.split('/');
  checkType(type);
  const isKnown = type !== undefined && type !== '' && more.length === 0;
  if (isKnown && method === 'GET') {
    if (id === undefined) return await searchType(exchange, type);
    if (history === undefined) return await readResource(exchange, type, checkId(id));
    if (history === '_history' && version === undefined) return await historyOf(exchange, type, checkId(id));
    if (history === '_history') return await readResource(exchange, type, checkId(id), version);
  }
  if (isKnown && method === 'DELETE' && id !== undefined && history === undefined) {
    return await deleteResource(exchange, type, checkId(id));
  }
  throw new RuleFault(FhirErrorCodes.bundleUnsupported, { detail: 'A batch cannot ask for this.' });
}

const handlers: Readonly<Record<keyof typeof fhirRoutes, Handler | undefined>> = {
  // Answers without a token, and so without an exchange.
  fhirMetadata: undefined,
  fhirBundle: (exchange, _params, request) => handleBundle(exchange, bytesOf(request), dispatch),
  fhirSearch: (exchange, { type }) => searchType(exchange, type),
  fhirSearchForm: (exchange, { type }) => searchType({ ...exchange, isForm: true }, type),
  fhirCreate: (exchange, { type }, request) => createResource(exchange, type, bytesOf(request)),
  fhirConditionalUpdate: (exchange, { type }, request) => updateByCondition(exchange, type, bytesOf(request)),
  fhirRead: (exchange, { type, id }) => readResource(exchange, type, checkId(id)),
  fhirUpdate: (exchange, { type, id }, request) => updateResource(exchange, type, id, bytesOf(request)),
  fhirDelete: (exchange, { type, id }) => deleteResource(exchange, type, checkId(id)),
  fhirHistory: (exchange, { type, id }) => historyOf(exchange, type, checkId(id)),
  fhirVersion: (exchange, { type, id, version }) => readResource(exchange, type, checkId(id), version),
  fhirEverything: (exchange, { id }) => everythingOf(exchange, checkId(id)),
};

class FhirService {
  readonly #context: NodeContext;
  readonly #pages = new Map<string, PageStore>();

  constructor(context: NodeContext) {
    this.#context = context;
  }

  #records(slug: string): OrganizationRecords {
    const records = recordsOf(this.#context).get(slug);
    if (records === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
    return records;
  }

  #pagesOf(slug: string, records: OrganizationRecords): PageStore {
    const known = this.#pages.get(slug);
    if (known !== undefined) return known;
    const made = new PageStore(records.vault.ring.purposeKey(cursorKeyName), this.#context.nowMs);
    this.#pages.set(slug, made);
    return made;
  }

  /** Before the body of a Bundle is taken in: only the organisation's own system fills so much memory. */
  checkSize = async (request: FastifyRequest): Promise<void> => {
    const { requester } = request;
    if (requester === undefined) throw new ApiFault(ApiErrorCodes.tokenMissing);
    const records = this.#records((request.params as Params).slug);
    if (isOwnSystem({ requester, records })) return;
    const bytes = Number(request.headers['content-length'] ?? Number.NaN);
    if (!(bytes <= smallBundleBytesMax)) throw new ApiFault(ApiErrorCodes.bodyTooLarge);
  };

  async answer(handle: Handler, request: FastifyRequest): Promise<Answer> {
    const params = request.params as Params;
    const { slug, type } = params;
    const { requester } = request;
    if (requester === undefined) throw new ApiFault(ApiErrorCodes.tokenMissing);
    const records = this.#records(slug);
    const query = queryOf(request);
    checkFormat(request, query);
    checkType(type);
    const exchange: Exchange = {
      records,
      pages: this.#pagesOf(slug, records),
      requester,
      base: baseOf(request, slug),
      nowMs: this.#context.nowMs,
      header: headerOf(request),
      query,
      isForm: false,
    };
    return await handle(exchange, params, request);
  }

  /** True to what is there: the routes say which interactions they are. */
  metadata(request: FastifyRequest): Answer {
    const { slug } = request.params as Params;
    this.#records(slug);
    checkFormat(request, queryOf(request));
    const found = Object.values<RouteDefinition>(fhirRoutes).flatMap(({ interaction }) => interaction ?? []);
    const statement = capabilityStatement({
      url: baseOf(request, slug),
      date: softwareDate,
      version: softwareVersion,
      types: searchableTypes(),
      system: found.flatMap(({ system }) => system ?? []),
      interactions: found.flatMap(({ type }) => type ?? []),
      conditional: Object.assign({}, ...found.map(({ conditional }) => conditional)),
      operations: found.flatMap(({ operation }) => operation ?? []),
    });
    return answer(JSON.stringify(statement));
  }
}

function mountRoutes(http: FastifyInstance, context: NodeContext): void {
  const service = new FhirService(context);
  for (const [id, definition] of Object.entries<RouteDefinition>(fhirRoutes)) {
    const handle = handlers[id as keyof typeof fhirRoutes];
    const { onRequest, ...described } = describedRoute(definition, context.authenticator);
    const checks = id === 'fhirBundle' ? [...onRequest, service.checkSize] : onRequest;
    http.route({
      ...described,
      onRequest: checks,
      url: described.url === prefix ? '/' : described.url.slice(prefix.length),
      handler: async (request, reply) => {
        checkContentType(definition, request);
        const found = handle === undefined ? service.metadata(request) : await service.answer(handle, request);
        return sendAnswer(reply, found);
      },
    });
  }
}

/** Names that no type and no id has: what their paths do not take is no request about a resource of that name. */
function refuseOtherMethods(http: FastifyInstance): void {
  http.addHook('onRequest', (request, reply, done) => {
    const { type, id } = request.params as Partial<Params>;
    if (type === 'metadata' || id === '_search') answerUnknown(http, request, reply);
    else done();
  });
}

/** Bodies are taken as bytes: the original is kept as it came. */
function takeBodies(http: FastifyInstance): void {
  http.removeAllContentTypeParsers();
  const types = [fhirType, 'application/json', olderFhirType];
  http.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  http.addContentTypeParser(formType, { parseAs: 'string' }, (_request, body, done) => done(null, body));
}

/** What is no route here, in the words of FHIR. */
function answerUnknown(http: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const methods = allowedMethods(http, request.url);
  if (methods.length === 0) return sendOutcome(request, reply, new ApiFault(ApiErrorCodes.notFound));
  const allow = methods.join(', ');
  if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
  return sendOutcome(request, reply, new ApiFault(ApiErrorCodes.methodNotAllowed, { headers: { allow } }));
}

/** FHIR R4 at `/org/{slug}/fhir/R4`. What it gives out comes from the consent gate and from nowhere else. */
export const fhirPart: NodePart = {
  name: 'fhir',
  async start(context) {
    publishErrors();
    context.app.http.register(
      async (http) => {
        http.setErrorHandler((error, request, reply) => {
          const sent = sendOutcome(request, reply, error);
          if (reply.statusCode === 500) context.log.fault(request.id, request.routeOptions.url, error);
          return sent;
        });
        http.setNotFoundHandler((request, reply) => answerUnknown(http, request, reply));
        takeBodies(http);
        refuseOtherMethods(http);
        mountRoutes(http, context);
      },
      { prefix },
    );
    return undefined;
  },
};
