import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import { type ApiErrorCode, ApiErrorCodes } from '@salus/api';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { allowedMethods, rememberMethods } from './allowed-methods.ts';
import { limitBodyTime } from './body-time.ts';
import type { NodeLog } from './log.ts';
import { createMetrics, type HttpMetrics } from './metrics.ts';
import { observeRequests } from './observe.ts';
import { registerOpenApi } from './openapi.ts';
import { ApiFault, headersOf, problemOf } from './problems.ts';
import { requestId } from './request-id.ts';
import { setSecurityHeaders } from './security-headers.ts';
import { UnderWay } from './under-way.ts';
import { serializerCompiler, validatorCompiler } from './validation.ts';

const bodyBytesMaxDefault = 1_048_576;
const headerBytesMax = 16_384;
const pathParameterCharsMax = 2_048;
const headersTimeoutMs = 60_000;
const rateLimitPerMinuteDefault = 6_000;
/** Addresses that the rate limiter remembers at the most; the oldest are forgotten first. */
const rateLimitAddressesMax = 10_000;

export interface AppOptions {
  version: string;
  log: NodeLog;
  /** Requests a minute from one address; 0 switches the limit off. Loopback is exempt unless `limitLoopback`. */
  rateLimitPerMinute?: number;
  limitLoopback?: boolean;
  /** Certificate chain and key (PEM). */
  tls?: { certificate: string; key: string };
  /** Holds every answer against its published schema: for tests. */
  checkResponses?: boolean;
}

export interface App {
  http: FastifyInstance;
  metrics: HttpMetrics;
  /** Ends what is under way, and every connection. */
  close(): Promise<void>;
}

/** As bytes: the framework adds a charset to text, which this media type does not have. */
function sendProblem(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const problem = problemOf(error);
  return reply
    .code(problem.status)
    .headers(headersOf(error))
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
    .header('x-request-id', request.id)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify({ ...problem, requestId: request.id })));
}

const parserCodes: Readonly<Record<string, ApiErrorCode>> = {
  HPE_HEADER_OVERFLOW: ApiErrorCodes.headersTooLarge,
  ERR_HTTP_REQUEST_TIMEOUT: ApiErrorCodes.requestTimeout,
};

/** Bytes that are no HTTP request never reach the router: the answer is written to the socket. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = parserCodes[error.code ?? ''] ?? ApiErrorCodes.malformedRequest;
  const problem = problemOf(new ApiFault(code));
  const body = JSON.stringify({ ...problem, requestId: requestId() });
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n` +
      `content-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n` +
      body,
  );
}

/** The body did not come: like a request whose headers did not. */
function answerLateBody({ raw }: FastifyReply): void {
  const { socket } = raw;
  if (socket === null) return;
  if (raw.headersSent) socket.destroy();
  else answerClientError(Object.assign(new Error(), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
}

function answerUnknown(http: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const methods = allowedMethods(http, request.url);
  if (methods.length === 0) return sendProblem(request, reply, new ApiFault(ApiErrorCodes.notFound));
  const allow = methods.join(', ');
  if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
  return sendProblem(request, reply, new ApiFault(ApiErrorCodes.methodNotAllowed, { headers: { allow } }));
}

function isLoopback(address: string): boolean {
  return address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1';
}

async function protect(http: FastifyInstance, options: AppOptions): Promise<void> {
  setSecurityHeaders(http);
  const max = options.rateLimitPerMinute ?? rateLimitPerMinuteDefault;
  if (max === 0) return;
  // Who has hung up already has no address to count by, and nobody to answer.
  http.addHook('onRequest', (request, reply, done) => {
    if (request.raw.socket.remoteAddress !== undefined) return done();
    reply.hijack();
    request.raw.destroy();
  });
  await http.register(rateLimit, {
    max,
    timeWindow: 60_000,
    cache: rateLimitAddressesMax,
    allowList: (request: FastifyRequest) => options.limitLoopback !== true && isLoopback(request.ip),
    errorResponseBuilder: () => new ApiFault(ApiErrorCodes.tooManyRequests),
  });
}

/** The oldest version that is spoken: older ones are deprecated (RFC 8996). */
const tlsVersionMin = 'TLSv1.2';

function createServer({ tls }: AppOptions): FastifyInstance {
  const options = {
    bodyLimit: bodyBytesMaxDefault,
    // Bodies have a bound of their own: limitBodyTime.
    requestTimeout: 0,
    genReqId: () => requestId(),
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: pathParameterCharsMax },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      void sendProblem(request, reply, error),
    clientErrorHandler: answerClientError,
  } as const;
  const server = { maxHeaderSize: headerBytesMax, headersTimeout: headersTimeoutMs };
  if (tls === undefined) return fastify({ ...options, http: server });
  const https = { ...server, cert: tls.certificate, key: tls.key, minVersion: tlsVersionMin } as const;
  // What differs is the type of the server below, which nobody asks for more than its address.
  return fastify({ ...options, https }) as unknown as FastifyInstance;
}

/** The HTTP server without routes: parsing, limits, security headers, problems, measurements, OpenAPI. */
export async function createApp(options: AppOptions): Promise<App> {
  const http = createServer(options);
  const underWay = new UnderWay(http);
  http.setValidatorCompiler(validatorCompiler);
  http.setSerializerCompiler(serializerCompiler(options.checkResponses === true));
  http.removeContentTypeParser('text/plain');
  const metrics = createMetrics();
  http.setErrorHandler((error, request, reply) => {
    const { status, code } = problemOf(error);
    metrics.problems.inc({ code: String(code) });
    if (status >= 500 && status !== 503) options.log.fault(request.id, request.routeOptions.url, error);
    return sendProblem(request, reply, error);
  });
  // The framework wants a content type of a QUERY (RFC 10008) also where no route takes one and 405 is the answer.
  http.addHttpMethod('QUERY', { overrideExisting: true });
  rememberMethods(http);
  limitBodyTime(http, answerLateBody);
  observeRequests(http, options.log, metrics);
  await protect(http, options);
  await registerOpenApi(http, options.version);
  http.setNotFoundHandler((request, reply) => answerUnknown(http, request, reply));
  return { http, metrics, close: () => underWay.close() };
}
