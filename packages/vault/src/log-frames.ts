import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';
import { concatBytes, equalBytes, sha256, utf8 } from '@salus/protocol';
import { vaultError } from './errors.ts';

/**
 * A frame holds the entries of one synced batch. It begins at a multiple of 64 bytes, so that its head never straddles a
 * disk sector:
 *   head (64): mark "SLF1" (4) ‖ body length (u32) ‖ first sequence (u64) ‖ entry count (u32) ‖ zero (12) ‖
 *              previous chain hash, first 16 bytes ‖ SHA-256 of these 48 bytes, first 16 bytes
 *   body: nonce (12) ‖ AES-256-GCM of the entries ‖ tag (16) ‖ chain hash (32)
 *   zeros up to a multiple of 64
 * Chain hash = SHA-256("salus-log-v1" ‖ previous chain hash ‖ head ‖ nonce ‖ ciphertext ‖ tag).
 * Entries: length (u32) ‖ time in ms since 1970 (u64) ‖ bytes, one after another. All numbers big-endian.
 */
export const alignmentBytes = 64;
export const frameHeadBytes = 64;
const mark = utf8('SLF1');
const nonceBytes = 12;
const tagBytes = 16;
const hashBytes = 32;
export const entryHeadBytes = 12;
const frameOverheadBytes = nonceBytes + tagBytes + hashBytes;
const chainLabel = utf8('salus-log-v1');

export type LogEntry = { sequence: number; timeMs: number; bytes: Uint8Array };
export type ChainHead = { sequence: number; hash: Uint8Array };
export type FrameHead = { bodyBytes: number; first: number; count: number };

export function alignedLength(bytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

function encodeHead(head: FrameHead, previous: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(frameHeadBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(mark, 0);
  view.setUint32(4, head.bodyBytes);
  view.setBigUint64(8, BigInt(head.first));
  view.setUint32(16, head.count);
  bytes.set(previous.subarray(0, 16), 32);
  bytes.set(sha256(bytes.subarray(0, 48)).subarray(0, 16), 48);
  return bytes;
}

/** undefined = nothing was written here; throws logDamaged when the head is neither empty nor whole. */
export function decodeHead(bytes: Uint8Array): FrameHead | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined;
  const whole = equalBytes(bytes.subarray(48, 64), sha256(bytes.subarray(0, 48)).subarray(0, 16));
  if (!whole || !equalBytes(bytes.subarray(0, 4), mark)) throw vaultError('logDamaged');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { bodyBytes: view.getUint32(4), first: Number(view.getBigUint64(8)), count: view.getUint32(16) };
}

export function sealFrame(
  key: Uint8Array,
  name: string,
  previous: ChainHead,
  entries: readonly { timeMs: number; bytes: Uint8Array }[],
): { frame: Uint8Array; head: ChainHead } {
  const plain = concatBytes(...entries.flatMap(encodeEntry));
  const first = previous.sequence + 1;
  const head = encodeHead(
    { bodyBytes: frameOverheadBytes + plain.length, first, count: entries.length },
    previous.hash,
  );
  const nonce = randomFillSync(new Uint8Array(nonceBytes));
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(concatBytes(utf8(name), previous.hash, head));
  const body = concatBytes(nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag());
  const hash = sha256(chainLabel, previous.hash, head, body);
  const frame = new Uint8Array(alignedLength(head.length + body.length + hash.length));
  frame.set(concatBytes(head, body, hash), 0);
  return { frame, head: { sequence: previous.sequence + entries.length, hash } };
}

function encodeEntry({ timeMs, bytes }: { timeMs: number; bytes: Uint8Array }): [Uint8Array, Uint8Array] {
  const head = new Uint8Array(entryHeadBytes);
  const view = new DataView(head.buffer);
  view.setUint32(0, bytes.length);
  view.setBigUint64(4, BigInt(timeMs));
  return [head, bytes];
}

/** Checks that a frame continues the chain; undefined when its body is not whole. Needs no key. */
export function checkFrame(frame: Uint8Array, head: FrameHead, previous: ChainHead): ChainHead | undefined {
  const end = frameHeadBytes + head.bodyBytes;
  if (end > frame.length || head.bodyBytes < frameOverheadBytes || head.count < 1) return undefined;
  const chained = frame.subarray(0, end - hashBytes);
  const hash = sha256(chainLabel, previous.hash, chained);
  if (!equalBytes(hash, frame.subarray(end - hashBytes, end))) return undefined;
  if (head.first !== previous.sequence + 1 || frame.subarray(end).some((byte) => byte !== 0)) return undefined;
  return { sequence: previous.sequence + head.count, hash };
}

/** Entries of a frame that `checkFrame` accepted. */
export function openFrame(key: Uint8Array, name: string, previous: ChainHead, frame: Uint8Array): LogEntry[] {
  const head = decodeHead(frame.subarray(0, frameHeadBytes));
  if (head === undefined) throw vaultError('logDamaged');
  const body = frame.subarray(frameHeadBytes, frameHeadBytes + head.bodyBytes - hashBytes);
  const end = body.length - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(concatBytes(utf8(name), previous.hash, frame.subarray(0, frameHeadBytes)));
  decipher.setAuthTag(body.subarray(end));
  const plain = decipher.update(body.subarray(nonceBytes, end));
  try {
    decipher.final();
  } catch {
    throw vaultError('logDamaged', `entry ${head.first}`);
  }
  return decodeEntries(plain, head);
}

function decodeEntries(plain: Uint8Array, head: FrameHead): LogEntry[] {
  const entries: LogEntry[] = [];
  const view = new DataView(plain.buffer, plain.byteOffset, plain.length);
  let offset = 0;
  for (let i = 0; i < head.count; i++) {
    const length = view.getUint32(offset);
    const timeMs = Number(view.getBigUint64(offset + 4));
    const start = offset + entryHeadBytes;
    entries.push({ sequence: head.first + i, timeMs, bytes: new Uint8Array(plain.subarray(start, start + length)) });
    offset = start + length;
  }
  if (offset !== plain.length) throw vaultError('logDamaged', `entry ${head.first}`);
  return entries;
}
