import type { CborValue, Did, EcPublicJwk, JsonValue, Message } from '@salus/protocol';
import type { Static, TObject } from 'typebox';
import type { ErrorDefinition } from './errors.ts';
import type { GenesisDocument } from './genesis.ts';

/** Committed state: stored bytes (salt ‖ version ‖ CBOR) by state key. */
export interface StateView {
  get(key: string): Uint8Array | undefined;
}

/** What execution needs beside state: whether (sender, id) was used in a minute bucket. See replay.ts. */
export interface LedgerView extends StateView {
  replaySeen(minute: number, id: string): boolean;
}

/** State that can be walked, for invariants, audits and snapshots. */
export interface IterableView extends StateView {
  iterate(prefix: string): Iterable<[key: string, stored: Uint8Array]>;
}

export interface BlockContext {
  chain: string;
  height: number;
  /** Milliseconds since 1970. The only time that contracts know. */
  blockTimeMs: number;
}

export interface TransactionContext extends BlockContext {
  transactionHash: Uint8Array;
  /** The first signer. */
  sender: Did;
  /** All signers, the sender first. */
  signers: readonly Did[];
  /** The keys they signed with, in the same order. */
  kids: readonly string[];
  /** Place in the block. */
  index: number;
}

export type EventAttributes = { [name: string]: string | number };
export type LedgerEvent = { type: string; attributes: EventAttributes };

/**
 * Decoded state, for queries: the same functions serve handlers, the gate and the server. Values are shared and must
 * not be changed; a handler puts a new object.
 */
export interface StateReader {
  get<T>(key: string): T | undefined;
}

/** What a handler may do. Everything is dropped when the transaction is refused. */
export interface ContractState extends StateReader {
  /** The value is deterministic CBOR: integers, texts, bytes, lists, maps; an absent member is left out. */
  put(key: string, value: object | string | number | boolean): void;
  remove(key: string): void;
  emit(name: string, attributes: EventAttributes): void;
  /** Adds cost units for work that grows with the message (hashing, loops). */
  charge(units: number): void;
  /** Calls an operation that an earlier contract declares in `operations`. */
  call(contract: string, operation: string, argument: CborValue): CborValue;
}

/** Decoded state that can be walked in key order. */
export interface IterableReader extends StateReader {
  iterate<T>(prefix: string): Iterable<[key: string, value: T]>;
}

export type MessageDefinition<S extends TObject = TObject> = {
  /** Closed and bounded; the kernel refuses to start otherwise. */
  schema: S;
  /** Base cost; reads, writes and events are charged on top. */
  cost: number;
  /** Stateless rules beyond the schema; throws ContractError. Runs before a transaction enters a block. */
  check?(message: Static<S>): void;
  /** Checks everything, then writes. What it returns is the message's output, null otherwise. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without an output returns nothing
  handle(state: ContractState, message: Static<S>, context: TransactionContext): JsonValue | void;
  /** The application version from which it holds; the first one where absent. Before, the type is a reserved one. */
  since?: number;
  /** What replaces it in later versions, each whole and with its `since`, ascending. What once held never changes. */
  revisions?: readonly MessageDefinition[];
};

export type Operation = (state: ContractState, argument: CborValue, context: TransactionContext) => CborValue;

export type KeyRefusal = { error: ErrorDefinition };
export type ResolvedKey = { jwk: EcPublicJwk; thumbprint: string };

/**
 * How signatures find their key; the identity contract provides it. Without `context` the key that a signature must be
 * good under, whether or not it may sign at some time.
 */
export type KeyResolver = (
  reader: StateReader,
  did: Did,
  keyName: string,
  messages: readonly Message[],
  context: BlockContext | undefined,
) => ResolvedKey | KeyRefusal;

export interface Contract {
  readonly name: string;
  /** ADR 1 lists them. Also the order: a contract imports only queries of lower numbers. */
  readonly number: number;
  /** By full type, `contract/message`. */
  readonly messages: Readonly<Record<string, MessageDefinition>>;
  /** Message types kept for a later version: refused with a code of their own. */
  readonly reserved?: readonly string[];
  readonly errors: Readonly<Record<string, ErrorDefinition>>;
  /** Problems found in the whole state; empty when all is well. */
  invariants(reader: IterableReader): string[];
  readonly operations?: Readonly<Record<string, Operation>>;
  genesis?(state: ContractState, document: GenesisDocument, context: TransactionContext): void;
  readonly resolveKey?: KeyResolver;
}

export interface TransactionResult {
  /** 0, or contract × 1000 + n. */
  code: number;
  log: string;
  /** SHA-256 of deterministic CBOR [events, outputs]. */
  data: Uint8Array;
  /** Cost units, reported as gas wanted and used. */
  cost: number;
  events: LedgerEvent[];
  /** One per message; null where a message has none. */
  outputs: JsonValue[];
}

/** A used (sender, id): base64url and bytes of SHA-256(sender ‖ '|' ‖ id). */
export type ReplayId = { minute: number; id: string; bytes: Uint8Array };

export interface BlockResult {
  results: TransactionResult[];
  /** Stored bytes, or undefined for a removed key, in the order of first write. */
  writes: Map<string, Uint8Array | undefined>;
  /** For the side table, in order. */
  replayIds: ReplayId[];
}

export interface ExecutedTransaction extends TransactionResult {
  writes: Map<string, Uint8Array | undefined>;
  replayIds: ReplayId[];
}

/** Gives a handler the type of its message; the table of a contract is a plain record. */
export function defineMessage<S extends TObject>(definition: MessageDefinition<S>): MessageDefinition {
  return definition as unknown as MessageDefinition;
}
