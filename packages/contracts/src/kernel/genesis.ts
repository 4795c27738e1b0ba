import { canonicalJson, type JsonValue, sha256, utf8 } from '@salus/protocol';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import {
  CodeSchema,
  DidSchema,
  DigestSchema,
  EcJwkSchema,
  KeyNameSchema,
  SlugSchema,
  TimeMsSchema,
} from './schemas.ts';

export const genesisFormat = 'salus-genesis/1';
export const genesisMembersMax = 1_000;
export const genesisRuleSetsMax = 200;
export const nameLengthMax = 120;
export const endpointLengthMax = 200;

const coordinate384Length = 64;
const Coordinate384Schema = Type.String({ pattern: '^[A-Za-z0-9_-]{64}$', maxLength: coordinate384Length });
const closed = { additionalProperties: false } as const;

export const EcJwk384Schema = Type.Object(
  { kty: Type.Literal('EC'), crv: Type.Literal('P-384'), x: Coordinate384Schema, y: Coordinate384Schema },
  closed,
);

/** A key has one purpose and names its suite; the suite decides the curve. */
export const KeySpecSchema = Type.Union([
  Type.Object(
    {
      name: KeyNameSchema,
      purpose: Type.Union([Type.Literal('sign'), Type.Literal('recover')]),
      suite: Type.Literal('ES256'),
      jwk: EcJwkSchema,
      expiresMs: Type.Optional(TimeMsSchema),
    },
    closed,
  ),
  Type.Object(
    {
      name: KeyNameSchema,
      purpose: Type.Literal('authenticate'),
      suite: Type.Literal('ES256'),
      jwk: EcJwkSchema,
      expiresMs: Type.Optional(TimeMsSchema),
    },
    closed,
  ),
  Type.Object(
    {
      name: KeyNameSchema,
      purpose: Type.Literal('authenticate'),
      suite: Type.Literal('ES384'),
      jwk: EcJwk384Schema,
      expiresMs: Type.Optional(TimeMsSchema),
    },
    closed,
  ),
  Type.Object(
    {
      name: KeyNameSchema,
      purpose: Type.Literal('encrypt'),
      /** RFC 9180 with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. */
      suite: Type.Literal('HPKE-P256'),
      jwk: EcJwkSchema,
      expiresMs: Type.Optional(TimeMsSchema),
    },
    closed,
  ),
]);
export type KeySpec = Static<typeof KeySpecSchema>;

export const MemberClassSchema = Type.Union([
  Type.Literal('provider'),
  Type.Literal('payer'),
  Type.Literal('patientRepresentatives'),
  Type.Literal('pharmacy'),
  Type.Literal('manufacturer'),
  Type.Literal('research'),
  Type.Literal('regulator'),
]);
export type MemberClass = Static<typeof MemberClassSchema>;

export const genesisKeysPerMemberMax = 16;

export const GenesisMemberSchema = Type.Object(
  {
    did: DidSchema,
    /** Names of organisations are public. */
    name: Type.String({ minLength: 1, maxLength: nameLengthMax }),
    slug: SlugSchema,
    role: CodeSchema,
    class: MemberClassSchema,
    keys: Type.Array(KeySpecSchema, { minItems: 1, maxItems: genesisKeysPerMemberMax }),
    endpoint: Type.String({ maxLength: endpointLengthMax }),
  },
  closed,
);
export type GenesisMember = Static<typeof GenesisMemberSchema>;

export const GenesisDocumentSchema = Type.Object(
  {
    format: Type.Literal(genesisFormat),
    chain: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$', maxLength: 50 }),
    timeMs: TimeMsSchema,
    validators: Type.Array(
      Type.Object(
        {
          /** Ed25519, base64url. */
          publicKey: DigestSchema,
          power: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
          member: DidSchema,
        },
        closed,
      ),
      { minItems: 1, maxItems: 200 },
    ),
    members: Type.Array(GenesisMemberSchema, { minItems: 1, maxItems: genesisMembersMax }),
    /** Governed numbers that differ from the defaults, by name. */
    parameters: Type.Record(Type.String({ maxLength: 60 }), Type.Integer({ minimum: 0 })),
    /** Rules of voting that differ from the defaults, by kind of proposal and name. */
    votingRules: Type.Optional(
      Type.Record(
        Type.String({ maxLength: 40 }),
        Type.Record(Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0 })),
      ),
    ),
    /** JSON documents with `format`, `id` and `version`; the governance contract says which formats there are. */
    ruleSets: Type.Array(Type.Unsafe<JsonValue>(Type.Any()), { maxItems: genesisRuleSetsMax }),
  },
  closed,
);
export type GenesisDocument = Static<typeof GenesisDocumentSchema>;

const validator = Compile(GenesisDocumentSchema);

/** Throws with the first member that is wrong. */
export function parseGenesis(value: unknown): GenesisDocument {
  if (validator.Check(value)) return value as GenesisDocument;
  const [first] = validator.Errors(value);
  throw new TypeError(`genesis${first?.instancePath ?? ''}: ${first?.message ?? 'malformed'}`);
}

/** SHA-256 of the canonical JSON (RFC 8785). It names the chain's beginning and salts its first values. */
export function genesisHash(document: GenesisDocument): Uint8Array {
  return sha256(utf8(canonicalJson(document as unknown as JsonValue)));
}
