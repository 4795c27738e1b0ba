import {
  asciiBytes,
  type Did,
  type JsonValue,
  type ParsedTransaction,
  type Payload,
  parseKid,
  sha256,
  toHex,
  validityMsMax,
} from '@salus/protocol';
import { ContractError, check, type ErrorDefinition, kernelErrors, StateUnreadableError } from './errors.ts';
import { type GenesisDocument, genesisHash, parseGenesis } from './genesis.ts';
import { MessageTable } from './message-table.ts';
import {
  bucketKey,
  extendBucket,
  hasPassed,
  liveMinutesKey,
  type ReplayBucket,
  ReplayTable,
  replayIdOf,
} from './replay.ts';
import { BlockState, DecodedCache, TransactionState } from './state.ts';
import { encodeValue, iterableReader } from './stored-value.ts';
import type {
  BlockContext,
  BlockResult,
  Contract,
  ExecutedTransaction,
  IterableView,
  KeyRefusal,
  KeyResolver,
  LedgerView,
  ReplayId,
  ResolvedKey,
  StateReader,
  StateView,
  TransactionContext,
  TransactionResult,
} from './types.ts';
import { applicationVersion, latestVersion, type UpgradeNeeded, UpgradeNeededError, versionSince } from './versions.ts';

/** What every transaction costs for signatures, replay protection and its result. */
export const costPerTransactionBase = 10;
const HANDLER_FAULT = `${kernelErrors.handlerFault.name}: ${kernelErrors.handlerFault.advice}`;
const EMPTY_DATA = sha256(encodeValue([[], []]));
export const chainKey = 'kernel/chain';
export type ChainInfo = { chain: string; genesisHash: Uint8Array; genesisTimeMs: number };

export type CheckResult = { code: number; log: string };
/** `keysUsed`: RFC 7638 thumbprints of the keys that the signatures were verified with, in their order. */
export type VerifiedTransaction = { tx: ParsedTransaction; keysUsed: readonly string[] };
export type KernelOptions = {
  /** Freezes every value in state: a handler that changes a shared value throws. For tests. */
  freezeValues?: boolean;
  /** The latest application version that the contracts know. For tests. */
  latestVersion?: number;
};

const ACCEPTED: CheckResult = { code: 0, log: '' };

/** Any thrown thing as a result. What is not a ContractError is a fault of the program and tells nothing of itself. */
function refusal(thrown: unknown): CheckResult {
  if (thrown instanceof ContractError) return { code: thrown.code, log: thrown.message };
  if (thrown instanceof StateUnreadableError) throw thrown;
  return { code: kernelErrors.handlerFault.code, log: HANDLER_FAULT };
}

function rejected(thrown: unknown, cost: number): TransactionResult {
  return { ...refusal(thrown), data: EMPTY_DATA, cost, events: [], outputs: [] };
}

function isRefusal(resolved: ResolvedKey | KeyRefusal): resolved is KeyRefusal {
  return 'error' in resolved;
}

const noKeys: KeyResolver = () => ({ error: kernelErrors.signerUnknown });

/** The deterministic state machine: the same transactions on the same state give the same results everywhere. */
export class Kernel {
  readonly contracts: readonly Contract[];
  readonly messages: MessageTable;
  readonly #byName: ReadonlyMap<string, Contract>;
  readonly #resolveKey: KeyResolver;
  readonly #cache = new DecodedCache();
  readonly #isFreezing: boolean;
  readonly #latestVersion: number;

  constructor(contracts: readonly Contract[], options: KernelOptions = {}) {
    for (const [index, contract] of contracts.entries()) {
      const previous = contracts[index - 1];
      if (previous && previous.number >= contract.number) {
        throw new TypeError(`contract ${contract.name} must come before ${previous.name}`);
      }
    }
    this.contracts = contracts;
    this.messages = new MessageTable(contracts);
    this.#byName = new Map(contracts.map((contract) => [contract.name, contract]));
    this.#resolveKey = contracts.find((contract) => contract.resolveKey)?.resolveKey ?? noKeys;
    this.#isFreezing = options.freezeValues ?? false;
    this.#latestVersion = options.latestVersion ?? latestVersion;
  }

  /** Initial state of a chain. Throws on a document that is malformed or contradicts itself. */
  genesis(document: GenesisDocument): Map<string, Uint8Array> {
    const genesis = parseGenesis(document);
    const hash = genesisHash(genesis);
    const block = new BlockState({ get: () => undefined }, this.#cache, this.#isFreezing);
    const transaction = new TransactionState(block, this.#byName);
    const sender = genesis.members[0]?.did as Did;
    const base = { chain: genesis.chain, height: 0, blockTimeMs: genesis.timeMs, transactionHash: hash, index: 0 };
    const info: ChainInfo = { chain: genesis.chain, genesisHash: hash, genesisTimeMs: genesis.timeMs };
    block.write(chainKey, info, hash);
    for (const contract of this.contracts) {
      transaction.begin({ ...base, sender, signers: [], kids: [] });
      // Genesis is as large as the consortium; the bound of a transaction is none for it.
      transaction.cost = Number.NEGATIVE_INFINITY;
      contract.genesis?.(transaction.access(contract.name), genesis, transaction.context as TransactionContext);
      block.merge(transaction.overlay);
    }
    return block.writes() as Map<string, Uint8Array>;
  }

  /** Everything but the handlers: what a node asks before it lets a transaction into a block. */
  checkTransaction({ tx, keysUsed }: VerifiedTransaction, view: LedgerView, context: BlockContext): CheckResult {
    try {
      const reader = this.#reader(view);
      const version = applicationVersion(reader, context.height);
      check(version <= this.#latestVersion, kernelErrors.versionUnknown);
      this.#checkStateless(tx, context, version);
      this.#checkSigners(reader, tx, keysUsed, context);
      const { minute, id } = replayIdOf(tx);
      check(!view.replaySeen(minute, id), kernelErrors.replayed);
      return ACCEPTED;
    } catch (thrown) {
      return refusal(thrown);
    }
  }

  /**
   * The key that a signature must verify with: the registered one, or one that a message of the payload registers. Who
   * checks a signature does so at a time of its own, before the block or long after it: whether the key may sign is
   * judged at block time alone, by `checkTransaction` and in execution.
   */
  resolveKey(view: StateView, kid: string, payload: Payload): ResolvedKey | KeyRefusal {
    const { did, keyName } = parseKid(kid);
    try {
      return this.#resolveKey(this.#reader(view), did, keyName, payload.messages, undefined);
    } catch (thrown) {
      if (thrown instanceof StateUnreadableError) throw thrown;
      // A message that carries a key was not checked yet and may be of any shape.
      return { error: kernelErrors.messageMalformed };
    }
  }

  executeTransaction(
    tx: ParsedTransaction,
    keysUsed: readonly string[],
    view: LedgerView,
    context: BlockContext,
  ): ExecutedTransaction {
    const { results, writes, replayIds } = this.executeBlock([{ tx, keysUsed }], view, context);
    return { ...(results[0] as TransactionResult), writes, replayIds };
  }

  /**
   * What keeps this program from executing block `height`: the chain has changed to a version that it does not know. An
   * engine that gets an answer stops before the block, with its data as they are, and says what it needs.
   */
  upgradeNeeded(view: StateView, height: number): UpgradeNeeded | undefined {
    return this.#upgradeNeeded(this.#reader(view), height);
  }

  #upgradeNeeded(reader: StateReader, height: number): UpgradeNeeded | undefined {
    const { version, height: since } = versionSince(reader, height);
    return version > this.#latestVersion ? { version, height: since, latestVersion: this.#latestVersion } : undefined;
  }

  /**
   * Executes in order; each transaction sees what those before it wrote. Never throws for a transaction's fault; throws
   * `UpgradeNeededError` where `upgradeNeeded` answers, and `StateUnreadableError` where the view does.
   */
  executeBlock(transactions: readonly VerifiedTransaction[], view: LedgerView, context: BlockContext): BlockResult {
    const needed = this.upgradeNeeded(view, context.height);
    if (needed) throw new UpgradeNeededError(needed);
    const block = new BlockState(view, this.#cache, this.#isFreezing);
    const version = applicationVersion(this.#reader(view), context.height);
    const session = new BlockSession(block, view, new TransactionState(block, this.#byName), version);
    const results: TransactionResult[] = [];
    for (const [index, { tx, keysUsed }] of transactions.entries()) {
      results.push(this.#execute(session, tx, keysUsed, context, index));
    }
    return { results, writes: block.writes(), replayIds: session.replayIds };
  }

  /** Problems in the whole state, each led by the contract's name. */
  invariants(view: IterableView): string[] {
    const reader = iterableReader(view);
    return this.contracts.flatMap((contract) =>
      contract.invariants(reader).map((problem) => `${contract.name}: ${problem}`),
    );
  }

  /** The error behind a result code, for clients and documents. */
  error(code: number): ErrorDefinition | undefined {
    for (const { errors } of this.contracts) {
      for (const definition of Object.values(errors)) if (definition.code === code) return definition;
    }
    return undefined;
  }

  /** As `stateReader`; what was decoded lately is not decoded again. Nobody may change what it gives. */
  #reader(view: StateView): StateReader {
    const state = new BlockState(view, this.#cache, this.#isFreezing);
    return { get: <T>(key: string) => state.get(key) as T | undefined };
  }

  #checkStateless(tx: ParsedTransaction, context: BlockContext, version: number): void {
    check(tx.chain === context.chain, kernelErrors.chainDiffers);
    const { validUntil, messages } = tx.payload;
    check(validUntil > context.blockTimeMs, kernelErrors.expired);
    check(validUntil <= context.blockTimeMs + validityMsMax, kernelErrors.validityTooLong);
    this.messages.checkAll(messages, version);
  }

  #signingKey(reader: StateReader, did: Did, keyName: string, payload: Payload, context: BlockContext): ResolvedKey {
    const resolved = this.#resolveKey(reader, did, keyName, payload.messages, context);
    if (isRefusal(resolved)) throw new ContractError(resolved.error);
    return resolved;
  }

  #execute(
    session: BlockSession,
    tx: ParsedTransaction,
    keysUsed: readonly string[],
    context: BlockContext,
    index: number,
  ): TransactionResult {
    const { transaction } = session;
    const signatures = tx.signatures;
    const { chain, height, blockTimeMs } = context;
    transaction.begin({
      chain,
      height,
      blockTimeMs,
      transactionHash: tx.hash,
      sender: tx.sender,
      signers: signatures.map((signature) => signature.did),
      kids: signatures.map((signature) => signature.kid),
      index,
    });
    transaction.cost = costPerTransactionBase;
    try {
      this.#checkStateless(tx, context, session.version);
      this.#checkSigners(transaction.access('kernel'), tx, keysUsed, context);
      session.checkReplay(tx);
    } catch (thrown) {
      return rejected(thrown, transaction.cost);
    }
    // From here on the sender has really signed this: the id is used up even if a handler refuses, so that a
    // transaction that was answered with an error cannot come alive later.
    session.useId(tx, blockTimeMs);
    try {
      const outputs = this.#handle(transaction, tx.payload, session.version);
      const data = transactionData(transaction, outputs);
      session.block.merge(transaction.overlay);
      return { code: 0, log: '', data, cost: transaction.cost, events: transaction.events, outputs };
    } catch (thrown) {
      return rejected(thrown, transaction.cost);
    }
  }

  #checkSigners(reader: StateReader, tx: ParsedTransaction, keysUsed: readonly string[], context: BlockContext): void {
    check(keysUsed.length === tx.signatures.length, kernelErrors.signaturesMissing);
    for (const [index, { did, keyName }] of tx.signatures.entries()) {
      const { thumbprint } = this.#signingKey(reader, did, keyName, tx.payload, context);
      check(thumbprint === keysUsed[index], kernelErrors.signerKeyChanged);
    }
  }

  #handle(transaction: TransactionState, payload: Payload, version: number): JsonValue[] {
    const outputs: JsonValue[] = [];
    const context = transaction.context as TransactionContext;
    for (const message of payload.messages) {
      const { contract, definition } = this.messages.entry(message.type, version);
      transaction.charge(definition.cost);
      const output = definition.handle(transaction.access(contract.name), message as never, context);
      outputs.push(output ?? null);
    }
    return outputs;
  }
}

function transactionData(transaction: TransactionState, outputs: JsonValue[]): Uint8Array {
  return sha256(encodeValue([transaction.events, outputs]));
}

/** One block's replay protection and transaction state. */
class BlockSession {
  readonly block: BlockState;
  readonly transaction: TransactionState;
  /** One for the whole block: an upgrade never begins inside of one. */
  readonly version: number;
  readonly replayIds: ReplayId[] = [];
  readonly #view: LedgerView;
  readonly #used = new ReplayTable();
  #id: ReplayId | undefined;

  constructor(block: BlockState, view: LedgerView, transaction: TransactionState, version: number) {
    this.block = block;
    this.#view = view;
    this.transaction = transaction;
    this.version = version;
  }

  checkReplay(tx: ParsedTransaction): void {
    const used = replayIdOf(tx);
    const { minute, id } = used;
    check(!this.#used.seen(minute, id) && !this.#view.replaySeen(minute, id), kernelErrors.replayed);
    this.#id = used;
  }

  useId(tx: ParsedTransaction, blockTimeMs: number): void {
    const used = this.#id as ReplayId;
    this.#used.addOne(used);
    this.replayIds.push(used);
    const key = bucketKey(used.minute);
    const bucket = this.block.get(key) as ReplayBucket | undefined;
    this.block.write(key, extendBucket(bucket, used.bytes), tx.hash);
    this.#tidy(used.minute, blockTimeMs, tx.hash);
  }

  /** Keeps the list of buckets, and removes those that have passed. */
  #tidy(minute: number, blockTimeMs: number, transactionHash: Uint8Array): void {
    const live = (this.block.get(liveMinutesKey) as number[] | undefined) ?? [];
    const first = live[0];
    if (live.includes(minute) && first !== undefined && !hasPassed(first, blockTimeMs)) return;
    for (const old of live) {
      if (hasPassed(old, blockTimeMs)) this.block.write(bucketKey(old), undefined, transactionHash);
    }
    const rest = live.filter((old) => !hasPassed(old, blockTimeMs) && old !== minute);
    const next = [...rest, minute].sort((left, right) => left - right);
    this.block.write(liveMinutesKey, next, transactionHash);
  }
}

/** A transaction's name, as users see it. */
export function transactionName(tx: ParsedTransaction): string {
  return toHex(tx.hash);
}

/** A state key as bytes: what proofs are about (ADR 1). */
export function stateKeyBytes(key: string): Uint8Array {
  return asciiBytes(key);
}
