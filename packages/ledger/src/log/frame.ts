import { crc32 } from 'node:zlib';

/**
 * Frame of the block log: magic, payload length, CRC-32 over the rest of the head and the payload, height, and the
 * height that was known to be on disk when the frame was written. All little-endian, 28 bytes.
 */
export const frameHeadBytes = 28;
const MAGIC = 0x31_47_4c_53;
const sectorBytes = 512;

export type FrameHead = { payloadBytes: number; height: number; syncedHeight: number };
export type Frame = FrameHead & { payload: Uint8Array };

function writeU64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32LE(value % 0x1_0000_0000, offset);
  target.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

function readU64(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * 0x1_0000_0000;
}

export function frameHead(payload: Uint8Array, height: number, syncedHeight: number): Uint8Array {
  const head = Buffer.allocUnsafe(frameHeadBytes);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(payload.length, 4);
  writeU64(head, height, 12);
  writeU64(head, syncedHeight, 20);
  head.writeUInt32LE(crc32(payload, crc32(head.subarray(12), payload.length)), 8);
  return head;
}

/**
 * `end`: only zeros of a prepared segment. `broken`: something that is no whole frame; `isWhole`: no sector of it is
 * missing, `isCut`: the segment ends before it does.
 */
export type FrameRead =
  | { kind: 'frame'; frame: Frame }
  | { kind: 'end' }
  | { kind: 'broken'; isWhole: boolean; isCut: boolean };

/** Reads the frame at the start of `bytes`, which lie at `position` and reach to the end of the segment. */
export function readFrame(bytes: Buffer, position: number): FrameRead {
  if (bytes.length < frameHeadBytes) return isZero(bytes) ? { kind: 'end' } : broken(false, true);
  const head = readFrameHead(bytes);
  if (!head) return isZero(bytes) ? { kind: 'end' } : broken(false, false);
  const payload = bytes.subarray(frameHeadBytes, frameHeadBytes + head.payloadBytes);
  if (payload.length < head.payloadBytes) return broken(false, true);
  const sum = crc32(payload, crc32(bytes.subarray(12, frameHeadBytes), payload.length));
  if (sum === bytes.readUInt32LE(8)) return { kind: 'frame', frame: { ...head, payload } };
  return broken(!hasZeroSector(bytes.subarray(0, frameHeadBytes + head.payloadBytes), position), false);
}

function broken(isWhole: boolean, isCut: boolean): FrameRead {
  return { kind: 'broken', isWhole, isCut };
}

function readFrameHead(bytes: Buffer): FrameHead | undefined {
  if (bytes.readUInt32LE(0) !== MAGIC) return undefined;
  return { payloadBytes: bytes.readUInt32LE(4), height: readU64(bytes, 12), syncedHeight: readU64(bytes, 20) };
}

/** A later whole frame that says that `height` was on disk: then what is broken at `height` is no torn write. */
export function laterFrameConfirms(bytes: Buffer, height: number): boolean {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC);
  for (let at = bytes.indexOf(magic, 1); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    const read = readFrame(bytes.subarray(at), at);
    if (read.kind === 'frame' && read.frame.syncedHeight >= height) return true;
  }
  return false;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Disks write whole sectors, and a prepared segment holds zeros: a torn write leaves at least one sector of zeros. */
function hasZeroSector(bytes: Buffer, position: number): boolean {
  const beforeFirst = (sectorBytes - (position % sectorBytes)) % sectorBytes;
  if (beforeFirst > 0 && isZero(bytes.subarray(0, beforeFirst))) return true;
  for (let at = beforeFirst; at < bytes.length; at += sectorBytes) {
    if (isZero(bytes.subarray(at, at + sectorBytes))) return true;
  }
  return false;
}
