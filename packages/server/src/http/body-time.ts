import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** How often it is looked at what of a body has arrived. */
export const bodyPeriodMs = 60_000;
/** What has to arrive in each period until the body is there: small ones have one period for all of it. */
export const bodyBytesPerPeriodMin = 1_048_576;

function watch({ raw }: FastifyRequest, reply: FastifyReply, giveUp: (reply: FastifyReply) => void): void {
  const { socket } = raw;
  let seen = socket.bytesRead;
  const stop = (): void => clearInterval(timer);
  const timer = setInterval(() => {
    if (raw.complete || raw.destroyed) return stop();
    const arrived = socket.bytesRead - seen;
    seen = socket.bytesRead;
    // What lies here and has not been taken yet waits for this node, not for the sender.
    if (arrived >= bodyBytesPerPeriodMin || raw.readableLength > 0) return;
    stop();
    giveUp(reply);
  }, bodyPeriodMs);
  timer.unref();
  raw.once('close', stop);
}

/**
 * Ends requests whose body comes too slowly. A bound on the whole request, as the HTTP server's own, would end every
 * upload of some length over a line of ordinary speed.
 */
export function limitBodyTime(http: FastifyInstance, giveUp: (reply: FastifyReply) => void): void {
  http.addHook('onRequest', (request, reply, done) => {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
    if (coding !== undefined || (length !== undefined && length !== '0')) watch(request, reply, giveUp);
    done();
  });
}
