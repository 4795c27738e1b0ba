import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, sha256, utf8 } from '@salus/protocol';
import { copyDurably, isMissing, syncDirectory, writeAll } from './durable-files.ts';
import { vaultError } from './errors.ts';
import { alignedLength, alignmentBytes, type ChainHead, checkFrame, decodeHead, frameHeadBytes } from './log-frames.ts';

/**
 * A segment is a file of fixed length that is filled with zeros before its first use, so that writing into it needs no new
 * disk space. It begins with: mark "SLS1" (4) ‖ number (u32) ‖ first sequence (u64) ‖ previous chain hash (32) ‖ SHA-256 of
 * these 48 bytes, first 16.
 */
export const segmentHeadBytes = 64;
const segmentMark = utf8('SLS1');
const cursorMark = utf8('SLC1');
const cursorSlotBytes = 512;
const zeroBlockBytes = 1_048_576;
const reserveName = 'reserve.log';
const cursorName = 'cursor';

export type Frame = { bytes: Uint8Array; previous: ChainHead; head: ChainHead };
/** Where a segment's chain stands: `end` is where the next frame goes. */
export type SegmentWalk = { start: ChainHead; head: ChainHead; end: number; torn: boolean };

function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`;
}

function encodeSegmentHead(number: number, previous: ChainHead): Uint8Array {
  const bytes = new Uint8Array(segmentHeadBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(segmentMark, 0);
  view.setUint32(4, number);
  view.setBigUint64(8, BigInt(previous.sequence + 1));
  bytes.set(previous.hash, 16);
  bytes.set(sha256(bytes.subarray(0, 48)).subarray(0, 16), 48);
  return bytes;
}

function decodeSegmentHead(bytes: Uint8Array, number: number): ChainHead {
  const whole = bytes.length >= 64 && equalBytes(bytes.subarray(48, 64), sha256(bytes.subarray(0, 48)).subarray(0, 16));
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (!whole || !equalBytes(bytes.subarray(0, 4), segmentMark) || view.getUint32(4) !== number) {
    throw vaultError('logDamaged', `segment ${number}`);
  }
  return { sequence: Number(view.getBigUint64(8)) - 1, hash: bytes.slice(16, 48) };
}

/**
 * Goes through a segment's frames and checks the chain. Only the last frame may be torn: a batch is written after the one
 * before it was synced, so that anything that stands behind a broken frame proves damage.
 */
export function walkSegment(bytes: Uint8Array, number: number, visit: (frame: Frame) => void): SegmentWalk {
  const start = decodeSegmentHead(bytes, number);
  let head = start;
  let offset = segmentHeadBytes;
  while (offset + frameHeadBytes <= bytes.length) {
    const frameHead = decodeHead(bytes.subarray(offset, offset + frameHeadBytes));
    if (frameHead === undefined) break;
    const end = offset + alignedLength(frameHeadBytes + frameHead.bodyBytes);
    const frame = bytes.subarray(offset, Math.min(end, bytes.length));
    const next = checkFrame(frame, frameHead, head);
    if (next === undefined) {
      if (end > bytes.length || !isZero(bytes, end)) throw vaultError('logDamaged', `entry ${head.sequence + 1}`);
      return { start, head, end: offset, torn: true };
    }
    visit({ bytes: frame, previous: head, head: next });
    head = next;
    offset = end;
  }
  return { start, head, end: offset, torn: !isZero(bytes, offset) };
}

function isZero(bytes: Uint8Array, from: number): boolean {
  const rest = Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.max(0, bytes.length - from));
  for (let offset = 0; offset < rest.length; offset += zeroBlockBytes) {
    const block = rest.subarray(offset, offset + zeroBlockBytes);
    if (!block.equals(Buffer.alloc(block.length))) return false;
  }
  return true;
}

/** Files of a log: numbered segments, one segment in reserve, and the cursor. */
export class LogFiles {
  readonly #dir: string;
  readonly #segmentBytes: number;

  constructor(dir: string, segmentBytes: number) {
    this.#dir = dir;
    this.#segmentBytes = segmentBytes - (segmentBytes % alignmentBytes);
  }

  /** Numbers of the segments, which have to follow one another. */
  async numbers(): Promise<number[]> {
    const names = (await readdir(this.#dir)).filter((name) => /^[0-9]{8}\.log$/.test(name)).sort();
    const numbers = names.map((name) => Number(name.slice(0, 8)));
    const gap = numbers.find((number, i) => i > 0 && number !== (numbers[i - 1] ?? 0) + 1);
    if (gap !== undefined) throw vaultError('logCut', `segment ${gap - 1}`);
    return numbers;
  }

  open(number: number): Promise<FileHandle> {
    return open(join(this.#dir, segmentName(number)), 'r+');
  }

  async read(number: number): Promise<Uint8Array> {
    const handle = await this.open(number);
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }

  async readHead(number: number): Promise<ChainHead> {
    const handle = await this.open(number);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(segmentHeadBytes), 0, segmentHeadBytes, 0);
      return decodeSegmentHead(buffer.subarray(0, bytesRead), number);
    } finally {
      await handle.close();
    }
  }

  /** Copies the segments; the cursor of the copy says that the log is anchored up to `anchored`. */
  async copyTo(dir: string, anchored: ChainHead): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of (await this.numbers()).map(segmentName))
      await copyDurably(join(this.#dir, name), join(dir, name));
    const cursor = await new LogFiles(dir, this.#segmentBytes).openCursor();
    if (anchored.sequence > 0) await cursor.move(anchored);
    await cursor.close();
  }

  async hasReserve(): Promise<boolean> {
    return (await readdir(this.#dir)).includes(reserveName);
  }

  /** Takes the disk space of one segment. A file that could not be filled is removed. */
  async allocateReserve(): Promise<void> {
    const temporary = join(this.#dir, `${reserveName}.tmp`);
    const handle = await open(temporary, 'w', 0o600);
    try {
      const zeros = Buffer.alloc(zeroBlockBytes);
      for (let position = 0; position < this.#segmentBytes; position += zeros.length) {
        await writeAll(handle, zeros.subarray(0, Math.min(zeros.length, this.#segmentBytes - position)), position);
      }
      await handle.sync();
    } catch (error) {
      await handle.close();
      await unlink(temporary);
      throw error;
    }
    await handle.close();
    await rename(temporary, join(this.#dir, reserveName));
    await syncDirectory(this.#dir);
  }

  /** The reserve becomes the next segment: its head is written before it gets its name. */
  async activate(number: number, previous: ChainHead): Promise<FileHandle> {
    const path = join(this.#dir, reserveName);
    const handle = await open(path, 'r+');
    try {
      await writeAll(handle, encodeSegmentHead(number, previous), 0);
      await handle.datasync();
      await rename(path, join(this.#dir, segmentName(number)));
      await syncDirectory(this.#dir);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  }

  /** The cursor has two slots that are written in turn, in space that is taken already. */
  async openCursor(): Promise<Cursor> {
    const path = join(this.#dir, cursorName);
    let handle: FileHandle;
    try {
      handle = await open(path, 'r+');
    } catch (error) {
      if (!isMissing(error)) throw error;
      handle = await open(path, 'wx+', 0o600);
      await writeAll(handle, new Uint8Array(2 * cursorSlotBytes), 0);
      await handle.sync();
      await syncDirectory(this.#dir);
    }
    const slots = await handle.readFile();
    return new Cursor(handle, [decodeSlot(slots, 0), decodeSlot(slots, 1)]);
  }
}

type Slot = { generation: number; head: ChainHead };

function encodeSlot({ generation, head }: Slot): Uint8Array {
  const bytes = new Uint8Array(cursorSlotBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(cursorMark, 0);
  view.setBigUint64(8, BigInt(generation));
  view.setBigUint64(16, BigInt(head.sequence));
  bytes.set(head.hash, 24);
  bytes.set(sha256(bytes.subarray(0, 56)), 56);
  return bytes;
}

function decodeSlot(slots: Uint8Array, index: number): Slot | undefined {
  const bytes = slots.subarray(index * cursorSlotBytes, (index + 1) * cursorSlotBytes);
  if (bytes.length !== cursorSlotBytes || !equalBytes(bytes.subarray(0, 4), cursorMark)) return undefined;
  if (!equalBytes(bytes.subarray(56, 88), sha256(bytes.subarray(0, 56)))) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    generation: Number(view.getBigUint64(8)),
    head: { sequence: Number(view.getBigUint64(16)), hash: bytes.slice(24, 56) },
  };
}

/** Up to where the log has been anchored on the ledger. */
export class Cursor {
  readonly #handle: FileHandle;
  #slot: Slot;

  constructor(handle: FileHandle, slots: readonly (Slot | undefined)[]) {
    this.#handle = handle;
    const none: Slot = { generation: 0, head: { sequence: 0, hash: new Uint8Array(32) } };
    this.#slot = slots.reduce<Slot>((best, slot) => (slot && slot.generation > best.generation ? slot : best), none);
  }

  get head(): ChainHead {
    return this.#slot.head;
  }

  async move(head: ChainHead): Promise<void> {
    const slot = { generation: this.#slot.generation + 1, head };
    await writeAll(this.#handle, encodeSlot(slot), (slot.generation % 2) * cursorSlotBytes);
    await this.#handle.datasync();
    this.#slot = slot;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
