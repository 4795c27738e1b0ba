import { equalBytes } from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import type { Files } from '../files.ts';
import { frameHead, frameHeadBytes, laterFrameConfirms, readFrame } from './frame.ts';

/** Where a block's frame lies. Segments are named by the height of their first block. */
export type LogLocation = { segment: number; offset: number; bytes: number };
export type LoggedBlock = { height: number; payload: Uint8Array; location: LogLocation };

/** Magic and version (16), genesis hash (32), first height (8), length of the whole file (8; 0: not said). */
export const SEGMENT_HEAD_BYTES = 64;
const MAGIC = 'salus-blocks/1\0\0';
const genesisHashOffset = 16;
const firstHeightOffset = 48;
export const wholeBytesOffset = 56;
export const spareSegmentName = 'spare';
const SEGMENT_NAME = /^(\d{15})\.blocks$/;
const heightDigits = 15;

export function segmentName(firstHeight: number): string {
  return `${String(firstHeight).padStart(heightDigits, '0')}.blocks`;
}

export function segmentHead(genesisHash: Uint8Array, firstHeight: number, wholeBytes: number): Uint8Array {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  head.write(MAGIC, 'latin1');
  head.set(genesisHash, genesisHashOffset);
  head.writeBigUInt64LE(BigInt(firstHeight), firstHeightOffset);
  head.set(encodeWholeBytes(wholeBytes), wholeBytesOffset);
  return head;
}

/** A segment is made at its whole length before it is used: a shorter one has lost its end. */
export function encodeWholeBytes(wholeBytes: number): Uint8Array {
  const bytes = Buffer.alloc(SEGMENT_HEAD_BYTES - wholeBytesOffset);
  bytes.writeBigUInt64LE(BigInt(wholeBytes));
  return bytes;
}

/** Length of a segment's file, and what it was made with. */
export async function readSegmentHead(scan: LogScan, segment: number): Promise<{ bytes: number; wholeBytes: number }> {
  const file = await scan.files.open(`${scan.dir}/${segmentName(segment)}`, 'read');
  try {
    const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
    await file.read(head, 0);
    checkHead(head, segment, scan.genesisHash);
    return { bytes: file.size(), wholeBytes: Number(head.readBigUInt64LE(wholeBytesOffset)) };
  } finally {
    await file.close();
  }
}

/** First heights of the segments in a directory, ascending. */
export function listSegments(files: Files, dir: string): number[] {
  return files
    .list(dir)
    .flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((left, right) => left - right);
}

function damaged(segment: number, offset: number, what: string): Error {
  return ledgerError('blockLogDamaged', `${segmentName(segment)} at ${offset}: ${what}`);
}

function openSegment(files: Files, dir: string, segment: number, genesisHash: Uint8Array): Buffer {
  const bytes = Buffer.from(files.readFile(`${dir}/${segmentName(segment)}`));
  checkHead(bytes, segment, genesisHash);
  return bytes;
}

function checkHead(head: Buffer, segment: number, genesisHash: Uint8Array): void {
  const isSegment = head.length >= SEGMENT_HEAD_BYTES && head.toString('latin1', 0, genesisHashOffset) === MAGIC;
  if (!isSegment) throw damaged(segment, 0, 'not a segment');
  const hash = head.subarray(genesisHashOffset, firstHeightOffset);
  if (!equalBytes(hash, genesisHash)) throw ledgerError('directoryOtherChain', segmentName(segment));
}

export type LogTail = { segment: number; end: number; height: number; torn: boolean };
export type LogScan = { files: Files; dir: string; genesisHash: Uint8Array };
export type ScanStart = { segment: number; offset: number; height: number };

/**
 * Reads blocks in order from `start` (default: the first). Hands each to `each`; returns where the log ends. A torn
 * last write is where the log ends; anything else that does not read back throws `blockLogDamaged`.
 */
export function scanLog(scan: LogScan, start: ScanStart | undefined, each: (block: LoggedBlock) => void): LogTail {
  const segments = listSegments(scan.files, scan.dir).filter((segment) => !start || segment >= start.segment);
  let height = start?.height ?? 1;
  let tail: LogTail = { segment: 0, end: 0, height: height - 1, torn: false };
  for (const [position, segment] of segments.entries()) {
    if (segment !== height && segment !== start?.segment) throw damaged(segment, 0, `block ${height} is missing`);
    const isLast = position === segments.length - 1;
    const from = segment === start?.segment ? start.offset : SEGMENT_HEAD_BYTES;
    tail = scanSegment(scan, { segment, offset: from, height }, isLast, each);
    height = tail.height + 1;
  }
  return tail;
}

function scanSegment(scan: LogScan, start: ScanStart, isLast: boolean, each: (block: LoggedBlock) => void): LogTail {
  const { segment } = start;
  const bytes = openSegment(scan.files, scan.dir, segment, scan.genesisHash);
  let { offset, height } = start;
  for (;;) {
    const rest = bytes.subarray(offset);
    const read = readFrame(rest, offset);
    if (read.kind === 'end') return { segment, end: offset, height: height - 1, torn: false };
    if (read.kind === 'broken') {
      // The room left at the end of a full segment is zeros; only the last segment can hold a torn write, and no block
      // is begun that does not fit its segment.
      if (!isLast || read.isWhole || read.isCut || laterFrameConfirms(rest, height)) {
        throw damaged(segment, offset, `block ${height} is not what was written`);
      }
      return { segment, end: offset, height: height - 1, torn: true };
    }
    if (read.frame.height !== height) throw damaged(segment, offset, `block ${read.frame.height} for ${height}`);
    const bytesOfFrame = frameHeadBytes + read.frame.payload.length;
    each({ height, payload: read.frame.payload, location: { segment, offset, bytes: bytesOfFrame } });
    offset += bytesOfFrame;
    height += 1;
  }
}

/** Puts zeros behind the tail, so that what is written next is followed by nothing that was torn. */
export async function eraseTornTail(scan: LogScan, tail: LogTail): Promise<void> {
  const file = await scan.files.open(`${scan.dir}/${segmentName(tail.segment)}`, 'write');
  try {
    await file.write(new Uint8Array(Math.max(0, file.size() - tail.end)), tail.end);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** A segment of its own for one block, synced with its name: what a log begins with that has none of those before. */
export async function writeSegment(scan: LogScan, height: number, payload: Uint8Array): Promise<LogLocation> {
  const { files, dir, genesisHash } = scan;
  const frame = [frameHead(payload, height, height - 1), payload];
  const wholeBytes = SEGMENT_HEAD_BYTES + frameHeadBytes + payload.length;
  const parts = [segmentHead(genesisHash, height, wholeBytes), ...frame];
  const file = await files.open(`${dir}/${segmentName(height)}`, 'create');
  try {
    await file.write(Buffer.concat(parts), 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  files.syncDirectory(dir);
  return { segment: height, offset: SEGMENT_HEAD_BYTES, bytes: frameHeadBytes + payload.length };
}

/** One block again, checked. */
export async function readBlock(scan: LogScan, location: LogLocation, height: number): Promise<Uint8Array> {
  const file = await scan.files.open(`${scan.dir}/${segmentName(location.segment)}`, 'read');
  try {
    const bytes = Buffer.alloc(location.bytes);
    await file.read(bytes, location.offset);
    const read = readFrame(bytes, location.offset);
    if (read.kind !== 'frame' || read.frame.height !== height) {
      throw damaged(location.segment, location.offset, `block ${height} is not what was written`);
    }
    return read.frame.payload;
  } finally {
    await file.close();
  }
}
