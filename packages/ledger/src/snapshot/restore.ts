import { type ChainInfo, chainKey, decodeStored, type GenesisDocument, genesisHash } from '@salus/contracts';
import { equalBytes, sha256, toHex } from '@salus/protocol';
import { beginDirectory, type DirectoryInfo, directoryPaths, directoryState, finishDirectory } from '../directory.ts';
import { ledgerError } from '../errors.ts';
import { type Files, isSpaceError, nodeFiles } from '../files.ts';
import { restoreSliceBytes, restoreSliceEntries, snapshotChunkBytes, treeUpperLevels } from '../limits.ts';
import { lockDirectory, lockName } from '../lock.ts';
import { encodeRecord } from '../log/record.ts';
import { writeSegment } from '../log/segment.ts';
import { Store } from '../state/store.ts';
import { leafChange } from '../tree/bucket.ts';
import { StateTree } from '../tree/state-tree.ts';
import { lastRecord } from './last-block.ts';
import { LeafSorter } from './leaf-sorter.ts';
import { type Manifest, parseSnapshot, type Snapshot, type TrustedState } from './manifest.ts';
import { ReplayCheck } from './replay-check.ts';
import { SnapshotDecoder, type SnapshotItem } from './stream.ts';

export type RestoreOptions = {
  /** Empty, or with nothing but the remains of an interrupted restore, which are removed. */
  dir: string;
  genesis: GenesisDocument;
  snapshot: Snapshot;
  trusted: TrustedState;
  files?: Files;
};

type Entry = Extract<SnapshotItem, { kind: 'entry' }>;
const leavesName = 'leaves';

/**
 * Makes a data directory of a snapshot, chunk by chunk. Until the last chunk has proven that the state has the root
 * that the trusted header says, the directory opens as nothing; what fails leaves it empty, and what is killed leaves it
 * refused (403) and fit for another restore.
 *
 * ABCI: `begin` is OfferSnapshot (451: REJECT_FORMAT; other errors: REJECT), `apply` is ApplySnapshotChunk (453: RETRY
 * with this chunk fetched again and its sender rejected; 454: ABORT; other errors: REJECT_SNAPSHOT). After `whole` the
 * directory opens with `DurableApplication.open`.
 */
export class SnapshotRestore {
  readonly manifest: Manifest;
  readonly #files: Files;
  readonly #dir: string;
  readonly #trusted: TrustedState;
  readonly #info: DirectoryInfo;
  readonly #unlock: () => void;
  readonly #store: Store;
  readonly #leaves: LeafSorter;
  readonly #decoder = new SnapshotDecoder();
  readonly #replay = new ReplayCheck();
  #block: Uint8Array | undefined;
  #entries = 0;
  #next = 0;
  #isBusy = false;
  #isOver = false;

  private constructor(
    options: RestoreOptions & { files: Files },
    parts: { manifest: Manifest; info: DirectoryInfo; unlock: () => void; store: Store; leaves: LeafSorter },
  ) {
    this.#files = options.files;
    this.#dir = options.dir;
    this.#trusted = options.trusted;
    this.manifest = parts.manifest;
    this.#info = parts.info;
    this.#unlock = parts.unlock;
    this.#store = parts.store;
    this.#leaves = parts.leaves;
  }

  /** Throws 450–452 for an offer that cannot lead to the trusted state, 408 for a directory that is not empty. */
  static async begin(options: RestoreOptions): Promise<SnapshotRestore> {
    const { dir, genesis, files = nodeFiles } = options;
    const manifest = parseSnapshot(options.snapshot);
    checkOffer(manifest, genesis, options.trusted);
    files.makeDirectory(dir);
    const unlock = lockDirectory(dir);
    let store: Store | undefined;
    try {
      clear(files, dir);
      const paths = directoryPaths(dir);
      files.writeFileAtomic(paths.restoring, new Uint8Array(0));
      const info = beginDirectory(files, dir, genesis, undefined);
      store = new Store(paths.store);
      const leaves = await LeafSorter.create(files, `${dir}/${leavesName}`);
      return new SnapshotRestore({ ...options, files }, { manifest, info, unlock, store, leaves });
    } catch (error) {
      await store?.close();
      unlock();
      throw told(error);
    }
  }

  /** Index of the chunk that `apply` takes next. */
  get next(): number {
    return this.#next;
  }

  /** `whole` after the last chunk: the directory is a ledger's. After 453 and 454 the right chunk can still come. */
  async apply(index: number, bytes: Uint8Array): Promise<'more' | 'whole'> {
    const { chunks } = this.manifest;
    if (this.#isOver || this.#isBusy || index !== this.#next) {
      throw ledgerError('snapshotChunkOutOfOrder', `${index} for ${this.#next}`);
    }
    if (bytes.length > snapshotChunkBytes || !equalBytes(sha256(bytes), chunks[index] as Uint8Array)) {
      throw ledgerError('snapshotChunkDamaged', String(index));
    }
    this.#isBusy = true;
    try {
      await this.#take(bytes);
      this.#next += 1;
      if (this.#next < chunks.length) return 'more';
      await this.#finish();
      return 'whole';
    } catch (error) {
      await this.abort();
      throw told(error);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Leaves the directory empty. */
  async abort(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#leaves.close();
    await this.#store.close();
    discard(this.#files, this.#dir);
    this.#unlock();
  }

  async #take(bytes: Uint8Array): Promise<void> {
    let entries: Entry[] = [];
    for (const item of this.#decoder.push(bytes)) {
      if (item.kind === 'entry') {
        entries.push(item);
        if (entries.length < restoreSliceEntries) continue;
        await this.#takeEntries(entries);
        entries = [];
      } else if (item.kind === 'ids') {
        const { minute, ids } = item;
        const place = this.#replay.add(minute, ids);
        await this.#store.write((writer) => writer.replay(minute, this.manifest.height, ids, place));
      } else this.#block = new Uint8Array(item.bytes);
    }
    await this.#takeEntries(entries);
  }

  async #takeEntries(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    this.#entries += entries.length;
    await this.#leaves.add(leavesOf(entries));
    await this.#store.write((writer) => {
      for (const { key, stored } of entries) writer.state(key, stored);
    });
  }

  async #finish(): Promise<void> {
    const { height, timeMs, appHash, entries, replayIds } = this.manifest;
    this.#decoder.finish();
    if (entries !== this.#entries || replayIds !== this.#replay.count) throw ledgerError('snapshotInvalid', 'counts');
    const root = await this.#buildTree();
    if (!equalBytes(root, this.#trusted.appHash)) throw ledgerError('snapshotInvalid', 'its root');
    this.#checkChain();
    this.#replay.check((key) => this.#store.getState(key));
    const record = lastRecord(this.manifest, this.#trusted, this.#block);
    const paths = directoryPaths(this.#dir);
    const { genesisHash: hash } = this.#info;
    const tail = await writeSegment(
      { files: this.#files, dir: paths.blocks, genesisHash: hash },
      height,
      encodeRecord(record),
    );
    await this.#store.write((writer) => {
      writer.block(height, tail);
      writer.head({ height, timeMs, appHash: toHex(appHash), tail });
    });
    await this.#leaves.close();
    await this.#store.close();
    this.#files.syncDirectory(paths.store);
    finishDirectory(this.#files, this.#dir, { ...this.#info, base: { height, timeMs, appHash } });
    this.#files.remove(paths.restoring);
    this.#isOver = true;
    this.#unlock();
  }

  async #buildTree(): Promise<Uint8Array> {
    const tree = new StateTree({ get: () => undefined }, treeUpperLevels);
    let waiting: [index: number, bucket: Uint8Array][] = [];
    let bytes = 0;
    const write = async (): Promise<void> => {
      const buckets = waiting;
      waiting = [];
      bytes = 0;
      await this.#store.write((writer) => {
        for (const [index, bucket] of buckets) writer.bucket(index, bucket);
      });
    };
    for await (const buckets of this.#leaves.buckets()) {
      tree.load(buckets);
      for (const pair of buckets) {
        waiting.push(pair);
        bytes += pair[1].length;
        if (bytes >= restoreSliceBytes) await write();
      }
    }
    await write();
    return tree.root();
  }

  /** What the state itself says of its chain. */
  #checkChain(): void {
    const stored = this.#store.getState(chainKey);
    const info = stored ? decodeStored<ChainInfo>(stored) : undefined;
    const { chain } = this.manifest;
    if (info?.chain !== chain || !equalBytes(info.genesisHash, this.#info.genesisHash)) {
      throw ledgerError('snapshotOtherChain', chain);
    }
  }
}

function checkOffer(manifest: Manifest, genesis: GenesisDocument, trusted: TrustedState): void {
  const { chain, height, appHash } = manifest;
  const isSameChain = chain === genesis.chain && equalBytes(manifest.genesisHash, genesisHash(genesis));
  if (!isSameChain || trusted.chain !== chain || trusted.height !== height) {
    throw ledgerError('snapshotOtherChain', `${chain} at ${height}`);
  }
  const { header } = trusted;
  const isHeaderOfIt =
    !header || (header.chain === chain && header.height === height + 1 && equalBytes(header.appHash, trusted.appHash));
  if (!isHeaderOfIt || !equalBytes(appHash, trusted.appHash)) throw ledgerError('snapshotInvalid', 'its root');
}

/** Each is valid until the next. */
function* leavesOf(entries: readonly Entry[]): Iterable<Uint8Array> {
  for (const { key, stored } of entries) yield leafChange(key, stored).record as Uint8Array;
}

/** Makes room for a restore where only an interrupted one left something. */
function clear(files: Files, dir: string): void {
  const isInterrupted = files.exists(directoryPaths(dir).restoring) && directoryState(files, dir) !== 'whole';
  if (isInterrupted) discard(files, dir);
  if (files.list(dir).some((name) => !name.startsWith(lockName))) throw ledgerError('directoryNotEmpty', dir);
}

/** The marker goes last: whatever interrupts this, the next restore goes on with it. */
function discard(files: Files, dir: string): void {
  const paths = directoryPaths(dir);
  for (const path of [paths.store, paths.blocks]) files.removeTree(path);
  for (const path of [`${dir}/${leavesName}`, paths.genesis, paths.chain, paths.restoring]) files.remove(path);
  files.syncDirectory(dir);
}

function told(error: unknown): unknown {
  return isSpaceError(error) ? ledgerError('diskFull', undefined, { cause: error }) : error;
}
