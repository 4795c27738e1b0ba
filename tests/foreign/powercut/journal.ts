import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** One entry of the journal that powercut.c writes; it says what the members are. */
interface Entry {
  kind: string;
  inode: bigint;
  one: bigint;
  two: bigint;
  a: Buffer;
  b: Buffer;
  at: number;
}

const headBytes = 33;
const sectorBytes = 512;

/** The last entry may be cut short by the kill; then what it announces never began. */
function* entriesOf(journal: Buffer): Generator<Entry> {
  for (let at = 0; at + headBytes <= journal.length; ) {
    const aEnd = at + headBytes + journal.readUInt32LE(at + 25);
    const bEnd = aEnd + journal.readUInt32LE(at + 29);
    if (bEnd > journal.length) return;
    const [inode, one, two] = [1, 9, 17].map((from) => journal.readBigUInt64LE(at + from)) as [bigint, bigint, bigint];
    const a = journal.subarray(at + headBytes, aEnd);
    yield { kind: String.fromCharCode(journal[at] ?? 0), inode, one, two, a, b: journal.subarray(aEnd, bEnd), at };
    at = bEnd;
  }
}

/**
 * What was neither synced nor written through, oldest first. A sync of a file covers its content, its length and, as on
 * ext4, XFS and Btrfs, the name that it was made under; a sync of a directory covers its names.
 */
function unsynced(journal: Buffer): Entry[] {
  let open: Entry[] = [];
  for (const entry of entriesOf(journal)) {
    if (entry.kind !== 'S') {
      open.push(entry);
      continue;
    }
    const covers = ({ kind, inode, one }: Entry): boolean =>
      inode === entry.inode || (kind === 'C' && one === entry.inode);
    open = open.filter((one) => !covers(one) || BigInt(one.at) >= entry.one);
  }
  return open;
}

/** A descriptor for every file below the directories: names change while things are undone, inodes do not. */
function openFiles(dirs: readonly string[], into = new Map<bigint, { fd: number; path: string }>()) {
  for (const dir of dirs) {
    for (const name of readdirSync(dir)) {
      const path = join(dir, name);
      const info = statSync(path, { bigint: true });
      if (info.isDirectory()) openFiles([path], into);
      else if (!into.has(info.ino)) into.set(info.ino, { fd: openSync(path, 'r+'), path });
    }
  }
  return into;
}

export interface Losses {
  sectors: number;
  names: number;
  lengths: number;
}

/** Takes from a directory what a power cut would have taken. */
class PowerCut {
  readonly losses: Losses = { sectors: 0, names: 0, lengths: 0 };
  readonly #random: () => number;
  readonly #graves: string;
  readonly #files: Map<bigint, { fd: number; path: string }>;
  /** How many of the unsynced writes each sector got: it holds what it held at one moment, never a mixture. */
  readonly #kept = new Map<string, number>();

  constructor(dir: string, graves: string, random: () => number) {
    this.#random = random;
    this.#graves = graves;
    this.#files = openFiles([dir, graves]);
  }

  undo(entries: readonly Entry[]): void {
    const order = new Map<string, number>();
    const plans = entries.map((entry) => ({ entry, sectors: this.#number(entry, order) }));
    for (const [sector, count] of order) this.#kept.set(sector, Math.floor(this.#random() * (count + 1)));
    for (const { entry, sectors } of plans.reverse()) {
      if (entry.kind === 'W') this.#undoWrite(entry, sectors);
      else if (entry.kind === 'T') this.#undoTruncation(entry);
      else if (this.#random() < 0.5) this.#undoName(entry);
    }
    for (const { fd } of this.#files.values()) closeSync(fd);
  }

  #number({ kind, inode, one, two }: Entry, order: Map<string, number>): number[] {
    if (kind !== 'W') return [];
    const numbers: number[] = [];
    const end = Number(one + two);
    for (let from = Number(one); from < end; from += sectorBytes - (from % sectorBytes)) {
      const sector = `${inode}/${Math.floor(from / sectorBytes)}`;
      const number = order.get(sector) ?? 0;
      order.set(sector, number + 1);
      numbers.push(number);
    }
    return numbers;
  }

  #undoWrite({ inode, one, two, a }: Entry, numbers: readonly number[]): void {
    const file = this.#files.get(inode);
    if (file === undefined) return;
    const [offset, length] = [Number(one), Number(two)];
    const before = Buffer.alloc(length);
    before.set(a);
    const { size } = fstatSync(file.fd);
    const end = Math.min(offset + length, size);
    let position = 0;
    for (let from = offset; from < end; position += 1) {
      const until = Math.min(end, from - (from % sectorBytes) + sectorBytes);
      const kept = this.#kept.get(`${inode}/${Math.floor(from / sectorBytes)}`) ?? 0;
      if ((numbers[position] ?? 0) >= kept) {
        writeSync(file.fd, before, from - offset, until - from, from);
        this.losses.sectors += 1;
      }
      from = until;
    }
    // The new length may not have reached the disk either.
    if (a.length < length && offset + length >= size && this.#random() < 0.5) {
      ftruncateSync(file.fd, offset + a.length);
      this.losses.lengths += 1;
    }
  }

  #undoTruncation({ inode, one, two, a }: Entry): void {
    const file = this.#files.get(inode);
    if (file === undefined || this.#random() < 0.5) return;
    if (a.length > 0) writeSync(file.fd, a, 0, a.length, Number(one));
    else if (two < one) ftruncateSync(file.fd, Number(two));
    this.losses.lengths += 1;
  }

  #undoName({ kind, inode, one, a, b }: Entry): void {
    const [from, to] = [a.toString(), b.toString()];
    const grave = join(this.#graves, String(one));
    if (kind === 'C') {
      const file = this.#files.get(inode);
      if (file === undefined || !existsSync(from) || statSync(from, { bigint: true }).ino !== inode) return;
      rmSync(from);
    } else if (kind === 'R') {
      if (!existsSync(to)) return;
      renameSync(to, from);
      if (one > 0n && existsSync(grave)) linkSync(grave, to);
    } else if (kind === 'U') {
      if (existsSync(from) || !existsSync(grave)) return;
      linkSync(grave, from);
    }
    this.losses.names += 1;
  }
}

/** Each unsynced sector, length and name is lost or kept by chance, as after a power cut. */
export function cutPower(dir: string, journalPath: string, graves: string, random: () => number): Losses {
  const none = { sectors: 0, names: 0, lengths: 0 };
  if (!existsSync(journalPath)) return none;
  const cut = new PowerCut(dir, graves, random);
  cut.undo(unsynced(readFileSync(journalPath)));
  return cut.losses;
}
