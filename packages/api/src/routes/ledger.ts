import Type from 'typebox';
import { route } from '../route.ts';
import {
  Block,
  Did,
  Hash,
  Height,
  listLimitDefault,
  listLimitMax,
  MessageType,
  StateEntry,
  TransactionDetail,
  TransactionResult,
  TransactionSummary,
  transactionBytesMax,
} from '../schemas.ts';

const tags = ['ledger'];
const StateKey = Type.String({ minLength: 1, maxLength: 200, description: 'state key without its contract' });
const FullStateKey = Type.String({ minLength: 1, maxLength: 200, description: 'state key, contract included' });

export const ledgerRoutes = {
  submitTransaction: route({
    id: 'submitTransaction',
    method: 'POST',
    path: '/api/transactions',
    summary: 'Submit a signed transaction',
    description:
      'The body is the JWS itself; its bytes are what the ledger stores and names. `wait=commit` answers when the ' +
      'transaction is durable in a block, `wait=none` when its form has been checked.',
    tags,
    auth: 'none',
    query: Type.Object(
      {
        wait: Type.Optional(
          Type.Union([Type.Literal('commit'), Type.Literal('none')], {
            default: 'commit',
            description: 'when to answer',
          }),
        ),
      },
      { additionalProperties: false },
    ),
    rawBody: {
      types: ['application/jose+json', 'application/json'],
      bytesMax: transactionBytesMax,
      description: 'a JWS in JSON serialisation (RFC 7515 §7.2), typ salus-tx+jws',
    },
    responses: {
      200: { description: 'durable in a block', schema: TransactionResult },
      202: { description: 'well-formed and queued', schema: Type.Object({ hash: Hash }) },
      422: { description: 'in a block, and rejected by a rule', type: 'application/problem+json' },
    },
  }),
  listTransactions: route({
    id: 'listTransactions',
    method: 'GET',
    path: '/api/transactions',
    summary: 'List transactions, oldest first',
    tags,
    auth: 'none',
    query: Type.Object(
      {
        participant: Type.Optional(Did),
        type: Type.Optional(MessageType),
        after: Type.Optional(
          Type.String({ pattern: '^[0-9]{1,15}\\.[0-9]{1,9}$', description: '`next` of the previous page' }),
        ),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: listLimitMax, default: listLimitDefault })),
      },
      { additionalProperties: false },
    ),
    responses: {
      200: {
        description: 'one page',
        schema: Type.Object({
          transactions: Type.Array(TransactionSummary),
          next: Type.Optional(Type.String({ description: 'pass as `after` for the next page; absent on the last' })),
        }),
      },
    },
  }),
  getTransaction: route({
    id: 'getTransaction',
    method: 'GET',
    path: '/api/transactions/{id}',
    summary: 'A transaction and its result',
    tags,
    auth: 'none',
    params: Type.Object({ id: Hash }),
    responses: { 200: { description: 'the transaction', schema: TransactionDetail } },
  }),
  getReceipt: route({
    id: 'getReceipt',
    method: 'GET',
    path: '/api/transactions/{id}/receipt',
    summary: 'Proof that the transaction is on the ledger, to be checked offline',
    description:
      'With `state`, the receipt also proves the value of that state key, or its absence, as long as the state is still ' +
      'the one after that block; later 409, and /api/state proves the present value.',
    tags,
    auth: 'none',
    params: Type.Object({ id: Hash }),
    query: Type.Object({ state: Type.Optional(FullStateKey) }, { additionalProperties: false }),
    responses: { 200: { description: 'salus-receipt/1', type: 'application/json' } },
  }),
  getState: route({
    id: 'getState',
    method: 'GET',
    path: '/api/state/{contract}/{key+}',
    summary: 'The value of a state key, or that there is none, with proof on request',
    description: 'An absent key is an answer, not an error: `present` is false and the proof shows the absence.',
    tags,
    auth: 'none',
    params: Type.Object({ contract: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }), key: StateKey }),
    query: Type.Object({ proof: Type.Optional(Type.Boolean({ default: false })) }, { additionalProperties: false }),
    responses: { 200: { description: 'the entry', schema: StateEntry } },
  }),
  getBlock: route({
    id: 'getBlock',
    method: 'GET',
    path: '/api/blocks/{height}',
    summary: 'A block and what it holds',
    tags,
    auth: 'none',
    params: Type.Object({ height: Height }),
    responses: { 200: { description: 'the block', schema: Block } },
  }),
  getAnchor: route({
    id: 'getAnchor',
    method: 'GET',
    path: '/api/anchor',
    summary: 'A trust anchor of this network, for `salus verify --anchor`',
    description: 'Compare its headerHash with one you got from somebody you trust before you rely on it.',
    tags,
    auth: 'none',
    responses: { 200: { description: 'salus-anchor/1', type: 'application/json' } },
  }),
};
