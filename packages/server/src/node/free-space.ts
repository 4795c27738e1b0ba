import { statfsSync } from 'node:fs';

/** The block log has its room in reserve; stores and indexes need some for what comes next. */
export const bytesFreeMinDefault = 8 * 1_048_576;

/** Disks that do not say how full they are count as having room: what fails there is told when it fails. */
export function hasRoom(dir: string, bytesMin: number): boolean {
  try {
    const { bavail, blocks, bsize } = statfsSync(dir);
    return blocks === 0 || bavail * bsize >= bytesMin;
  } catch {
    return true;
  }
}
