import { ApiErrorCodes } from '@salus/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { NodeLog } from './log.ts';
import type { HttpMetrics } from './metrics.ts';
import { ApiFault } from './problems.ts';

const heartbeatMsDefault = 15_000;
/** Streams of one node at the most: each holds a connection. */
const openStreamsMax = 1_000;
/** Of these, streams that need no token: who is nobody must not keep staff and patients from their notices. */
export const publicStreamsMax = 800;
/** Pause that a client is told to make before it comes back. */
const reconnectMs = 2_000;

export interface EventStream {
  /** Ends when the client is gone or the node stops. */
  readonly signal: AbortSignal;
  /** Writes one event; answers when the connection takes more. */
  send(event: { id: string; event: string; data: unknown }): Promise<void>;
}

/** The open event streams of a node (server-sent events, WHATWG HTML §9.2). */
export class EventStreams {
  readonly #open = new Set<() => void>();
  #public = 0;
  readonly #metrics: HttpMetrics;
  readonly #log: NodeLog;
  readonly #heartbeatMs: number;

  constructor(metrics: HttpMetrics, log: NodeLog, heartbeatMs: number = heartbeatMsDefault) {
    this.#metrics = metrics;
    this.#log = log;
    this.#heartbeatMs = heartbeatMs;
  }

  /**
   * Answers the request with a stream that `produce` fills until it returns or the stream ends; at `untilMs`, when the
   * token of the request expires, it ends, and the client comes back with a new token and its last id.
   */
  serve(
    request: FastifyRequest,
    reply: FastifyReply,
    produce: (stream: EventStream) => Promise<void>,
    untilMs?: number,
  ): FastifyReply {
    reply.header('content-type', 'text/event-stream; charset=utf-8').header('cache-control', 'no-store');
    reply.header('x-accel-buffering', 'no');
    if (request.method === 'HEAD') return reply.send();
    const isPublic = untilMs === undefined;
    if (this.#open.size >= openStreamsMax || (isPublic && this.#public >= publicStreamsMax)) {
      throw new ApiFault(ApiErrorCodes.unavailable, { detail: 'Too many event streams are open.' });
    }
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, definedHeaders(reply));
    raw.write(`retry: ${reconnectMs}\n\n`);
    const { signal, close } = this.#track(raw, untilMs);
    const fail = (error: unknown): void => {
      this.#log.fault(request.id, request.routeOptions.url, error);
      close();
    };
    produce({ signal, send: (event) => writeEvent(raw, event) }).then(close, fail);
    return reply;
  }

  #track(raw: FastifyReply['raw'], untilMs: number | undefined): { signal: AbortSignal; close: () => void } {
    const controller = new AbortController();
    const heartbeat = setInterval(() => raw.write(': still here\n\n'), this.#heartbeatMs);
    const close = (): void => {
      if (!this.#open.delete(close)) return;
      if (untilMs === undefined) this.#public -= 1;
      clearInterval(heartbeat);
      clearTimeout(expiry);
      controller.abort();
      raw.end();
      this.#metrics.openStreams.set(this.#open.size);
    };
    const expiry = untilMs === undefined ? undefined : setTimeout(close, Math.max(0, untilMs - Date.now()));
    this.#open.add(close);
    if (untilMs === undefined) this.#public += 1;
    this.#metrics.openStreams.set(this.#open.size);
    raw.on('close', close);
    return { signal: controller.signal, close };
  }

  closeAll(): void {
    for (const close of [...this.#open]) close();
  }
}

function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) headers[name] = value;
  return headers;
}

async function writeEvent(
  raw: FastifyReply['raw'],
  event: { id: string; event: string; data: unknown },
): Promise<void> {
  if (raw.destroyed || raw.writableEnded) return;
  // JSON has no line breaks outside of escapes, so one data line holds it.
  const text = `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`;
  if (raw.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
  });
}

/** What the client has seen: the standard header, or the query for clients that cannot set one. */
export function lastEventId(request: FastifyRequest, query: { lastEventId?: string }): string | undefined {
  const header = request.headers['last-event-id'];
  const value = typeof header === 'string' && header !== '' ? header : query.lastEventId;
  return value === '' ? undefined : value;
}
