import type { FastifyInstance } from 'fastify';
import type { NodeLog } from './log.ts';
import type { HttpMetrics } from './metrics.ts';

/** Gives every answer its request id, and every request one log line and one measurement. */
export function observeRequests(http: FastifyInstance, log: NodeLog, metrics: HttpMetrics): void {
  http.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  http.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown';
    metrics.requestSeconds.labels(request.method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
    log.request(request.id, request.method, route, reply.statusCode, reply.elapsedTime);
    done();
  });
}
