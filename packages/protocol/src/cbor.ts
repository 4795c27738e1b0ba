import { compareBytes, utf8 } from './bytes.ts';
import { ProtocolErrorCodes, protocolError } from './errors.ts';

/**
 * Deterministic CBOR (RFC 8949 §4.2.1) of the kinds that state uses: shortest heads, definite lengths, text keys
 * sorted by their encoding, no floats, no tags, no undefined. A value has one encoding and an encoding one value.
 */
export type CborValue = null | boolean | number | string | Uint8Array | CborValue[] | { [key: string]: CborValue };

/** Nesting of lists and maps in one value. */
export const cborDepthMax = 32;
/** Size of one encoded value. */
export const cborBytesMax = 16 * 1024 * 1024;

const scratchBytesMin = 4096;
/** A larger scratch buffer is given back after use. */
const scratchBytesKept = 1024 * 1024;

const MAJOR_UNSIGNED = 0;
const MAJOR_NEGATIVE = 1;
const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_LIST = 4;
const MAJOR_MAP = 5;
const BYTE_FALSE = 0xf4;
const BYTE_TRUE = 0xf5;
const BYTE_NULL = 0xf6;
const UINT32_RANGE = 2 ** 32;
/** Longest head: one byte and a 64-bit argument. */
const headBytesMax = 9;
/** Up to this length a loop beats the call into the runtime's text coder. */
const shortTextLengthMax = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

let scratch = new Uint8Array(scratchBytesMin);
let end = 0;

function reserve(byteCount: number): void {
  const needed = end + byteCount;
  if (needed <= scratch.length) return;
  if (needed > cborBytesMax) throw protocolError(ProtocolErrorCodes.cborTooLarge);
  const larger = new Uint8Array(Math.min(cborBytesMax, Math.max(needed, scratch.length * 2)));
  larger.set(scratch.subarray(0, end));
  scratch = larger;
}

function writeHead(major: number, argument: number): void {
  reserve(headBytesMax);
  const type = major << 5;
  if (argument < 24) {
    scratch[end++] = type | argument;
  } else if (argument < 0x100) {
    scratch[end++] = type | 24;
    scratch[end++] = argument;
  } else if (argument < 0x10000) {
    scratch[end++] = type | 25;
    scratch[end++] = argument >> 8;
    scratch[end++] = argument;
  } else if (argument < UINT32_RANGE) {
    scratch[end++] = type | 26;
    writeUint32(argument);
  } else {
    scratch[end++] = type | 27;
    writeUint32(Math.floor(argument / UINT32_RANGE));
    writeUint32(argument);
  }
}

function writeUint32(value: number): void {
  scratch[end++] = value >>> 24;
  scratch[end++] = value >>> 16;
  scratch[end++] = value >>> 8;
  scratch[end++] = value;
}

/** Writes a short ASCII text; false (and nothing written) when the text is anything else. */
function writeShortText(text: string): boolean {
  const length = text.length;
  if (length > shortTextLengthMax) return false;
  reserve(headBytesMax + length);
  const start = end;
  writeHead(MAJOR_TEXT, length);
  for (let index = 0; index < length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > 127) {
      end = start;
      return false;
    }
    scratch[end++] = unit;
  }
  return true;
}

function writeText(text: string): void {
  if (writeShortText(text)) return;
  if (!text.isWellFormed()) throw protocolError(ProtocolErrorCodes.loneSurrogate);
  const bytes = encoder.encode(text);
  writeHead(MAJOR_TEXT, bytes.length);
  reserve(bytes.length);
  scratch.set(bytes, end);
  end += bytes.length;
}

function writeBytes(bytes: Uint8Array): void {
  writeHead(MAJOR_BYTES, bytes.length);
  reserve(bytes.length);
  scratch.set(bytes, end);
  end += bytes.length;
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) > 127) return false;
  return true;
}

/** Order of encoded text keys: the head sorts by UTF-8 length first, then the bytes decide. */
function compareKeys(left: string, right: string): number {
  if (isAscii(left) && isAscii(right)) return left.length - right.length || (left < right ? -1 : 1);
  const leftBytes = utf8(left);
  const rightBytes = utf8(right);
  return leftBytes.length - rightBytes.length || compareBytes(leftBytes, rightBytes);
}

function sortKeys(keys: string[]): void {
  for (let index = 1; index < keys.length; index += 1) {
    if (compareKeys(keys[index - 1] as string, keys[index] as string) > 0) {
      keys.sort(compareKeys);
      return;
    }
  }
}

function writeMap(map: Record<string, CborValue>, depth: number): void {
  const prototype = Object.getPrototypeOf(map);
  if (prototype !== Object.prototype && prototype !== null) throw protocolError(ProtocolErrorCodes.cborValue);
  const keys = Object.keys(map);
  sortKeys(keys);
  writeHead(MAJOR_MAP, keys.length);
  for (const key of keys) {
    writeText(key);
    writeValue(map[key], depth);
  }
}

function writeList(list: CborValue[], depth: number): void {
  writeHead(MAJOR_LIST, list.length);
  for (let index = 0; index < list.length; index += 1) writeValue(list[index], depth);
}

function writeInteger(value: number): void {
  if (!Number.isSafeInteger(value)) throw protocolError(ProtocolErrorCodes.cborValue);
  if (value < 0) writeHead(MAJOR_NEGATIVE, -1 - value);
  else writeHead(MAJOR_UNSIGNED, value);
}

function writeSimple(byte: number): void {
  reserve(1);
  scratch[end++] = byte;
}

function writeValue(value: CborValue | undefined, depth: number): void {
  if (typeof value === 'string') writeText(value);
  else if (typeof value === 'number') writeInteger(value);
  else if (value === null) writeSimple(BYTE_NULL);
  else if (typeof value === 'boolean') writeSimple(value ? BYTE_TRUE : BYTE_FALSE);
  else if (typeof value !== 'object') throw protocolError(ProtocolErrorCodes.cborValue);
  else if (value instanceof Uint8Array) writeBytes(value);
  else if (depth >= cborDepthMax) throw protocolError(ProtocolErrorCodes.cborTooDeep);
  else if (Array.isArray(value)) writeList(value, depth + 1);
  else writeMap(value, depth + 1);
}

/** The one encoding of a value. Throws `cborValue`, `cborTooDeep`, `cborTooLarge`, `loneSurrogate`. */
export function encodeCbor(value: CborValue): Uint8Array {
  end = 0;
  try {
    writeValue(value, 0);
    return scratch.slice(0, end);
  } finally {
    if (scratch.length > scratchBytesKept) scratch = new Uint8Array(scratchBytesMin);
  }
}

let source: Uint8Array = scratch;
let position = 0;

function syntaxError(): Error {
  return protocolError(ProtocolErrorCodes.cborSyntax);
}

function readArgument(info: number): number {
  if (info < 24) return info;
  if (info > 27) throw syntaxError();
  const byteCount = 1 << (info - 24);
  if (position + byteCount > source.length) throw syntaxError();
  let value = 0;
  for (let index = 0; index < byteCount; index += 1) value = value * 256 + (source[position++] as number);
  const shortest = byteCount === 1 ? 24 : 2 ** (4 * byteCount);
  if (value < shortest) throw protocolError(ProtocolErrorCodes.cborNotDeterministic);
  return value;
}

/** Moves past `byteCount` bytes and returns where they start. */
function take(byteCount: number): number {
  const start = position;
  if (byteCount > source.length - start) throw syntaxError();
  position = start + byteCount;
  return start;
}

function readText(byteCount: number): string {
  const start = take(byteCount);
  if (byteCount <= shortTextLengthMax) {
    let text = '';
    let index = start;
    for (; index < position; index += 1) {
      const byte = source[index] as number;
      if (byte > 127) break;
      text += String.fromCharCode(byte);
    }
    if (index === position) return text;
  }
  try {
    return decoder.decode(source.subarray(start, position));
  } catch {
    throw protocolError(ProtocolErrorCodes.utf8Invalid);
  }
}

function readMap(count: number, depth: number): Record<string, CborValue> {
  const map: Record<string, CborValue> = {};
  let previous = '';
  for (let index = 0; index < count; index += 1) {
    const head = source[take(1)] as number;
    if (head >> 5 !== MAJOR_TEXT) throw syntaxError();
    const key = readText(readArgument(head & 31));
    if (index > 0 && compareKeys(previous, key) >= 0) {
      throw protocolError(ProtocolErrorCodes.cborNotDeterministic);
    }
    previous = key;
    const value = readValue(depth);
    if (key === '__proto__')
      Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
    else map[key] = value;
  }
  return map;
}

function readList(count: number, depth: number): CborValue[] {
  const list: CborValue[] = [];
  for (let index = 0; index < count; index += 1) list.push(readValue(depth));
  return list;
}

function readValue(depth: number): CborValue {
  const head = source[take(1)] as number;
  const major = head >> 5;
  if (major > MAJOR_MAP) {
    if (head === BYTE_NULL) return null;
    if (head === BYTE_TRUE) return true;
    if (head === BYTE_FALSE) return false;
    throw syntaxError();
  }
  const argument = readArgument(head & 31);
  if (major === MAJOR_TEXT) return readText(argument);
  if (major === MAJOR_BYTES) {
    const start = take(argument);
    return source.slice(start, position);
  }
  if (major <= MAJOR_NEGATIVE) {
    const value = major === MAJOR_UNSIGNED ? argument : -1 - argument;
    if (!Number.isSafeInteger(value)) throw syntaxError();
    return value;
  }
  if (depth >= cborDepthMax) throw protocolError(ProtocolErrorCodes.cborTooDeep);
  return major === MAJOR_LIST ? readList(argument, depth + 1) : readMap(argument, depth + 1);
}

/**
 * The value of an encoding that `encodeCbor` could have made; byte strings are copies. Throws `cborSyntax`,
 * `cborNotDeterministic`, `cborTooDeep`, `cborTooLarge`, `utf8Invalid`.
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  if (bytes.length > cborBytesMax) throw protocolError(ProtocolErrorCodes.cborTooLarge);
  source = bytes;
  position = 0;
  try {
    const value = readValue(0);
    if (position !== bytes.length) throw syntaxError();
    return value;
  } finally {
    source = scratch;
  }
}
