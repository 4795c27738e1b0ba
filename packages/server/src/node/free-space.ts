import { statfsSync } from 'node:fs';

/** The block log has its room in reserve; stores and indexes need some for what comes next. */
export const bytesFreeMinDefault = 8 * 1_048_576;

export function hasRoom(dir: string, bytesMin: number): boolean {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize >= bytesMin;
}
