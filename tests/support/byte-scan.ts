/**
 * Searches stored bytes for personal texts: in clear (UTF-8, UTF-16), as base64 in every alignment, as hex, as an unkeyed
 * hash, and inside gzip. Built for many needles and much data: a bit map over six bytes sorts out what cannot match.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

export interface Finding {
  file: string;
  encoding: string;
  /** The needle, shortened; findings are shown in test output of fictional data only. */
  needle: string;
}

/** Shorter texts occur by chance. */
export const needleBytesMin = 6;
const KEY_BYTES = 6;
const FILTER_BITS = 1 << 26;
const HASHES = ['sha256', 'sha1', 'md5', 'sha512'];
const overlapBytes = 4_096;

interface Pattern {
  bytes: Buffer;
  encoding: string;
  needle: string;
}

function filterSlot(bytes: Uint8Array, at: number): number {
  const low = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)) >>> 0;
  const high = (bytes[at + 3]! | (bytes[at + 4]! << 8) | (bytes[at + 5]! << 16)) >>> 0;
  return (Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> 6;
}

/** The base64 characters that depend on the needle alone, for each of the three places it may begin at. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const from = shift === 0 ? 0 : shift + 1;
    const whole = Math.floor(((shift + bytes.length) * 8) / 6);
    return text.slice(from, whole);
  });
}

function formsOf(needle: string): Pattern[] {
  const utf8 = Buffer.from(needle, 'utf8');
  const patterns: [string, Buffer][] = [
    ['utf-8', utf8],
    ['utf-16le', Buffer.from(needle, 'utf16le')],
    ['utf-16be', Buffer.from(needle, 'utf16le').swap16()],
    ['hex', Buffer.from(utf8.toString('hex'))],
    ['hex', Buffer.from(utf8.toString('hex').toUpperCase())],
  ];
  for (const form of base64Forms(utf8)) {
    patterns.push(['base64', Buffer.from(form)]);
    patterns.push(['base64url', Buffer.from(form.replaceAll('+', '-').replaceAll('/', '_'))]);
  }
  for (const algorithm of HASHES) {
    for (const text of new Set([needle, needle.toLowerCase()])) {
      const digest = createHash(algorithm).update(text).digest();
      patterns.push([algorithm, digest], [`${algorithm} hex`, Buffer.from(digest.toString('hex'))]);
      patterns.push([`${algorithm} base64`, Buffer.from(digest.toString('base64url').slice(0, 20))]);
    }
  }
  return patterns
    .filter(([, bytes]) => bytes.length >= KEY_BYTES)
    .map(([encoding, bytes]) => ({ bytes, encoding, needle }));
}

/** RFC 1952 §2.3: ten bytes, then what the flags announce. The raw stream inside is read whatever follows it. */
function gzipHeaderBytes(buffer: Buffer, at: number): number {
  const flags = buffer[at + 3] ?? 0;
  let length = 10;
  if ((flags & 4) !== 0) length += 2 + (buffer[at + 10] ?? 0) + ((buffer[at + 11] ?? 0) << 8);
  for (const flag of [8, 16]) if ((flags & flag) !== 0) length = buffer.indexOf(0, at + length) + 1 - at;
  return (flags & 2) !== 0 ? length + 2 : length;
}

export class ByteScanner {
  readonly #filter = new Uint32Array(FILTER_BITS / 32);
  readonly #byKey = new Map<string, Pattern[]>();
  readonly findings: Finding[] = [];
  bytes = 0;

  constructor(needles: Iterable<string>) {
    for (const needle of new Set(needles)) {
      if (Buffer.byteLength(needle) < needleBytesMin) continue;
      for (const pattern of formsOf(needle)) this.#add(pattern);
    }
  }

  #add(pattern: Pattern): void {
    const slot = filterSlot(pattern.bytes, 0);
    this.#filter[slot >>> 5]! |= 1 << (slot & 31);
    const key = pattern.bytes.toString('latin1', 0, KEY_BYTES);
    const list = this.#byKey.get(key);
    if (list === undefined) this.#byKey.set(key, [pattern]);
    else if (!list.some(({ bytes }) => bytes.equals(pattern.bytes))) list.push(pattern);
  }

  scan(buffer: Buffer, file: string, depth = 0): void {
    this.bytes += buffer.length;
    for (let at = 0; at + KEY_BYTES <= buffer.length; at += 1) {
      const slot = filterSlot(buffer, at);
      if ((this.#filter[slot >>> 5]! & (1 << (slot & 31))) !== 0) this.#compare(buffer, at, file);
      const first = buffer[at];
      if (first === 0x1f && buffer[at + 1] === 0x8b && buffer[at + 2] === 8 && depth < 2) {
        this.#inflate(buffer.subarray(at + gzipHeaderBytes(buffer, at)), file, depth);
      } else if (first === 0x78 && [0x01, 0x5e, 0x9c, 0xda].includes(buffer[at + 1]!) && depth < 2) {
        this.#inflate(buffer.subarray(at + 2), file, depth);
      }
    }
  }

  #compare(buffer: Buffer, at: number, file: string): void {
    const candidates = this.#byKey.get(buffer.toString('latin1', at, at + KEY_BYTES));
    for (const { bytes, encoding, needle } of candidates ?? []) {
      if (buffer.compare(bytes, 0, bytes.length, at, Math.min(buffer.length, at + bytes.length)) !== 0) continue;
      this.findings.push({ file, encoding, needle: needle.slice(0, 40) });
    }
  }

  #inflate(bytes: Buffer, file: string, depth: number): void {
    try {
      const limits = { maxOutputLength: 64 * 1024 * 1024, finishFlush: 2 };
      const plain = inflateRawSync(bytes.subarray(0, 4 * 1024 * 1024), limits);
      if (plain.length >= needleBytesMin) this.scan(plain, `${file} (inflated)`, depth + 1);
    } catch {
      // Bytes that only look like the start of a compressed stream.
    }
  }

  /** Reads a file in overlapping pieces. */
  async scanFile(path: string): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of createReadStream(path, { highWaterMark: 8 * 1024 * 1024 })) {
      const buffer = Buffer.concat([rest, chunk]);
      this.scan(buffer, path);
      rest = buffer.subarray(Math.max(0, buffer.length - overlapBytes));
    }
  }

  async scanDirectory(dir: string): Promise<void> {
    for (const name of readdirSync(dir)) {
      this.scan(Buffer.from(name), `${dir} (file name)`);
      const path = join(dir, name);
      if (statSync(path).isDirectory()) await this.scanDirectory(path);
      else await this.scanFile(path);
    }
  }
}
