import { ApiErrorCodes } from '@salus/api';
import { capabilityStatement, RESOURCE_TYPES, searchableTypes, standardsErrors } from '@salus/standards';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { ApiFault, addErrorTable, RuleFault, setErrorStatus } from '../http/problems.ts';
import type { NodePart } from '../node/parts.ts';
import type { NodeContext } from '../node/start-node.ts';
import { softwareVersion } from '../node/version.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';
import { recordsOf } from '../records/records-part.ts';
import { FhirErrorCodes, fhirErrorStatus, fhirErrors } from './errors.ts';
import { type Exchange, sendText } from './exchange.ts';
import { fhirType, sendOutcome } from './outcomes.ts';
import { PageStore } from './pages.ts';
import { everythingOf, historyOf, readResource } from './reads.ts';
import { searchType } from './search.ts';
import { createResource, updateResource, writeBundle } from './writes.ts';

/** Body of one Bundle at the FHIR base, which only the organisation's system may send. */
export const bundleBytesMax = 64 * 1_048_576;
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

type Handler = (exchange: Exchange, params: Params, request: FastifyRequest) => Promise<FastifyReply> | FastifyReply;

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

function checkAccept(request: FastifyRequest): void {
  const accept = request.headers.accept ?? '*/*';
  const fits = /\*\/\*|application\/(\*|fhir\+json|json)|text\/json/.test(accept);
  if (!fits) throw new RuleFault(FhirErrorCodes.notAcceptable);
}

/** Types that do not exist are an error of the caller; an id of another form names nothing. */
function checkType(type: string | undefined): void {
  if (type !== undefined && !RESOURCE_TYPES.has(type)) throw new ApiFault(ApiErrorCodes.notFound);
}

function queryOf(request: FastifyRequest): [string, string][] {
  const [, text = ''] = request.url.split(/\?(.*)/s);
  const form = typeof request.body === 'string' ? request.body : '';
  return [...new URLSearchParams(text), ...new URLSearchParams(form)];
}

function bytesOf(request: FastifyRequest): Uint8Array {
  if (!Buffer.isBuffer(request.body) || request.body.length === 0) {
    throw new ApiFault(ApiErrorCodes.malformedJson, { detail: 'The body is empty.' });
  }
  return new Uint8Array(request.body);
}

class FhirRoutes {
  readonly #context: NodeContext;
  readonly #authenticator: Authenticator;
  readonly #pages = new Map<string, PageStore>();

  constructor(context: NodeContext, authenticator: Authenticator) {
    this.#context = context;
    this.#authenticator = authenticator;
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

  /** Before the body is taken in: nobody unknown fills the memory. */
  async #authenticate(request: FastifyRequest): Promise<void> {
    const { slug } = request.params as Params;
    const path = request.url.split('?')[0] ?? '';
    const { authorization } = request.headers;
    const input = { authorization, method: request.method, path, slug };
    request.requester = await this.#authenticator.authenticate('member-or-wallet', input);
  }

  /** A route of the organisation's own systems, whose bodies may be large. */
  systemHandler(handle: Handler) {
    const { onRequest, handler } = this.handler(handle);
    const requireSystem = async ({ requester, params }: FastifyRequest): Promise<void> => {
      const isOwn = requester?.kind === 'member' && requester.organization.slug === (params as Params).slug;
      if (!isOwn || requester.subject.kind !== 'system') throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
    };
    return { onRequest: [onRequest, requireSystem], bodyLimit: bundleBytesMax, handler };
  }

  handler(handle: Handler) {
    const onRequest = (request: FastifyRequest): Promise<void> => this.#authenticate(request);
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const params = request.params as Params;
      const { slug, type } = params;
      const { requester } = request;
      if (requester === undefined) throw new ApiFault(ApiErrorCodes.tokenMissing);
      const records = this.#records(slug);
      checkAccept(request);
      checkType(type);
      const strict = /handling\s*=\s*strict/i.test(String(request.headers.prefer ?? ''));
      const base = baseOf(request, slug);
      const { nowMs } = this.#context;
      const pages = this.#pagesOf(slug, records);
      return await handle({ records, pages, requester, request, reply, base, nowMs, strict }, params, request);
    };
    return { onRequest, handler };
  }

  metadata(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { slug } = request.params as Params;
    this.#records(slug);
    const statement = capabilityStatement({
      url: baseOf(request, slug),
      date: softwareDate,
      version: softwareVersion,
      types: searchableTypes(),
      interactions: ['read', 'vread', 'history-instance', 'search-type', 'create', 'update'],
    });
    return sendText(reply, JSON.stringify(statement));
  }
}

function checkId(id: string): string {
  // An id that cannot exist gets the same answer as one that does not.
  return idPattern.test(id) ? id : 'none';
}

function addReads(http: FastifyInstance, routes: FhirRoutes): void {
  http.get('/metadata', (request, reply) => routes.metadata(request, reply));
  const searching = routes.handler((exchange, { type }, request) => searchType(exchange, type, queryOf(request)));
  http.get('/:type', searching);
  http.post('/:type/_search', searching);
  http.get(
    '/:type/:id',
    routes.handler((exchange, { type, id }) => readResource(exchange, type, checkId(id))),
  );
  http.get(
    '/:type/:id/_history',
    routes.handler((exchange, { type, id }) => historyOf(exchange, type, checkId(id))),
  );
  http.get(
    '/:type/:id/_history/:version',
    routes.handler((exchange, { type, id, version }) => readResource(exchange, type, checkId(id), version)),
  );
  http.get(
    '/Patient/:id/$everything',
    routes.handler((exchange, { id }, request) => {
      const types = new URLSearchParams(queryOf(request)).getAll('_type').join(',');
      return everythingOf(exchange, checkId(id), types);
    }),
  );
}

function addWrites(http: FastifyInstance, routes: FhirRoutes): void {
  http.post(
    '/',
    routes.systemHandler((exchange, _params, request) => writeBundle(exchange, bytesOf(request))),
  );
  http.post(
    '/:type',
    routes.handler((exchange, { type }, request) => createResource(exchange, type, bytesOf(request))),
  );
  http.put(
    '/:type/:id',
    routes.handler((exchange, { type, id }, request) => updateResource(exchange, type, id, bytesOf(request))),
  );
}

/** Bodies are taken as bytes: the original is kept as it came. */
function takeBodies(http: FastifyInstance): void {
  http.removeAllContentTypeParsers();
  const types = [fhirType, 'application/json', 'application/json+fhir'];
  http.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  http.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  );
}

/** FHIR R4 at `/org/{slug}/fhir/R4`. What it gives out comes from the consent gate and from nowhere else. */
export const fhirPart: NodePart = {
  name: 'fhir',
  async start(context) {
    publishErrors();
    const routes = new FhirRoutes(context, context.authenticator);
    context.app.http.register(
      async (http) => {
        http.setErrorHandler((error, request, reply) => {
          const answer = sendOutcome(request, reply, error);
          if (reply.statusCode === 500) context.log.fault(request.id, request.routeOptions.url, error);
          return answer;
        });
        takeBodies(http);
        addReads(http, routes);
        addWrites(http, routes);
        const nothing = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
          sendOutcome(request, reply, new ApiFault(ApiErrorCodes.notFound));
        http.all('/*', nothing);
        http.route({ method: ['GET', 'PUT', 'PATCH', 'DELETE'], url: '/', handler: nothing });
      },
      { prefix },
    );
    return undefined;
  },
};
