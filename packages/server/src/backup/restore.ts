import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Handover } from '@salus/protocol';
import { openVault } from '@salus/vault';
import {
  makeDirectory,
  openDirectory,
  organizationPath,
  readHandover,
  validatorKeyPath,
  writeHandover,
} from '../node/data-directory.ts';
import { type DoctorReport, examineDirectory } from '../node/doctor.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import {
  directoryMembers,
  type MemberProfile,
  openOrganizationStore,
  organizationPaths,
  vaultKeyProvider,
} from '../orgs/organization.ts';
import { sqliteLocation } from '../store/location.ts';
import { copySynced, headOf, readGenesis, refuseTaken } from './backup.ts';
import { applyErasures, readErasureLists } from './erasure-lists.ts';
import { type BackupManifest, checkFiles, readManifest } from './manifest.ts';
import { holdSigning, holdsMember, isMember, memberKeyFiles } from './member-files.ts';

const manifestOfNode = 'salus.json';

export interface RestoreOptions {
  /** Directory of the backup. */
  from: string;
  /** Directory with `keys/`, `orgs/SLUG/keys/` and a member's `comet/config/`, as a data directory has them. */
  keys: string;
  /** The new data directory. */
  data: string;
  /** Newer erasure lists than those of the backup. */
  erasures?: string;
}

export interface RestoreReport extends DoctorReport {
  chain: string;
  height: number;
  files: number;
  /** Entries of the newer erasure lists that the backup did not have. */
  erasuresReplayed: number;
  recordsErased: number;
  /** It is a member of a network: it takes the ledger from the others before it starts. */
  mustResync: boolean;
  /** Its chain was handed over to a network since: what is here can be examined, and makes no blocks. */
  handedOver: boolean;
}

/** Where the node looks for them by itself; without them it would speak plain HTTP at an address that says HTTPS. */
const tlsFiles = ['certificate.pem', 'key.pem', 'authority.pem'].map((name) => join('tls', name));
const keyFileMode = 0o600;

/** Key files by where they go, relative to the data directory. */
function keyFiles(root: string, { organizations: slugs, files }: BackupManifest): string[] {
  const ofMember = holdsMember(files) ? memberKeyFiles : [];
  for (const path of ofMember) {
    if (!existsSync(join(root, path))) throw new NodeFault(NodeErrorCodes.backupKeysMissing, `${path} is not there.`);
  }
  const validator = join('keys', 'validator.json');
  if (!existsSync(validatorKeyPath(root)))
    throw new NodeFault(NodeErrorCodes.backupKeysMissing, `${validator} is not there.`);
  const ofOrganizations = slugs.flatMap((slug) => {
    const relative = join(organizationPath('', slug), 'keys');
    const dir = join(root, relative);
    const names = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.json')) : [];
    if (!names.includes('vault.json')) {
      throw new NodeFault(NodeErrorCodes.backupKeysMissing, `${join(relative, 'vault.json')} is not there.`);
    }
    return names.map((name) => join(relative, name));
  });
  return [validator, ...ofMember, ...ofOrganizations, ...tlsFiles.filter((path) => existsSync(join(root, path)))];
}

/** Replays what was erased since the backup, before anything of it can be read. */
async function eraseAgain(
  data: string,
  member: MemberProfile,
  chain: string,
  list: string | undefined,
): Promise<{ replayed: number; erased: number }> {
  const paths = organizationPaths(data, member.slug);
  const vault = await openVault({ dir: paths.vault, organisation: member.did, keys: vaultKeyProvider(paths) });
  const store = await openOrganizationStore(member, paths, chain, sqliteLocation).catch(async (error: unknown) => {
    await vault.close();
    throw error;
  });
  try {
    const replayed = list === undefined ? 0 : await vault.ring.replayErasures(list);
    return { replayed, erased: await applyErasures(vault, store) };
  } finally {
    await store.close();
    await vault.close();
  }
}

/**
 * A handover of this chain that lies with the keys or the erasure lists: the chain goes on elsewhere, and the validator
 * of this backup must not make other blocks after the same ones.
 */
function handoverBeside({ keys, erasures }: RestoreOptions, { chain }: BackupManifest): Handover | undefined {
  const found = [keys, ...(erasures === undefined ? [] : [erasures])].map(readHandover);
  return found.find((handover) => handover?.last.header.chain === chain);
}

async function fill(
  options: RestoreOptions,
  manifest: BackupManifest,
  lists: ReadonlyMap<string, string>,
): Promise<Pick<RestoreReport, 'erasuresReplayed' | 'recordsErased'>> {
  const { from, keys, data } = options;
  const isLast = (path: string): boolean => path === manifestOfNode;
  for (const { path } of manifest.files) if (!isLast(path)) await copySynced(join(from, path), join(data, path));
  for (const path of keyFiles(keys, manifest)) {
    await copySynced(join(keys, path), join(data, path));
    // The medium of an escrow may know no modes.
    chmodSync(join(data, path), keyFileMode);
  }
  const members = directoryMembers(data, manifest.organizations, readGenesis(data));
  let erasuresReplayed = 0;
  let recordsErased = 0;
  for (const slug of manifest.organizations) {
    const member = members.find((one) => one.slug === slug);
    if (member === undefined) throw new NodeFault(NodeErrorCodes.backupDamaged, `${slug} is no member.`);
    const { replayed, erased } = await eraseAgain(data, member, manifest.chain, lists.get(slug));
    erasuresReplayed += replayed;
    recordsErased += erased;
  }
  if (isMember(data)) holdSigning(data);
  const handover = handoverBeside(options, manifest);
  if (handover !== undefined && readHandover(data) === undefined) writeHandover(data, handover);
  // Only now is the directory a node: whatever stopped this before left nothing that would open.
  await copySynced(join(from, manifestOfNode), join(data, manifestOfNode));
  return { erasuresReplayed, recordsErased };
}

/**
 * Makes a data directory of a backup and the keys that are kept apart from it, erases again what was erased since, and
 * examines the result. Everything is checked before the first byte is written; what cannot be finished is removed.
 */
export async function restoreNode(options: RestoreOptions): Promise<RestoreReport> {
  const { from, keys, data, erasures } = options;
  const manifest = readManifest(from);
  refuseTaken(data);
  keyFiles(keys, manifest);
  const lists = erasures === undefined ? new Map<string, string>() : readErasureLists(erasures, manifest.organizations);
  await checkFiles(from, manifest);
  makeDirectory(data);
  try {
    const { chain, height, files } = manifest;
    const erased = await fill(options, manifest, lists);
    const { appHash } = await headOf(openDirectory(data));
    const report = await examineDirectory(data);
    const problems = [...report.problems];
    // A block that proves the last one may follow; it changes nothing.
    if (report.blocks < height) problems.push(`the backup says ${height} blocks, the ledger has ${report.blocks}`);
    if (appHash !== manifest.appHash) problems.push('the ledger has another state root than the backup says');
    const handedOver = !isMember(data) && readHandover(data) !== undefined;
    const about = { chain, height, files: files.length, ...erased, mustResync: isMember(data), handedOver };
    return { ...report, ok: problems.length === 0, problems, ...about };
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    throw error;
  }
}
