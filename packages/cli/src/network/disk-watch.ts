import { statfsSync } from 'node:fs';
import { diskFreeBytesAgain, diskFreeBytesMin, diskWatchMs } from './limits.ts';

/**
 * Tells when a disk is so full that a member must not go on, and when there is room again. CometBFT writes its votes and
 * blocks first and gives up its part in consensus, process and RPC alive, at the first write that fails: it is ended in
 * order before that, and started anew where it was too late.
 */
export class DiskWatch {
  readonly #dir: string;
  readonly #changed: (isFull: boolean) => void;
  readonly #timer: NodeJS.Timeout;
  #isFull = false;

  /** `changed` is told at once where the disk is full already. */
  constructor(dir: string, changed: (isFull: boolean) => void) {
    this.#dir = dir;
    this.#changed = changed;
    this.#look();
    this.#timer = setInterval(() => this.#look(), diskWatchMs);
    this.#timer.unref();
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const freeBytes = this.#freeBytes();
    if (freeBytes === undefined) return;
    const isFull = freeBytes < (this.#isFull ? diskFreeBytesAgain : diskFreeBytesMin);
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#changed(isFull);
  }

  /** Undefined where the disk does not say: whoever reads and writes there finds out what is wrong with it. */
  #freeBytes(): number | undefined {
    try {
      const { bavail, bsize } = statfsSync(this.#dir);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  }
}
