import { hash } from 'node:crypto';
import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, fromHex, utf8 } from '@salus/protocol';
import type { BlobPlace, PackEnd } from './blob-index.ts';
import { copyDurably, isMissing, syncDirectory, writeAll } from './durable-files.ts';
import { vaultError } from './errors.ts';

/** A frame in a pack: mark (4) ‖ length of the blob (u32, big-endian) ‖ SHA-256 (32) ‖ blob. */
export const frameHeaderBytes = 40;
const liveMark = utf8('SBF1');
const deletedMark = utf8('SBX1');
const handlesOpenMax = 128;
/** What one call of `append` gets at the most. */
export const batchBytesMax = 8 * 1_048_576;
/** A batch may be one blob over its limit, and has a header per blob. */
const tornBytesMax = 2 * batchBytesMax;

function frameHeader(mark: Uint8Array, length: number, address: Uint8Array): Uint8Array {
  const header = new Uint8Array(frameHeaderBytes);
  header.set(mark, 0);
  new DataView(header.buffer).setUint32(4, length);
  header.set(address, 8);
  return header;
}

export function packedFrame(address: string, bytes: Uint8Array): [Uint8Array, Uint8Array] {
  return [frameHeader(liveMark, bytes.length, fromHex(address)), bytes];
}

/** What overwrites a frame: its length stays, everything else is zero. */
export function deletedFrame(length: number): Uint8Array {
  const frame = new Uint8Array(frameHeaderBytes + length);
  frame.set(frameHeader(deletedMark, length, new Uint8Array(32)), 0);
  return frame;
}

export function frameBytes(place: BlobPlace): number {
  return frameHeaderBytes + place.bytes;
}

/** The pack files of a store, by number. */
export class PackFiles {
  readonly #dir: string;
  readonly #handles = new Map<number, FileHandle>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * What no index entry acknowledges: the tail of a batch, the first batch of a new pack, a pack whose compaction was not
   * finished. More than one batch cannot come from a crash: then the index is not the one of these packs.
   */
  async unacknowledged(known: readonly PackEnd[]): Promise<{ cuts: PackEnd[]; unknown: number[] }> {
    const ends = new Map(known.map(({ pack, bytes }) => [pack, bytes]));
    const last = Math.max(0, ...ends.keys());
    const cuts: PackEnd[] = [];
    const unknown: number[] = [];
    for (const name of await readdir(this.#dir)) {
      const pack = Number(name.slice(0, 8));
      const { size } = await stat(join(this.#dir, name));
      const end = ends.get(pack);
      if (name !== this.#name(pack) || pack > last + 1) throw vaultError('storeDamaged', 'a pack that the index lacks');
      if ((end !== undefined || pack > last) && size - (end ?? 0) > tornBytesMax) {
        throw vaultError('storeDamaged', 'a pack is longer than the index says');
      }
      if (end === undefined) unknown.push(pack);
      else if (size > end) cuts.push({ pack, bytes: end });
    }
    return { cuts, unknown };
  }

  async append(pack: number, position: number, bytes: Uint8Array): Promise<void> {
    const handle = await this.#handle(pack, position === 0);
    await writeAll(handle, bytes, position);
    await handle.datasync();
  }

  async cut(pack: number, bytes: number): Promise<void> {
    const handle = await this.#handle(pack, true);
    await handle.truncate(bytes);
    await handle.datasync();
  }

  async overwrite(items: readonly { place: BlobPlace; bytes: Uint8Array }[]): Promise<void> {
    const touched = new Set<FileHandle>();
    for (const { place, bytes } of items) {
      const handle = await this.#handle(place.pack);
      await writeAll(handle, bytes, place.position);
      touched.add(handle);
    }
    for (const handle of touched) await handle.datasync();
  }

  /** Bytes [start, end) of a blob. */
  async read(place: BlobPlace, start: number, end: number): Promise<Uint8Array> {
    return this.#readAt(place.pack, place.position + frameHeaderBytes + start, end - start);
  }

  /** Addresses of those neighbours whose frame and hash are right, by one read. */
  async soundOf(run: readonly BlobPlace[]): Promise<Set<string>> {
    const sound = new Set<string>();
    const [first, last] = [run[0], run.at(-1)];
    if (first === undefined || last === undefined) return sound;
    const bytes = await this.#readAt(first.pack, first.position, last.position + frameBytes(last) - first.position);
    for (const place of run) {
      const offset = place.position - first.position;
      const header = bytes.subarray(offset, offset + frameHeaderBytes);
      const blob = bytes.subarray(offset + frameHeaderBytes, offset + frameBytes(place));
      const fits = equalBytes(header, frameHeader(liveMark, place.bytes, fromHex(place.address)));
      if (fits && hash('sha256', blob, 'hex') === place.address) sound.add(place.address);
    }
    return sound;
  }

  async frameFits(place: BlobPlace): Promise<boolean> {
    const found = await this.#readAt(place.pack, place.position, frameHeaderBytes);
    return equalBytes(found, frameHeader(liveMark, place.bytes, fromHex(place.address)));
  }

  async remove(pack: number): Promise<void> {
    await this.#handles.get(pack)?.close();
    this.#handles.delete(pack);
    await unlink(join(this.#dir, this.#name(pack)));
    await syncDirectory(this.#dir);
  }

  async copyTo(pack: number, dir: string): Promise<void> {
    await copyDurably(join(this.#dir, this.#name(pack)), join(dir, this.#name(pack)));
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
    this.#handles.clear();
  }

  async #readAt(pack: number, position: number, length: number): Promise<Uint8Array> {
    const handle = await this.#handle(pack);
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await handle.read(buffer, 0, length, position);
    if (bytesRead !== length) throw vaultError('blobDamaged', 'pack too short');
    return buffer;
  }

  #name(pack: number): string {
    return `${String(pack).padStart(8, '0')}.pack`;
  }

  async #handle(pack: number, create = false): Promise<FileHandle> {
    const known = this.#handles.get(pack);
    if (known !== undefined) return known;
    const path = join(this.#dir, this.#name(pack));
    let handle: FileHandle;
    try {
      handle = await open(path, 'r+');
    } catch (error) {
      if (!create || !isMissing(error)) throw error;
      handle = await open(path, 'wx+', 0o600);
      await syncDirectory(this.#dir);
    }
    const other = this.#handles.get(pack);
    if (other !== undefined) {
      await handle.close();
      return other;
    }
    if (this.#handles.size >= handlesOpenMax) this.#forgetOldest();
    this.#handles.set(pack, handle);
    return handle;
  }

  /** A handle that is forgotten closes by itself once nobody reads through it any more. */
  #forgetOldest(): void {
    const [oldest] = this.#handles;
    if (oldest === undefined) return;
    this.#handles.delete(oldest[0]);
    oldest[1].close().catch(() => undefined);
  }
}
