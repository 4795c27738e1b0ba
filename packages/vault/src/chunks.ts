import { concatBytes, randomBytes, utf8 } from '@salus/protocol';
import { vaultError } from './errors.ts';
import { type ByteSource, inPieces, readSource } from './streams.ts';

/**
 * `salus-chunks/1`: content in 64 KiB chunks, each AES-256-GCM, in the STREAM construction (Hoang, Reyhanitabar, Rogaway,
 * Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015): the nonce counts the chunks
 * and marks the last, so that a chunk that is lost, moved or appended does not authenticate.
 */
export const chunkBytes = 65_536;
export const headerBytes = 32;
export const tagBytes = 16;
const contentKeyBytes = 32;
const sealedChunkBytes = chunkBytes + tagBytes;
/** The counter in the nonce has 32 bits. */
const chunksMax = 2 ** 32;
const contextBytesMax = 1_024;

const magic = utf8('SALC');
const version = 1;
/** HKDF-SHA-256 and AES-256-GCM. */
const suite = 1;
const chunkBytesLog2 = 16;
const saltAt = 8;
const prefixAt = 24;
const prefixBytes = 7;
const keyInfo = utf8('salus-chunks/1');

/** One AES-256-GCM key. `open` answers undefined when the tag is wrong. */
export type ChunkCipher = {
  seal(nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array): Uint8Array | Promise<Uint8Array>;
  open(
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
};

/** Derives the content's own key by HKDF-SHA-256, so that one record key serves many contents. */
export type CipherFactory = (key: Uint8Array, salt: Uint8Array, info: Uint8Array) => ChunkCipher | Promise<ChunkCipher>;

export type ContentOptions = {
  /** 32 bytes; in Node a record's key. */
  key: Uint8Array;
  /** What this content is, for example its record id; authenticated, not stored. */
  context: string;
};

export function newHeader(): Uint8Array {
  const header = new Uint8Array(headerBytes);
  header.set(magic, 0);
  header.set([version, suite, chunkBytesLog2, 0], 4);
  header.set(randomBytes(prefixAt - saltAt), saltAt);
  header.set(randomBytes(prefixBytes), prefixAt);
  return header;
}

export function checkHeader(header: Uint8Array): void {
  const known = [...magic, version, suite, chunkBytesLog2, 0];
  const fits = header.length === headerBytes && known.every((byte, i) => header[i] === byte) && header[31] === 0;
  if (!fits) throw vaultError('contentHeader');
}

export function chunkNonce(header: Uint8Array, counter: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(header.subarray(prefixAt, prefixAt + prefixBytes), 0);
  new DataView(nonce.buffer).setUint32(prefixBytes, counter);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

export function contentAad(header: Uint8Array, context: string): Uint8Array {
  const text = utf8(context);
  if (text.length > contextBytesMax) throw vaultError('idUnacceptable', `context over ${contextBytesMax} bytes`);
  return concatBytes(header, text);
}

export function cipherParts(header: Uint8Array, key: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  if (key.length !== contentKeyBytes) throw vaultError('contentKey');
  return [key, header.subarray(saltAt, prefixAt), keyInfo];
}

export async function* encryptChunks(
  factory: CipherFactory,
  options: ContentOptions,
  source: ByteSource,
): AsyncGenerator<Uint8Array> {
  const header = newHeader();
  const aad = contentAad(header, options.context);
  const cipher = await factory(...cipherParts(header, options.key));
  yield header;
  let counter = 0;
  for await (const { bytes, last } of inPieces(readSource(source), chunkBytes)) {
    if (counter >= chunksMax) throw vaultError('contentTooLarge');
    yield await cipher.seal(chunkNonce(header, counter, last), aad, bytes);
    counter += 1;
  }
}

type Opener = { cipher: ChunkCipher; header: Uint8Array; aad: Uint8Array };

async function opener(factory: CipherFactory, options: ContentOptions, header: Uint8Array): Promise<Opener> {
  checkHeader(header);
  const cipher = await factory(...cipherParts(header, options.key));
  return { cipher, header, aad: contentAad(header, options.context) };
}

async function openChunk(with_: Opener, counter: number, last: boolean, sealed: Uint8Array): Promise<Uint8Array> {
  const { cipher, header, aad } = with_;
  if (sealed.length < tagBytes || (sealed.length === tagBytes && counter > 0)) throw vaultError('contentTruncated');
  const plain = await cipher.open(chunkNonce(header, counter, last), aad, sealed);
  if (plain !== undefined) return plain;
  // The other flag tells a cut or an extended content from a damaged one: the message then says what to do.
  const otherwise = await cipher.open(chunkNonce(header, counter, !last), aad, sealed);
  if (otherwise === undefined) throw vaultError('contentDamaged', `chunk ${counter}`);
  throw vaultError(last ? 'contentTruncated' : 'contentExtended', `chunk ${counter}`);
}

/** Plaintext comes out only after the tag of its chunk was checked. An error may come after earlier chunks. */
export async function* decryptChunks(
  factory: CipherFactory,
  options: ContentOptions,
  source: ByteSource,
): AsyncGenerator<Uint8Array> {
  const { header, rest } = await splitHeader(readSource(source));
  const with_ = await opener(factory, options, header);
  let counter = 0;
  for await (const { bytes, last } of inPieces(rest, sealedChunkBytes)) {
    yield await openChunk(with_, counter, last, bytes);
    counter += 1;
  }
}

async function splitHeader(
  source: AsyncGenerator<Uint8Array>,
): Promise<{ header: Uint8Array; rest: AsyncGenerator<Uint8Array> }> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < headerBytes) {
    const { done, value } = await source.next();
    if (done) throw head.length === 0 ? vaultError('contentTruncated') : vaultError('contentHeader');
    head = head.length === 0 ? new Uint8Array(value) : concatBytes(head, value);
  }
  const surplus = head.subarray(headerBytes);
  async function* rest(): AsyncGenerator<Uint8Array> {
    yield surplus;
    yield* source;
  }
  return { header: head.slice(0, headerBytes), rest: rest() };
}

/** Length of the content that lies in `sealedBytes` bytes of ciphertext. */
export function contentLength(sealedBytes: number): number {
  const body = sealedBytes - headerBytes;
  const chunks = Math.max(1, Math.ceil(body / sealedChunkBytes));
  const length = body - chunks * tagBytes;
  if (length < 0 || (chunks > 1 && body - (chunks - 1) * sealedChunkBytes <= tagBytes)) {
    throw vaultError('contentTruncated');
  }
  return length;
}

/** Length of the ciphertext of `length` bytes. */
export function sealedLength(length: number): number {
  return headerBytes + length + Math.max(1, Math.ceil(length / chunkBytes)) * tagBytes;
}

export type RangeSource = {
  /** Length of the whole ciphertext. */
  sealedBytes: number;
  /** Bytes [start, end) of the ciphertext. */
  read(start: number, end: number): ByteSource;
};

/**
 * Content bytes [start, end): reads the header and the chunks that hold them. Every chunk is authenticated at its place;
 * that nothing is missing behind the range follows only from a read that reaches the end.
 */
export async function* decryptChunkRange(
  factory: CipherFactory,
  options: ContentOptions,
  source: RangeSource,
  range: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  const length = contentLength(source.sealedBytes);
  const { start, end } = range;
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= length)) {
    throw vaultError('contentRange', `content has ${length} bytes`);
  }
  if (start === end) return;
  const { header } = await splitHeader(readSource(source.read(0, headerBytes)));
  const with_ = await opener(factory, options, header);
  const first = Math.floor(start / chunkBytes);
  const lastOfContent = Math.max(0, Math.ceil(length / chunkBytes) - 1);
  const lastOfRange = Math.floor((end - 1) / chunkBytes);
  const from = headerBytes + first * sealedChunkBytes;
  const to = Math.min(source.sealedBytes, headerBytes + (lastOfRange + 1) * sealedChunkBytes);
  let counter = first;
  for await (const { bytes } of inPieces(readSource(source.read(from, to)), sealedChunkBytes)) {
    const plain = await openChunk(with_, counter, counter === lastOfContent, bytes);
    const offset = counter * chunkBytes;
    yield plain.subarray(Math.max(0, start - offset), Math.min(plain.length, end - offset));
    counter += 1;
  }
  if (counter !== lastOfRange + 1) throw vaultError('contentTruncated', `chunk ${counter}`);
}
