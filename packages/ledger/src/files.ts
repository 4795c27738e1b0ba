import fs from 'node:fs';

/** One open file. Every write names its place, so that a repeated write changes nothing. */
export interface LedgerFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  read(bytes: Uint8Array, position: number): Promise<number>;
  readSync(bytes: Uint8Array, position: number): number;
  /** What was written is on the disk when this resolves. After an error nothing is known about it. */
  datasync(): Promise<void>;
  size(): number;
  close(): Promise<void>;
}

/** The file operations of the ledger, so that tests can take power, space or single bytes away. */
export interface Files {
  open(path: string, mode: 'read' | 'create' | 'write'): Promise<LedgerFile>;
  exists(path: string): boolean;
  list(dir: string): string[];
  makeDirectory(dir: string): void;
  readFile(path: string): Uint8Array;
  /** Whole file, synced, then renamed into place and the directory synced: there is never half of it. */
  writeFileAtomic(path: string, bytes: Uint8Array, mode?: number): void;
  syncDirectory(dir: string): void;
  remove(path: string): void;
  /** A directory with all that is in it; nothing where there is none. */
  removeTree(dir: string): void;
  rename(from: string, to: string): void;
}

const SPACE_ERRORS = new Set(['ENOSPC', 'EDQUOT']);

export function isSpaceError(error: unknown): boolean {
  return SPACE_ERRORS.has((error as NodeJS.ErrnoException).code ?? '');
}

const FLAGS = { read: 'r', create: 'wx+', write: 'r+' } as const;
const fileMode = 0o640;

class NodeFile implements LedgerFile {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (offset: number): void => {
        fs.write(this.#fd, bytes, offset, bytes.length - offset, position + offset, (error, written) => {
          if (error) reject(error);
          else if (offset + written < bytes.length) step(offset + written);
          else resolve();
        });
      };
      step(0);
    });
  }

  read(bytes: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, bytes, 0, bytes.length, position, (error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  readSync(bytes: Uint8Array, position: number): number {
    return fs.readSync(this.#fd, bytes, 0, bytes.length, position);
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve())));
  }

  size(): number {
    return fs.fstatSync(this.#fd).size;
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => fs.close(this.#fd, (error) => (error ? reject(error) : resolve())));
  }
}

function syncDirectory(dir: string): void {
  const fd = fs.openSync(dir, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function writeFileAtomic(path: string, bytes: Uint8Array, mode: number = fileMode): void {
  const temporary = `${path}.tmp`;
  const fd = fs.openSync(temporary, 'w', mode);
  try {
    for (let offset = 0; offset < bytes.length; ) offset += fs.writeSync(fd, bytes, offset);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(temporary, path);
  syncDirectory(path.slice(0, path.lastIndexOf('/')));
}

export const nodeFiles: Files = {
  open: (path, mode) =>
    new Promise((resolve, reject) => {
      fs.open(path, FLAGS[mode], fileMode, (error, fd) => (error ? reject(error) : resolve(new NodeFile(fd))));
    }),
  exists: (path) => fs.existsSync(path),
  list: (dir) => fs.readdirSync(dir).sort(),
  makeDirectory: (dir) => {
    fs.mkdirSync(dir, { recursive: true, mode: 0o750 });
  },
  readFile: (path) => fs.readFileSync(path),
  writeFileAtomic,
  syncDirectory,
  remove: (path) => fs.rmSync(path, { force: true }),
  removeTree: (dir) => fs.rmSync(dir, { force: true, recursive: true }),
  rename: (from, to) => fs.renameSync(from, to),
};
