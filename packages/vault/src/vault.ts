import { join } from 'node:path';
import { type BlobStore, openBlobStore, type ScanReport, type StoredBlob } from './blob-store.ts';
import type { ContentOptions } from './chunks.ts';
import {
  decryptContent,
  decryptContentRange,
  encryptContent,
  openContent,
  sealContent,
  smallContentBytesMax,
} from './content.ts';
import { vaultError } from './errors.ts';
import {
  type ErasureEvidence,
  type KeyRing,
  type KeyRingOptions,
  type KeyRingReport,
  openKeyRing,
} from './key-ring.ts';
import { type ByteSource, collect } from './streams.ts';
import { type LogHead, openSyncedLog, type SyncedLog, type SyncedLogOptions } from './synced-log.ts';

export type RecordName = { patientId: string; recordId: string };
export type RecordContent = RecordName & { content: Uint8Array };
/** What is erased: a record and where its ciphertext lies. */
export type ErasedRecord = { recordId: string; addresses: readonly string[] };
export type VaultOptions = KeyRingOptions & { log?: Partial<Pick<SyncedLogOptions, 'segmentBytes'>> };

export type VaultReport = {
  ok: boolean;
  blobs: ScanReport;
  keys: KeyRingReport;
  log: { entries: number; head: LogHead };
};

/** Largest content that `readRecord` gives in one piece; larger ones are streamed. */
export const recordBytesMax = 64 * 1_048_576;

/** The vault of one organisation: key ring in `dir/keys`, ciphertext in `dir/blobs`, access log in `dir/log`. */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { dir } = options;
  const ring = await openKeyRing({ ...options, dir: join(dir, 'keys') });
  let blobs: BlobStore | undefined;
  try {
    blobs = await openBlobStore(join(dir, 'blobs'));
    const key = ring.purposeKey('synced-log');
    const log = await openSyncedLog({ ...options.log, dir: join(dir, 'log'), key, name: options.organisation });
    return new Vault(ring, blobs, log);
  } catch (error) {
    await blobs?.close();
    ring.close();
    throw error;
  }
}

export class Vault {
  readonly ring: KeyRing;
  readonly blobs: BlobStore;
  readonly log: SyncedLog;

  constructor(ring: KeyRing, blobs: BlobStore, log: SyncedLog) {
    this.ring = ring;
    this.blobs = blobs;
    this.log = log;
  }

  /**
   * Encrypts and stores many contents, each under its record's key. Durable when it resolves: keys in one transaction,
   * small contents in one synced batch. A record may have several contents (its versions, its original).
   */
  async storeRecords(items: readonly RecordContent[]): Promise<StoredBlob[]> {
    const keys = this.ring.createRecordKeys(items);
    return Promise.all(
      items.map(({ recordId, content }, i) => {
        const options = this.#options(recordId, keys[i] ?? new Uint8Array());
        if (content.length > smallContentBytesMax) return this.blobs.putStream(encryptContent(options, [content]));
        return this.blobs.put(sealContent(options, content));
      }),
    );
  }

  /** Encrypts and stores a stream of any length with flat memory. */
  async storeRecordStream({ patientId, recordId }: RecordName, source: ByteSource): Promise<StoredBlob> {
    const key = this.ring.createRecordKey(patientId, recordId);
    return this.blobs.putStream(encryptContent(this.#options(recordId, key), source));
  }

  /** A whole content of at most `recordBytesMax`. */
  async readRecord(recordId: string, address: string): Promise<Uint8Array> {
    const options = this.#options(recordId, this.ring.recordKey(recordId));
    const length = this.blobs.length(address);
    if (length !== undefined && length <= smallContentBytesMax)
      return openContent(options, await this.blobs.get(address));
    const tooLarge = () => vaultError('contentTooLarge', `over ${recordBytesMax} bytes: use readRecordStream`);
    return collect(decryptContent(options, this.blobs.read(address)), recordBytesMax, tooLarge);
  }

  /** Streams a content, or its bytes [start, end). */
  readRecordStream(
    recordId: string,
    address: string,
    range?: { start: number; end: number },
  ): AsyncGenerator<Uint8Array> {
    const options = this.#options(recordId, this.ring.recordKey(recordId));
    if (range === undefined) return decryptContent(options, this.blobs.read(address));
    const sealedBytes = this.blobs.length(address);
    if (sealedBytes === undefined) throw vaultError('blobUnknown');
    const source = { sealedBytes, read: (start: number, end: number) => this.blobs.read(address, start, end) };
    return decryptContentRange(options, source, range);
  }

  /** Destroys the keys of records, then their ciphertext. */
  async eraseRecords(patientId: string, records: readonly ErasedRecord[]): Promise<ErasureEvidence> {
    const ids = records.map(({ recordId }) => recordId);
    const evidence = await this.ring.eraseRecords(patientId, ids);
    await this.blobs.delete(records.flatMap(({ addresses }) => addresses));
    return evidence;
  }

  /** Destroys every key of a patient, then the ciphertext at these addresses. */
  async erasePatient(patientId: string, addresses: readonly string[]): Promise<ErasureEvidence> {
    const evidence = await this.ring.erasePatient(patientId);
    await this.blobs.delete(addresses);
    return evidence;
  }

  /** Reads every blob and unwraps every key. Throws what a damaged log throws. */
  async scan(onProgress?: (bytes: number) => void): Promise<VaultReport> {
    const blobs = await this.blobs.scan(onProgress);
    const keys = await this.ring.scan();
    const log = await this.log.verify();
    const faults = blobs.damaged.length + blobs.missing.length + keys.damaged.length;
    return { ok: faults === 0 && blobs.indexSound && keys.databaseSound, blobs, keys, log };
  }

  /**
   * A consistent copy for a backup, into a new directory, without the organisation key. Keys are copied after the blobs, so
   * that every blob of the copy has its key. A restore opens the copy and calls `ring.replayErasures` with the newest list.
   * The vault may go on working: `anchored` is the log's anchored head at the moment that other stores were copied at.
   */
  async copyTo(dir: string, anchored?: LogHead): Promise<void> {
    await this.blobs.copyTo(join(dir, 'blobs'));
    await this.ring.copyTo(join(dir, 'keys'));
    await this.log.copyTo(join(dir, 'log'), anchored);
  }

  async close(): Promise<void> {
    await this.log.close();
    await this.blobs.close();
    this.ring.close();
  }

  #options(recordId: string, key: Uint8Array): ContentOptions {
    return { key, context: JSON.stringify(['salus-record/1', this.ring.organisation, recordId]) };
  }
}
