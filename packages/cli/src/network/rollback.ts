import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createKernel } from '@salus/contracts';
import { canRollBack, rollBack } from '@salus/ledger';
import { ledgerPath, lockDirectory, NodeErrorCodes, NodeFault, openDirectory } from '@salus/server';
import { requireComet } from './comet-binary.ts';
import { cometHomeOf, readCometSettings } from './comet-home.ts';
import { rollbackTimeoutMs } from './limits.ts';

const run = promisify(execFile);
const said = /Rolled back state to height (\d+)/;

const alienText = 'It is no member of a network: no CometBFT orders its blocks.';

export type RolledBack = { height: number; appHash: string };

/** CometBFT's state one block back; where its last block was not executed, it is there already. */
async function rollBackComet(binary: string, home: string): Promise<number> {
  try {
    const { stdout } = await run(binary, ['rollback', '--home', home], { timeout: rollbackTimeoutMs });
    const height = Number(said.exec(stdout)?.[1]);
    if (Number.isSafeInteger(height)) return height;
    throw new Error(stdout);
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.rollbackUnable, undefined, { cause });
  }
}

/**
 * Takes back the last block of a stopped member, in CometBFT and in the ledger alike: at the next start CometBFT gives it to
 * the program again. Repeated before that it changes nothing more. Throws `rollbackUnable` where the ledger does not have
 * every block.
 */
export async function rollBackMember(dataDir: string): Promise<RolledBack> {
  openDirectory(dataDir);
  // CometBFT would make a home here, and the directory would pass for a member's from then on.
  if (readCometSettings(dataDir) === undefined) throw new NodeFault(NodeErrorCodes.inputInvalid, alienText);
  const { binary } = await requireComet();
  const lock = lockDirectory(dataDir);
  try {
    const dir = ledgerPath(dataDir);
    if (!canRollBack(dir)) throw new NodeFault(NodeErrorCodes.rollbackUnable);
    const height = await rollBackComet(binary, cometHomeOf(dataDir));
    const { appHash } = await rollBack({ dir, kernel: createKernel(), height });
    return { height, appHash };
  } finally {
    lock.release();
  }
}
