/**
 * In place of what has a time of its own that nobody could repeat: the key-value library below the ledger's `Store`
 * (package lmdb), the lock of a directory (node:sqlite) and the threads that check signatures. `hooks.ts` puts it
 * there. A batch is atomic, visible and durable when its promise resolves, as the store asks of the library
 * (`overlappingSync: false`).
 */
import { constants } from 'node:os';
import type { FromWorker, ToWorker } from '../../packages/ledger/src/verify/protocol.ts';
import { SignatureChecks } from '../../packages/ledger/src/verify/signature-checks.ts';
import { type Life, living } from './clock.ts';
import type { SimulatedDisk, Tables } from './disk.ts';
import type { Random } from './random.ts';

type Key = string | number | Buffer;
type Range = { start?: Key; end?: Key; reverse?: boolean; limit?: number; transaction?: Snapshot };
type Operation = { table: string; key: string | number; bytes: Buffer | undefined };
type Snapshot = { tables: Tables; done(): void };

let threads: Random | undefined;
const threadMsMax = 3;
const disks = new Map<string, SimulatedDisk>();
/** `data.mdb` as the library begins it: two meta pages of an empty store (lmdb.h, MDB_meta). */
const pageBytes = 4096;
const magic = 0xbeef_c0de;
const magicOffset = 24;

/** Paths below `/sim/<machine>/` lie on this disk. */
export function mount(machine: string, disk: SimulatedDisk): void {
  disks.set(machine, disk);
}

/** For what takes random time between threads. */
export function useRandom(random: Random): void {
  threads = random;
}

function diskOf(path: string): SimulatedDisk {
  const disk = disks.get(path.split('/')[2] ?? '');
  if (!disk) throw new Error(`${path} lies on no simulated disk`);
  return disk;
}

function emptyStoreFile(): Buffer {
  const bytes = Buffer.alloc(2 * pageBytes);
  for (const page of [0, pageBytes]) {
    bytes.writeUInt32LE(magic, page + magicOffset);
    bytes.writeUInt16LE(2, page + magicOffset + 4);
    bytes.writeUInt32LE(pageBytes, page + magicOffset + 24);
    for (const root of [88, 136]) bytes.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, page + root);
    bytes.writeBigUInt64LE(1n, page + 144);
  }
  return bytes;
}

const placeOf = (key: Key): string | number => (typeof key === 'object' ? key.toString('latin1') : key);
const order = (left: string | number, right: string | number): number => (left < right ? -1 : left > right ? 1 : 0);

class SimulatedTable {
  readonly #store: SimulatedStore;
  readonly #name: string;
  #sorted: { keys: (string | number)[]; size: number; version: number } | undefined;

  constructor(store: SimulatedStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  getBinary(key: Key): Buffer | undefined {
    return this.#store.table(this.#name).get(placeOf(key));
  }

  get(key: Key, { transaction }: { transaction: Snapshot }): Buffer | undefined {
    return transaction.tables.get(this.#name)?.get(placeOf(key));
  }

  *getRange(range: Range): Iterable<{ key: string | number; value: Buffer }> {
    const table = range.transaction?.tables.get(this.#name) ?? this.#store.table(this.#name);
    const keys = range.transaction ? [...table.keys()].sort(order) : this.#keys();
    for (const key of within(keys, range)) {
      const value = table.get(key);
      if (value) yield { key, value };
    }
  }

  *getKeys(range: Range): Iterable<string | number> {
    yield* within(this.#keys(), range);
  }

  getCount(): number {
    return this.#store.table(this.#name).size;
  }

  put(key: Key, bytes: Uint8Array): Promise<boolean> {
    this.#store.add({ table: this.#name, key: placeOf(key), bytes: Buffer.from(bytes) });
    return Promise.resolve(true);
  }

  remove(key: Key): Promise<boolean> {
    this.#store.add({ table: this.#name, key: placeOf(key), bytes: undefined });
    return Promise.resolve(true);
  }

  #keys(): (string | number)[] {
    const table = this.#store.table(this.#name);
    const { version } = this.#store;
    if (this.#sorted?.version !== version || this.#sorted.size !== table.size) {
      this.#sorted = { keys: [...table.keys()].sort(order), size: table.size, version };
    }
    return this.#sorted.keys;
  }
}

function* within(keys: readonly (string | number)[], range: Range): Iterable<string | number> {
  const { start, end, reverse = false, limit = Number.POSITIVE_INFINITY } = range;
  let left = limit;
  for (const key of reverse ? [...keys].reverse() : keys) {
    if (start !== undefined && (reverse ? order(key, placeOf(start)) > 0 : order(key, placeOf(start)) < 0)) continue;
    if (end !== undefined && (reverse ? order(key, placeOf(end)) <= 0 : order(key, placeOf(end)) >= 0)) return;
    if (left <= 0) return;
    left -= 1;
    yield key;
  }
}

class SimulatedStore {
  version = 0;
  readonly #disk: SimulatedDisk;
  readonly #tables: Tables;
  #batch: Operation[] | undefined;

  constructor(dir: string) {
    this.#disk = diskOf(dir);
    this.#tables = this.#disk.stores.get(dir) ?? new Map();
    this.#disk.stores.set(dir, this.#tables);
    if (!this.#disk.has(`${dir}/data.mdb`)) this.#disk.writeNow(`${dir}/data.mdb`, emptyStoreFile());
  }

  openDB({ name }: { name: string }): SimulatedTable {
    if (!this.#tables.has(name)) this.#tables.set(name, new Map());
    return new SimulatedTable(this, name);
  }

  table(name: string): Map<string | number, Buffer> {
    return this.#tables.get(name) as Map<string | number, Buffer>;
  }

  add(operation: Operation): void {
    if (!this.#batch) throw new Error('a write outside of a batch');
    this.#batch.push(operation);
  }

  async batch(fill: () => void): Promise<boolean> {
    const operations: Operation[] = [];
    this.#batch = operations;
    fill();
    this.#batch = undefined;
    try {
      await this.#disk.commit(() => this.#apply(operations));
    } catch (error) {
      // The library gives the numbers of the system.
      const cause = Object.assign(error as Error, { code: constants.errno.ENOSPC });
      const commitError = Promise.reject(cause);
      commitError.catch(() => undefined);
      throw Object.assign(new Error('Commit failed (see commitError for details)'), { commitError });
    }
    return true;
  }

  useReadTransaction(): Snapshot {
    const tables: Tables = new Map();
    for (const [name, table] of this.#tables) tables.set(name, new Map(table));
    return { tables, done: () => undefined };
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  #apply(operations: readonly Operation[]): void {
    for (const { table, key, bytes } of operations) {
      if (bytes) this.table(table).set(key, bytes);
      else this.table(table).delete(key);
    }
    this.version += 1;
  }
}

export function open({ path }: { path: string }): SimulatedStore {
  return new SimulatedStore(path);
}

/** What `lockDirectory` asks of SQLite: one holder at a time, until it closes or its process ends. */
export class DatabaseSync {
  readonly #path: string;
  readonly #life: Life | undefined = living();

  constructor(path: string) {
    this.#path = path;
  }

  exec(_sql: string): void {
    const { locks } = diskOf(this.#path);
    const holder = locks.get(this.#path);
    if (locks.has(this.#path) && !holder?.isOver) throw new Error('database is locked');
    locks.set(this.#path, this.#life);
  }

  close(): void {
    const { locks } = diskOf(this.#path);
    if (locks.get(this.#path) === this.#life) locks.delete(this.#path);
  }
}

/** The worker's own code in this thread; what goes between the threads takes simulated time and keeps its order. */
export class Worker {
  #listener: ((message: FromWorker) => void) | undefined;
  #arrivesMs = 0;
  readonly #checks = new SignatureChecks((message) => this.#send(() => this.#listener?.(message)));

  on(event: string, listener: (message: FromWorker) => void): void {
    if (event === 'message') this.#listener = listener;
  }

  postMessage(message: ToWorker): void {
    this.#send(() => this.#checks.receive(message));
  }

  async terminate(): Promise<void> {
    this.#listener = undefined;
  }

  #send(deliver: () => void): void {
    this.#arrivesMs = Math.max(this.#arrivesMs, performance.now() + (threads?.unit() ?? 0) * threadMsMax);
    setTimeout(deliver, this.#arrivesMs - performance.now());
  }
}
