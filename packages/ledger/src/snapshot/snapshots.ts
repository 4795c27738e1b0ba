import { equalBytes, sha256 } from '@salus/protocol';
import { type DirectoryInfo, directoryPaths } from '../directory.ts';
import { ledgerError } from '../errors.ts';
import { type Files, isSpaceError } from '../files.ts';
import { snapshotsKeptMax } from '../limits.ts';
import { decodeRecord } from '../log/record.ts';
import { type LogLocation, type LogScan, readBlock } from '../log/segment.ts';
import type { FrozenState } from '../state/frozen.ts';
import type { StateStore } from '../state/state-store.ts';
import { ChunkSink, chunkName } from './chunk-sink.ts';
import { writeState } from './create.ts';
import { type Manifest, parseSnapshot, type Snapshot, snapshotFormat, snapshotOf } from './manifest.ts';

export type SnapshotSource = { dir: string; directory: DirectoryInfo; scan: LogScan; state: StateStore };

const manifestName = 'manifest.json';
const makingName = 'making';
const SNAPSHOT_NAME = /^\d{15}$/;
const heightDigits = 15;

type Kept = { snapshot: Snapshot; manifest: Manifest; dir: string };

/** The snapshots of a ledger's own directory: made while it works, kept, and handed out chunk by chunk. */
export class Snapshots {
  readonly #source: SnapshotSource;
  readonly #files: Files;
  readonly #dir: string;
  #making: Promise<Snapshot> | undefined;
  #isClosed = false;

  constructor(source: SnapshotSource) {
    this.#source = source;
    this.#files = source.scan.files;
    this.#dir = directoryPaths(source.dir).snapshots;
  }

  /** ABCI ListSnapshots: those that are whole, newest first. */
  list(): Snapshot[] {
    return this.#kept().map(({ snapshot }) => snapshot);
  }

  /**
   * ABCI LoadSnapshotChunk: the bytes as they were made. Throws `snapshotUnknown` where there is none,
   * `snapshotChunkDamaged` where the disk gives others.
   */
  async chunk(height: number, format: number, index: number): Promise<Uint8Array> {
    const name = `${height}/${index}`;
    const kept = format === snapshotFormat ? this.#kept().find((one) => one.snapshot.height === height) : undefined;
    const hash = kept?.manifest.chunks[index];
    if (!kept || !hash) throw ledgerError('snapshotUnknown', name);
    const bytes = this.#files.readFile(`${kept.dir}/${chunkName(index)}`);
    if (!equalBytes(sha256(bytes), hash)) throw ledgerError('snapshotChunkDamaged', name);
    return bytes;
  }

  /**
   * Makes a snapshot of the durable state as it is when this is called: called in the turn in which a commit resolved,
   * it is that of the committed height. Blocks go on meanwhile. Throws `snapshotBusy` while another one is being made,
   * `snapshotNotNow` before the first block, `diskFull`; then nothing is left of it.
   */
  create(): Promise<Snapshot> {
    if (this.#isClosed) return Promise.reject(ledgerError('closed'));
    if (this.#making) return Promise.reject(ledgerError('snapshotBusy'));
    const { state } = this.#source;
    const frozen = state.freeze();
    const location = state.location(frozen.head.height);
    this.#making = this.#create(frozen, location).finally(() => {
      frozen.release();
      this.#making = undefined;
    });
    return this.#making;
  }

  /** Ends what is being made. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#making?.catch(() => undefined);
  }

  async #create(frozen: FrozenState, location: LogLocation | undefined): Promise<Snapshot> {
    const { directory, scan } = this.#source;
    const { height, timeMs, appHash } = frozen.head;
    if (!location) throw ledgerError('snapshotNotNow', `height ${height}`);
    const same = this.#kept().find(({ snapshot }) => snapshot.height === height);
    if (same) return same.snapshot;
    const making = `${this.#dir}/${makingName}`;
    try {
      this.#files.removeTree(making);
      this.#files.makeDirectory(making);
      const sink = new ChunkSink(this.#files, making);
      const last = decodeRecord(await readBlock(scan, location, height));
      const { entries, replayIds } = await writeState(frozen, last, sink, () => this.#pause());
      const { chain } = directory.genesis;
      const { bytes, hashes: chunks } = sink;
      const { genesisHash } = directory;
      const manifest = { chain, genesisHash, height, timeMs, appHash, bytes, entries, replayIds, chunks };
      const snapshot = snapshotOf(manifest);
      this.#files.writeFileAtomic(`${making}/${manifestName}`, snapshot.metadata);
      const place = `${this.#dir}/${String(height).padStart(heightDigits, '0')}`;
      // What stood there did not read back.
      this.#files.removeTree(place);
      this.#files.rename(making, place);
      this.#files.syncDirectory(this.#dir);
      this.#removeOld();
      return snapshot;
    } catch (error) {
      this.#files.removeTree(making);
      throw isSpaceError(error) ? ledgerError('diskFull', undefined, { cause: error }) : error;
    }
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#isClosed) throw ledgerError('closed');
  }

  /** Newest first; what does not read back as a snapshot is none. */
  #kept(): Kept[] {
    if (!this.#files.exists(this.#dir)) return [];
    const names = this.#files.list(this.#dir).filter((name) => SNAPSHOT_NAME.test(name));
    return names.reverse().flatMap((name) => {
      const dir = `${this.#dir}/${name}`;
      try {
        const metadata = this.#files.readFile(`${dir}/${manifestName}`);
        const { length } = (JSON.parse(Buffer.from(metadata).toString()) as { chunks: unknown[] }).chunks;
        const hash = sha256(metadata);
        const snapshot = { height: Number(name), format: snapshotFormat, chunks: length, hash, metadata };
        return [{ snapshot, manifest: parseSnapshot(snapshot), dir }];
      } catch {
        return [];
      }
    });
  }

  #removeOld(): void {
    for (const { dir } of this.#kept().slice(snapshotsKeptMax)) this.#files.removeTree(dir);
  }
}
