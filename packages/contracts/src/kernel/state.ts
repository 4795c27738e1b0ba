import type { CborValue } from '@salus/protocol';
import { kernelErrors, refuse } from './errors.ts';
import { assertStateKey, decodeStored, encodeStored, encodeValue } from './stored-value.ts';
import type { Contract, ContractState, EventAttributes, LedgerEvent, StateView, TransactionContext } from './types.ts';

/** Cost units: about a microsecond of a small machine each. */
export const costPerTransactionMax = 100_000;
export const costPerRead = 1;
export const costPerWrite = 4;
export const costPerEvent = 1;
/** A write costs one unit more for each so many bytes. */
export const bytesPerCostUnit = 256;
/** Bounds memory; the cache is emptied when it is full. Values are a pure function of stored bytes. */
const cacheEntriesMax = 20_000;

/** `value` undefined means removed. `cbor` may be left to the end of the block where encoding cannot fail. */
type Written = { value: unknown; cbor: Uint8Array | undefined; transactionHash: Uint8Array };
type Decoded = { stored: Uint8Array; value: unknown };

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false;
  return true;
}

function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || Object.isFrozen(value))
    return value;
  for (const inner of Object.values(value)) freezeDeep(inner);
  return Object.freeze(value);
}

/** Decoded values of hot keys, kept across blocks; an entry counts only while the stored bytes are the same. */
export class DecodedCache {
  readonly #entries = new Map<string, Decoded>();

  decode(key: string, stored: Uint8Array): unknown {
    const cached = this.#entries.get(key);
    if (cached && sameBytes(cached.stored, stored)) return cached.value;
    const value = decodeStored<unknown>(stored);
    this.remember(key, stored, value);
    return value;
  }

  remember(key: string, stored: Uint8Array, value: unknown): void {
    if (this.#entries.size >= cacheEntriesMax) this.#entries.clear();
    this.#entries.set(key, { stored, value });
  }

  /** Most values are written once and not read soon: only what was read before is kept. */
  refresh(key: string, stored: Uint8Array, value: unknown): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    entry.stored = stored;
    entry.value = value;
  }
}

/** State as one block sees it: committed state, and what earlier transactions of the block wrote. */
export class BlockState {
  readonly #view: StateView;
  readonly #cache: DecodedCache;
  readonly #isFreezing: boolean;
  readonly #written = new Map<string, Written>();

  constructor(view: StateView, cache: DecodedCache, isFreezing: boolean) {
    this.#view = view;
    this.#cache = cache;
    this.#isFreezing = isFreezing;
  }

  get(key: string): unknown {
    const written = this.#written.get(key);
    if (written) return written.value;
    const stored = this.#view.get(key);
    return stored === undefined ? undefined : this.#guard(this.#cache.decode(key, stored));
  }

  /** For the kernel's own values, which always encode. */
  write(key: string, value: unknown, transactionHash: Uint8Array): void {
    this.#written.set(key, { value: this.#guard(value), cbor: undefined, transactionHash });
  }

  merge(overlay: Map<string, Written>): void {
    for (const [key, written] of overlay) this.#written.set(key, written);
  }

  /** A test kernel freezes values, so that a handler that changes a shared value is found. */
  #guard<T>(value: T): T {
    return this.#isFreezing ? freezeDeep(value) : value;
  }

  guard<T>(value: T): T {
    return this.#guard(value);
  }

  /** The stored bytes of everything written, in the order of first write. */
  writes(): Map<string, Uint8Array | undefined> {
    const writes = new Map<string, Uint8Array | undefined>();
    for (const [key, { value, cbor, transactionHash }] of this.#written) {
      if (value === undefined) {
        writes.set(key, undefined);
        continue;
      }
      const stored = encodeStored(transactionHash, key, cbor ?? encodeValue(value));
      this.#cache.refresh(key, stored, value);
      writes.set(key, stored);
    }
    return writes;
  }
}

/** What one transaction wrote, emitted and spent; begun anew for each. */
export class TransactionState {
  readonly block: BlockState;
  readonly contracts: ReadonlyMap<string, Contract>;
  overlay = new Map<string, Written>();
  events: LedgerEvent[] = [];
  cost = 0;
  context: TransactionContext | undefined;
  readonly #accesses = new Map<string, StateAccess>();

  constructor(block: BlockState, contracts: ReadonlyMap<string, Contract>) {
    this.block = block;
    this.contracts = contracts;
  }

  begin(context: TransactionContext): void {
    if (this.overlay.size > 0) this.overlay = new Map();
    this.events = [];
    this.cost = 0;
    this.context = context;
  }

  charge(units: number): void {
    this.cost += units;
    if (this.cost > costPerTransactionMax) refuse(kernelErrors.costExceeded);
  }

  /** The state as this contract may use it. */
  access(contract: string): StateAccess {
    const existing = this.#accesses.get(contract);
    if (existing) return existing;
    const access = new StateAccess(this, contract);
    this.#accesses.set(contract, access);
    return access;
  }
}

/** Reads everything, writes only the keys of its own contract. */
export class StateAccess implements ContractState {
  readonly #transaction: TransactionState;
  readonly #contract: string;
  readonly #prefix: string;

  constructor(transaction: TransactionState, contract: string) {
    this.#transaction = transaction;
    this.#contract = contract;
    this.#prefix = `${contract}/`;
  }

  get<T>(key: string): T | undefined {
    this.#transaction.charge(costPerRead);
    const written = this.#transaction.overlay.get(key);
    return (written ? written.value : this.#transaction.block.get(key)) as T | undefined;
  }

  put(key: string, value: object | string | number | boolean): void {
    this.#assertOwn(key);
    const cbor = encodeValue(value);
    this.#transaction.charge(costPerWrite + Math.floor(cbor.length / bytesPerCostUnit));
    this.#write(key, this.#transaction.block.guard(value), cbor);
  }

  remove(key: string): void {
    this.#assertOwn(key);
    this.#transaction.charge(costPerWrite);
    this.#write(key, undefined, undefined);
  }

  emit(name: string, attributes: EventAttributes): void {
    this.#transaction.charge(costPerEvent);
    this.#transaction.events.push({ type: `${this.#prefix}${name}`, attributes });
  }

  charge(units: number): void {
    if (!Number.isSafeInteger(units) || units < 0) throw new TypeError('cost is a whole number of units');
    this.#transaction.charge(units);
  }

  call(contract: string, operation: string, argument: CborValue): CborValue {
    const { contracts, context } = this.#transaction;
    const callee = contracts.get(contract);
    const caller = contracts.get(this.#contract);
    const run = callee?.operations?.[operation];
    if (!callee || !caller || !run || !context || callee.number >= caller.number) {
      throw new TypeError(`${this.#contract} cannot call ${contract}/${operation}`);
    }
    return run(this.#transaction.access(contract), argument, context);
  }

  #write(key: string, value: unknown, cbor: Uint8Array | undefined): void {
    const { overlay, context } = this.#transaction;
    if (!context) throw new TypeError('no transaction is being executed');
    overlay.set(key, { value, cbor, transactionHash: context.transactionHash });
  }

  #assertOwn(key: string): void {
    assertStateKey(key);
    if (!key.startsWith(this.#prefix)) throw new TypeError(`${this.#contract} may not write ${key}`);
  }
}
