import { ledgerError } from '../errors.ts';
import { type Files, isSpaceError, type LedgerFile } from '../files.ts';
import { diskRetryMs, logPreallocateSliceBytes, logSegmentBytes } from '../limits.ts';
import { frameHead, frameHeadBytes } from './frame.ts';
import { type LogLocation, SEGMENT_HEAD_BYTES, segmentHead, segmentName, spareSegmentName } from './segment.ts';

export type LogStatus = 'ok' | 'full' | 'failed' | 'closed';

type Pending = { payload: Uint8Array; height: number; resolve: (at: LogLocation) => void; reject: (e: Error) => void };

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export type BlockLogOptions = {
  files: Files;
  dir: string;
  genesisHash: Uint8Array;
  /** Where the last whole frame ends, or undefined when there is no segment yet. */
  tail?: { segment: number; end: number; height: number };
  segmentBytes?: number;
};

/**
 * Append-only log of blocks in segments that were filled with zeros beforehand: a sync then writes data only, and
 * whether the disk has room shows before anything is accepted. One write and one sync are under way at a time; what is
 * appended meanwhile goes with the next.
 */
export class BlockLog {
  readonly #files: Files;
  readonly #dir: string;
  readonly #genesisHash: Uint8Array;
  readonly #segmentBytes: number;
  #segment = 0;
  #file: LedgerFile | undefined;
  #fileBytes = 0;
  #end = 0;
  #syncedHeight = 0;
  #queue: Pending[] = [];
  #isRunning = false;
  #status: LogStatus = 'ok';
  #spare: Promise<LedgerFile | undefined> | undefined;
  #spareFull = false;
  #spareProblem: Error | undefined;
  #onStatus: (() => void) | undefined;

  private constructor(options: BlockLogOptions) {
    this.#files = options.files;
    this.#dir = options.dir;
    this.#genesisHash = options.genesisHash;
    this.#segmentBytes = options.segmentBytes ?? logSegmentBytes;
  }

  static async open(options: BlockLogOptions): Promise<BlockLog> {
    const log = new BlockLog(options);
    const { tail, files, dir } = options;
    if (tail) {
      log.#segment = tail.segment;
      log.#end = tail.end;
      log.#syncedHeight = tail.height;
      log.#file = await files.open(`${dir}/${segmentName(tail.segment)}`, 'write');
      log.#fileBytes = log.#file.size();
    }
    log.#prepareSpare();
    return log;
  }

  /** `full`: no room for more; what was accepted is kept and goes on when there is room. */
  status(): LogStatus {
    if (this.#status === 'ok' && this.#spareFull) return 'full';
    return this.#status;
  }

  /** Called whenever status() may have changed. */
  onStatus(listener: () => void): void {
    this.#onStatus = listener;
  }

  /** Resolves when the record is on the disk; rejects when that cannot be known. Heights come in order. */
  append(payload: Uint8Array, height: number): Promise<LogLocation> {
    if (this.#status === 'failed') return Promise.reject(ledgerError('degraded'));
    if (this.#status === 'closed') return Promise.reject(ledgerError('closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ payload, height, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Records appended and not yet on the disk. */
  hasPending(): boolean {
    return this.#isRunning;
  }

  async close(): Promise<void> {
    while (this.#isRunning && this.#status !== 'failed') await sleep(1);
    if (this.#status !== 'failed') this.#status = 'closed';
    const spare = await this.#spare;
    await spare?.close();
    await this.#file?.close();
    this.#file = undefined;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    let batch: Pending[] = [];
    try {
      while (this.#queue.length > 0) {
        batch = this.#queue;
        this.#queue = [];
        await this.#writeBatch(batch);
        batch = [];
      }
    } catch (cause) {
      this.#setStatus('failed');
      const error = ledgerError('degraded', (cause as Error).message, { cause });
      for (const pending of [...batch, ...this.#queue]) pending.reject(error);
      this.#queue = [];
    } finally {
      this.#isRunning = false;
    }
  }

  async #writeBatch(batch: Pending[]): Promise<void> {
    for (let from = 0; from < batch.length; ) {
      const first = batch[from] as Pending;
      if (!this.#file || this.#end + frameHeadBytes + first.payload.length > this.#fileBytes) {
        await this.#startSegment(first.height, frameHeadBytes + first.payload.length);
      }
      let until = from;
      let end = this.#end;
      const parts: Uint8Array[] = [];
      const locations: LogLocation[] = [];
      for (; until < batch.length; until += 1) {
        const { payload, height } = batch[until] as Pending;
        if (until > from && end + frameHeadBytes + payload.length > this.#fileBytes) break;
        parts.push(frameHead(payload, height, this.#syncedHeight), payload);
        locations.push({ segment: this.#segment, offset: end, bytes: frameHeadBytes + payload.length });
        end += frameHeadBytes + payload.length;
      }
      const file = this.#file as LedgerFile;
      await this.#retryWhenFull(() => file.write(Buffer.concat(parts), this.#end));
      await file.datasync();
      this.#end = end;
      this.#syncedHeight = (batch[until - 1] as Pending).height;
      for (let index = from; index < until; index += 1) {
        (batch[index] as Pending).resolve(locations[index - from] as LogLocation);
      }
      from = until;
    }
  }

  /** A write can be repeated as it is; a sync that failed cannot, nobody knows what it lost. */
  async #retryWhenFull<T>(action: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await action();
        if (this.#status === 'full') this.#setStatus('ok');
        return result;
      } catch (error) {
        if (!isSpaceError(error)) throw error;
        this.#setStatus('full');
        await sleep(diskRetryMs);
      }
    }
  }

  #setStatus(status: LogStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#onStatus?.();
  }

  async #startSegment(firstHeight: number, recordBytes: number): Promise<void> {
    this.#prepareSpare();
    const spare = await this.#spare;
    if (!spare) throw this.#spareProblem ?? ledgerError('closed');
    await this.#file?.close();
    const file = spare;
    const wholeBytes = Math.max(file.size(), SEGMENT_HEAD_BYTES + recordBytes);
    const head = segmentHead(this.#genesisHash, firstHeight, wholeBytes);
    await this.#retryWhenFull(() => file.write(head, 0));
    if (wholeBytes > file.size()) await this.#retryWhenFull(() => this.#fill(file, file.size(), wholeBytes));
    await file.datasync();
    this.#files.rename(`${this.#dir}/${spareSegmentName}`, `${this.#dir}/${segmentName(firstHeight)}`);
    this.#files.syncDirectory(this.#dir);
    this.#file = file;
    this.#segment = firstHeight;
    this.#fileBytes = file.size();
    this.#end = SEGMENT_HEAD_BYTES;
    this.#spare = undefined;
    this.#prepareSpare();
  }

  #prepareSpare(): void {
    if (this.#spare || this.#spareProblem) return;
    this.#spare = this.#makeSpare().catch((error: unknown) => {
      this.#spare = undefined;
      if (this.#status !== 'closed') {
        this.#spareProblem = error as Error;
        this.#setStatus('failed');
      }
      return undefined;
    });
  }

  async #makeSpare(): Promise<LedgerFile> {
    const path = `${this.#dir}/${spareSegmentName}`;
    this.#files.remove(path);
    const file = await this.#spareWhenRoom(() => this.#files.open(path, 'create'));
    for (let at = 0; at < this.#segmentBytes && this.#status !== 'closed'; ) {
      const until = Math.min(at + logPreallocateSliceBytes, this.#segmentBytes);
      await this.#spareWhenRoom(() => this.#fill(file, at, until).then(() => file.datasync()));
      at = until;
    }
    return file;
  }

  /** A file system may want room for the name of a file already. */
  async #spareWhenRoom<T>(action: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await action();
        this.#setSpareFull(false);
        return result;
      } catch (error) {
        if (!isSpaceError(error) || this.#status === 'closed') throw error;
        this.#setSpareFull(true);
        await sleep(diskRetryMs);
      }
    }
  }

  #setSpareFull(isFull: boolean): void {
    if (this.#spareFull === isFull) return;
    this.#spareFull = isFull;
    this.#onStatus?.();
  }

  async #fill(file: LedgerFile, from: number, until: number): Promise<void> {
    for (let at = from; at < until; at += logPreallocateSliceBytes) {
      await file.write(new Uint8Array(Math.min(logPreallocateSliceBytes, until - at)), at);
    }
  }
}
