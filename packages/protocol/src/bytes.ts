import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { ProtocolErrorCodes, protocolError } from './errors.ts';

/** Node's modules where there is Node; in a browser undefined. No import names a `node:` module. */
const nodeProcess: typeof process | undefined = globalThis.process;
const nodeCrypto = nodeProcess?.getBuiltinModule?.('node:crypto');
const nodeBuffer = nodeProcess?.getBuiltinModule?.('node:buffer');
const NodeBuffer = nodeBuffer?.Buffer;

/** Above this size hashing in pieces is cheaper than joining the pieces first. */
const joinBytesMax = 65_536;
/** `randomBytes` of the Web Crypto API refuses more at once. */
const randomBytesMax = 65_536;

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const BASE64URL_VALUE = new Int8Array(128).fill(-1);
for (let value = 0; value < BASE64URL.length; value += 1) BASE64URL_VALUE[BASE64URL.charCodeAt(value)] = value;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function bufferOf(bytes: Uint8Array): Buffer | undefined {
  return NodeBuffer?.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  const buffer = bufferOf(bytes);
  if (buffer) return buffer.toString('hex');
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** Lower-case hex only; throws `hexInvalid`. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) throw protocolError(ProtocolErrorCodes.hexInvalid);
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(text.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

/** RFC 7515 §2: base64url without padding. */
export function toBase64url(bytes: Uint8Array): string {
  const buffer = bufferOf(bytes);
  if (buffer) return buffer.toString('base64url');
  let text = '';
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const group = ((bytes[index] ?? 0) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    text += BASE64URL.charAt(group >> 18) + BASE64URL.charAt((group >> 12) & 63);
    if (left > 1) text += BASE64URL.charAt((group >> 6) & 63);
    if (left > 2) text += BASE64URL.charAt(group & 63);
  }
  return text;
}

/** Whether `text` is the only base64url text of its bytes: alphabet, length, unused bits zero. */
export function isBase64url(text: string): boolean {
  const rest = text.length % 4;
  if (rest === 1) return false;
  for (let index = 0; index < text.length; index += 1) {
    if ((BASE64URL_VALUE[text.charCodeAt(index)] ?? -1) < 0) return false;
  }
  if (rest === 0) return true;
  const last = BASE64URL_VALUE[text.charCodeAt(text.length - 1)] ?? -1;
  return (last & (rest === 2 ? 15 : 3)) === 0;
}

/** Canonical base64url only (no padding, no other alphabet, unused bits zero); throws `base64urlInvalid`. */
export function fromBase64url(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  const buffer = bufferOf(bytes);
  if (buffer) {
    // Node decodes leniently; writing the bytes again and comparing is many times quicker than looking at each letter.
    buffer.write(text, 'base64url');
    if (buffer.toString('base64url') !== text) throw protocolError(ProtocolErrorCodes.base64urlInvalid);
    return bytes;
  }
  if (!isBase64url(text)) throw protocolError(ProtocolErrorCodes.base64urlInvalid);
  let written = 0;
  let bits = 0;
  let bitCount = 0;
  for (let index = 0; index < text.length; index += 1) {
    bits = ((bits << 6) | (BASE64URL_VALUE[text.charCodeAt(index)] ?? 0)) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[written] = (bits >> bitCount) & 255;
      written += 1;
    }
  }
  return bytes;
}

/** UTF-8 of a text; throws `loneSurrogate` where the text has no UTF-8. */
export function utf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw protocolError(ProtocolErrorCodes.loneSurrogate);
  return encoder.encode(text);
}

/** Text of strict UTF-8; a byte order mark stays in the text. Throws `utf8Invalid`. */
export function utf8Text(bytes: Uint8Array): string {
  if (nodeBuffer?.isAscii(bytes)) return (bufferOf(bytes) as Buffer).toString('latin1');
  try {
    return decoder.decode(bytes);
  } catch {
    throw protocolError(ProtocolErrorCodes.utf8Invalid);
  }
}

/** Bytes of a text that is known to be ASCII (several times faster than `utf8`). */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  const buffer = text.length > 64 ? bufferOf(bytes) : undefined;
  if (buffer) buffer.write(text, 'latin1');
  else for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

export function concatBytes(...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}

/** Bytewise lexicographic order: negative, zero or positive. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** SHA-256 over the parts in order, as if they were joined. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  const first = parts[0];
  if (!nodeCrypto) {
    const hash = nobleSha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  }
  if (nodeCrypto.hash) {
    if (parts.length === 1 && first) return latin1Bytes(nodeCrypto.hash('sha256', first, 'binary'));
    let length = 0;
    for (const part of parts) length += part.length;
    if (length <= joinBytesMax) return latin1Bytes(nodeCrypto.hash('sha256', concatBytes(...parts), 'binary'));
  }
  const hash = nodeCrypto.createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** A digest as latin1 text costs a third of a digest as a Buffer; the loop is the cheap way back. */
function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** HMAC-SHA-256 (RFC 2104). */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  if (!nodeCrypto) return nobleHmac(nobleSha256, key, message);
  return new Uint8Array(nodeCrypto.createHmac('sha256', key).update(message).digest());
}

const randomPoolBytes = 4_096;
const pooledBytesMax = 64;
let pool = new Uint8Array(0);
let pooled = 0;

/** Each call of the generator costs more than the bytes: keys, salts and nonces come out of one that fills a page. */
function fromPool(length: number): Uint8Array {
  if (pooled + length > pool.length) {
    pool = globalThis.crypto.getRandomValues(new Uint8Array(randomPoolBytes));
    pooled = 0;
  }
  const bytes = pool.slice(pooled, pooled + length);
  // Nothing is given twice, and nothing that was given stays here.
  pool.fill(0, pooled, pooled + length);
  pooled += length;
  return bytes;
}

/** Cryptographically random bytes. */
export function randomBytes(length: number): Uint8Array {
  if (length <= pooledBytesMax) return fromPool(length);
  const bytes = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += randomBytesMax) {
    globalThis.crypto.getRandomValues(bytes.subarray(offset, Math.min(length, offset + randomBytesMax)));
  }
  return bytes;
}

/** 16 random bytes as base64url, never with a leading `-`: command lines would take that for an option. */
export function randomId(): string {
  for (;;) {
    const id = toBase64url(randomBytes(16));
    if (!id.startsWith('-')) return id;
  }
}
