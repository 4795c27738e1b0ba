import {
  type ChunkCipher,
  type ContentOptions,
  decryptChunkRange,
  decryptChunks,
  encryptChunks,
  type RangeSource,
} from './chunks.ts';
import type { ByteSource } from './streams.ts';

/** AES-256-GCM and HKDF by WebCrypto: what browsers and Node have in common. */
async function webCipher(key: Uint8Array, salt: Uint8Array, info: Uint8Array): Promise<ChunkCipher> {
  const { subtle } = globalThis.crypto;
  const source = await subtle.importKey('raw', new Uint8Array(key), 'HKDF', false, ['deriveKey']);
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(salt), info: new Uint8Array(info) };
  const usages: ('encrypt' | 'decrypt')[] = ['encrypt', 'decrypt'];
  const aes = await subtle.deriveKey(derivation, source, { name: 'AES-GCM', length: 256 }, false, usages);
  return {
    async seal(iv, additionalData, plain) {
      return new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, aes, plain));
    },
    async open(iv, additionalData, sealed) {
      try {
        return new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, aes, sealed));
      } catch {
        return undefined;
      }
    },
  };
}

/** Streams `source` into `salus-chunks/1`. Memory: two chunks. */
export function encryptContent(options: ContentOptions, source: ByteSource): AsyncGenerator<Uint8Array> {
  return encryptChunks(webCipher, options, source);
}

/** Streams `salus-chunks/1` back. Throws SalusError 220–226. */
export function decryptContent(options: ContentOptions, source: ByteSource): AsyncGenerator<Uint8Array> {
  return decryptChunks(webCipher, options, source);
}

/** Content bytes [start, end) without reading what lies before. */
export function decryptContentRange(
  options: ContentOptions,
  source: RangeSource,
  range: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  return decryptChunkRange(webCipher, options, source, range);
}
