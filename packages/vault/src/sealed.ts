import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core';
import {
  canonicalJson,
  commit,
  concatBytes,
  type EcPrivateJwk,
  type EcPublicJwk,
  equalBytes,
  fromBase64url,
  type JsonValue,
  jwkThumbprint,
  parseJsonStrict,
  parsePublicJwk,
  randomBytes,
  SalusError,
  sha256,
  toBase64url,
  toHex,
  utf8,
  verifyCommitment,
} from '@salus/protocol';
import { vaultError } from './errors.ts';

/**
 * `salus-sealed/1`: content that the parties of one transaction share. A random content key encrypts it once (AES-256-GCM,
 * padded to a size class); HPKE (RFC 9180, base mode) wraps that key to each party. Entries carry random tags instead of
 * names, stand in random order and are filled up with decoys, so that the envelope shows neither who the parties are nor
 * how many.
 */
export type SealedEnvelope = {
  format: 'salus-sealed/1';
  suite: 'P256-SHA256-A256GCM';
  /** SHA-256(salt ‖ content), the value on the ledger. */
  commitment: string;
  recipients: SealedRecipient[];
  /** nonce (12) ‖ AES-256-GCM of salt (32) ‖ length (u32) ‖ content ‖ zeros ‖ tag (16). */
  ciphertext: string;
};
type SealedRecipient = {
  /** 16 random bytes. */
  tag: string;
  /** HPKE encapsulated key, 65 bytes. */
  enc: string;
  /** HPKE ciphertext of the content key, 48 bytes. */
  key: string;
};

/** What an onlooker learns of the length is which of these it fits into. */
export const sizeClassesBytes: readonly number[] = [
  512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576, 2_097_152, 4_194_304,
];
/** Numbers of entries, decoys included. */
export const recipientClasses: readonly number[] = [2, 4, 8, 16, 32, 64];
export const recipientsMax = 64;

const format = 'salus-sealed/1';
const suiteName = 'P256-SHA256-A256GCM';
const saltBytes = 32;
const lengthBytes = 4;
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;
const encBytes = 65;
const wrappedBytes = keyBytes + 16;
/** Longest content of a sealed payload. */
export const sealedContentBytesMax = Math.max(...sizeClassesBytes) - saltBytes - lengthBytes;
export const sealedEnvelopeBytesMax = Math.ceil((Math.max(...sizeClassesBytes) * 4) / 3) + 65_536;

const hpke = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const info = utf8(format);

export type SealOptions = {
  content: Uint8Array;
  /** Public encryption keys of the parties. */
  recipients: readonly EcPublicJwk[];
  /** What the payload belongs to, for example chain and message type; authenticated, not stored. */
  context: string;
  /** The 32-byte salt of a commitment that exists already. */
  salt?: Uint8Array;
};

export type SealedPayload = {
  envelope: SealedEnvelope;
  /** base64url, as `commit` of @salus/protocol returns them. */
  commitment: string;
  salt: string;
  /** Tag of each recipient, in the order in which they were given. */
  tags: string[];
};

function contentAad(commitment: string, context: string): Uint8Array {
  return utf8(JSON.stringify([format, suiteName, commitment, context]));
}

function wrapAad(commitment: string, context: string, tag: string): Uint8Array {
  return utf8(JSON.stringify([format, suiteName, commitment, context, tag]));
}

/** WebCrypto of TypeScript's DOM library wants buffers that are not shared. */
function plainBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

async function contentCipher(key: Uint8Array, usage: 'encrypt' | 'decrypt') {
  return globalThis.crypto.subtle.importKey('raw', plainBytes(key), 'AES-GCM', false, [usage]);
}

function pad(salt: Uint8Array, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const needed = saltBytes + lengthBytes + content.length;
  const size = sizeClassesBytes.find((bytes) => bytes >= needed);
  if (size === undefined) throw vaultError('sealedTooLarge', `over ${sealedContentBytesMax} bytes`);
  const padded = new Uint8Array(size);
  padded.set(salt, 0);
  new DataView(padded.buffer).setUint32(saltBytes, content.length);
  padded.set(content, saltBytes + lengthBytes);
  return padded;
}

function unpad(padded: Uint8Array): { salt: Uint8Array; content: Uint8Array } {
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(saltBytes);
  const end = saltBytes + lengthBytes + length;
  if (end > padded.length || padded.subarray(end).some((byte) => byte !== 0)) throw vaultError('sealedDamaged');
  return { salt: padded.slice(0, saltBytes), content: padded.slice(saltBytes + lengthBytes, end) };
}

/** A fair shuffle (Fisher–Yates) with unbiased indices. */
function shuffle<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const bound = i + 1;
    let index: number;
    do index = new DataView(plainBytes(randomBytes(4)).buffer).getUint32(0);
    while (index >= Math.floor(2 ** 32 / bound) * bound);
    index %= bound;
    const [left, right] = [items[i], items[index]];
    if (left !== undefined && right !== undefined) [items[i], items[index]] = [right, left];
  }
  return items;
}

function checkRecipients(recipients: readonly EcPublicJwk[]): EcPublicJwk[] {
  const different = new Set(recipients.map(jwkThumbprint));
  if (recipients.length < 1 || recipients.length > recipientsMax || different.size !== recipients.length) {
    throw vaultError('sealedRecipients', `${recipients.length} keys, ${different.size} different`);
  }
  return recipients.map(({ kty, crv, x, y }) => parsePublicJwk({ kty, crv, x, y }));
}

async function wrapTo(
  jwk: EcPublicJwk,
  key: Uint8Array,
  commitment: string,
  context: string,
): Promise<SealedRecipient> {
  const recipientPublicKey = await hpke.kem.importKey('jwk', { ...jwk }, true);
  return wrapToKey(recipientPublicKey, key, commitment, context);
}

type PublicKey = Awaited<ReturnType<typeof hpke.kem.importKey>>;

async function wrapToKey(
  recipientPublicKey: PublicKey,
  key: Uint8Array,
  commitment: string,
  context: string,
): Promise<SealedRecipient> {
  const tag = toBase64url(randomBytes(tagBytes));
  const sender = await hpke.createSenderContext({ recipientPublicKey, info: plainBytes(info) });
  const wrapped = await sender.seal(plainBytes(key), plainBytes(wrapAad(commitment, context, tag)));
  return { tag, enc: toBase64url(new Uint8Array(sender.enc)), key: toBase64url(new Uint8Array(wrapped)) };
}

/** A decoy is a real entry to a key that nobody keeps: it cannot be told from one. */
async function decoy(commitment: string, context: string): Promise<SealedRecipient> {
  const { publicKey } = await hpke.kem.generateKeyPair();
  return wrapToKey(publicKey, randomBytes(keyBytes), commitment, context);
}

/** Seals content to 1–64 parties. Throws sealedTooLarge, sealedRecipients. */
export async function sealPayload(options: SealOptions): Promise<SealedPayload> {
  const { content, context } = options;
  const recipients = checkRecipients(options.recipients);
  const salt = options.salt ?? randomBytes(saltBytes);
  const padded = pad(salt, content);
  const { commitment } = commit(content, salt);
  const key = randomBytes(keyBytes);
  const nonce = randomBytes(nonceBytes);
  const parameters = {
    name: 'AES-GCM',
    iv: plainBytes(nonce),
    additionalData: plainBytes(contentAad(commitment, context)),
  };
  const body = await globalThis.crypto.subtle.encrypt(parameters, await contentCipher(key, 'encrypt'), padded);
  const entries = await Promise.all(recipients.map((jwk) => wrapTo(jwk, key, commitment, context)));
  const slots = recipientClasses.find((slotCount) => slotCount >= entries.length) ?? entries.length;
  const missing = Array.from({ length: slots - entries.length }, () => decoy(commitment, context));
  const envelope: SealedEnvelope = {
    format,
    suite: suiteName,
    commitment,
    recipients: shuffle([...entries, ...(await Promise.all(missing))]),
    ciphertext: toBase64url(concatBytes(nonce, new Uint8Array(body))),
  };
  return { envelope, commitment, salt: toBase64url(salt), tags: entries.map(({ tag }) => tag) };
}

/** The bytes of an envelope: canonical JSON (RFC 8785). */
export function encodeSealed(envelope: SealedEnvelope): Uint8Array {
  return utf8(canonicalJson(envelope as unknown as JsonValue));
}

/** Content address of an envelope: SHA-256 of its bytes, hex. */
export function sealedAddress(bytes: Uint8Array): string {
  return toHex(sha256(bytes));
}

/** Strict: canonical JSON, exactly these members, exact lengths. Throws sealedFormat. */
export function parseSealed(bytes: Uint8Array): SealedEnvelope {
  try {
    const value = parseJsonStrict(bytes, { bytesMax: sealedEnvelopeBytesMax, depthMax: 4 });
    const envelope = checkEnvelope(value);
    if (!equalBytes(encodeSealed(envelope), bytes)) throw vaultError('sealedFormat');
    return envelope;
  } catch (error) {
    if (error instanceof SalusError) throw vaultError('sealedFormat');
    throw error;
  }
}

function membersOf(value: JsonValue, names: readonly string[]): Record<string, JsonValue> {
  const fits = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!fits || Object.keys(value).sort().join() !== [...names].sort().join()) throw vaultError('sealedFormat');
  return value;
}

function bytesText(value: JsonValue | undefined, length?: number): string {
  if (typeof value !== 'string') throw vaultError('sealedFormat');
  const bytes = fromBase64url(value);
  if (length !== undefined && bytes.length !== length) throw vaultError('sealedFormat');
  return value;
}

function checkEnvelope(value: JsonValue): SealedEnvelope {
  const envelope = membersOf(value, ['format', 'suite', 'commitment', 'recipients', 'ciphertext']);
  if (envelope.format !== format || envelope.suite !== suiteName) throw vaultError('sealedFormat');
  const { recipients } = envelope;
  if (!Array.isArray(recipients) || !recipientClasses.includes(recipients.length)) throw vaultError('sealedFormat');
  const ciphertext = bytesText(envelope.ciphertext);
  const size = fromBase64url(ciphertext).length - nonceBytes - tagBytes;
  if (!sizeClassesBytes.includes(size)) throw vaultError('sealedFormat');
  return {
    format,
    suite: suiteName,
    commitment: bytesText(envelope.commitment, 32),
    recipients: recipients.map((entry) => {
      const { tag, enc, key } = membersOf(entry, ['tag', 'enc', 'key']);
      return { tag: bytesText(tag, tagBytes), enc: bytesText(enc, encBytes), key: bytesText(key, wrappedBytes) };
    }),
    ciphertext,
  };
}

export type OpenSealedOptions = {
  context: string;
  /** The commitment on the ledger; another one in the envelope is refused. */
  commitment?: string;
  /** The recipient's tag where it is known: saves trying every entry. */
  tag?: string;
};

export type OpenedPayload = { content: Uint8Array; commitment: string; salt: string; tag: string };

/** Opens with one party's private key. Throws sealedNotForKey, sealedDamaged, sealedCommitment. */
export async function openSealed(
  envelope: SealedEnvelope,
  privateJwk: EcPrivateJwk,
  options: OpenSealedOptions,
): Promise<OpenedPayload> {
  const { commitment } = envelope;
  if (options.commitment !== undefined && options.commitment !== commitment) throw vaultError('sealedCommitment');
  const { kty, crv, x, y, d } = privateJwk;
  const recipientKey = await hpke.kem.importKey('jwk', { kty, crv, x, y, d }, false);
  const { key, tag } = await unwrapKey(envelope, recipientKey, options);
  const { salt, content } = unpad(await decrypt(envelope, key, options.context));
  const saltText = toBase64url(salt);
  if (!verifyCommitment({ commitment, salt: saltText }, content)) throw vaultError('sealedCommitment');
  return { content, commitment, salt: saltText, tag };
}

async function unwrapKey(
  envelope: SealedEnvelope,
  recipientKey: PublicKey,
  options: OpenSealedOptions,
): Promise<{ key: Uint8Array; tag: string }> {
  for (const { tag, enc, key } of envelope.recipients) {
    if (options.tag !== undefined && options.tag !== tag) continue;
    try {
      const recipient = await hpke.createRecipientContext({
        recipientKey,
        enc: plainBytes(fromBase64url(enc)),
        info: plainBytes(info),
      });
      const aad = plainBytes(wrapAad(envelope.commitment, options.context, tag));
      return { key: new Uint8Array(await recipient.open(plainBytes(fromBase64url(key)), aad)), tag };
    } catch {
      // Not this recipient's entry: HPKE says so only by failing.
    }
  }
  throw vaultError('sealedNotForKey');
}

async function decrypt(envelope: SealedEnvelope, key: Uint8Array, context: string): Promise<Uint8Array> {
  const sealed = fromBase64url(envelope.ciphertext);
  const parameters = {
    name: 'AES-GCM',
    iv: plainBytes(sealed.subarray(0, nonceBytes)),
    additionalData: plainBytes(contentAad(envelope.commitment, context)),
  };
  const cipher = await contentCipher(key, 'decrypt');
  try {
    const plain = await globalThis.crypto.subtle.decrypt(parameters, cipher, plainBytes(sealed.subarray(nonceBytes)));
    return new Uint8Array(plain);
  } catch {
    throw vaultError('sealedDamaged');
  }
}
