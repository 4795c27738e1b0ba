import { StateUnreadableError } from '@salus/contracts';
import { ledgerError } from '../errors.ts';
import type { LogLocation } from '../log/segment.ts';
import { Environment, type Row, type Table } from './environment.ts';
import type { Place, Posting } from './layer.ts';

/** What the store says of itself; written in the same durable step as the last part of a flush. */
export type StoreHead = { height: number; timeMs: number; appHash: string; tail: LogLocation | undefined };

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

function headOf({ meta }: Environment): StoreHead | undefined {
  const bytes = meta.getBinary(HEAD);
  return bytes ? (JSON.parse(bytes.toString()) as StoreHead) : undefined;
}

const numberBytes = 8;
type StoredPosting = [height: number, index: number, types: string];

/**
 * The LMDB tables. Nothing here is ahead of the log, and every write is absolute, so that redo from the log heals it, and
 * what a flush still holds in memory can be written again.
 */
export class Store {
  readonly #environment: Environment;

  constructor(dir: string) {
    this.#environment = new Environment(dir);
  }

  head(): StoreHead | undefined {
    return headOf(this.#tables);
  }

  /** Throws `StateUnreadableError`, as `getBucket` does: execution reads here. */
  getState(key: string): Uint8Array | undefined {
    try {
      return this.#tables.state.getBinary(key);
    } catch (cause) {
      throw new StateUnreadableError((cause as Error).message, { cause });
    }
  }

  *rangeState(prefix: string): Iterable<[key: string, stored: Uint8Array]> {
    for (const { key, value } of this.#rows(({ state }) => state, { start: prefix, end: `${prefix}\u007f` })) {
      yield [key, value];
    }
  }

  countState(): number {
    return this.#tables.state.getCount();
  }

  getBucket(index: number): Uint8Array | undefined {
    try {
      return this.#tables.buckets.getBinary(index);
    } catch (cause) {
      throw new StateUnreadableError((cause as Error).message, { cause });
    }
  }

  *rangeBuckets(): Iterable<readonly [index: number, bucket: Uint8Array]> {
    for (const { key, value } of this.#rows(({ buckets }) => buckets, {})) yield [key, value];
  }

  getBlock(height: number): LogLocation | undefined {
    const bytes = this.#tables.blocks.getBinary(height);
    if (!bytes) return undefined;
    const [segment, offset, length] = [0, 1, 2].map((at) => Number(bytes.readBigUInt64LE(at * numberBytes)));
    return { segment: segment as number, offset: offset as number, bytes: length as number };
  }

  getPlace(hash: string): Place | undefined {
    const bytes = this.#tables.places.getBinary(Buffer.from(hash, 'hex'));
    return bytes ? { height: bytes.readUIntLE(0, 6), index: bytes.readUInt32LE(6) } : undefined;
  }

  /** Entries of one list of the index behind `after`, in the order of the chain. */
  *rangePostings(list: string, after: string): Iterable<Posting> {
    const from = `${list}/${after}`;
    // The chunk that `after` stands in begins at or before it.
    const [first] = this.#tables.postings.getKeys({ start: from, end: `${list}/`, reverse: true, limit: 1 });
    const range = { start: first ?? from, end: `${list}/~` };
    for (const { value } of this.#rows(({ postings }) => postings, range)) {
      for (const [height, index, types] of JSON.parse(value.toString('latin1')) as StoredPosting[]) {
        if (placeText({ height, index }) > after) yield { height, index, types: types.split(',') };
      }
    }
  }

  *rangeReplay(): Iterable<{ minute: number; ids: Buffer }> {
    for (const { key, value } of this.#rows(({ replay }) => replay, {})) {
      yield { minute: Number(key.slice(0, key.indexOf('/'))), ids: value };
    }
  }

  /**
   * One durable step: resolves when everything that `fill` put is on the disk. Rejects with `storeUnwritable`, and then
   * nothing of it is.
   */
  async write(fill: (writer: StoreWriter) => void): Promise<void> {
    const writer = this.#writer();
    try {
      await this.#tables.root.batch(() => fill(writer));
    } catch (failure) {
      const cause = await reasonOf(failure as CommitFailure);
      throw ledgerError('storeUnwritable', cause.message, { cause });
    }
  }

  /** What stands in the table of state now, whatever is written later. Reading throws where it could not be kept. */
  pin(): PinnedStore {
    const environment = this.#tables;
    const transaction = environment.root.useReadTransaction();
    const check = (): void => {
      if (environment.isClosed) throw ledgerError('closed');
    };
    return {
      getState: (key) => {
        check();
        return environment.state.get(key, { transaction });
      },
      *rangeState() {
        check();
        for (const { key, value } of environment.rows(environment.state, { transaction })) yield [key, value];
        check();
      },
      release: environment.hold(() => transaction.done()),
    };
  }

  /** A consistent copy of the tables into an empty directory; writers do not wait for it. */
  async copyTo(dir: string): Promise<void> {
    await this.#tables.root.backup(dir, true);
  }

  async close(): Promise<void> {
    await this.#environment.close();
  }

  get #tables(): Environment {
    if (this.#environment.isClosed) throw ledgerError('closed');
    return this.#environment;
  }

  *#rows<K extends string | number>(
    table: (environment: Environment) => Table<K>,
    range: { start?: K; end?: K },
  ): Iterable<Row<K>> {
    const environment = this.#tables;
    yield* environment.rows(table(environment), range);
    if (environment.isClosed) throw ledgerError('closed');
  }

  #writer(): StoreWriter {
    const tables = this.#tables;
    const put = <K extends string | number | Buffer>(table: Table<K>, key: K, bytes: Uint8Array): void => {
      // The batch's own promise reports a failure; without this each put would report it again, unhandled.
      table.put(key, bytes as Buffer).catch(quiet);
    };
    const remove = <K extends string | number | Buffer>(table: Table<K>, key: K): void => {
      table.remove(key).catch(quiet);
    };
    return {
      state: (key, stored) => (stored ? put(tables.state, key, stored) : remove(tables.state, key)),
      bucket: (index, bucket) =>
        bucket.length > 0 ? put(tables.buckets, index, bucket) : remove(tables.buckets, index),
      block: (height, location) => {
        const bytes = Buffer.alloc(3 * numberBytes);
        for (const [at, value] of [location.segment, location.offset, location.bytes].entries()) {
          bytes.writeBigUInt64LE(BigInt(value), at * numberBytes);
        }
        put(tables.blocks, height, bytes);
      },
      place: (hash, { height, index }) => {
        const bytes = Buffer.allocUnsafe(10);
        bytes.writeUIntLE(height, 0, 6);
        bytes.writeUInt32LE(index, 6);
        put(tables.places, Buffer.from(hash, 'hex'), bytes);
      },
      postings: (list, chunk) => {
        const stored = chunk.map(({ height, index, types }): StoredPosting => [height, index, types.join(',')]);
        put(
          tables.postings,
          `${list}/${placeText(chunk[0] as Posting)}`,
          Buffer.from(JSON.stringify(stored), 'latin1'),
        );
      },
      replay: (minute, height, ids, index = 0) => put(tables.replay, `${minute}/${placeText({ height, index })}`, ids),
      dropReplay: (minute) => {
        for (const key of tables.replay.getKeys({ start: `${minute}/`, end: `${minute}/~` }))
          remove(tables.replay, key);
      },
      head: (head) => {
        put(tables.meta, HEAD, Buffer.from(JSON.stringify(head)));
      },
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
