import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StateReader } from '@salus/contracts';
import { SalusError } from '@salus/protocol';
import { openVault, type VaultReport } from '@salus/vault';
import { certificateExpiries } from '../expiry/certificates.ts';
import { type Expiry, expiringOf, expiryText, keyExpiries } from '../expiry/expiry.ts';
import { type MemberProfile, membersOf, organizationPaths, vaultKeyProvider } from '../orgs/organization.ts';
import { storeLocation } from '../store/location.ts';
import { postgresProblems } from '../store/node-stores.ts';
import { cometProblems } from './comet-check.ts';
import { type DataDirectory, lockDirectory, openDirectory } from './data-directory.ts';
import { examineLedger, type LedgerExamination } from './embedded-ledger.ts';
import { NodeFault } from './errors.ts';
import { keyProblems, validatorKeyProblems } from './key-check.ts';

export interface DoctorReport {
  ok: boolean;
  blocks: number;
  transactions: number;
  problems: string[];
  /** What will be a problem unless somebody acts: keys and certificates that end soon. */
  warnings: string[];
}

/** What went wrong, without a word of what the files hold. */
function told(error: unknown): string {
  if (error instanceof SalusError) return `error ${error.code}: ${error.message}`;
  if (error instanceof NodeFault) return `error ${error.code}: ${error.message}`;
  return `its files cannot be read (${error instanceof Error ? error.message : 'unknown'})`;
}

/** SQLite's own examination of a file; nothing is written. */
function databaseProblems(name: string, file: string): string[] {
  if (!existsSync(file)) return [`${name}: the file is missing`];
  try {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const rows = database.prepare('PRAGMA integrity_check').all();
      return rows.map((row) => String(row.integrity_check)).flatMap((row) => (row === 'ok' ? [] : [`${name}: ${row}`]));
    } finally {
      database.close();
    }
  } catch (error) {
    return [`${name}: ${told(error)}`];
  }
}

function storeProblems(directory: DataDirectory, slug: string): string[] {
  return databaseProblems(`${slug}: store`, organizationPaths(directory.root, slug).store);
}

function listed(slug: string, { blobs, keys }: VaultReport): string[] {
  return [
    ...blobs.damaged.map((address) => `${slug}: vault: content ${address} is damaged`),
    ...blobs.missing.map((address) => `${slug}: vault: content ${address} is missing`),
    ...keys.damaged.map((id) => `${slug}: vault: the key of ${id} is damaged`),
    ...(blobs.indexSound ? [] : [`${slug}: vault: the index of contents is damaged`]),
    ...(keys.databaseSound ? [] : [`${slug}: vault: the table of keys is damaged`]),
  ];
}

/** Reads every byte that the vault keeps, unwraps every key and walks the access log. */
async function vaultProblems(directory: DataDirectory, { slug, did }: MemberProfile): Promise<string[]> {
  const paths = organizationPaths(directory.root, slug);
  if (!existsSync(join(paths.vault, 'keys'))) return [];
  try {
    const vault = await openVault({ dir: paths.vault, organisation: did, keys: vaultKeyProvider(paths) });
    try {
      return listed(slug, await vault.scan());
    } finally {
      await vault.close();
    }
  } catch (error) {
    return [`${slug}: vault: ${told(error)}`];
  }
}

function attempt(name: string, examine: () => string[]): string[] {
  try {
    return examine();
  } catch (error) {
    return [`${name}: ${told(error)}`];
  }
}

/** The key files against what the ledger has; without it, against themselves. */
function allKeyProblems(directory: DataDirectory, state: StateReader | undefined): string[] {
  const members = membersOf(directory);
  const ofMembers = directory.manifest.organizations.flatMap((slug) => {
    const member = members.find((one) => one.slug === slug);
    return member ? attempt(`${slug}: keys`, () => keyProblems(directory.root, member, state)) : [];
  });
  return [...attempt('validator key', () => validatorKeyProblems(directory.root)), ...ofMembers];
}

async function organizationProblems(directory: DataDirectory): Promise<string[]> {
  const members = membersOf(directory);
  const problems: string[] = [];
  for (const slug of directory.manifest.organizations) {
    const member = members.find((one) => one.slug === slug);
    if (member === undefined) {
      problems.push(`${slug}: is no member of the genesis document`);
      continue;
    }
    // The store first: a damaged one must be reported, not opened for writing.
    const inFiles = directory.manifest.store === undefined ? storeProblems(directory, slug) : [];
    problems.push(...inFiles, ...(await vaultProblems(directory, member)));
  }
  return problems;
}

/** A ledger that cannot be opened is one of the problems, and the rest is examined all the same. */
async function ledgerFindings(
  directory: DataDirectory,
  replay: boolean,
  withState: (state: StateReader) => void,
): Promise<LedgerExamination> {
  let keys: string[] | undefined;
  try {
    const { blocks, transactions, problems } = await examineLedger(directory, replay, (state) => {
      keys = allKeyProblems(directory, state);
      withState(state);
    });
    return { blocks, transactions, problems: [...problems.map((problem) => `ledger: ${problem}`), ...(keys ?? [])] };
  } catch (error) {
    keys ??= allKeyProblems(directory, undefined);
    return { blocks: 0, transactions: 0, problems: [`ledger: ${told(error)}`, ...keys] };
  }
}

function exchangeProblems(root: string): string[] {
  const file = join(root, 'exchange', 'sealed.sqlite');
  return existsSync(file) ? databaseProblems('exchange', file) : [];
}

/** The organisations whose keys count: those in this directory, and all members on the ledger. */
function servedBy(directory: DataDirectory): MemberProfile[] {
  return membersOf(directory).filter(({ slug }) => directory.manifest.organizations.includes(slug));
}

export interface DoctorOptions {
  replay?: boolean | undefined;
  /** Of the database, for a directory that keeps its rows in PostgreSQL. */
  storeUrl?: string | undefined;
  /** PEM files whose end is looked at too. */
  certificates?: readonly string[] | undefined;
}

/** Examines everything in the data directory of a stopped node. Throws a NodeFault when it is none, or in use. */
export async function examineDirectory(root: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  const directory = openDirectory(root);
  // Said at once, not as a finding: without the address nothing is known of the rows.
  storeLocation(directory.manifest.store, options.storeUrl);
  const lock = lockDirectory(root);
  try {
    const expiries: Expiry[] = [];
    const served = servedBy(directory);
    const ledger = await ledgerFindings(directory, options.replay === true, (state) => {
      expiries.push(...keyExpiries(state, served));
    });
    expiries.push(...certificateExpiries(options.certificates ?? []));
    const expiring = expiringOf(expiries, Date.now());
    const isOurs = ({ organization }: Expiry): boolean =>
      organization === undefined || served.some(({ slug }) => slug === organization);
    const ended = expiring.filter((one) => one.level === 'expired' && isOurs(one)).map(expiryText);
    const warnings = expiring.map(expiryText).filter((text) => !ended.includes(text));
    const inDatabase =
      directory.manifest.store === undefined ? [] : await postgresProblems(directory, options.storeUrl);
    const ofStores = [...exchangeProblems(root), ...inDatabase];
    const ofComet = attempt('comet', () => cometProblems(directory));
    const found = [...ofComet, ...ledger.problems, ...ofStores, ...(await organizationProblems(directory))];
    const problems = [...found, ...ended];
    const { blocks, transactions } = ledger;
    return { ok: problems.length === 0, blocks, transactions, problems, warnings };
  } finally {
    lock.release();
  }
}
