import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import {
  type ChunkCipher,
  type ContentOptions,
  checkHeader,
  chunkBytes,
  chunkNonce,
  cipherParts,
  contentAad,
  decryptChunkRange,
  decryptChunks,
  encryptChunks,
  headerBytes,
  newHeader,
  type RangeSource,
  tagBytes,
} from './chunks.ts';
import { vaultError } from './errors.ts';
import type { ByteSource } from './streams.ts';

/** A small content is one chunk and is sealed without streams: the path of every FHIR resource. */
export const smallContentBytesMax = chunkBytes;

function gcmSeal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(aad);
  const body = cipher.update(plain);
  cipher.final();
  return Buffer.concat([body, cipher.getAuthTag()]);
}

function gcmOpen(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  const end = sealed.length - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

/** AES-256-GCM and HKDF by node:crypto: synchronous, and several times faster than WebCrypto on small chunks. */
function nodeCipher(key: Uint8Array, salt: Uint8Array, info: Uint8Array): ChunkCipher & { key: Uint8Array } {
  const aes = new Uint8Array(hkdfSync('sha256', key, salt, info, 32));
  return {
    key: aes,
    seal: (nonce, aad, plain) => gcmSeal(aes, nonce, aad, plain),
    open: (nonce, aad, sealed) => gcmOpen(aes, nonce, aad, sealed),
  };
}

/** Streams `source` into `salus-chunks/1`. Memory: two chunks. */
export function encryptContent(options: ContentOptions, source: ByteSource): AsyncGenerator<Uint8Array> {
  return encryptChunks(nodeCipher, options, source);
}

/** Streams `salus-chunks/1` back. Throws SalusError 220–226. */
export function decryptContent(options: ContentOptions, source: ByteSource): AsyncGenerator<Uint8Array> {
  return decryptChunks(nodeCipher, options, source);
}

/** Content bytes [start, end) without reading what lies before. */
export function decryptContentRange(
  options: ContentOptions,
  source: RangeSource,
  range: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  return decryptChunkRange(nodeCipher, options, source, range);
}

/** The same format for content of at most `smallContentBytesMax`, at once. */
export function sealContent(options: ContentOptions, content: Uint8Array): Uint8Array {
  if (content.length > smallContentBytesMax) {
    throw vaultError('contentTooLarge', `over ${smallContentBytesMax} bytes: use encryptContent`);
  }
  const header = newHeader();
  const { key } = nodeCipher(...cipherParts(header, options.key));
  const body = gcmSeal(key, chunkNonce(header, 0, true), contentAad(header, options.context), content);
  return Buffer.concat([header, body]);
}

/** Opens content of at most `smallContentBytesMax` at once. */
export function openContent(options: ContentOptions, sealed: Uint8Array): Uint8Array {
  if (sealed.length > headerBytes + smallContentBytesMax + tagBytes) {
    throw vaultError('contentTooLarge', `over ${smallContentBytesMax} bytes: use decryptContent`);
  }
  const header = sealed.subarray(0, headerBytes);
  checkHeader(header);
  if (sealed.length < headerBytes + tagBytes) throw vaultError('contentTruncated');
  const { key } = nodeCipher(...cipherParts(header, options.key));
  const aad = contentAad(header, options.context);
  const body = sealed.subarray(headerBytes);
  const plain = gcmOpen(key, chunkNonce(header, 0, true), aad, body);
  if (plain !== undefined) return plain;
  const cut = gcmOpen(key, chunkNonce(header, 0, false), aad, body) !== undefined;
  throw cut ? vaultError('contentTruncated') : vaultError('contentDamaged', 'chunk 0');
}
