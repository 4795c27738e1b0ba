import { sha256 } from '@salus/protocol';
import type { Files } from '../files.ts';
import { snapshotChunkBytes } from '../limits.ts';

const indexDigits = 5;

export function chunkName(index: number): string {
  return `chunk-${String(index).padStart(indexDigits, '0')}`;
}

/** Cuts a stream of bytes into chunks of one size, a synced file each. */
export class ChunkSink {
  readonly hashes: Uint8Array[] = [];
  bytes = 0;
  readonly #files: Files;
  readonly #dir: string;
  readonly #chunk = Buffer.allocUnsafe(snapshotChunkBytes);
  #fill = 0;

  constructor(files: Files, dir: string) {
    this.#files = files;
    this.#dir = dir;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + snapshotChunkBytes - this.#fill);
      this.#chunk.set(part, this.#fill);
      this.#fill += part.length;
      this.bytes += part.length;
      from += part.length;
      if (this.#fill === snapshotChunkBytes) await this.#store();
    }
  }

  async finish(): Promise<void> {
    if (this.#fill > 0) await this.#store();
  }

  async #store(): Promise<void> {
    const chunk = this.#chunk.subarray(0, this.#fill);
    const file = await this.#files.open(`${this.#dir}/${chunkName(this.hashes.length)}`, 'create');
    try {
      await file.write(chunk, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    this.hashes.push(sha256(chunk));
    this.#fill = 0;
  }
}
