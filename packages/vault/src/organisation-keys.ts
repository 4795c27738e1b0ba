import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromBase64url, parseJsonStrict, toBase64url, utf8 } from '@salus/protocol';
import { isMissing, replaceFileNow, wipeNow } from './durable-files.ts';
import { vaultError } from './errors.ts';
import { keyBytes, newKey } from './key-wrap.ts';

/**
 * Where an organisation's key comes from. It has epochs: a rotation adds one, rewraps, and destroys the old one later.
 * A provider over a KMS or a PKCS#11 module keeps the epoch keys wrapped by a key that never leaves the module.
 */
export type OrganisationKeyProvider = {
  /** Epoch → 32-byte key. Empty when there is none yet. */
  load(): Promise<Map<number, Uint8Array>>;
  /** Makes the key of a new epoch durable before it returns. */
  create(epoch: number): Promise<Uint8Array>;
  /** Destroys an epoch's key for good. */
  destroy(epoch: number): Promise<void>;
};

const format = 'salus-organisation-key/1';
const keyFileBytesMax = 65_536;
const ownerOnly = 0o600;

type KeyFile = Map<number, { key: Uint8Array; createdMs: number }>;

function parseKeyFile(bytes: Uint8Array): KeyFile {
  const epochs: KeyFile = new Map();
  try {
    const file = parseJsonStrict(bytes, { bytesMax: keyFileBytesMax, depthMax: 4 });
    if (typeof file !== 'object' || file === null || Array.isArray(file) || file.format !== format) throw new Error();
    if (!Array.isArray(file.epochs)) throw new Error();
    for (const entry of file.epochs) {
      if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw new Error();
      const { epoch, key, createdMs } = entry;
      if (typeof epoch !== 'number' || typeof key !== 'string' || typeof createdMs !== 'number') throw new Error();
      epochs.set(checkEpoch(epoch), { key: checkKey(fromBase64url(key)), createdMs });
    }
  } catch {
    throw vaultError('organisationKeyDamaged');
  }
  return epochs;
}

function checkEpoch(epoch: number): number {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > 0xffffffff) throw vaultError('organisationKeyDamaged');
  return epoch;
}

function checkKey(key: Uint8Array): Uint8Array {
  if (key.length !== keyBytes) throw vaultError('organisationKeyDamaged');
  return key;
}

/** Keys in one file that only its owner can read; it belongs on another volume than the data and in no backup. */
export class FileKeyProvider implements OrganisationKeyProvider {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async load(): Promise<Map<number, Uint8Array>> {
    return new Map([...this.#read()].map(([epoch, { key }]) => [epoch, key]));
  }

  async create(epoch: number): Promise<Uint8Array> {
    const epochs = this.#read();
    const known = epochs.get(checkEpoch(epoch));
    if (known !== undefined) return known.key;
    const key = newKey();
    epochs.set(epoch, { key, createdMs: Date.now() });
    this.#write(epochs);
    return key;
  }

  async destroy(epoch: number): Promise<void> {
    const epochs = this.#read();
    if (epochs.delete(epoch)) this.#write(epochs);
  }

  #read(): KeyFile {
    let fd: number;
    try {
      fd = openSync(this.#path, 'r');
    } catch (error) {
      if (isMissing(error)) return new Map();
      throw error;
    }
    try {
      if (process.platform !== 'win32' && (fstatSync(fd).mode & 0o077) !== 0) {
        throw vaultError('organisationKeyExposed');
      }
      return parseKeyFile(readFileSync(fd));
    } finally {
      closeSync(fd);
    }
  }

  /** The file that is replaced is overwritten too: it holds the key that a rotation destroys. */
  #write(epochs: KeyFile): void {
    const list = [...epochs].map(([epoch, { key, createdMs }]) => ({ epoch, key: toBase64url(key), createdMs }));
    const bytes = utf8(`${JSON.stringify({ format, epochs: list }, null, 2)}\n`);
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    let old: number | undefined;
    try {
      old = openSync(this.#path, 'r+');
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    try {
      replaceFileNow(this.#path, bytes, ownerOnly);
      if (old !== undefined) wipeNow(old, fstatSync(old).size);
    } finally {
      if (old !== undefined) closeSync(old);
    }
  }
}

/**
 * Keys in an environment variable, `EPOCH:BASE64URL` separated by commas, as an orchestrator's secret store passes them.
 * The process cannot change them: a rotation begins by adding the next epoch there.
 */
export class EnvironmentKeyProvider implements OrganisationKeyProvider {
  readonly #name: string;
  readonly #environment: Record<string, string | undefined>;

  constructor(name: string, environment: Record<string, string | undefined> = process.env) {
    this.#name = name;
    this.#environment = environment;
  }

  async load(): Promise<Map<number, Uint8Array>> {
    const keys = new Map<number, Uint8Array>();
    for (const part of (this.#environment[this.#name] ?? '').split(',')) {
      if (part.trim() === '') continue;
      const match = /^([0-9]{1,10}):([A-Za-z0-9_-]{43})$/.exec(part.trim());
      if (match?.[1] === undefined || match[2] === undefined) throw vaultError('organisationKeyDamaged', this.#name);
      keys.set(checkEpoch(Number(match[1])), checkKey(fromBase64url(match[2])));
    }
    return keys;
  }

  async create(epoch: number): Promise<Uint8Array> {
    const key = (await this.load()).get(epoch);
    if (key === undefined) throw vaultError('organisationKeyReadOnly', `${this.#name}: add epoch ${epoch}`);
    return key;
  }

  async destroy(epoch: number): Promise<void> {
    if ((await this.load()).has(epoch)) {
      throw vaultError('organisationKeyReadOnly', `${this.#name}: remove epoch ${epoch}`);
    }
  }
}
