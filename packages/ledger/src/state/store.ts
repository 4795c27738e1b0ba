import { type Database, open, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb';
import { ledgerError } from '../errors.ts';
import { storeMapBytes } from '../limits.ts';
import type { LogLocation } from '../log/segment.ts';
import type { Place, Posting } from './layer.ts';

/** What the store says of itself; written in the same durable step as the last part of a flush. */
export type StoreHead = { height: number; timeMs: number; appHash: string; tail: LogLocation | undefined };

type Binary<K extends string | number | Buffer> = Database<Buffer, K>;

const heightHexDigits = 12;
const indexHexDigits = 5;
const HEAD = 'head';

/** Sorts as the chain does. */
export function placeText({ height, index }: Place): string {
  return `${height.toString(16).padStart(heightHexDigits, '0')}.${index.toString(16).padStart(indexHexDigits, '0')}`;
}

export function placeOf(text: string): Place | undefined {
  if (!/^[0-9a-f]{12}\.[0-9a-f]{5}$/.test(text)) return undefined;
  return {
    height: Number.parseInt(text.slice(0, heightHexDigits), 16),
    index: Number.parseInt(text.slice(heightHexDigits + 1), 16),
  };
}

const quiet = (): void => undefined;

/** A commit that failed; `commitError` rejects with the reason, and is the library's own: nobody else waits for it. */
type CommitFailure = Error & { commitError?: Promise<unknown> };

/** Why a commit failed. The library settles the reason in the same turn; should it not, the failure has to do. */
async function reasonOf(failure: CommitFailure): Promise<Error> {
  const reason = failure.commitError?.then(
    () => failure,
    (cause: unknown) => cause as Error,
  );
  const turn = new Promise<Error>((resolve) => setImmediate(() => resolve(failure)));
  return await Promise.race([reason ?? failure, turn]);
}

const numberBytes = 8;
type StoredPosting = [height: number, index: number, types: string];

/** The LMDB tables. Nothing here is ahead of the log, and every write is absolute, so that redo from the log heals it. */
export class Store {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #state: Binary<string>;
  readonly #buckets: Binary<number>;
  readonly #blocks: Binary<number>;
  readonly #places: Binary<Buffer>;
  readonly #postings: Binary<string>;
  readonly #replay: Binary<string>;
  readonly #meta: Binary<string>;

  constructor(dir: string) {
    // A path with a dot would be taken for a file; `overlappingSync` would let a commit resolve before its sync.
    const options: RootDatabaseOptionsWithPath & { noReadAhead: boolean } = {
      path: dir,
      noSubdir: false,
      overlappingSync: false,
      // Every write here is in a batch of ours. Batches per turn of the event loop, which the library makes beside them,
      // have promises that nobody can reach: a full disk would reject them, and that would end the process.
      eventTurnBatching: false,
      mapSize: storeMapBytes,
      maxDbs: 8,
      encoding: 'binary',
      // Pages are read where they are needed: read-ahead would only fill memory.
      noReadAhead: true,
    };
    this.#root = open<Buffer, string>(options);
    this.#state = this.#root.openDB<Buffer, string>({ name: 'state', encoding: 'binary' });
    this.#buckets = this.#root.openDB<Buffer, number>({ name: 'buckets', encoding: 'binary', keyEncoding: 'uint32' });
    this.#blocks = this.#root.openDB<Buffer, number>({ name: 'blocks', encoding: 'binary', keyEncoding: 'uint32' });
    this.#places = this.#root.openDB<Buffer, Buffer>({ name: 'places', encoding: 'binary', keyEncoding: 'binary' });
    this.#postings = this.#root.openDB<Buffer, string>({ name: 'postings', encoding: 'binary' });
    this.#replay = this.#root.openDB<Buffer, string>({ name: 'replay', encoding: 'binary' });
    this.#meta = this.#root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' });
  }

  head(): StoreHead | undefined {
    const bytes = this.#meta.getBinary(HEAD);
    return bytes ? (JSON.parse(bytes.toString()) as StoreHead) : undefined;
  }

  getState(key: string): Uint8Array | undefined {
    return this.#state.getBinary(key);
  }

  *rangeState(prefix: string): Iterable<[key: string, stored: Uint8Array]> {
    for (const { key, value } of this.#state.getRange({ start: prefix, end: `${prefix}\u007f` })) yield [key, value];
  }

  countState(): number {
    return this.#state.getCount();
  }

  getBucket(index: number): Uint8Array | undefined {
    return this.#buckets.getBinary(index);
  }

  *rangeBuckets(): Iterable<readonly [index: number, bucket: Uint8Array]> {
    for (const { key, value } of this.#buckets.getRange({})) yield [key, value];
  }

  getBlock(height: number): LogLocation | undefined {
    const bytes = this.#blocks.getBinary(height);
    if (!bytes) return undefined;
    const [segment, offset, length] = [0, 1, 2].map((at) => Number(bytes.readBigUInt64LE(at * numberBytes)));
    return { segment: segment as number, offset: offset as number, bytes: length as number };
  }

  getPlace(hash: string): Place | undefined {
    const bytes = this.#places.getBinary(Buffer.from(hash, 'hex'));
    return bytes ? { height: bytes.readUIntLE(0, 6), index: bytes.readUInt32LE(6) } : undefined;
  }

  /** Entries of one list of the index behind `after`, in the order of the chain. */
  *rangePostings(list: string, after: string): Iterable<Posting> {
    const from = `${list}/${after}`;
    // The chunk that `after` stands in begins at or before it.
    const [first] = this.#postings.getKeys({ start: from, end: `${list}/`, reverse: true, limit: 1 });
    for (const { value } of this.#postings.getRange({ start: first ?? from, end: `${list}/~` })) {
      for (const [height, index, types] of JSON.parse(value.toString('latin1')) as StoredPosting[]) {
        if (placeText({ height, index }) > after) yield { height, index, types: types.split(',') };
      }
    }
  }

  *rangeReplay(): Iterable<{ minute: number; ids: Buffer }> {
    for (const { key, value } of this.#replay.getRange({})) {
      yield { minute: Number(key.slice(0, key.indexOf('/'))), ids: value };
    }
  }

  /**
   * One durable step: resolves when everything that `fill` put is on the disk. Rejects with `storeUnwritable`, and then
   * nothing of it is; it can be tried again.
   */
  async write(fill: (writer: StoreWriter) => void): Promise<void> {
    const writer = this.#writer();
    try {
      await this.#root.batch(() => fill(writer));
    } catch (failure) {
      const cause = await reasonOf(failure as CommitFailure);
      throw ledgerError('storeUnwritable', cause.message, { cause });
    }
  }

  /** What stands in the table of state now, whatever is written later. */
  pin(): PinnedStore {
    const transaction = this.#root.useReadTransaction();
    const state = this.#state;
    return {
      getState: (key) => state.get(key, { transaction }),
      *rangeState() {
        for (const { key, value } of state.getRange({ transaction })) yield [key, value];
      },
      release: () => transaction.done(),
    };
  }

  /** A consistent copy of the tables into an empty directory; writers do not wait for it. */
  async copyTo(dir: string): Promise<void> {
    await this.#root.backup(dir, true);
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #writer(): StoreWriter {
    const put = <K extends string | number | Buffer>(table: Binary<K>, key: K, bytes: Uint8Array): void => {
      // The batch's own promise reports a failure; without this each put would report it again, unhandled.
      table.put(key, bytes as Buffer).catch(quiet);
    };
    const remove = <K extends string | number | Buffer>(table: Binary<K>, key: K): void => {
      table.remove(key).catch(quiet);
    };
    return {
      state: (key, stored) => (stored ? put(this.#state, key, stored) : remove(this.#state, key)),
      bucket: (index, bucket) => (bucket.length > 0 ? put(this.#buckets, index, bucket) : remove(this.#buckets, index)),
      block: (height, location) => {
        const bytes = Buffer.alloc(3 * numberBytes);
        for (const [at, value] of [location.segment, location.offset, location.bytes].entries()) {
          bytes.writeBigUInt64LE(BigInt(value), at * numberBytes);
        }
        put(this.#blocks, height, bytes);
      },
      place: (hash, { height, index }) => {
        const bytes = Buffer.allocUnsafe(10);
        bytes.writeUIntLE(height, 0, 6);
        bytes.writeUInt32LE(index, 6);
        put(this.#places, Buffer.from(hash, 'hex'), bytes);
      },
      postings: (list, chunk) => {
        const stored = chunk.map(({ height, index, types }): StoredPosting => [height, index, types.join(',')]);
        put(this.#postings, `${list}/${placeText(chunk[0] as Posting)}`, Buffer.from(JSON.stringify(stored), 'latin1'));
      },
      replay: (minute, height, ids, index = 0) => put(this.#replay, `${minute}/${placeText({ height, index })}`, ids),
      dropReplay: (minute) => {
        for (const key of this.#replay.getKeys({ start: `${minute}/`, end: `${minute}/~` })) remove(this.#replay, key);
      },
      head: (head) => put(this.#meta, HEAD, Buffer.from(JSON.stringify(head))),
    };
  }
}

export type PinnedStore = {
  getState(key: string): Uint8Array | undefined;
  rangeState(): Iterable<[key: string, stored: Uint8Array]>;
  /** The space of what was replaced meanwhile can be used again. */
  release(): void;
};

export type StoreWriter = {
  state(key: string, stored: Uint8Array | undefined): void;
  bucket(index: number, bucket: Uint8Array): void;
  block(height: number, location: LogLocation): void;
  place(hash: string, place: Place): void;
  postings(list: string, chunk: readonly Posting[]): void;
  /** Ids of a minute that follow those of lower heights, and of lower `index` at the same height. */
  replay(minute: number, height: number, ids: Uint8Array, index?: number): void;
  dropReplay(minute: number): void;
  head(head: StoreHead): void;
};
