import swagger, { type JSONObject } from '@fastify/swagger';
import { openApiPath, Problem, type RouteAuth, type RouteDefinition, SealedRequestSchema } from '@salus/api';
import { builtInContracts, consent } from '@salus/contracts';
import type { FastifyInstance, FastifySchema } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The definition that this route was mounted from. */
    definition?: RouteDefinition;
  }
}

const security: Readonly<Record<RouteAuth, Record<string, string[]>[]>> = {
  none: [],
  member: [{ member: [] }],
  wallet: [{ wallet: [] }],
  'member-or-wallet': [{ member: [] }, { wallet: [] }],
};

const securitySchemes = {
  member: {
    type: 'http' as const,
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'ES384 token signed by the authentication key that a member registered on the ledger',
  },
  wallet: {
    type: 'http' as const,
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'salus-wallet+jwt signed by the patient’s own key, bound to method and path',
  },
};

function responsesOf(definition: RouteDefinition): Record<string, unknown> {
  const entries = Object.entries(definition.responses).map(([status, response]) => {
    const type = response.type ?? (response.schema === undefined ? undefined : 'application/json');
    const content = type === undefined ? undefined : { [type]: { schema: response.schema ?? {} } };
    return [status, { description: response.description, ...(content !== undefined && { content }) }];
  });
  return Object.fromEntries(entries);
}

/** What the document shows of a route, which is more than what Fastify needs to validate it. */
function documented(definition: RouteDefinition): FastifySchema & Record<string, unknown> {
  const raw = definition.rawBody;
  const content = raw && Object.fromEntries(raw.types.map((type) => [type, { schema: { type: 'object' } }]));
  return {
    operationId: definition.id,
    summary: definition.summary,
    ...(definition.description === undefined ? {} : { description: definition.description }),
    tags: [...definition.tags],
    security: security[definition.auth],
    ...(definition.params === undefined ? {} : { params: definition.params }),
    ...(definition.query === undefined ? {} : { querystring: definition.query }),
    ...(definition.headers === undefined ? {} : { headers: definition.headers }),
    ...(definition.body === undefined ? {} : { body: definition.body }),
    ...(content === undefined ? {} : { body: { description: raw?.description, content } }),
    response: responsesOf(definition),
  };
}

function eachOperation(paths: unknown, change: (operation: Record<string, unknown>) => void): void {
  for (const path of Object.values((paths ?? {}) as Record<string, Record<string, unknown>>)) {
    for (const operation of Object.values(path)) change(operation as Record<string, unknown>);
  }
}

/** Problems are described once and referred to by every operation. */
function addProblems(document: Record<string, unknown>): void {
  const components = { ...(document.components as object) } as Record<string, unknown>;
  components.schemas = { ...(components.schemas as object), Problem };
  components.responses = {
    Problem: {
      description: 'A problem: `code` is stable, `advice` says what to do next',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  };
  document.components = components;
  eachOperation(document.paths, (operation) => {
    const responses = operation.responses as Record<string, unknown>;
    for (const [status, response] of Object.entries(responses)) {
      if (JSON.stringify(response).includes('application/problem+json')) {
        responses[status] = { $ref: '#/components/responses/Problem' };
      }
    }
    responses.default = { $ref: '#/components/responses/Problem' };
  });
}

/** What is signed (payload and messages of a transaction, ADR 1) and what is sealed, which no route shows. */
function addMessages(document: Record<string, unknown>): void {
  const messages = builtInContracts.flatMap((contract) => Object.entries(contract.messages));
  const named = messages.map(([type, { schema }]): [string, unknown] => [type.replace('/', '.'), schema]);
  const Payload = {
    type: 'object',
    description: 'what the JWS of a transaction signs; see docs/foreign-clients.md',
    required: ['v', 'id', 'validUntil', 'messages'],
    additionalProperties: false,
    properties: {
      v: { const: 1 },
      id: { type: 'string', pattern: '^[A-Za-z0-9_-]{22}$', description: '16 random bytes' },
      validUntil: { type: 'integer', description: 'ms since 1970, at most 10 minutes after block time' },
      messages: {
        type: 'array',
        minItems: 1,
        maxItems: 64,
        items: { anyOf: named.map(([name]) => ({ $ref: `#/components/schemas/${name}` })) },
      },
    },
  };
  const sealed = { 'sealed.request': SealedRequestSchema, 'sealed.directive': consent.directiveContentSchema };
  const components = document.components as Record<string, object>;
  components.schemas = { ...components.schemas, Payload, ...Object.fromEntries(named), ...sealed };
}

/** Collects every route that is mounted afterwards into one OpenAPI document; `http.swagger()` gives it. */
export async function registerOpenApi(http: FastifyInstance, version: string): Promise<void> {
  await http.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Salus node',
        version,
        description: 'Interface of a node of a patient-governed health-data network.',
        license: { name: 'Apache-2.0' },
      },
      components: { securitySchemes },
    },
    transform: ({ schema, url, route }) => {
      const definition = route.config?.definition;
      if (definition === undefined) {
        // A plugin's route is shown when it describes itself; catch-alls and the framework's own are not.
        const isDescribed = typeof schema === 'object' && schema !== null && 'summary' in schema;
        return { schema: isDescribed ? (schema as JSONObject) : { hide: true }, url };
      }
      const path = openApiPath(definition.path).replace(/\{([A-Za-z]+)\}/g, ':$1');
      return { schema: documented(definition) as JSONObject, url: path };
    },
    transformObject: (found) => {
      if (!('openapiObject' in found)) return found.swaggerObject;
      const document = structuredClone(found.openapiObject) as Record<string, unknown>;
      addProblems(document);
      addMessages(document);
      return document;
    },
  });
}
