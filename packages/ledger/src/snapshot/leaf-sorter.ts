import type { Files, LedgerFile } from '../files.ts';
import { treeUpperLevels } from '../limits.ts';
import { leafBytes } from '../tree/bucket.ts';

const partitions = 256;
const blockLeaves = 512;
const blockBytes = blockLeaves * leafBytes;
const pathBytes = 32;

/**
 * Brings leaves, which come in the order of their state keys, into the order of their paths, in memory that hardly grows
 * with their number: they go into one file, in blocks by the first byte of the path, and are read back one such
 * partition at a time. Deletes its file in the end.
 */
export class LeafSorter {
  readonly #files: Files;
  readonly #path: string;
  readonly #file: LedgerFile;
  readonly #open: Buffer[] = [];
  readonly #fill = new Uint32Array(partitions);
  readonly #blocks: number[][] = Array.from({ length: partitions }, () => []);
  #blockCount = 0;

  private constructor(files: Files, path: string, file: LedgerFile) {
    this.#files = files;
    this.#path = path;
    this.#file = file;
    for (let part = 0; part < partitions; part += 1) this.#open.push(Buffer.allocUnsafe(blockBytes));
  }

  static async create(files: Files, path: string): Promise<LeafSorter> {
    files.remove(path);
    return new LeafSorter(files, path, await files.open(path, 'create'));
  }

  /** `leaves`: records of 128 bytes, as buckets hold them; each is copied before the next is asked for. */
  async add(leaves: Iterable<Uint8Array>): Promise<void> {
    for (const leaf of leaves) {
      const part = leaf[0] as number;
      const at = this.#fill[part] as number;
      (this.#open[part] as Buffer).set(leaf, at);
      this.#fill[part] = at + leafBytes;
      if (at + leafBytes === blockBytes) await this.#spill(part);
    }
  }

  /** Buckets in the order of the tree, a partition at a time. */
  async *buckets(): AsyncIterable<[index: number, bucket: Uint8Array][]> {
    for (let part = 0; part < partitions; part += 1) {
      const leaves = await this.#partition(part);
      if (leaves.length > 0) yield bucketsOf(leaves);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.#files.remove(this.#path);
  }

  async #spill(part: number): Promise<void> {
    const block = this.#open[part] as Buffer;
    await this.#file.write(block, this.#blockCount * blockBytes);
    this.#blocks[part]?.push(this.#blockCount);
    this.#blockCount += 1;
    this.#fill[part] = 0;
  }

  async #partition(part: number): Promise<Uint8Array[]> {
    const blocks = this.#blocks[part] as number[];
    const tail = (this.#open[part] as Buffer).subarray(0, this.#fill[part]);
    const bytes = Buffer.allocUnsafe(blocks.length * blockBytes + tail.length);
    for (const [place, block] of blocks.entries()) {
      const at = place * blockBytes;
      await this.#file.read(bytes.subarray(at, at + blockBytes), block * blockBytes);
    }
    bytes.set(tail, blocks.length * blockBytes);
    const count = bytes.length / leafBytes;
    return Array.from({ length: count }, (_leaf, place) => bytes.subarray(place * leafBytes, (place + 1) * leafBytes));
  }
}

function bucketIndex(leaf: Uint8Array): number {
  const word = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.length).readUInt32BE(0);
  return word >>> (32 - treeUpperLevels);
}

function bucketsOf(leaves: readonly Uint8Array[]): [number, Uint8Array][] {
  const groups = new Map<number, Uint8Array[]>();
  for (const leaf of leaves) {
    const index = bucketIndex(leaf);
    const group = groups.get(index);
    if (group) group.push(leaf);
    else groups.set(index, [leaf]);
  }
  const byPath = (left: Uint8Array, right: Uint8Array): number =>
    Buffer.compare(left.subarray(0, pathBytes), right.subarray(0, pathBytes));
  return [...groups.keys()]
    .sort((left, right) => left - right)
    .map((index) => [index, Buffer.concat((groups.get(index) as Uint8Array[]).sort(byPath))]);
}
