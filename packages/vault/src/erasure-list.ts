import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { canonicalJson, equalBytes, fromHex, parseJsonStrict, sha256, toHex, utf8, utf8Text } from '@salus/protocol';
import { asVaultError, isMissing, syncDirectoryNow } from './durable-files.ts';
import { vaultError } from './errors.ts';

/** One erasure: written before the keys die, kept for ever, carried by every backup so that a restore erases again. */
export type Erasure = {
  sequence: number;
  kind: 'record' | 'patient';
  patient: string;
  /** Empty when the whole patient was erased. */
  records: string[];
  atMs: number;
  /** SHA-256 over the previous hash and this entry, hex. */
  hash: string;
};

const lineBytesMax = 8 * 1_048_576;
/** What stands before the first entry. */
const noHash = '0'.repeat(64);

function hashOf(previous: string, entry: Omit<Erasure, 'hash'>): string {
  const { sequence, kind, patient, records, atMs } = entry;
  const text = canonicalJson({ sequence, kind, patient, records, atMs });
  return toHex(sha256(utf8('salus-erasure-v1'), fromHex(previous), utf8(text)));
}

function parseLine(line: string): Erasure {
  const value = parseJsonStrict(line, { bytesMax: lineBytesMax, depthMax: 3 });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw vaultError('erasureListDamaged');
  const { sequence, kind, patient, records, atMs, hash } = value;
  const fits =
    typeof sequence === 'number' &&
    (kind === 'record' || kind === 'patient') &&
    typeof patient === 'string' &&
    Array.isArray(records) &&
    typeof atMs === 'number' &&
    typeof hash === 'string';
  if (!fits) throw vaultError('erasureListDamaged');
  const ids = records.filter((id): id is string => typeof id === 'string');
  if (ids.length !== records.length) throw vaultError('erasureListDamaged');
  return { sequence, kind, patient, records: ids, atMs, hash };
}

/** Parses a whole list and checks its chain. */
export function parseErasures(text: string): Erasure[] {
  const entries: Erasure[] = [];
  let previous = noHash;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    let entry: Erasure;
    try {
      entry = parseLine(line);
    } catch {
      throw vaultError('erasureListDamaged', `entry ${entries.length + 1}`);
    }
    const expected = hashOf(previous, entry);
    if (entry.sequence !== entries.length + 1 || !equalBytes(utf8(expected), utf8(entry.hash))) {
      throw vaultError('erasureListDamaged', `entry ${entries.length + 1}`);
    }
    entries.push(entry);
    previous = entry.hash;
  }
  return entries;
}

/** The list as a file of JSON lines, chained by hashes, synced line by line. */
export class ErasureList {
  readonly #path: string;
  readonly entries: Erasure[];

  constructor(path: string) {
    this.#path = path;
    this.entries = this.#load();
  }

  get head(): { sequence: number; hash: string } {
    const last = this.entries.at(-1);
    return { sequence: last?.sequence ?? 0, hash: last?.hash ?? noHash };
  }

  append(erasure: Omit<Erasure, 'sequence' | 'hash'>): Erasure {
    const { sequence, hash } = this.head;
    const numbered = { sequence: sequence + 1, ...erasure };
    const entry = { ...numbered, hash: hashOf(hash, numbered) };
    const line = utf8(`${JSON.stringify(entry)}\n`);
    if (line.length > lineBytesMax) throw vaultError('contentTooLarge', 'too many records in one erasure');
    const fd = openSync(this.#path, 'a', 0o600);
    try {
      writeSync(fd, line);
      fsyncSync(fd);
    } catch (error) {
      throw asVaultError(error);
    } finally {
      closeSync(fd);
    }
    if (sequence === 0) syncDirectoryNow(dirname(this.#path));
    this.entries.push(entry);
    return entry;
  }

  /** A last line without its end was never acknowledged: it is cut off. */
  #load(): Erasure[] {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.#path);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    const end = bytes.lastIndexOf(0x0a) + 1;
    if (end < bytes.length) {
      const fd = openSync(this.#path, 'r+');
      ftruncateSync(fd, end);
      fsyncSync(fd);
      closeSync(fd);
    }
    return parseErasures(utf8Text(bytes.subarray(0, end)));
  }
}
