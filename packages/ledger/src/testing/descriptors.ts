import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

const dsync = 0o10000;

/** Descriptors of this process for a file: LMDB has one that it writes pages with and one whose writes sync (O_DSYNC). */
export function descriptorsOf(path: string): { fd: number; isSynced: boolean }[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) !== path) return [];
      const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))?.[1] ?? '0';
      return [{ fd: Number(name), isSynced: (Number.parseInt(flags, 8) & dsync) !== 0 }];
    } catch {
      // The one that listed the directory.
      return [];
    }
  });
}

/** From now on every write through the descriptor fails, as on a file system that was made read-only after an error. */
export function makeReadOnly(fd: number, path: string): void {
  closeSync(fd);
  const others: number[] = [];
  for (let opened = openSync(path, 'r'); opened !== fd; opened = openSync(path, 'r')) others.push(opened);
  for (const other of others) closeSync(other);
}
