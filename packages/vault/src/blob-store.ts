import { createHash, hash as hashOf } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BlobIndex, type BlobPlace } from './blob-index.ts';
import { asVaultError, copyDurably, isMissing, StoreLock, syncDirectory, writeAll } from './durable-files.ts';
import { vaultError } from './errors.ts';
import { batchBytesMax, deletedFrame, frameBytes, frameHeaderBytes, PackFiles, packedFrame } from './packs.ts';
import { type ByteSource, readSource } from './streams.ts';

/** Up to here blobs share pack files; above, each has a file of its own. */
export const packedBlobBytesMax = 262_144;
const packBytesMax = 256 * 1_048_576;
const readBlockBytes = 262_144;
const scanPageBlobs = 512;
const scanReadBytesMax = 2 * 1_048_576;
/** A pack is rewritten when this part of it is dead. */
const deadShareMax = 0.5;
const blobBytesMax = 2 ** 40;

export type StoredBlob = { address: string; bytes: number };
export type ScanReport = {
  blobs: number;
  bytes: number;
  /** Addresses of blobs whose bytes do not have their hash, or whose frame was altered. */
  damaged: string[];
  /** Addresses of blobs whose file is gone or too short. */
  missing: string[];
  /** Whether the index is whole and accounts for every byte of the packs. */
  indexSound: boolean;
};
type Waiting = { address: string; bytes: Uint8Array; resolve: () => void; reject: (error: unknown) => void };

export function blobAddress(bytes: Uint8Array): string {
  return hashOf('sha256', bytes, 'hex');
}

export async function openBlobStore(dir: string): Promise<BlobStore> {
  for (const name of ['packs', 'files', 'arriving']) mkdirSync(join(dir, name), { recursive: true, mode: 0o700 });
  const lock = new StoreLock(dir);
  let index: BlobIndex;
  try {
    checkIndexThere(dir);
    index = new BlobIndex(join(dir, 'index.sqlite'));
  } catch (error) {
    lock.release();
    throw asVaultError(error);
  }
  const store = new BlobStore(dir, lock, index);
  try {
    await store.recover();
    return store;
  } catch (error) {
    await store.close();
    throw asVaultError(error);
  }
}

/** A store whose index was lost is not a new one: it would write over its packs. */
function checkIndexThere(dir: string): void {
  const index = statSync(join(dir, 'index.sqlite'), { throwIfNoEntry: false });
  if (index !== undefined && index.size > 0) return;
  if (readdirSync(join(dir, 'packs')).length + readdirSync(join(dir, 'files')).length > 0) {
    throw vaultError('storeDamaged', 'index.sqlite is missing');
  }
}

/**
 * Ciphertext by the SHA-256 of its bytes. Small blobs are appended in batches to pack files with one fdatasync per batch;
 * large ones are files of their own. A blob exists from the moment at which its index entry is durable; a crash or a full
 * disk leaves nothing half visible.
 */
export class BlobStore {
  readonly #dir: string;
  readonly #lock: StoreLock;
  readonly #index: BlobIndex;
  readonly #packs: PackFiles;
  #waiting: Waiting[] = [];
  #arrivals = 0;
  #closed = false;
  /** Changes happen one after another. */
  #tail: Promise<void> = Promise.resolve();
  #batchPlanned = false;

  constructor(dir: string, lock: StoreLock, index: BlobIndex) {
    this.#dir = dir;
    this.#lock = lock;
    this.#index = index;
    this.#packs = new PackFiles(join(dir, 'packs'));
  }

  /** Only `openBlobStore` calls this: undoes what was not acknowledged, finishes deletions. */
  async recover(): Promise<void> {
    for (const name of await readdir(join(this.#dir, 'arriving'))) await unlink(join(this.#dir, 'arriving', name));
    const { arriving, leaving } = this.#index.unfinished();
    const { cuts, unknown } = await this.#packs.unacknowledged(this.#index.packs());
    const changes = arriving.length + leaving.length + cuts.length + unknown.length;
    // An altered index must not make the store throw away what it holds.
    if (changes > 0 && !this.#index.isSound(frameHeaderBytes)) throw vaultError('storeDamaged', 'index');
    for (const { pack, bytes } of cuts) await this.#packs.cut(pack, bytes);
    for (const pack of unknown) await this.#packs.remove(pack);
    for (const { address } of arriving) await this.#unlinkFile(address);
    this.#index.remove(arriving, () => 0);
    await this.#destroy(leaving);
  }

  /** Stores a small or large blob; resolves when it is durable. */
  async put(bytes: Uint8Array): Promise<StoredBlob> {
    this.#checkOpen();
    if (bytes.length > packedBlobBytesMax) return this.putStream([bytes]);
    const address = blobAddress(bytes);
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ address, bytes, resolve, reject });
      this.#planBatch();
    });
    return { address, bytes: bytes.length };
  }

  /** Stores a stream of any length with flat memory; resolves when it is durable. */
  async putStream(source: ByteSource): Promise<StoredBlob> {
    this.#checkOpen();
    const start: Uint8Array[] = [];
    let buffered = 0;
    const pieces = readSource(source);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return this.put(Buffer.concat(start));
      start.push(new Uint8Array(value));
      buffered += value.length;
      if (buffered > packedBlobBytesMax) break;
    }
    return this.#putFile(start, pieces);
  }

  has(address: string): boolean {
    this.#checkOpen();
    return this.#index.find(checkAddress(address)) !== undefined;
  }

  /** Length in bytes, or undefined when there is no such blob. */
  length(address: string): number | undefined {
    this.#checkOpen();
    return this.#index.find(checkAddress(address))?.bytes;
  }

  /** A whole packed blob, checked against its address. */
  async get(address: string): Promise<Uint8Array> {
    const { bytes } = this.#find(address);
    if (bytes > packedBlobBytesMax) throw vaultError('blobTooLarge', 'use read');
    const content = await this.#readPlace(address, 0, bytes);
    if (blobAddress(content) !== address) throw vaultError('blobDamaged');
    return content;
  }

  /** Bytes [start, end) in blocks. Not checked against the address: the encryption inside authenticates each chunk. */
  async *read(address: string, start = 0, end?: number): AsyncGenerator<Uint8Array> {
    const { bytes } = this.#find(address);
    const to = end ?? bytes;
    if (!(start >= 0 && start <= to && to <= bytes)) throw vaultError('contentRange', `blob has ${bytes} bytes`);
    for (let position = start; position < to; position += readBlockBytes) {
      yield await this.#readPlace(address, position, Math.min(to, position + readBlockBytes));
    }
  }

  /** Removes blobs: their bytes are overwritten, then their entries. Unknown addresses are passed over. */
  async delete(addresses: readonly string[]): Promise<void> {
    addresses.forEach(checkAddress);
    this.#checkOpen();
    await this.#next(async () => this.#destroy(this.#index.markLeaving(addresses)));
  }

  /** Rewrites packs that are mostly dead. Returns the bytes given back. */
  async compact(): Promise<number> {
    return this.#next(async () => {
      let freed = 0;
      const current = this.#index.lastPack()?.pack;
      for (const { pack, bytes, dead } of this.#index.packs()) {
        if (pack === current || dead < bytes * deadShareMax) continue;
        freed += await this.#rewrite(pack, bytes);
      }
      return freed;
    });
  }

  /** Reads every byte of every blob. `onProgress` gets the bytes checked so far. */
  async scan(onProgress?: (bytes: number) => void): Promise<ScanReport> {
    this.#checkOpen();
    const report: ScanReport = {
      blobs: 0,
      bytes: 0,
      damaged: [],
      missing: [],
      indexSound: await this.#next(async () => this.#index.isSound(frameHeaderBytes)),
    };
    for (let after: BlobPlace | undefined; ; ) {
      const page = this.#index.page(after, scanPageBlobs);
      for (const run of runsOf(page)) await this.#scanRun(run, report);
      onProgress?.(report.bytes);
      after = page.at(-1);
      if (after === undefined) return report;
    }
  }

  /** A consistent copy for a backup, into a new directory; changes wait meanwhile, reads do not. */
  async copyTo(dir: string): Promise<void> {
    this.#checkOpen();
    await this.#next(async () => {
      for (const name of ['packs', 'files', 'arriving']) mkdirSync(join(dir, name), { recursive: true, mode: 0o700 });
      for (const { pack } of this.#index.packs()) await this.#packs.copyTo(pack, join(dir, 'packs'));
      for (let after: BlobPlace | undefined; ; ) {
        const page = this.#index.page(after, scanPageBlobs);
        for (const { address } of page.filter(({ pack }) => pack === 0)) {
          const copy = filePath(dir, address);
          mkdirSync(dirname(copy), { recursive: true, mode: 0o700 });
          await copyDurably(filePath(this.#dir, address), copy);
        }
        after = page.at(-1);
        if (after === undefined) break;
      }
      this.#index.copyTo(join(dir, 'index.sqlite'));
    });
  }

  counts(): { blobs: number; bytes: number } {
    this.#checkOpen();
    return this.#index.counts();
  }

  /** Waits for what was begun. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#next(() => this.#writeBatches());
    await this.#packs.close();
    this.#index.close();
    this.#lock.release();
  }

  #checkOpen(): void {
    if (this.#closed) throw vaultError('storeClosed');
  }

  #find(address: string): BlobPlace {
    this.#checkOpen();
    const place = this.#index.find(checkAddress(address));
    if (place === undefined) throw vaultError('blobUnknown');
    return place;
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work).catch((error) => {
      throw asVaultError(error);
    });
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** What is put while a batch is being synced makes up the next one. */
  #planBatch(): void {
    if (this.#batchPlanned) return;
    this.#batchPlanned = true;
    // One turn of the event loop lets every caller of this turn join the batch.
    setImmediate(() => {
      this.#next(() => {
        this.#batchPlanned = false;
        return this.#writeBatches();
      }).catch(() => undefined);
    });
  }

  async #writeBatches(): Promise<void> {
    while (this.#waiting.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const { bytes: blob } of this.#waiting) {
        if (count > 0 && bytes + blob.length > batchBytesMax) break;
        bytes += blob.length;
        count += 1;
      }
      const batch = this.#waiting.splice(0, count);
      try {
        await this.#writeBatch(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        const cause = asVaultError(error);
        for (const { reject } of batch) reject(cause);
      }
    }
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    const fresh = new Map<string, Uint8Array>();
    for (const { address, bytes } of batch) {
      if (this.#index.find(address) === undefined) fresh.set(address, bytes);
    }
    if (fresh.size > 0) await this.#append(fresh, (places, end) => this.#index.addPacked(places, end));
  }

  /** Frames first, synced, then the index. On any error the pack gets its old length back. */
  async #append(
    blobs: ReadonlyMap<string, Uint8Array>,
    record: (places: BlobPlace[], end: { pack: number; bytes: number }) => void,
  ): Promise<void> {
    const last = this.#index.lastPack() ?? { pack: 1, bytes: 0 };
    const { pack, bytes: from } = last.bytes < packBytesMax ? last : { pack: last.pack + 1, bytes: 0 };
    const frames: Uint8Array[] = [];
    const places: BlobPlace[] = [];
    let position = from;
    for (const [address, bytes] of blobs) {
      frames.push(...packedFrame(address, bytes));
      places.push({ address, pack, position, bytes: bytes.length });
      position += frameHeaderBytes + bytes.length;
    }
    try {
      await this.#packs.append(pack, from, Buffer.concat(frames));
      record(places, { pack, bytes: position });
    } catch (error) {
      await this.#packs.cut(pack, from);
      throw error;
    }
  }

  async #rewrite(pack: number, packBytes: number): Promise<number> {
    let moved = 0;
    for (let after: BlobPlace = { address: '', pack, position: -1, bytes: 0 }; ; ) {
      const page: BlobPlace[] = this.#index.page(after, scanPageBlobs).filter((place) => place.pack === pack);
      const last = page.at(-1);
      if (last === undefined) break;
      const blobs = new Map<string, Uint8Array>();
      for (const place of page) blobs.set(place.address, await this.#packs.read(place, 0, place.bytes));
      const deadBytes = page.reduce((sum, place) => sum + frameBytes(place), 0);
      await this.#append(blobs, (places, end) => this.#index.movePacked(places, end, { pack, deadBytes }));
      moved += deadBytes;
      after = last;
    }
    this.#index.dropPack(pack);
    await this.#packs.remove(pack);
    return packBytes - moved;
  }

  async #putFile(start: readonly Uint8Array[], rest: AsyncGenerator<Uint8Array>): Promise<StoredBlob> {
    this.#arrivals += 1;
    const temporary = join(this.#dir, 'arriving', `${process.pid}-${this.#arrivals}`);
    const handle = await open(temporary, 'wx', 0o600);
    try {
      const { address, bytes } = await writeHashed(handle, start, rest);
      await handle.sync();
      await handle.close();
      await this.#next(() => this.#admit(temporary, address, bytes));
      return { address, bytes };
    } catch (error) {
      await handle.close().catch(() => undefined);
      await unlink(temporary).catch(() => undefined);
      throw asVaultError(error);
    }
  }

  async #admit(temporary: string, address: string, bytes: number): Promise<void> {
    if (this.#index.find(address) !== undefined) {
      await unlink(temporary);
      return;
    }
    this.#index.announceFile(address, bytes);
    const path = filePath(this.#dir, address);
    try {
      await makeDurableDirectory(join(this.#dir, 'files'), dirname(path));
      await rename(temporary, path);
      await syncDirectory(dirname(path));
    } catch (error) {
      await this.#unlinkFile(address);
      this.#index.remove([{ address, pack: 0, position: 0, bytes }], () => 0);
      throw error;
    }
    this.#index.confirmFile(address);
  }

  async #destroy(places: readonly BlobPlace[]): Promise<void> {
    for (const place of places) if (place.pack === 0) await this.#unlinkFile(place.address);
    const packed = places.filter(({ pack }) => pack !== 0);
    await this.#packs.overwrite(packed.map((place) => ({ place, bytes: deletedFrame(place.bytes) })));
    this.#index.remove(places, frameBytes);
  }

  async #unlinkFile(address: string): Promise<void> {
    try {
      await unlink(filePath(this.#dir, address));
      await syncDirectory(dirname(filePath(this.#dir, address)));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async #readPlace(address: string, start: number, end: number): Promise<Uint8Array> {
    const place = this.#find(address);
    try {
      if (place.pack !== 0) return await this.#packs.read(place, start, end);
      return await readPart(filePath(this.#dir, address), start, end);
    } catch (error) {
      // Compaction may have moved the blob, or its file may have been closed, between look-up and reading.
      const again = this.#index.find(address);
      if (again !== undefined && again.pack !== 0) return this.#packs.read(again, start, end);
      throw isMissing(error) ? vaultError('blobDamaged', 'file missing') : asVaultError(error);
    }
  }

  /** Neighbours in a pack are read at once; what does not fit then is looked at alone, for it may just have been moved. */
  async #scanRun(run: readonly BlobPlace[], report: ScanReport): Promise<void> {
    const sound = run[0]?.pack === 0 ? undefined : await this.#packs.soundOf(run).catch(() => undefined);
    for (const place of run) {
      const verdict = sound?.has(place.address) ? 'sound' : await this.#verdict(place.address);
      if (verdict === 'deleted') continue;
      report.blobs += 1;
      report.bytes += place.bytes;
      if (verdict !== 'sound') report[verdict].push(place.address);
    }
  }

  async #verdict(address: string): Promise<'sound' | 'damaged' | 'missing' | 'deleted'> {
    const hash = createHash('sha256');
    try {
      const place = this.#find(address);
      if (place.pack !== 0 && !(await this.#packs.frameFits(place))) return 'damaged';
      for await (const block of this.read(address)) hash.update(block);
    } catch {
      return this.#index.find(address) === undefined ? 'deleted' : 'missing';
    }
    if (hash.digest('hex') === address) return 'sound';
    return this.#index.find(address) === undefined ? 'deleted' : 'damaged';
  }
}

function filePath(dir: string, address: string): string {
  return join(dir, 'files', address.slice(0, 2), address.slice(2, 4), address);
}

function checkAddress(address: string): string {
  if (!/^[0-9a-f]{64}$/.test(address)) throw vaultError('blobAddress');
  return address;
}

/** Blobs in order of place, grouped so that one read serves a group. */
function runsOf(places: readonly BlobPlace[]): BlobPlace[][] {
  const runs: BlobPlace[][] = [];
  for (const place of places) {
    const run = runs.at(-1);
    const first = run?.[0];
    const end = place.position + frameBytes(place);
    if (
      run !== undefined &&
      first?.pack === place.pack &&
      place.pack !== 0 &&
      end - first.position <= scanReadBytesMax
    ) {
      run.push(place);
    } else {
      runs.push([place]);
    }
  }
  return runs;
}

async function writeHashed(
  handle: FileHandle,
  start: readonly Uint8Array[],
  rest: AsyncGenerator<Uint8Array>,
): Promise<StoredBlob> {
  const hash = createHash('sha256');
  let position = 0;
  async function write(bytes: Uint8Array): Promise<void> {
    if (position + bytes.length > blobBytesMax) throw vaultError('blobTooLarge');
    hash.update(bytes);
    await writeAll(handle, bytes, position);
    position += bytes.length;
  }
  for (const bytes of start) await write(bytes);
  for await (const bytes of rest) await write(bytes);
  return { address: hash.digest('hex'), bytes: position };
}

async function makeDurableDirectory(root: string, path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  await syncDirectory(dirname(path));
  await syncDirectory(root);
}

async function readPart(path: string, start: number, end: number): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(end - start);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    if (bytesRead !== buffer.length) throw vaultError('blobDamaged', 'file too short');
    return buffer;
  } finally {
    await handle.close();
  }
}
