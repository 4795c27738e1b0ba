import { constants } from 'node:os';
import { type Database, open, type RangeOptions, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb';
import { storeMapBytes } from '../limits.ts';

/** LMDB gives the numbers of the system. */
const spaceErrnos: readonly unknown[] = [constants.errno.ENOSPC, constants.errno.EDQUOT];

export type Table<K extends string | number | Buffer> = Database<Buffer, K>;
export type Row<K> = { key: K; value: Buffer };

type Options = RootDatabaseOptionsWithPath & { noReadAhead: boolean; maxFreeSpaceToRetain: number };

function optionsOf(dir: string): Options {
  return {
    path: dir,
    // A path with a dot would be taken for a file.
    noSubdir: false,
    // It would let a commit resolve before its sync.
    overlappingSync: false,
    // Every write here is in a batch of ours. Batches per turn of the event loop, which the library makes beside them,
    // have promises that nobody can reach: a full disk would reject them, and that would end the process.
    eventTurnBatching: false,
    mapSize: storeMapBytes,
    maxDbs: 8,
    encoding: 'binary',
    // Pages are read where they are needed: read-ahead would only fill memory.
    noReadAhead: true,
    // The list of free pages is loaded anew for each transaction, as plain LMDB does it. Of a list that it keeps, lmdb
    // 3.5.6 saves the changed part only: where one transaction uses the list up, it can skip a record that it deleted
    // itself, and then reads its length from memory that was never set (`mdb_freelist_save`, MDB_BAD_TXN).
    maxFreeSpaceToRetain: 0,
  };
}

/** MDB_BAD_TXN (lmdb.h): the library gave the transaction up by itself; the file is whole, and it takes another one. */
const badTransaction = -30_782;

/** Whether a write that failed can be tried again in this process. */
export function isRepeatable({ cause }: Error): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === badTransaction;
}

/** Whether a write failed for want of room: that ends when there is some. */
export function isSpaceFailure({ cause }: Error): boolean {
  return cause instanceof Error && 'code' in cause && spaceErrnos.includes(cause.code);
}

/** The LMDB tables as one opening of their file has them. */
export class Environment {
  readonly root: RootDatabase<Buffer, string>;
  readonly state: Table<string>;
  readonly buckets: Table<number>;
  readonly blocks: Table<number>;
  readonly places: Table<Buffer>;
  readonly postings: Table<string>;
  readonly replay: Table<string>;
  readonly meta: Table<string>;
  readonly #held = new Set<() => void>();
  #isClosed = false;

  constructor(dir: string) {
    this.root = open<Buffer, string>(optionsOf(dir));
    this.state = this.root.openDB<Buffer, string>({ name: 'state', encoding: 'binary' });
    this.buckets = this.root.openDB<Buffer, number>({ name: 'buckets', encoding: 'binary', keyEncoding: 'uint32' });
    this.blocks = this.root.openDB<Buffer, number>({ name: 'blocks', encoding: 'binary', keyEncoding: 'uint32' });
    this.places = this.root.openDB<Buffer, Buffer>({ name: 'places', encoding: 'binary', keyEncoding: 'binary' });
    this.postings = this.root.openDB<Buffer, string>({ name: 'postings', encoding: 'binary' });
    this.replay = this.root.openDB<Buffer, string>({ name: 'replay', encoding: 'binary' });
    this.meta = this.root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends at the end of the range, and early where the environment is closed meanwhile. */
  *rows<K extends string | number>(table: Table<K>, range: RangeOptions): Generator<Row<K>, void> {
    const cursor = table.getRange(range)[Symbol.iterator]();
    const letGo = this.hold(() => cursor.return?.());
    try {
      while (!this.#isClosed) {
        const next = cursor.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      letGo();
    }
  }

  /** `end` runs once: when what is returned is called, or before the environment is closed, newest first. */
  hold(end: () => void): () => void {
    this.#held.add(end);
    return () => {
      if (this.#held.delete(end)) end();
    };
  }

  /** Whoever reads over several turns is cut off: the file must not be unmapped below a cursor. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const held = [...this.#held].reverse();
    this.#held.clear();
    for (const end of held) end();
    await this.root.close();
  }
}
