import { mkdirSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { equalBytes, fromHex, toHex } from '@salus/protocol';
import { asVaultError, StoreLock, writeAll } from './durable-files.ts';
import { vaultError } from './errors.ts';
import { type ChainHead, entryHeadBytes, type LogEntry, openFrame, sealFrame } from './log-frames.ts';
import { type Cursor, type Frame, LogFiles, segmentHeadBytes, walkSegment } from './log-segments.ts';

export type { LogEntry } from './log-frames.ts';

export type SyncedLogOptions = {
  dir: string;
  /** 32 bytes; entries say who looked at what, so they are encrypted. */
  key: Uint8Array;
  /** Name of the log, for example the organisation's DID; authenticated in every frame. */
  name: string;
  /** Size of a segment; one more than the one in use is kept in reserve for a full disk. */
  segmentBytes?: number;
};

/** `sequence` counts entries from 1; `hash` (hex) commits to everything up to there. */
export type LogHead = { sequence: number; hash: string };
export type LogBatch = { entries: LogEntry[]; head: LogHead };

export const logEntryBytesMax = 65_536;
const segmentBytesDefault = 8 * 1_048_576;
const segmentBytesMin = 262_144;
const framePlainBytesMax = 131_072;
const pendingEntriesMax = 10_000;
const origin: ChainHead = { sequence: 0, hash: new Uint8Array(32) };

type Waiting = {
  bytes: Uint8Array;
  timeMs: number;
  resolve: (place: { sequence: number; head: LogHead }) => void;
  reject: (error: unknown) => void;
};

function publicHead({ sequence, hash }: ChainHead): LogHead {
  return { sequence, hash: toHex(hash) };
}

/** Opens or creates a log, repairs a torn end, and refuses a damaged or cut one. */
export async function openSyncedLog(options: SyncedLogOptions): Promise<SyncedLog> {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const lock = new StoreLock(options.dir);
  const log = new SyncedLog(options, lock);
  try {
    await log.start();
    return log;
  } catch (error) {
    await log.close();
    throw asVaultError(error);
  }
}

/**
 * What must be recorded before something is released while the ledger cannot say so itself: an append-only, hash-chained,
 * encrypted log. `append` resolves after fdatasync; entries that arrive during one sync share the next. The ledger anchors
 * heads; `markAnchored` remembers up to where.
 */
export class SyncedLog {
  readonly #name: string;
  readonly #key: Uint8Array;
  readonly #lock: StoreLock;
  readonly #files: LogFiles;
  readonly #segmentBytes: number;
  #cursor: Cursor | undefined;
  #segment: { number: number; handle: FileHandle; end: number } | undefined;
  #head = origin;
  /** Ends of the frames that are not anchored yet. */
  #heads: ChainHead[] = [];
  #waiting: Waiting[] = [];
  #tail: Promise<void> = Promise.resolve();
  #planned = false;
  #closed = false;
  #failed = false;

  constructor(options: SyncedLogOptions, lock: StoreLock) {
    this.#name = options.name;
    this.#key = Uint8Array.from(options.key);
    this.#lock = lock;
    this.#segmentBytes = Math.max(segmentBytesMin, options.segmentBytes ?? segmentBytesDefault);
    this.#files = new LogFiles(options.dir, this.#segmentBytes);
  }

  /** Only `openSyncedLog` calls this. Walks from the segment that holds the anchored position to the end. */
  async start(): Promise<void> {
    const cursor = await this.#files.openCursor();
    this.#cursor = cursor;
    const numbers = await this.#files.numbers();
    if (numbers.length === 0 && cursor.head.sequence > 0) throw vaultError('logCut');
    const from = await this.#segmentOf(numbers, cursor.head.sequence);
    let previous = from === 1 ? origin : undefined;
    let tornBytes = 0;
    for (const number of numbers.filter((candidate) => candidate >= from)) {
      ({ head: previous, tornBytes } = await this.#recoverSegment(number, previous, number === numbers.at(-1)));
    }
    if (this.#head.sequence < cursor.head.sequence) throw vaultError('logCut', `entry ${this.#head.sequence + 1}`);
    await this.#wipeTorn(tornBytes);
    if (this.#segment === undefined) await this.#nextSegment();
    else if (!(await this.#files.hasReserve())) await this.#files.allocateReserve().catch(() => undefined);
    this.#heads = this.#heads.filter(({ sequence }) => sequence > cursor.head.sequence);
  }

  /** Resolves when the entry is on disk. Throws logEntryTooLarge, logFull, storeClosed. */
  append(bytes: Uint8Array, timeMs = Date.now()): Promise<{ sequence: number; head: LogHead }> {
    if (bytes.length > logEntryBytesMax) return Promise.reject(vaultError('logEntryTooLarge'));
    if (this.#closed) return Promise.reject(vaultError('storeClosed'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, timeMs, resolve, reject });
      this.#plan();
    });
  }

  head(): LogHead {
    return publicHead(this.#head);
  }

  /** The last head that was marked as anchored. */
  anchored(): LogHead {
    return publicHead(this.#cursor?.head ?? origin);
  }

  /** Entries behind the anchored head, in order, and the head to anchor for them; undefined when there are none. */
  async pending(entriesMax = pendingEntriesMax): Promise<LogBatch | undefined> {
    let batch: LogBatch | undefined;
    for await (const { entries, head } of this.readBatches(this.anchored().sequence)) {
      batch = { entries: [...(batch?.entries ?? []), ...entries], head };
      if (batch.entries.length >= entriesMax) break;
    }
    return batch;
  }

  /** Remembers durably that everything up to this head is on the ledger. Throws logCursor for a head of another log. */
  async markAnchored(head: LogHead): Promise<void> {
    const cursor = this.#cursor;
    const known = this.#heads.find(({ sequence, hash }) => sequence === head.sequence && toHex(hash) === head.hash);
    if (cursor === undefined || known === undefined) throw vaultError('logCursor');
    await this.#next(() => cursor.move(known));
    this.#heads = this.#heads.filter(({ sequence }) => sequence > known.sequence);
  }

  /** Entries after `after`, oldest first. */
  async *read(after = 0): AsyncGenerator<LogEntry> {
    for await (const { entries } of this.readBatches(after)) yield* entries;
  }

  /** The same in the batches that were synced together, each with the head behind it. */
  async *readBatches(after = 0): AsyncGenerator<LogBatch> {
    const last = this.#head.sequence;
    const numbers = await this.#files.numbers();
    const from = await this.#segmentOf(numbers, after);
    for (const number of numbers.filter((candidate) => candidate >= from)) {
      const frames: Frame[] = [];
      walkSegment(await this.#files.read(number), number, (frame) => frames.push(frame));
      for (const { bytes, previous, head } of frames) {
        if (head.sequence > last) return;
        if (head.sequence <= after) continue;
        const entries = openFrame(this.#key, this.#name, previous, bytes);
        yield { entries: entries.filter(({ sequence }) => sequence > after), head: publicHead(head) };
      }
    }
  }

  /** Checks the whole chain from the first entry and decrypts every entry. Throws logDamaged or logCut. */
  async verify(): Promise<{ entries: number; head: LogHead }> {
    const last = this.#head;
    let previous = origin;
    let entries = 0;
    for (const number of await this.#files.numbers()) {
      const frames: Frame[] = [];
      const { start } = walkSegment(await this.#files.read(number), number, (frame) => frames.push(frame));
      checkContinues(previous, start, number);
      for (const frame of frames) {
        if (frame.head.sequence > last.sequence) break;
        entries += openFrame(this.#key, this.#name, frame.previous, frame.bytes).length;
        previous = frame.head;
      }
    }
    if (!equalBytes(previous.hash, last.hash)) throw vaultError('logCut', `entry ${previous.sequence + 1}`);
    return { entries, head: publicHead(last) };
  }

  /**
   * A consistent copy for a backup, into a new directory. It may hold entries that came after the moment which the rest of
   * the backup shows; `anchored` is what was on the ledger at that moment, so that they are anchored again.
   */
  async copyTo(dir: string, anchored: LogHead = this.anchored()): Promise<void> {
    if (this.#closed) throw vaultError('storeClosed');
    const head: ChainHead = { sequence: anchored.sequence, hash: fromHex(anchored.hash) };
    await this.#next(() => this.#files.copyTo(dir, head));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#next(() => this.#writeAll());
    await this.#segment?.handle.close();
    await this.#cursor?.close();
    this.#key.fill(0);
    this.#lock.release();
  }

  /** The last segment that begins at or before the entry after `sequence`. */
  async #segmentOf(numbers: readonly number[], sequence: number): Promise<number> {
    for (const number of [...numbers].reverse()) {
      if ((await this.#files.readHead(number)).sequence <= sequence) return number;
    }
    if (numbers.length > 0 && numbers[0] !== 1) throw vaultError('logCut', 'segment 1');
    return 1;
  }

  async #recoverSegment(
    number: number,
    previous: ChainHead | undefined,
    last: boolean,
  ): Promise<{ head: ChainHead; tornBytes: number }> {
    const bytes = await this.#files.read(number);
    const anchored = this.#cursor?.head ?? origin;
    const walk = walkSegment(bytes, number, ({ head }) => {
      if (head.sequence === anchored.sequence && !equalBytes(head.hash, anchored.hash)) throw vaultError('logDamaged');
      this.#heads.push(head);
    });
    if (previous !== undefined) checkContinues(previous, walk.start, number);
    if (!last && walk.torn) throw vaultError('logDamaged', `segment ${number}`);
    this.#head = walk.head;
    if (last) this.#segment = { number, handle: await this.#files.open(number), end: walk.end };
    return { head: walk.head, tornBytes: walk.torn ? bytes.length - walk.end : 0 };
  }

  /** Remains of a batch that nobody was told of go, so that they are never taken for damage. */
  async #wipeTorn(bytes: number): Promise<void> {
    if (this.#segment === undefined || bytes === 0) return;
    await writeAll(this.#segment.handle, new Uint8Array(bytes), this.#segment.end);
    await this.#segment.handle.datasync();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(() => {
      this.#next(() => {
        this.#planned = false;
        return this.#writeAll();
      }).catch(() => undefined);
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      let count = 0;
      let plainBytes = 0;
      for (const { bytes } of this.#waiting) {
        plainBytes += bytes.length + entryHeadBytes;
        if (count > 0 && plainBytes > framePlainBytesMax) break;
        count += 1;
      }
      const batch = this.#waiting.splice(0, count);
      try {
        const first = this.#head.sequence + 1;
        const head = await this.#writeFrame(batch);
        batch.forEach(({ resolve }, i) => {
          resolve({ sequence: first + i, head: publicHead(head) });
        });
      } catch (error) {
        const cause = asVaultError(error);
        for (const { reject } of batch) reject(cause);
      }
    }
  }

  async #writeFrame(batch: readonly Waiting[]): Promise<ChainHead> {
    if (this.#failed) throw vaultError('storeClosed', 'a write failed');
    const { frame, head } = sealFrame(this.#key, this.#name, this.#head, batch);
    if (this.#segment === undefined || this.#segment.end + frame.length > this.#segmentBytes) await this.#nextSegment();
    const segment = this.#segment;
    if (segment === undefined) throw vaultError('logFull');
    try {
      await writeAll(segment.handle, frame, segment.end);
      await segment.handle.datasync();
    } catch (error) {
      // After a failed sync nobody knows what is on disk: only opening again finds out.
      this.#failed = true;
      throw error;
    }
    segment.end += frame.length;
    this.#head = head;
    this.#heads.push(head);
    return head;
  }

  async #nextSegment(): Promise<void> {
    if (!(await this.#files.hasReserve())) {
      try {
        await this.#files.allocateReserve();
      } catch {
        throw vaultError('logFull');
      }
    }
    const number = (this.#segment?.number ?? 0) + 1;
    const handle = await this.#files.activate(number, this.#head);
    await this.#segment?.handle.close();
    this.#segment = { number, handle, end: segmentHeadBytes };
    // The next reserve is taken when there is space; without it this segment still works to its end.
    await this.#files.allocateReserve().catch(() => undefined);
  }
}

function checkContinues(previous: ChainHead, start: ChainHead, number: number): void {
  if (start.sequence !== previous.sequence || !equalBytes(start.hash, previous.hash)) {
    throw vaultError('logDamaged', `segment ${number}`);
  }
}
