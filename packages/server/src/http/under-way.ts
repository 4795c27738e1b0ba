import type { FastifyInstance } from 'fastify';

/** So long what is under way may take to end when a node stops; then its connections are cut. */
export const closingMsMax = 10_000;

/**
 * Requests without a whole answer. A connection can outlive its request: who was refused in the middle of a body may go on
 * sending, or fall silent, and must not hold up a node that stops.
 */
export class UnderWay {
  readonly #http: FastifyInstance;
  #requests = 0;
  #whenNone: (() => void) | undefined;

  constructor(http: FastifyInstance) {
    this.#http = http;
    http.addHook('onRequest', (request, { raw }, done) => {
      // Who has hung up already gets no answer, and nothing would tell of its end.
      if (request.raw.socket.destroyed) return done();
      this.#requests += 1;
      raw.once('close', () => this.#ended());
      done();
    });
  }

  #ended(): void {
    this.#requests -= 1;
    if (this.#requests === 0) this.#whenNone?.();
  }

  /** Takes no new requests, waits for those under way, and ends every connection. */
  async close(): Promise<void> {
    const closed = this.#http.close();
    if (this.#requests > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, closingMsMax);
        this.#whenNone = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#http.server.closeAllConnections();
    await closed;
  }
}
