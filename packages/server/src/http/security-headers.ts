import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

const contentSecurityPolicy = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
  },
};

/** What helmet would set on an answer. It is the same for every one, and working it out each time costs as much as routing. */
function securityHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const recorder = {
    setHeader: (name: string, value: string) => {
      headers[name.toLowerCase()] = value;
    },
    removeHeader: () => undefined,
  };
  // A node speaks plain HTTP on loopback; the proxy that adds TLS in front of it adds the transport header too.
  const apply = helmet({ contentSecurityPolicy, strictTransportSecurity: false });
  apply({} as IncomingMessage, recorder as unknown as ServerResponse, () => undefined);
  return headers;
}

export function setSecurityHeaders(http: FastifyInstance): void {
  const headers = securityHeaders();
  http.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
}
