import { dirname } from 'node:path';
import { copyBlocksUntil } from './copy.ts';
import { directoryPaths, directoryState, finishDirectory, readDirectory } from './directory.ts';
import { type ApplicationOptions, DurableApplication } from './durable-application.ts';
import { ledgerError } from './errors.ts';
import { type Files, nodeFiles } from './files.ts';
import type { Head } from './ledger.ts';
import { writeGenesis } from './recovery.ts';
import { Store } from './state/store.ts';

export type RollbackOptions = Omit<ApplicationOptions, 'genesis'> & { height: number };

/** What is made beside the directory, and the directory as it was while the two change places. */
const besideOf = (dir: string) => ({ making: `${dir}.rollback`, before: `${dir}.before` });

/** A process that was killed between the two renames left the ledger beside its place. */
function endInterrupted(files: Files, dir: string): void {
  const { making, before } = besideOf(dir);
  if (!files.exists(before)) return;
  if (!files.exists(dir)) files.rename(making, dir);
  files.syncDirectory(dirname(dir));
  files.removeTree(before);
}

/** Whether the blocks are all here: the state before the last one is made of them. */
export function canRollBack(dir: string, files: Files = nodeFiles): boolean {
  endInterrupted(files, dir);
  return directoryState(files, dir) === 'whole' && readDirectory(files, dir, undefined).base === undefined;
}

/**
 * Takes back the blocks above `height` of a ledger that is closed, so that the consensus engine gives them again. The
 * state is made anew from genesis and the changes that the log has, checked against the root that the block says, and
 * takes the place of the other in one step. Throws `rollbackUnable` where the log begins later or ends before.
 */
export async function rollBack({ height, ...options }: RollbackOptions): Promise<Head> {
  const { dir, kernel, files = nodeFiles } = options;
  if (!canRollBack(dir, files)) throw ledgerError('rollbackUnable');
  const { making, before } = besideOf(dir);
  files.removeTree(making);
  const old = await DurableApplication.open(options);
  try {
    const { height: present } = old.info();
    if (present === height) return headOf(old);
    if (height < 1 || height > present) throw ledgerError('rollbackUnable', `height ${height} of ${present}`);
    const [from, to] = [directoryPaths(dir), directoryPaths(making)];
    files.makeDirectory(to.store);
    await copyBlocksUntil(old.scan, to.blocks, old.state.location(height));
    files.writeFileAtomic(to.genesis, files.readFile(from.genesis));
    if (files.exists(from.validatorKey))
      files.writeFileAtomic(to.validatorKey, files.readFile(from.validatorKey), 0o600);
    const store = new Store(to.store);
    await writeGenesis(store, kernel, old.genesis);
    await store.close();
    finishDirectory(files, making, readDirectory(files, dir, undefined));
  } finally {
    await old.close();
  }
  const made = await DurableApplication.open({ ...options, dir: making });
  const head = headOf(made);
  await made.close();
  if (head.height !== height) throw ledgerError('rollbackUnable', `it would be at ${head.height}`);
  files.rename(dir, before);
  files.rename(making, dir);
  // The old one goes only when the new one's name is on the disk.
  files.syncDirectory(dirname(dir));
  files.removeTree(before);
  return head;
}

function headOf(application: DurableApplication): Head {
  const { height, timeMs, appHash } = application.info();
  return { height, timeMs, appHash: Buffer.from(appHash).toString('hex') };
}
