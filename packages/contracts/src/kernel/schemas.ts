import { type TObject, type TProperties, type TSchema, Type } from 'typebox';

/** Bounded building blocks of messages. A pattern never stands alone: the length is checked first. */
const didLength = 37;
const digestLength = 43;
const blindLength = 22;
export const codeLengthMax = 40;
export const timeMsMax = 8_640_000_000_000_000;

export const DidSchema = Type.Unsafe<`did:salus:${string}`>(
  Type.String({ pattern: '^did:salus:[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048]$', maxLength: didLength }),
);
/** base64url of 32 bytes: a SHA-256, a commitment. */
export const DigestSchema = Type.String({ pattern: '^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$', maxLength: digestLength });
/** base64url of 16 bytes: a blinded value, a random identifier. */
export const Id128Schema = Type.String({ pattern: '^[A-Za-z0-9_-]{21}[AQgw]$', maxLength: blindLength });
export const KeyNameSchema = Type.String({ pattern: '^[a-z0-9-]{1,16}$', maxLength: 16 });
/** A code of a standard's value set or of a rule set. */
export const CodeSchema = Type.String({ pattern: '^[A-Za-z0-9_.:-]{1,40}$', maxLength: codeLengthMax });
export const slugPattern = '^[a-z0-9][a-z0-9-]{0,39}$';
export const SlugSchema = Type.String({ pattern: slugPattern, maxLength: 40 });
/** Milliseconds since 1970. */
export const TimeMsSchema = Type.Integer({ minimum: 0, maximum: timeMsMax });
export const CountSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const EcJwkSchema = Type.Object(
  {
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: DigestSchema,
    y: DigestSchema,
  },
  { additionalProperties: false },
);

/** A closed message. */
export function messageSchema<T extends string, P extends TProperties>(type: T, properties: P) {
  return Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false });
}

type SchemaNode = {
  type?: unknown;
  const?: unknown;
  enum?: unknown;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  allOf?: SchemaNode[];
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode | SchemaNode[];
  additionalProperties?: unknown;
  maxLength?: unknown;
  maxItems?: unknown;
  maximum?: unknown;
  minimum?: unknown;
};

/** Where a schema is open or unbounded; empty when it is neither. */
export function looseEnds(schema: TSchema | TObject, path = ''): string[] {
  return looseEndsOf(schema as SchemaNode, path);
}

function looseEndsOf(node: SchemaNode, path: string): string[] {
  if (node.const !== undefined || node.enum !== undefined) return [];
  const alternatives = [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])];
  if (alternatives.length > 0) return alternatives.flatMap((inner, index) => looseEndsOf(inner, `${path}|${index}`));
  switch (node.type) {
    case 'null':
    case 'boolean':
      return [];
    case 'string':
      return node.maxLength === undefined ? [`${path}: a string without maxLength`] : [];
    case 'integer':
      return node.maximum === undefined || node.minimum === undefined ? [`${path}: an integer without bounds`] : [];
    case 'array':
      return [...looseEndsOfList(node, path)];
    case 'object':
      return looseEndsOfObject(node, path);
    default:
      return [`${path}: ${String(node.type)} is not a kind of value that messages have`];
  }
}

function looseEndsOfList(node: SchemaNode, path: string): string[] {
  const items = Array.isArray(node.items) ? node.items : [node.items ?? {}];
  const inner = items.flatMap((item, index) => looseEndsOf(item, `${path}[${index}]`));
  return node.maxItems === undefined && !Array.isArray(node.items)
    ? [`${path}: a list without maxItems`, ...inner]
    : inner;
}

function looseEndsOfObject(node: SchemaNode, path: string): string[] {
  const properties = Object.entries(node.properties ?? {});
  const inner = properties.flatMap(([name, value]) => looseEndsOf(value, `${path}/${name}`));
  return node.additionalProperties === false ? inner : [`${path}: an object that is not closed`, ...inner];
}
