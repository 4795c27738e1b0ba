import { ApiErrorCodes } from '@salus/api';
import type { FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ApiFault } from './problems.ts';
import { isSchema } from './schema-guard.ts';

/** More messages than this help nobody, and building them must not cost more than the request. */
const inputErrorsMax = 10;

const partNames: Readonly<Record<string, string>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

/** A schema's own member names only: a name that the caller chose is shown as `*`. */
function safePointer(schema: unknown, pointer: string): string {
  let at: unknown = schema;
  const out: string[] = [];
  for (const segment of pointer.split('/').slice(1)) {
    const properties = isSchema(at) && 'properties' in at ? (at.properties as Record<string, unknown>) : undefined;
    if (properties !== undefined && Object.hasOwn(properties, segment)) {
      out.push(segment);
      at = properties[segment];
    } else if (/^\d{1,9}$/.test(segment)) {
      out.push(segment);
      at = isSchema(at) && 'items' in at ? at.items : undefined;
    } else {
      out.push('*');
      at = undefined;
    }
  }
  return `/${out.join('/')}`.replace(/\/$/, '');
}

function invalid(validator: ReturnType<typeof Compile>, schema: TSchema, value: unknown, part: string): ApiFault {
  const errors = validator
    .Errors(value)
    .slice(0, inputErrorsMax)
    .map((error) => {
      const missing = error.keyword === 'required' ? `/${error.params.requiredProperties.join(', ')}` : '';
      return { in: part, pointer: `${safePointer(schema, error.instancePath)}${missing}`, message: error.message };
    });
  return new ApiFault(ApiErrorCodes.invalidInput, { errors });
}

/** A text part's members as the schema types them; what does not fit exactly stays text, and the check refuses it. */
function fromText(schema: TSchema, data: unknown): unknown {
  if (typeof data !== 'object' || data === null || !isSchema(schema) || !('properties' in schema)) return data;
  const out: Record<string, unknown> = { ...data };
  for (const [name, member] of Object.entries(schema.properties as Record<string, unknown>)) {
    const text = out[name];
    if (typeof text !== 'string' || !isSchema(member)) continue;
    if (member.type === 'integer' && /^-?\d{1,16}$/.test(text)) out[name] = Number(text);
    if (member.type === 'boolean' && (text === 'true' || text === 'false')) out[name] = text === 'true';
  }
  return out;
}

/** Validates by TypeBox instead of Ajv: one library gives type, check and document. Text parts are converted first. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const part = partNames[httpPart ?? ''] ?? 'request';
  const isText = httpPart !== 'body';
  return (data: unknown) => {
    const value = isText ? validator.Default(fromText(schema, data)) : data;
    return validator.Check(value) ? { value } : { error: invalid(validator, schema, value, part) };
  };
};

/** Plain JSON.stringify; tests switch `check` on, which holds every answer against its published schema. */
export function serializerCompiler(check: boolean): FastifySerializerCompiler<TSchema> {
  return ({ schema, url, method }) => {
    if (!check || !isSchema(schema)) return (data: unknown) => JSON.stringify(data);
    const validator = Compile(schema);
    return (data: unknown) => {
      const text = JSON.stringify(data);
      const value: unknown = JSON.parse(text);
      if (validator.Check(value)) return text;
      const errors = JSON.stringify(validator.Errors(value).slice(0, inputErrorsMax));
      throw new Error(`${method} ${url} answers what it does not describe: ${errors}`);
    };
  };
}
