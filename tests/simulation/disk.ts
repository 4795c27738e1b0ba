import type { Files, LedgerFile } from '../../packages/ledger/src/files.ts';
import { type Life, living, type SimulatedClock } from './clock.ts';
import type { Random } from './random.ts';

type Write = { position: number; before: Uint8Array };
type Stored = { bytes: Buffer; size: number; syncedSize: number; isSynced: boolean; unsynced: Write[] };
type Rename = { from: string; to: string };

const sectorBytes = 512;
const fastMsMax = 2;
const slowMsMax = 400;
const fileBytesInitial = 4096;

function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/** Tables of the simulated key-value library: what is here is durable. */
export type Tables = Map<string, Map<string | number, Buffer>>;

/**
 * A machine's disk: files, tables of the key-value store, and locks. When the power is cut, what was written and not
 * synced is lost sector by sector in any mixture, and so are names whose directory was not synced.
 */
export class SimulatedDisk {
  isSlow = false;
  /** No file can grow, no store can be written. */
  isFull = false;
  /** Says that it has written what it has not. */
  isLying = false;
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #files = new Map<string, Stored>();
  readonly #dirs = new Set<string>();
  readonly stores = new Map<string, Tables>();
  readonly locks = new Map<string, Life | undefined>();
  #renames: Rename[] = [];
  /** Commits of stores that are under way: atomic, and durable or not when the power goes. */
  #commits: { life: Life | undefined; apply: () => void }[] = [];

  constructor(clock: SimulatedClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** How long an operation takes. */
  delayMs(): number {
    return this.#random.unit() * (this.isSlow ? slowMsMax : fastMsMax);
  }

  /** Happens when the disk is done; never for a life that is over. */
  later<T>(action: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#clock.after(this.delayMs(), () => {
        try {
          resolve(action());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  commit(apply: () => void): Promise<void> {
    const commit = { life: living(), apply };
    this.#commits.push(commit);
    return this.later(() => {
      this.#commits.splice(this.#commits.indexOf(commit), 1);
      if (this.isFull) throw diskError('ENOSPC');
      apply();
    });
  }

  /** What a process leaves behind that was killed: the system still writes what it was given, but its commits end. */
  abandon(): void {
    this.#commits = [];
  }

  cutPower(): void {
    for (const { apply } of this.#commits) {
      if (!this.#random.chance(0.5)) break;
      apply();
    }
    this.#commits = [];
    for (const { from, to } of this.#renames.reverse()) if (this.#random.chance(0.5)) this.#move(to, from);
    this.#renames = [];
    for (const [path, file] of this.#files) {
      if (!file.isSynced && this.#random.chance(0.5)) this.#files.delete(path);
      else this.#lose(file);
    }
  }

  wipe(): void {
    this.#files.clear();
    this.#dirs.clear();
    this.stores.clear();
    this.#renames = [];
    this.#commits = [];
  }

  files(): Files {
    return {
      open: (path, mode) => this.later(() => this.#open(path, mode)),
      exists: (path) => this.#files.has(path) || this.#dirs.has(path) || this.#listed(path).length > 0,
      list: (dir) => this.#listed(dir),
      makeDirectory: (dir) => {
        this.#dirs.add(dir);
      },
      readFile: (path) => {
        const { bytes, size } = this.#existing(path);
        return Uint8Array.prototype.slice.call(bytes, 0, size);
      },
      writeFileAtomic: (path, bytes) => {
        if (this.isFull) throw diskError('ENOSPC');
        const { length: size } = bytes;
        this.#files.set(path, { bytes: Buffer.from(bytes), size, syncedSize: size, isSynced: true, unsynced: [] });
      },
      syncDirectory: (dir) => {
        this.#renames = this.#renames.filter(({ to }) => !to.startsWith(`${dir}/`));
      },
      remove: (path) => {
        this.#files.delete(path);
      },
      removeTree: (dir) => {
        for (const path of this.#files.keys()) if (path.startsWith(`${dir}/`)) this.#files.delete(path);
        for (const path of this.#dirs) if (path === dir || path.startsWith(`${dir}/`)) this.#dirs.delete(path);
        for (const path of this.stores.keys()) if (path === dir || path.startsWith(`${dir}/`)) this.stores.delete(path);
      },
      rename: (from, to) => {
        this.#move(from, to);
        this.#renames.push({ from, to });
      },
    };
  }

  writeNow(path: string, bytes: Uint8Array): void {
    const { length: size } = bytes;
    this.#files.set(path, { bytes: Buffer.from(bytes), size, syncedSize: size, isSynced: true, unsynced: [] });
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  #open(path: string, mode: 'read' | 'create' | 'write'): LedgerFile {
    if (mode === 'create') {
      if (this.#files.has(path)) throw diskError('EEXIST');
      if (this.isFull) throw diskError('ENOSPC');
      const bytes = Buffer.alloc(fileBytesInitial);
      this.#files.set(path, { bytes, size: 0, syncedSize: 0, isSynced: false, unsynced: [] });
    }
    const file = this.#existing(path);
    const read = (bytes: Uint8Array, position: number): number => {
      const end = Math.min(file.size, position + bytes.length);
      if (end <= position) return 0;
      bytes.set(file.bytes.subarray(position, end));
      return end - position;
    };
    return {
      write: (bytes, position) => this.later(() => this.#write(file, bytes, position)),
      read: (bytes, position) => this.later(() => read(bytes, position)),
      readSync: read,
      datasync: () =>
        this.later(() => {
          if (this.isLying) return;
          file.unsynced = [];
          file.syncedSize = file.size;
          file.isSynced = true;
        }),
      size: () => file.size,
      close: () => Promise.resolve(),
    };
  }

  #write(file: Stored, bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > file.size && this.isFull) throw diskError('ENOSPC');
    if (end > file.bytes.length) {
      const larger = Buffer.alloc(Math.max(end, 2 * file.bytes.length));
      file.bytes.copy(larger);
      file.bytes = larger;
    }
    file.unsynced.push({ position, before: Uint8Array.prototype.slice.call(file.bytes, position, end) });
    file.bytes.set(bytes, position);
    file.size = Math.max(file.size, end);
  }

  /** Each sector of each write that was not synced is there or is not. */
  #lose(file: Stored): void {
    for (const { position, before } of file.unsynced.reverse()) {
      const end = position + before.length;
      for (let at = position; at < end; ) {
        const until = Math.min(end, at - (at % sectorBytes) + sectorBytes);
        if (this.#random.chance(0.5)) file.bytes.set(before.subarray(at - position, until - position), at);
        at = until;
      }
    }
    if (file.size > file.syncedSize) file.size = this.#random.between(file.syncedSize, file.size);
    file.bytes.fill(0, file.size);
    file.unsynced = [];
    file.syncedSize = file.size;
  }

  /** A file, or a directory with all that is in it. */
  #move(from: string, to: string): void {
    const moved = [...this.#files].filter(([path]) => path === from || path.startsWith(`${from}/`));
    for (const [path, file] of moved) {
      this.#files.delete(path);
      this.#files.set(`${to}${path.slice(from.length)}`, file);
    }
    if (this.#dirs.delete(from)) this.#dirs.add(to);
  }

  #existing(path: string): Stored {
    const file = this.#files.get(path);
    if (!file) throw diskError('ENOENT');
    return file;
  }

  #listed(dir: string): string[] {
    const names = new Set<string>();
    for (const path of [...this.#files.keys(), ...this.#dirs]) {
      if (path.startsWith(`${dir}/`)) names.add(path.slice(dir.length + 1).split('/')[0] as string);
    }
    return [...names].sort();
  }
}
