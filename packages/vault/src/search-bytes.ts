import { read } from 'node:fs';
import { promisify } from 'node:util';

const readAsync = promisify(read);
const searchBlockBytes = 1_048_576;

/** Looks for byte sequences in open files, block by block with an overlap. `found` counts matches. */
export async function searchFiles(
  files: readonly number[],
  needles: readonly Buffer[],
): Promise<{ files: number; bytes: number; found: number }> {
  const overlap = Math.max(0, ...needles.map(({ length }) => length - 1));
  const buffer = Buffer.alloc(searchBlockBytes + overlap);
  let total = 0;
  let found = 0;
  for (const fd of files) {
    let kept = 0;
    for (let position = 0; ; ) {
      const { bytesRead } = await readAsync(fd, buffer, kept, searchBlockBytes, position);
      if (bytesRead === 0) break;
      const block = buffer.subarray(0, kept + bytesRead);
      found += needles.filter((needle) => block.includes(needle)).length;
      position += bytesRead;
      total += bytesRead;
      kept = Math.min(overlap, block.length);
      buffer.copy(buffer, 0, block.length - kept, block.length);
    }
  }
  return { files: files.length, bytes: total, found };
}
