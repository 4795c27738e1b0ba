import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createKernel } from '@salus/contracts';
import { DurableApplication } from '@salus/ledger';
import { toHex } from '@salus/protocol';
import { cometPath, type DataDirectory, ledgerPath, makeDirectory, writeFileDurably } from '../node/data-directory.ts';
import { genesisOf } from '../node/embedded-ledger.ts';

const settings = join('comet', 'salus.json');
/** Of a member's CometBFT: how it is set up. Its blocks come from the others, its keys from the escrow. */
const settingFiles = [settings, join('comet', 'config', 'config.toml'), join('comet', 'config', 'genesis.json')];
/** What the others know it by, and what it votes with. */
export const memberKeyFiles = [
  join('comet', 'config', 'node_key.json'),
  join('comet', 'config', 'priv_validator_key.json'),
];

/** CometBFT votes on no height below the one that stands here: on this one's account on none (int64). */
const heightNever = '9223372036854775807';
/** In CometBFT's terms a precommit, the last step of a round. */
const stepPrecommit = 3;

export function isMember(root: string): boolean {
  return existsSync(join(root, settings));
}

/** Whether a backup with these files is a member's. */
export function holdsMember(files: readonly { path: string }[]): boolean {
  return files.some(({ path }) => path === settings);
}

export function memberFiles(root: string): string[] {
  return settingFiles.filter((path) => existsSync(join(root, path)));
}

/** As `headOf`, where CometBFT orders. */
export async function memberHead(directory: DataDirectory): Promise<{ height: number; appHash: string }> {
  const dir = ledgerPath(directory.root);
  const application = await DurableApplication.open({ dir, genesis: genesisOf(directory), kernel: createKernel() });
  try {
    const { height, appHash } = application.info();
    return { height, appHash: toHex(appHash) };
  } finally {
    await application.close();
  }
}

function heldFile(root: string): string {
  return join(cometPath(root), 'restored');
}

function signedFile(root: string): string {
  return join(cometPath(root), 'data', 'priv_validator_state.json');
}

function writeSigned(root: string, height: string): void {
  makeDirectory(join(cometPath(root), 'data'));
  const state = { height, round: 0, step: stepPrecommit };
  writeFileDurably(signedFile(root), `${JSON.stringify(state, null, 2)}\n`);
}

/**
 * A validator's key that comes out of an escrow may have voted after the backup, and on what nobody can tell any more: it
 * votes on nothing until `releaseSigning` says from which height on it may.
 */
export function holdSigning(root: string): void {
  writeSigned(root, heightNever);
  writeFileDurably(heldFile(root), '');
}

/** Restored, and not told yet how far the network is. */
export function isSigningHeld(root: string): boolean {
  return existsSync(heldFile(root));
}

/** From this height on the validator may vote; where it remembers what it signed, that stays. */
export function releaseSigning(root: string, fromHeight: number): void {
  if (!isSigningHeld(root) && existsSync(signedFile(root))) return;
  writeSigned(root, String(fromHeight));
  rmSync(heldFile(root), { force: true });
}
