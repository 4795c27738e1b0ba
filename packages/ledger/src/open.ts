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
import type { ChainTip } from './embedded/block-builder.ts';
import { ledgerError } from './errors.ts';
import { type Files, nodeFiles } from './files.ts';
import { lockDirectory } from './lock.ts';
import type { LogScan, LogTail } from './log/segment.ts';
import { recover, writeGenesis } from './recovery.ts';
import type { StateStore } from './state/state-store.ts';
import { Store } from './state/store.ts';
import type { StateTree } from './tree/state-tree.ts';

export type OpenOptions = {
  dir: string;
  /** Needed for a new directory; for an existing one it must be the same. */
  genesis?: GenesisDocument;
  /** Ed25519 seed (32 bytes) of the validator that the genesis document names; kept in the directory. */
  validatorKey?: Uint8Array;
  kernel: Kernel;
  verifyWorkers?: number;
  /** Milliseconds since 1970; tests bring their own. */
  clock?: () => number;
  files?: Files;
};

export type Opened = {
  dir: string;
  kernel: Kernel;
  directory: DirectoryInfo & { seed: Uint8Array };
  state: StateStore;
  tree: StateTree;
  tip: ChainTip;
  tail: LogTail;
  scan: LogScan;
  clock: () => number;
  verifyWorkers: number | undefined;
  close(): Promise<void>;
};

/** Everything that a running ledger stands on, recovered from its directory or made new. Throws SalusErrors 400–411. */
export async function openParts(options: OpenOptions): Promise<Opened> {
  const { dir, kernel, files = nodeFiles } = options;
  if (directoryState(files, dir) === 'empty' && !options.genesis) throw ledgerError('directoryEmpty', dir);
  files.makeDirectory(dir);
  const unlock = lockDirectory(dir);
  let store: Store | undefined;
  try {
    const directory = prepareDirectory(files, options);
    const paths = directoryPaths(dir);
    store = new Store(paths.store);
    if (directoryState(files, dir) !== 'whole') {
      await writeGenesis(store, kernel, directory.genesis);
      finishDirectory(files, dir, directory);
    }
    const head = store.head();
    if (!head) throw ledgerError('directoryDamaged', 'the store says no height');
    const scan = { files, dir: paths.blocks, genesisHash: directory.genesisHash };
    const recovered = await recover(store, scan, head, performance.now());
    const opened = store;
    return {
      dir,
      kernel,
      directory,
      ...recovered,
      scan,
      clock: options.clock ?? Date.now,
      verifyWorkers: options.verifyWorkers,
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

function prepareDirectory(files: Files, options: OpenOptions): DirectoryInfo & { seed: Uint8Array } {
  const { dir, genesis, validatorKey } = options;
  const state = directoryState(files, dir);
  if (state === 'incomplete') throw ledgerError('directoryIncomplete', dir);
  if (state === 'empty') {
    if (!genesis) throw ledgerError('directoryEmpty', dir);
    if (!validatorKey) throw ledgerError('validatorKeyMismatch');
    checkSeed(genesis, validatorKey);
    return { ...beginDirectory(files, dir, genesis, validatorKey), seed: validatorKey };
  }
  const info = readDirectory(files, dir, genesis);
  const seed = validatorKey ?? info.seed;
  if (!seed) throw ledgerError('validatorKeyMismatch');
  checkSeed(info.genesis, seed);
  return { ...info, seed };
}
