import { closeSync, fsyncSync, ftruncateSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { copyFile, type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SalusError } from '@salus/protocol';
import { vaultError } from './errors.ts';

/** A rename or a new file is durable only after its directory was synced. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function syncDirectoryNow(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAllNow(fd: number, bytes: Uint8Array, position?: number): void {
  for (let offset = 0; offset < bytes.length; ) {
    const at = position === undefined ? null : position + offset;
    offset += writeSync(fd, bytes, offset, bytes.length - offset, at);
  }
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, offset, bytes.length - offset, position + offset);
    offset += bytesWritten;
  }
}

export async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const handle = await open(to, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Either the old or the new file is there after a crash, never a part. */
export function replaceFileNow(path: string, bytes: Uint8Array, mode: number): void {
  const temporary = join(dirname(path), `.${process.pid}.tmp`);
  const fd = openSync(temporary, 'w', mode);
  try {
    writeAllNow(fd, bytes);
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(temporary);
    throw asVaultError(error);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncDirectoryNow(dirname(path));
}

/** Overwrites what a replaced file held: the inode that `fd` still holds open after its name was given away. */
export function wipeNow(fd: number, length: number): void {
  writeAllNow(fd, new Uint8Array(length), 0);
  fsyncSync(fd);
  ftruncateSync(fd, 0);
  fsyncSync(fd);
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}

function sqliteCodeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}

const sqliteBusy = 5;
const sqliteLocked = 6;
const sqliteCorrupt = 11;
const sqliteFull = 13;
const sqliteNotADatabase = 26;

/** Turns what the operating system and SQLite say into numbered errors; what is unknown stays what it is. */
export function asVaultError(error: unknown): unknown {
  if (error instanceof SalusError) return error;
  const code = codeOf(error);
  const sqlite = sqliteCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' || sqlite === sqliteFull)
    return vaultError('diskFull');
  if (sqlite === sqliteBusy || sqlite === sqliteLocked) return vaultError('storeInUse');
  if (sqlite === sqliteCorrupt) return vaultError('storeDamaged');
  if (sqlite === sqliteNotADatabase) return vaultError('storeForeign');
  return error;
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/**
 * Keeps a second process out of a directory for as long as this one lives: an exclusive SQLite transaction is the lock of
 * the operating system that Node reaches, and it falls with the process, however that ends. Closing any other descriptor
 * of the file would drop the lock (POSIX), so nobody else may read it.
 */
export class StoreLock {
  readonly #database: DatabaseSync;

  constructor(directory: string) {
    this.#database = new DatabaseSync(join(directory, 'lock'));
    try {
      this.#database.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    } catch (error) {
      this.#database.close();
      throw asVaultError(error);
    }
  }

  release(): void {
    this.#database.close();
  }
}
