import { Readable } from 'node:stream';
import {
  ApiErrorCodes,
  type BodyOf,
  type ParamsOf,
  type QueryOf,
  type RawBody,
  type ResultOf,
  type RouteDefinition,
  restParameter,
} from '@salus/api';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Requester } from '../auth/requester.ts';
import { ApiFault } from './problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, once the token has been verified; undefined on routes that take no token. */
    requester: Requester | undefined;
  }
}

interface HandlerContext<R extends RouteDefinition> {
  params: ParamsOf<R>;
  query: QueryOf<R>;
  body: BodyOf<R>;
  requester: R['auth'] extends 'none' ? undefined : Requester;
  request: FastifyRequest;
  reply: FastifyReply;
}

/** The body of the answer, sent with the first success status of the definition unless the reply has another. */
type Handler<R extends RouteDefinition> = (
  context: HandlerContext<R>,
) => ResultOf<R> | FastifyReply | Promise<ResultOf<R> | FastifyReply>;

/** Mounts definitions on a server; `mount` is the only way in which a described route gets there. */
export interface Mounter {
  mount<const R extends RouteDefinition>(definition: R, handler: Handler<R>): void;
}

function fastifyPath(path: string): string {
  return path.replace(/\{[A-Za-z]+\+\}$/, '*').replace(/\{([A-Za-z]+)\}/g, ':$1');
}

function schemaOf(definition: RouteDefinition): FastifySchema {
  const responses = Object.entries(definition.responses).flatMap(([status, response]) =>
    response.schema === undefined ? [] : [[status, response.schema] as const],
  );
  return {
    ...(definition.params === undefined ? {} : { params: definition.params }),
    ...(definition.query === undefined ? {} : { querystring: definition.query }),
    ...(definition.body === undefined ? {} : { body: definition.body }),
    ...(responses.length === 0 ? {} : { response: Object.fromEntries(responses) }),
  };
}

/** The router calls the rest of a path `*`; handlers and documents know it by its name. */
function nameRest(rest: string): (request: FastifyRequest, reply: FastifyReply, done: () => void) => void {
  return (request, _reply, done) => {
    const params = request.params as Record<string, unknown>;
    params[rest] = params['*'];
    delete params['*'];
    done();
  };
}

function authenticate(definition: RouteDefinition, authenticator: Authenticator) {
  return async (request: FastifyRequest): Promise<void> => {
    const params = request.params as Record<string, unknown>;
    const slug = typeof params.slug === 'string' ? params.slug : undefined;
    request.requester = await authenticator.authenticate(definition.auth, {
      authorization: request.headers.authorization,
      method: request.method,
      path: request.url.split('?')[0] ?? '',
      slug,
    });
  };
}

function emptyBody(): ApiFault {
  return new ApiFault(ApiErrorCodes.malformedJson, { detail: 'The body is empty.' });
}

function firstSuccess(definition: RouteDefinition): number {
  const found = Object.keys(definition.responses)
    .map(Number)
    .find((status) => status < 300);
  return found ?? 200;
}

const utf8Names: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'us-ascii']);

/** Bodies that would be read as something else than what their headers say. Imports look into the bytes for gzip. */
function checkCoding({ rawBody }: RouteDefinition) {
  const isUnpacked = rawBody?.stream === true;
  return async ({ headers }: FastifyRequest): Promise<void> => {
    const coding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
    if (coding !== 'identity' && !(isUnpacked && (coding === 'gzip' || coding === 'x-gzip'))) {
      const accepted = { 'accept-encoding': isUnpacked ? 'gzip' : 'identity' };
      const detail = 'This Content-Encoding is not taken here.';
      throw new ApiFault(ApiErrorCodes.unsupportedContentType, { detail, headers: accepted });
    }
    const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1];
    if (charset !== undefined && !utf8Names.has(charset.toLowerCase())) {
      throw new ApiFault(ApiErrorCodes.unsupportedContentType, { detail: 'Bodies are UTF-8 here.' });
    }
  };
}

/** What the router needs to know of a definition before any handler: where, what for, who, and how much. */
export function describedRoute(definition: RouteDefinition, authenticator: Authenticator) {
  const bytesMax = definition.bodyBytesMax ?? definition.rawBody?.bytesMax;
  return {
    method: definition.method,
    url: fastifyPath(definition.path),
    config: { definition },
    ...(bytesMax !== undefined && { bodyLimit: bytesMax }),
    onRequest: [
      ...(definition.auth === 'none' ? [] : [authenticate(definition, authenticator)]),
      ...(definition.body === undefined && definition.rawBody === undefined ? [] : [checkCoding(definition)]),
    ],
  };
}

function addRoute(
  http: FastifyInstance,
  definition: RouteDefinition,
  handler: Handler<RouteDefinition>,
  authenticator: Authenticator,
): void {
  const rest = restParameter(definition.path);
  const success = firstSuccess(definition);
  const type = definition.responses[success]?.type;
  http.route({
    ...describedRoute(definition, authenticator),
    schema: schemaOf(definition),
    ...(rest === undefined ? {} : { preValidation: nameRest(rest) }),
    handler: async (request, reply) => {
      if (definition.rawBody !== undefined && !isRawBody(definition.rawBody, request.body)) throw emptyBody();
      const result: unknown = await handler({
        params: request.params as never,
        query: request.query as never,
        body: request.body as never,
        requester: request.requester as never,
        request,
        reply,
      });
      if (result === reply || reply.sent) return reply;
      if (reply.statusCode === 200) reply.code(success);
      if (type !== undefined && !reply.hasHeader('content-type')) {
        reply.type(type.startsWith('text/') ? `${type}; charset=utf-8` : type);
      }
      return result;
    },
  });
}

function isRawBody({ stream }: RawBody, body: unknown): boolean {
  return stream === true ? body instanceof Readable : Buffer.isBuffer(body);
}

/** Bytes stay bytes: a signature covers what was sent, not what a parser makes of it. */
function takeRawBody(http: FastifyInstance, { types, stream }: RawBody): void {
  http.removeAllContentTypeParsers();
  if (stream === true) {
    http.addContentTypeParser([...types], (_request, body, done) => done(null, body));
    return;
  }
  http.addContentTypeParser([...types], { parseAs: 'buffer' }, (_request, body, done) => {
    done(body.length === 0 ? emptyBody() : null, body);
  });
}

export function createMounter(http: FastifyInstance, authenticator: Authenticator): Mounter {
  http.decorateRequest('requester', undefined);
  return {
    mount(definition, handler) {
      // Each handler is typed by its own definition; the router sees all of them alike.
      const loose = handler as unknown as Handler<RouteDefinition>;
      const raw = definition.rawBody;
      if (raw === undefined) {
        addRoute(http, definition, loose, authenticator);
        return;
      }
      http.register(async (scope) => {
        takeRawBody(scope, raw);
        addRoute(scope, definition, loose, authenticator);
      });
    },
  };
}
