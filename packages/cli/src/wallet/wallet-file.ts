import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64url, SalusError, toBase64url, utf8 } from '@salus/protocol';
import { WalletErrorCodes, walletError } from './errors.ts';
import type { WalletState } from './wallet-state.ts';

/** scrypt (RFC 7914): 64 MiB and a few tenths of a second for each guess of a passphrase. */
const SCRYPT = { N: 65_536, r: 8, p: 1 } as const;
const scryptMemoryBytesMax = 256 * 1024 * 1024;
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;
export const passphraseCharsMin = 8;
const FORMAT = 'salus-wallet/1';
const NAME = 'wallet.json';

interface WalletFile {
  format: typeof FORMAT;
  kdf: { name: 'scrypt'; N: number; r: number; p: number; salt: string };
  /** nonce (12) ‖ AES-256-GCM ‖ tag (16) over the state as JSON, padded with spaces. */
  sealed: string;
}

/** Sizes of the sealed state grow in steps, so that its length does not count contexts. */
const padBytes = 4_096;

function deriveKey(passphrase: string, salt: Uint8Array, { N, r, p }: { N: number; r: number; p: number }): Buffer {
  return scryptSync(passphrase.normalize('NFKC'), salt, keyBytes, { N, r, p, maxmem: scryptMemoryBytesMax });
}

function aad(kdf: WalletFile['kdf']): Uint8Array {
  return utf8(JSON.stringify([FORMAT, kdf]));
}

function parseFile(path: string): WalletFile {
  try {
    const file: WalletFile = JSON.parse(readFileSync(path, 'utf8'));
    const { N, r, p } = file.kdf;
    const isKnown = file.format === FORMAT && file.kdf.name === 'scrypt' && typeof file.sealed === 'string';
    // A file made by somebody else must not make this process compute for hours.
    if (isKnown && N === SCRYPT.N && r === SCRYPT.r && p === SCRYPT.p) return file;
  } catch (cause) {
    if (cause instanceof SalusError) throw cause;
  }
  throw walletError('walletDamaged');
}

/** A wallet's own directory: one file that only the passphrase opens. Nothing of it is ever at a node. */
export class WalletVault {
  readonly #dir: string;
  readonly #key: Buffer;
  readonly #kdf: WalletFile['kdf'];

  private constructor(dir: string, key: Buffer, kdf: WalletFile['kdf']) {
    this.#dir = dir;
    this.#key = key;
    this.#kdf = kdf;
  }

  static exists(dir: string): boolean {
    return existsSync(join(dir, NAME));
  }

  static create(dir: string, passphrase: string, state: WalletState): WalletVault {
    if (WalletVault.exists(dir)) throw walletError('walletExists');
    if (passphrase.length < passphraseCharsMin) throw walletError('passphraseWeak');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const salt = randomBytes(saltBytes);
    const kdf = { name: 'scrypt', ...SCRYPT, salt: toBase64url(salt) } as const;
    const vault = new WalletVault(dir, deriveKey(passphrase, salt, SCRYPT), kdf);
    vault.write(state);
    return vault;
  }

  /** Opens and decrypts; throws `passphraseWrong` for a wrong passphrase or a changed file. */
  static open(dir: string, passphrase: string): { vault: WalletVault; state: WalletState } {
    if (!WalletVault.exists(dir)) throw walletError('walletMissing');
    const file = parseFile(join(dir, NAME));
    const key = deriveKey(passphrase, fromBase64url(file.kdf.salt), file.kdf);
    const sealed = fromBase64url(file.sealed);
    const end = sealed.length - tagBytes;
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
    decipher.setAAD(aad(file.kdf));
    decipher.setAuthTag(sealed.subarray(end));
    try {
      const text = Buffer.concat([decipher.update(sealed.subarray(nonceBytes, end)), decipher.final()]).toString();
      return { vault: new WalletVault(dir, key, file.kdf), state: JSON.parse(text) };
    } catch (cause) {
      throw new SalusError(WalletErrorCodes.passphraseWrong, walletError('passphraseWrong').message, { cause });
    }
  }

  /** Replaces the file; after a power cut it holds the old or the new state, never a part. */
  write(state: WalletState): void {
    const text = JSON.stringify(state);
    const bytes = utf8(text);
    const padded = Buffer.alloc(Math.ceil((bytes.length + 1) / padBytes) * padBytes, ' ');
    padded.set(bytes);
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(aad(this.#kdf));
    const sealed = Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
    const file: WalletFile = { format: FORMAT, kdf: this.#kdf, sealed: toBase64url(sealed) };
    const path = join(this.#dir, NAME);
    const handle = openSync(`${path}.tmp`, 'w', 0o600);
    try {
      writeSync(handle, `${JSON.stringify(file)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(`${path}.tmp`, path);
    const directory = openSync(this.#dir, 'r');
    fsyncSync(directory);
    closeSync(directory);
  }
}
