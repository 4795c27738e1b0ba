import type { GenesisDocument, Kernel } from '@salus/contracts';
import {
  beginDirectory,
  checkSeed,
  type DirectoryInfo,
  directoryPaths,
  directoryState,
  finishDirectory,
  readDirectory,
} from './directory.ts';
import { ledgerError } from './errors.ts';
import { type Files, nodeFiles } from './files.ts';
import { lockDirectory } from './lock.ts';
import { BlockLog } from './log/block-log.ts';
import type { LogScan } from './log/segment.ts';
import { type Recovered, recover, writeGenesis } from './recovery.ts';
import { Store } from './state/store.ts';
import { storeFileProblem } from './state/store-file.ts';

export type OpenOptions = {
  dir: string;
  /** Needed for a new directory; for an existing one it must be the same. */
  genesis?: GenesisDocument;
  /** Ed25519 seed (32 bytes) of the validator that the genesis document names; kept in the directory. */
  validatorKey?: Uint8Array;
  kernel: Kernel;
  verifyWorkers?: number;
  /** Reads every page of the store before it is mapped: a damaged one could end the process. For whoever examines it. */
  everyPage?: boolean;
  /** Length of the files of the block log; a disk that is small takes short ones. */
  segmentBytes?: number;
  /** Milliseconds since 1970; tests bring their own. */
  clock?: () => number;
  files?: Files;
};

export type Opened = Recovered & {
  dir: string;
  kernel: Kernel;
  directory: DirectoryInfo;
  scan: LogScan;
  clock: () => number;
  verifyWorkers: number | undefined;
  segmentBytes: number | undefined;
  close(): Promise<void>;
};

/** As `openParts`, for the engine that signs its blocks itself: with the key of the one validator of the chain. */
export function openSigning(options: OpenOptions): Promise<Opened & { directory: { seed: Uint8Array } }> {
  return openWith(options, prepareSigning);
}

/** Everything that a running ledger stands on, recovered from its directory or made new. Throws SalusErrors 400–411. */
export function openParts(options: Omit<OpenOptions, 'validatorKey'>): Promise<Opened> {
  return openWith(options, (files) => prepareDirectory(files, options, undefined));
}

async function openWith<D extends DirectoryInfo>(
  options: OpenOptions,
  prepare: (files: Files, options: OpenOptions) => D,
): Promise<Opened & { directory: D }> {
  const { dir, kernel, files = nodeFiles } = options;
  if (directoryState(files, dir) === 'empty' && !options.genesis) throw ledgerError('directoryEmpty', dir);
  files.makeDirectory(dir);
  const unlock = lockDirectory(dir);
  let store: Store | undefined;
  try {
    const directory = prepare(files, options);
    const paths = directoryPaths(dir);
    const isWhole = directoryState(files, dir) === 'whole';
    const problem = isWhole ? await storeFileProblem(files, paths.store, options.everyPage) : undefined;
    if (problem) throw ledgerError('storeTruncated', problem);
    store = new Store(paths.store);
    if (!isWhole) {
      await writeGenesis(store, kernel, directory.genesis);
      finishDirectory(files, dir, directory);
    }
    const head = store.head();
    if (!head) throw ledgerError('directoryDamaged', 'the store says no height');
    const scan = { files, dir: paths.blocks, genesisHash: directory.genesisHash };
    const recovered = await recover(store, scan, head, directory.base?.height ?? 1, performance.now());
    const opened = store;
    return {
      dir,
      kernel,
      directory,
      ...recovered,
      scan,
      clock: options.clock ?? Date.now,
      verifyWorkers: options.verifyWorkers,
      segmentBytes: options.segmentBytes,
      close: async () => {
        await opened.close();
        unlock();
      },
    };
  } catch (error) {
    await store?.close();
    unlock();
    throw error;
  }
}

/** The log where it ended, for what comes next. */
export function openLog({ scan, tail, segmentBytes }: Opened): Promise<BlockLog> {
  return BlockLog.open({ ...scan, tail: tail.segment > 0 ? tail : undefined, segmentBytes });
}

function prepareSigning(files: Files, options: OpenOptions): DirectoryInfo & { seed: Uint8Array } {
  const { genesis, validatorKey } = options;
  if (genesis && directoryState(files, options.dir) === 'empty') {
    if (!validatorKey) throw ledgerError('validatorKeyMismatch');
    checkSeed(genesis, validatorKey);
  }
  const info = prepareDirectory(files, options, validatorKey);
  const seed = validatorKey ?? info.seed;
  if (!seed) throw ledgerError('validatorKeyMismatch');
  checkSeed(info.genesis, seed);
  // One that lies here and is never used would be missed on the day that the other one is gone.
  if (info.seed) checkSeed(info.genesis, info.seed);
  return { ...info, seed };
}

/** `seed` is kept in a new directory. */
function prepareDirectory(
  files: Files,
  { dir, genesis }: Pick<OpenOptions, 'dir' | 'genesis'>,
  seed: Uint8Array | undefined,
): DirectoryInfo {
  const state = directoryState(files, dir);
  if (state === 'incomplete') throw ledgerError('directoryIncomplete', dir);
  if (state === 'whole') return readDirectory(files, dir, genesis);
  if (!genesis) throw ledgerError('directoryEmpty', dir);
  return beginDirectory(files, dir, genesis, seed);
}
