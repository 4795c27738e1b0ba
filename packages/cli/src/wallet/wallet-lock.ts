import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { walletError } from './errors.ts';

/** A command of another process may be about to end. */
const patienceMs = 2_000;

/**
 * Holds a wallet's directory for one process at a time: two that write would lose what one of them decided. The lock is the
 * operating system's (through SQLite's), so that it ends with the process however that ends. Gives what releases it.
 */
export function lockWallet(dir: string): () => void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(dir, 'lock'), { timeout: patienceMs });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw walletError('walletInUse', undefined, { cause });
  }
  return () => database.close();
}
