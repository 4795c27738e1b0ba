import { DatabaseSync } from 'node:sqlite';
import { ledgerError } from './errors.ts';

/** What the names of the lock's files begin with. */
export const lockName = 'lock.sqlite';

/**
 * Keeps a second process out of a data directory. Node has no file locks; SQLite's are the operating system's own,
 * which end with the process however it ends, and also hold between containers that share the directory.
 */
export function lockDirectory(dir: string): () => void {
  const database = new DatabaseSync(`${dir}/${lockName}`);
  try {
    database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw ledgerError('directoryLocked', dir, { cause });
  }
  return () => database.close();
}
