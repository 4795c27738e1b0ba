import Type, { type Static } from 'typebox';

/** Largest transaction that the network takes (ADR 1), and so the largest body of POST /api/transactions. */
export const transactionBytesMax = 1_048_576;
export const listLimitMax = 500;
export const listLimitDefault = 50;

export const Hash = Type.String({ pattern: '^[0-9a-f]{64}$', description: '64 lower-case hexadecimal digits' });
export const Did = Type.String({
  pattern: '^did:salus:[A-Za-z0-9_-]{27}$',
  description: 'a participant of the ledger',
});
export const Height = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const Slug = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,31}$', description: 'short name of an organisation' });
export const MessageType = Type.String({
  pattern: '^[a-z0-9-]{1,32}/[A-Za-z0-9-]{1,64}$',
  description: 'contract/message or contract/Event',
});

/** RFC 9457. `code` is stable; `advice` says what to do next. Nothing of the input is repeated. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'identifies the kind of problem' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.Integer({ description: 'stable number of the error' }),
    detail: Type.Optional(Type.String()),
    advice: Type.String({ description: 'what to do next' }),
    requestId: Type.String(),
    errors: Type.Optional(
      Type.Array(Type.Object({ in: Type.String(), pointer: Type.String(), message: Type.String() }), {
        description: 'which members of the request do not fit, and how',
      }),
    ),
    transaction: Type.Optional(
      Type.Object(
        { hash: Hash, height: Height, index: Type.Integer() },
        { description: 'where the rejected transaction stands on the ledger' },
      ),
    ),
  },
  { description: 'Problem details (RFC 9457)' },
);
export type Problem = Static<typeof Problem>;

export const Event = Type.Object({
  type: MessageType,
  attributes: Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer()])),
});
export type Event = Static<typeof Event>;

export const TransactionSummary = Type.Object({
  hash: Hash,
  height: Height,
  index: Type.Integer({ minimum: 0 }),
  code: Type.Integer({ description: '0, or the number of the rule that refused it' }),
  types: Type.Array(Type.String(), { description: 'types of its messages, in order' }),
  sender: Did,
  timeMs: Type.Integer({ description: 'block time, milliseconds since 1970' }),
});
export type TransactionSummary = Static<typeof TransactionSummary>;

export const TransactionResult = Type.Object({
  hash: Hash,
  height: Height,
  index: Type.Integer({ minimum: 0 }),
  code: Type.Integer(),
  log: Type.String(),
  data: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'digest of events and outputs' }),
  events: Type.Array(Event),
  outputs: Type.Array(Type.Unknown()),
});
export type TransactionResult = Static<typeof TransactionResult>;

export const TransactionDetail = Type.Object({
  ...TransactionResult.properties,
  timeMs: Type.Integer({ description: 'block time, milliseconds since 1970' }),
  transaction: Type.String({ description: 'the signed bytes as they stand in the block (base64url)' }),
});
export type TransactionDetail = Static<typeof TransactionDetail>;

export const Organization = Type.Object({
  slug: Slug,
  name: Type.String(),
  role: Type.String(),
  did: Did,
  hosted: Type.Boolean({ description: 'whether this node serves it' }),
});
export type Organization = Static<typeof Organization>;

export const Expiring = Type.Object({
  kind: Type.Union([Type.Literal('key'), Type.Literal('certificate')]),
  organization: Type.Optional(Type.String({ description: 'whose key' })),
  purpose: Type.Optional(Type.String({ description: 'what the key is for' })),
  name: Type.String({ description: 'of the key, or of the certificate’s file' }),
  expiresMs: Type.Integer({ description: 'milliseconds since 1970' }),
  level: Type.Union([Type.Literal('warning'), Type.Literal('critical'), Type.Literal('expired')]),
});
export type Expiring = Static<typeof Expiring>;

export const ValidatorFault = Type.Object({
  kind: Type.Union([
    Type.Literal('double-vote'),
    Type.Literal('light-client-attack'),
    Type.Literal('proposal-refused'),
  ]),
  validator: Type.String({ description: 'address of the validator, lower-case hexadecimal' }),
  height: Type.Integer({ description: 'the latest block that it concerns' }),
  count: Type.Integer(),
});
export type ValidatorFault = Static<typeof ValidatorFault>;

export const Status = Type.Object({
  version: Type.String(),
  chain: Type.String(),
  engine: Type.String(),
  sandbox: Type.Boolean({ description: 'a network to try things on: impersonating tokens exist' }),
  height: Height,
  blockTimeMs: Type.Integer({ description: 'time of the latest block, milliseconds since 1970' }),
  appHash: Hash,
  startedMs: Type.Integer(),
  organizations: Type.Array(Organization),
  expiring: Type.Array(Expiring, { description: 'keys and certificates that end soon or have ended' }),
  faults: Type.Optional(
    Type.Array(ValidatorFault, {
      description: 'what validators did against the rules, as this node saw since its start',
    }),
  ),
});
export type Status = Static<typeof Status>;

export const Block = Type.Object({
  height: Height,
  timeMs: Type.Integer(),
  appHash: Type.String({ description: 'state root after this block' }),
  hash: Type.String({ description: 'hash of the header' }),
  transactions: Type.Array(TransactionSummary),
});
export type Block = Static<typeof Block>;

export const StateEntry = Type.Object({
  key: Type.String(),
  present: Type.Boolean(),
  height: Height,
  value: Type.Optional(
    Type.String({ description: 'stored bytes: salt (16), version (1), deterministic CBOR (base64url)' }),
  ),
  content: Type.Optional(Type.Unknown({ description: 'the CBOR as JSON; byte strings as base64url' })),
  proof: Type.Optional(Type.Unknown({ description: 'proof of presence or absence; `salus verify` checks it' })),
});
export type StateEntry = Static<typeof StateEntry>;

export const LedgerEvent = Type.Object({
  height: Height,
  index: Type.Integer({ minimum: 0, description: 'position among all events of the block' }),
  timeMs: Type.Integer(),
  transaction: Hash,
  type: MessageType,
  attributes: Event.properties.attributes,
});
export type LedgerEvent = Static<typeof LedgerEvent>;

export const BlockNotice = Type.Object({
  height: Height,
  timeMs: Type.Integer(),
  transactions: Type.Integer({ minimum: 0 }),
  events: Type.Integer({ minimum: 0 }),
});
export type BlockNotice = Static<typeof BlockNotice>;

export const Notice = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  topic: Type.String({ description: '`organization`, or the participant it is for' }),
  type: Type.String(),
  timeMs: Type.Integer(),
  data: Type.Record(Type.String(), Type.Unknown()),
});
export type Notice = Static<typeof Notice>;
