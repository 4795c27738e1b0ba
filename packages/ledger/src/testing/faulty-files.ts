import { type Files, type LedgerFile, nodeFiles } from '../files.ts';

export type Operation = 'open' | 'write' | 'datasync';
/** Returns an error to fail the operation with. */
export type Fault = (operation: Operation, path: string) => Error | undefined;
/** Uniform in [0, 1). */
export type Random = () => number;

type Unsynced = { path: string; position: number; before: Uint8Array };
type Rename = { from: string; to: string };

const sectorBytes = 512;

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/**
 * Real files under which the power can be cut: what was not synced is then lost sector by sector, in any mixture, and
 * so are names whose directory was not synced. Faults fail single operations.
 */
export class FaultyFiles implements Files {
  fault: Fault = () => undefined;
  #unsynced: Unsynced[] = [];
  #renames: Rename[] = [];
  #isOff = false;

  readonly exists = nodeFiles.exists;
  readonly list = nodeFiles.list;
  readonly makeDirectory = nodeFiles.makeDirectory;
  readonly readFile = nodeFiles.readFile;
  readonly writeFileAtomic = nodeFiles.writeFileAtomic;

  async open(path: string, mode: 'read' | 'create' | 'write'): Promise<LedgerFile> {
    this.#check('open', path);
    const file = await nodeFiles.open(path, mode);
    // A handle follows its file through renames.
    return {
      write: async (bytes, position) => {
        this.#check('write', path);
        const before = new Uint8Array(bytes.length);
        file.readSync(before, position);
        this.#unsynced.push({ path: this.#nameNow(path), position, before });
        await file.write(bytes, position);
      },
      read: (bytes, position) => file.read(bytes, position),
      readSync: (bytes, position) => file.readSync(bytes, position),
      datasync: async () => {
        this.#check('datasync', path);
        await file.datasync();
        const name = this.#nameNow(path);
        this.#unsynced = this.#unsynced.filter((write) => write.path !== name);
      },
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  rename(from: string, to: string): void {
    nodeFiles.rename(from, to);
    this.#renames.push({ from, to });
    for (const write of this.#unsynced) if (write.path === from) write.path = to;
  }

  removeTree(dir: string): void {
    nodeFiles.removeTree(dir);
    this.#unsynced = this.#unsynced.filter((write) => !write.path.startsWith(`${dir}/`));
  }

  remove(path: string): void {
    nodeFiles.remove(path);
    this.#unsynced = this.#unsynced.filter((write) => write.path !== path);
  }

  syncDirectory(dir: string): void {
    this.#check('datasync', dir);
    nodeFiles.syncDirectory(dir);
    this.#renames = [];
  }

  /** Nothing works any more, and what was not synced is partly gone. */
  cutPower(random: Random): void {
    this.#isOff = true;
    for (const { path, position, before } of this.#unsynced.reverse()) this.#lose(path, position, before, random);
    for (const { from, to } of this.#renames.reverse()) if (random() < 0.5) nodeFiles.rename(to, from);
  }

  #nameNow(path: string): string {
    return this.#renames.findLast(({ from }) => from === path)?.to ?? path;
  }

  #check(operation: Operation, path: string): void {
    const error = this.#isOff ? diskError('EIO') : this.fault(operation, path);
    if (error) throw error;
  }

  #lose(path: string, position: number, before: Uint8Array, random: Random): void {
    const bytes = Buffer.from(nodeFiles.readFile(path));
    // The write itself may still be on its way.
    const end = Math.min(position + before.length, bytes.length);
    for (let at = position; at < end; ) {
      const until = Math.min(end, at - (at % sectorBytes) + sectorBytes);
      if (random() < 0.5) bytes.set(before.subarray(at - position, until - position), at);
      at = until;
    }
    nodeFiles.writeFileAtomic(path, bytes);
  }
}
