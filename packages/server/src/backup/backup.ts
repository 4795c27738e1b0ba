import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { backup as copyDatabase, DatabaseSync } from 'node:sqlite';
import { openVault } from '@salus/vault';
import { exchangeStore } from '../access/exchange.ts';
import {
  type DataDirectory,
  inspectDirectory,
  ledgerPath,
  lockDirectory,
  makeDirectory,
  openDirectory,
  readHandover,
  writeStorePlace,
} from '../node/data-directory.ts';
import { openEmbeddedLedger } from '../node/embedded-ledger.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { softwareVersion } from '../node/version.ts';
import { membersOf, organizationPaths, organizationStore, vaultKeyProvider } from '../orgs/organization.ts';
import { type CopiedTable, copyRows, exchangeCopy, organizationCopy } from '../store/copy.ts';
import { pinStore, type StoreInput, type StoreLocation, storeLocation } from '../store/location.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { type BackupManifest, backupFormat, listFiles, writeManifest } from './manifest.ts';
import { isMember, memberFiles, memberHead } from './member-files.ts';

/** What is copied of a ledger's directory. The validator's key stands beside these and is not among them. */
const ledgerFiles = ['chain.json', 'genesis.json'];
/** A segment that holds blocks; the one kept in reserve holds nothing. */
const blockSegment = /^\d+\.blocks$/;
const storeFile = join('store', 'data.mdb');
const busyTimeoutMs = 5_000;
export const exchangeFile = join('exchange', 'sealed.sqlite');

function syncFile(path: string): void {
  const handle = openSync(path, 'r+');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

export async function copySynced(from: string, to: string): Promise<void> {
  makeDirectory(dirname(to));
  await copyFile(from, to);
  syncFile(to);
}

/** A store as it is now: what is written to it afterwards does not reach the copy, which is an SQLite file. */
export interface PinnedDatabase {
  copyTo(to: string): Promise<void>;
  close(): Promise<void>;
}

/** Holds a view of an SQLite file, what lies in its write-ahead log included; nobody waits for it. */
export function pinDatabase(path: string): PinnedDatabase {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  // A read transaction begins with its first read, and the copy is made inside of it.
  database.exec('BEGIN');
  database.prepare('SELECT count(*) FROM sqlite_schema').get();
  return {
    async copyTo(to) {
      makeDirectory(dirname(to));
      await copyDatabase(database, to);
      syncFile(to);
    },
    close: async () => database.close(),
  };
}

/** Holds a view of a store, wherever its rows are; of files that are not there, none. */
export async function pinCopy(input: StoreInput, tables: readonly CopiedTable[]): Promise<PinnedDatabase | undefined> {
  const { location, file, migrations } = input;
  if (location.kind === 'sqlite') return existsSync(file) ? pinDatabase(file) : undefined;
  const view = await pinStore(input);
  return {
    async copyTo(to) {
      const target = openSqliteStore({ file: to, migrations });
      try {
        await copyRows(view.read, target, tables);
      } finally {
        await target.close();
      }
      syncFile(to);
    },
    close: () => view.end(),
  };
}

async function copyOne(input: StoreInput, tables: readonly CopiedTable[], to: string): Promise<void> {
  const pinned = await pinCopy(input, tables);
  if (pinned === undefined) return;
  try {
    await pinned.copyTo(to);
  } finally {
    await pinned.close();
  }
}

/** The sealed payloads that wait at a stopped node. */
export async function copyExchange(root: string, target: string, location: StoreLocation): Promise<void> {
  await copyOne(exchangeStore(location, root), exchangeCopy, join(target, exchangeFile));
}

async function copyLedger(from: string, to: string): Promise<void> {
  for (const name of ledgerFiles) await copySynced(join(from, name), join(to, name));
  const segments = readdirSync(join(from, 'blocks')).filter((name) => blockSegment.test(name));
  for (const name of segments) await copySynced(join(from, 'blocks', name), join(to, 'blocks', name));
  await copySynced(join(from, storeFile), join(to, storeFile));
}

export async function copyOrganization(
  directory: DataDirectory,
  slug: string,
  target: string,
  location: StoreLocation,
): Promise<void> {
  const member = membersOf(directory).find((one) => one.slug === slug);
  if (member === undefined) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
  const from = organizationPaths(directory.root, slug);
  const to = organizationPaths(target, slug);
  makeDirectory(to.root);
  // Opening finishes an erasure that a crash interrupted: what was erased must not reach the copy.
  const vault = await openVault({ dir: from.vault, organisation: member.did, keys: vaultKeyProvider(from) });
  try {
    await vault.copyTo(to.vault);
  } finally {
    await vault.close();
  }
  await copyOne(organizationStore(member, from, directory.manifest.chain, location), organizationCopy, to.store);
}

/** What an organisation that genesis does not name is called. */
export async function copyProfile(root: string, slug: string, target: string): Promise<void> {
  const path = join(organizationPaths('', slug).root, 'profile.json');
  if (existsSync(join(root, path))) await copySynced(join(root, path), join(target, path));
}

/** Opening recovers the ledger and checks its state root: what is damaged is not copied over a good backup. */
export async function headOf(directory: DataDirectory): Promise<{ height: number; appHash: string }> {
  if (isMember(directory.root) || readHandover(directory.root)) return await memberHead(directory);
  const ledger = await openEmbeddedLedger(directory);
  try {
    const { height, appHash } = ledger.head();
    return { height, appHash };
  } finally {
    await ledger.close();
  }
}

export function refuseTarget(root: string, target: string): void {
  const isInside = (outer: string, inner: string): boolean => !relative(outer, inner).startsWith('..');
  const from = resolve(root);
  const to = resolve(target);
  if (isInside(from, to) || isInside(to, from)) {
    throw new NodeFault(NodeErrorCodes.inputInvalid, 'The backup must not lie in the data directory, nor around it.');
  }
  refuseTaken(target);
}

/** The genesis document of a directory that is no node yet. */
export function readGenesis(root: string): unknown {
  return JSON.parse(readFileSync(join(root, 'genesis.json'), 'utf8'));
}

export function refuseTaken(target: string): void {
  if (existsSync(target) && !statSync(target).isDirectory()) throw new NodeFault(NodeErrorCodes.backupTargetTaken);
  if (inspectDirectory(target) !== 'absent') throw new NodeFault(NodeErrorCodes.backupTargetTaken);
}

/** Ends a backup: what the directory is, and the manifest of everything that is in it. */
export async function finishBackup(
  { root, manifest: { chain, organizations, store } }: DataDirectory,
  target: string,
  { height, appHash }: { height: number; appHash: string },
  createdMs: number,
): Promise<BackupManifest> {
  for (const slug of organizations) await copyProfile(root, slug, target);
  for (const path of memberFiles(root)) await copySynced(join(root, path), join(target, path));
  const handover = existsSync(join(root, 'handover.json')) ? ['handover.json'] : [];
  for (const name of [...handover, 'genesis.json', 'salus.json'])
    await copySynced(join(root, name), join(target, name));
  // The copies are SQLite files, wherever the rows came from.
  if (store !== undefined) writeStorePlace(target, undefined);
  const files = await listFiles(target);
  const software = softwareVersion;
  const manifest = { format: backupFormat, chain, height, appHash, createdMs, software, organizations, files } as const;
  writeManifest(target, manifest);
  return manifest;
}

export interface BackupOptions {
  nowMs?: number;
  /** Of the database, for a directory that keeps its rows in PostgreSQL. */
  storeUrl?: string | undefined;
}

/**
 * Copies a stopped node: ledger, what every organisation keeps, and the exchange, as of one moment, with a manifest of
 * all hashes. Keys of organisations and of the validator are not in it. Throws a NodeFault and removes what it wrote
 * when it cannot be finished.
 */
export async function backupNode(
  root: string,
  target: string,
  { nowMs = Date.now(), storeUrl }: BackupOptions = {},
): Promise<BackupManifest> {
  const directory = openDirectory(root);
  const location = storeLocation(directory.manifest.store, storeUrl);
  refuseTarget(root, target);
  const lock = lockDirectory(root);
  try {
    const { organizations } = directory.manifest;
    const head = await headOf(directory);
    makeDirectory(target);
    await copyLedger(ledgerPath(root), ledgerPath(target));
    for (const slug of organizations) await copyOrganization(directory, slug, target, location);
    await copyExchange(root, target, location);
    return await finishBackup(directory, target, head, nowMs);
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    throw error;
  } finally {
    lock.release();
  }
}
