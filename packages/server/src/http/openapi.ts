import swagger, { type JSONObject } from '@fastify/swagger';
import {
  formType,
  openApiPath,
  Problem,
  type RouteAuth,
  type RouteDefinition,
  routes,
  SealedRequestSchema,
} from '@salus/api';
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
    const { description, schema, example } = response;
    const type = response.type ?? (schema === undefined ? undefined : 'application/json');
    const media = { schema: schema ?? {}, ...(example !== undefined && { example }) };
    return [status, { description, ...(type !== undefined && { content: { [type]: media } }) }];
  });
  return Object.fromEntries(entries);
}

/** Of a body that is taken as it stands, only its type says something of its form. */
function rawSchema(type: string): Record<string, unknown> {
  if (type === formType) return { type: 'object', additionalProperties: { type: 'string' } };
  return /[/+]json$/.test(type) ? { type: 'object' } : {};
}

/** What the document shows of a route, which is more than what Fastify needs to validate it. */
function documented(definition: RouteDefinition): FastifySchema & Record<string, unknown> {
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
    response: responsesOf(definition),
  };
}

const definitions = new Map(Object.values<RouteDefinition>(routes).map((one) => [one.id, one]));

const OperationOutcome = {
  type: 'object',
  required: ['resourceType', 'issue'],
  properties: {
    resourceType: { const: 'OperationOutcome' },
    issue: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['severity', 'code'],
        properties: {
          severity: { type: 'string' },
          code: { type: 'string', description: 'R4 issue-type' },
          details: { type: 'object', description: 'coding of system urn:salus:error, and advice as text' },
          expression: { type: 'array', items: { type: 'string' } },
        },
      },
    },
  },
};

function eachOperation(paths: unknown, change: (operation: Record<string, unknown>) => void): void {
  for (const path of Object.values((paths ?? {}) as Record<string, Record<string, unknown>>)) {
    for (const operation of Object.values(path)) change(operation as Record<string, unknown>);
  }
}

/** What the collecting plugin does not carry over: bodies taken as they stand, examples, and how errors are told. */
function completeOperation(operation: Record<string, unknown>, definition: RouteDefinition): void {
  const { rawBody, bodyExample, errors } = definition;
  const example = bodyExample === undefined ? {} : { example: bodyExample };
  if (rawBody !== undefined) {
    const { description, types } = rawBody;
    const content = Object.fromEntries(types.map((type) => [type, { schema: rawSchema(type), ...example }]));
    operation.requestBody = { description, required: true, content };
  } else if (definition.body !== undefined) {
    operation.requestBody = {
      required: true,
      content: { 'application/json': { schema: definition.body, ...example } },
    };
  }
  const responses = responsesOf(definition);
  for (const [status, { type }] of Object.entries(definition.responses)) {
    if (type === 'application/problem+json') responses[status] = { $ref: '#/components/responses/Problem' };
  }
  responses.default = { $ref: `#/components/responses/${errors ?? 'Problem'}` };
  operation.responses = responses;
}

/** Errors are described once and referred to by every operation. */
function addErrors(document: Record<string, unknown>): void {
  const components = { ...(document.components as object) } as Record<string, unknown>;
  components.schemas = { ...(components.schemas as object), Problem, OperationOutcome };
  components.responses = {
    Problem: {
      description: 'A problem: `code` is stable, `advice` says what to do next',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
    OperationOutcome: {
      description: 'A problem in the words of FHIR: `issue.details` has the stable number and what to do next',
      content: { 'application/fhir+json': { schema: { $ref: '#/components/schemas/OperationOutcome' } } },
    },
  };
  document.components = components;
  eachOperation(document.paths, (operation) => {
    const definition = definitions.get(String(operation.operationId));
    if (definition !== undefined) completeOperation(operation, definition);
  });
}

/**
 * Lists of fixed places as OpenAPI 3.1 writes them (JSON Schema 2020-12 §10.3.1.1): contracts describe theirs with
 * `items` and `additionalItems`, as earlier drafts did.
 */
function withPrefixItems(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPrefixItems);
  if (typeof value !== 'object' || value === null) return value;
  const { items, additionalItems, ...rest } = value as Record<string, unknown>;
  const others = Object.entries(rest).map(([name, member]) => [name, withPrefixItems(member)]);
  const places = Array.isArray(items) && 'type' in value && value.type === 'array';
  const listed = places
    ? { prefixItems: items.map(withPrefixItems), items: additionalItems ?? true }
    : { ...(items !== undefined && { items: withPrefixItems(items) }) };
  return { ...Object.fromEntries(others), ...listed };
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
        description:
          'Interface of a node of a patient-governed health-data network. Wherever there is GET there is HEAD; OPTIONS ' +
          'and a wrong method answer with the methods that a path takes (Allow).',
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
      addErrors(document);
      addMessages(document);
      return withPrefixItems(document) as typeof document;
    },
  });
}
