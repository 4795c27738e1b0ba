import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeHandover, type Handover, parseHandover, utf8Text } from '@salus/protocol';
import type { StorePlace } from '../store/location.ts';
import { NodeErrorCodes, NodeFault } from './errors.ts';

/** Version of the layout below. Another one is refused: a directory is never guessed at. */
export const layoutVersion = 1;
const layoutFormat = 'salus-node/1';
const ownerOnlyFile = 0o600;
const ownerOnlyDirectory = 0o700;
const manifestCharsMax = 65_536;
const lockTimeoutMs = 0;
/** Beginning of a schema's name; the organisation's slug follows, within PostgreSQL's 63 bytes. */
const schemaPrefix = /^[a-z][a-z0-9_]{0,30}$/;
const joiningText = 'It has keys of an organisation that is not a member yet: `salus network join` goes on with it.';

export interface Manifest {
  format: typeof layoutFormat;
  version: number;
  chain: string;
  /** Slugs of the organisations that this node serves, in the order they are shown. */
  organizations: string[];
  /** Where the organisations' rows are, when not in SQLite files of this directory. */
  store?: StorePlace;
}

/**
 * Where everything of a node is:
 *
 *     salus.json            what this directory is; written last, so that an unfinished one has none
 *     genesis.json          the genesis document of the chain
 *     handover.json         how the chain went from the embedded validator to CometBFT, where it did
 *     lock                  held while a process uses the directory
 *     keys/validator.json   key of the embedded validator
 *     ledger/               blocks, state, index
 *     comet/                CometBFT's home, where it orders the transactions
 *     orgs/SLUG/            one root per organisation: keys/ vault/ node.sqlite log/
 */
export interface DataDirectory {
  readonly root: string;
  readonly manifest: Manifest;
  genesis(): unknown;
}

export function ledgerPath(root: string): string {
  return join(root, 'ledger');
}

/** CometBFT's home, where it orders the transactions. */
export function cometPath(root: string): string {
  return join(root, 'comet');
}

function handoverPath(root: string): string {
  return join(root, 'handover.json');
}

export function validatorKeyPath(root: string): string {
  return join(root, 'keys', 'validator.json');
}

export function organizationPath(root: string, slug: string): string {
  return join(root, 'orgs', slug);
}

/** Names in a directory stay, whenever the power goes. */
export function syncDirectory(path: string): void {
  const handle = openSync(path, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

/** Writes a file so that it is whole or not there, whenever the power goes. Only its owner can read it. */
export function writeFileDurably(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const handle = openSync(temporary, 'w', ownerOnlyFile);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(temporary, path);
  syncDirectory(join(path, '..'));
}

export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: ownerOnlyDirectory });
}

function readJson(path: string): unknown {
  try {
    const text = readFileSync(path, 'utf8');
    return JSON.parse(text);
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
}

function isPlace(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { kind, prefix } = value as Record<string, unknown>;
  return kind === 'postgres' && typeof prefix === 'string' && schemaPrefix.test(prefix);
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== 'object' || value === null) return false;
  const { format, version, chain, organizations, store } = value as Record<string, unknown>;
  const isList = Array.isArray(organizations) && organizations.every((slug) => typeof slug === 'string');
  return (
    format === layoutFormat && typeof version === 'number' && typeof chain === 'string' && isList && isPlace(store)
  );
}

function readManifest(root: string): Manifest {
  const path = join(root, 'salus.json');
  const manifest = readJson(path);
  if (JSON.stringify(manifest).length > manifestCharsMax) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
  if (typeof manifest === 'object' && manifest !== null && 'format' in manifest && 'version' in manifest) {
    const isOther = manifest.format !== layoutFormat || manifest.version !== layoutVersion;
    if (isOther) throw new NodeFault(NodeErrorCodes.dataDirectoryVersion);
  }
  if (!isManifest(manifest)) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
  return manifest;
}

/** In the directory of an organisation that waits to become a member: what it was prepared with, beside its keys. */
export function joinPlanPath(root: string): string {
  return join(root, 'join.json');
}

/** What is at a path: nothing yet, a node, one that waits to be admitted, an unfinished one, or something else. Changes nothing. */
export function inspectDirectory(root: string): 'absent' | 'node' | 'joining' | 'unfinished' | 'alien' {
  if (!existsSync(root)) return 'absent';
  const names = readdirSync(root);
  if (names.length === 0) return 'absent';
  if (names.includes('salus.json')) return 'node';
  if (existsSync(joinPlanPath(root))) return 'joining';
  const ours = new Set([
    'genesis.json',
    'keys',
    'ledger',
    'orgs',
    'exchange',
    'lock',
    'salus.json.tmp',
    'genesis.json.tmp',
  ]);
  return names.every((name) => ours.has(name) || name.startsWith('lock')) ? 'unfinished' : 'alien';
}

/** Opens the directory of a node for reading; `chain`, when given, must be the directory's. */
export function openDirectory(root: string, chain?: string): DataDirectory {
  const kind = inspectDirectory(root);
  if (kind === 'absent') throw new NodeFault(NodeErrorCodes.dataDirectoryMissing);
  if (kind === 'unfinished') throw new NodeFault(NodeErrorCodes.dataDirectoryUnfinished);
  if (kind === 'joining') throw new NodeFault(NodeErrorCodes.joinWaits, joiningText);
  if (kind === 'alien') throw new NodeFault(NodeErrorCodes.dataDirectoryAlien);
  const manifest = readManifest(root);
  if (chain !== undefined && manifest.chain !== chain) throw new NodeFault(NodeErrorCodes.dataDirectoryChain);
  const genesis = readJson(join(root, 'genesis.json'));
  const genesisChain =
    typeof genesis === 'object' && genesis !== null && 'chain' in genesis ? genesis.chain : undefined;
  if (genesisChain !== manifest.chain) throw new NodeFault(NodeErrorCodes.dataDirectoryChain);
  return { root, manifest, genesis: () => genesis };
}

/** The handover of the directory's chain; with it the embedded engine makes no more blocks of that chain. */
export function readHandover(root: string): Handover | undefined {
  if (!existsSync(handoverPath(root))) return undefined;
  try {
    return parseHandover(readFileSync(handoverPath(root)));
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
}

export function writeHandover(root: string, handover: Handover): void {
  writeFileDurably(handoverPath(root), utf8Text(encodeHandover(handover)));
}

/** Says where the organisations' rows are from now on. */
export function writeStorePlace(root: string, store: StorePlace | undefined): void {
  const { store: _before, ...manifest } = readManifest(root);
  const whole: Manifest = { ...manifest, ...(store && { store }) };
  writeFileDurably(join(root, 'salus.json'), `${JSON.stringify(whole, null, 2)}\n`);
}

/** Ends a directory's creation: from now on it is a node. */
export function finishDirectory(root: string, manifest: Omit<Manifest, 'format' | 'version'>, genesis: unknown): void {
  writeFileDurably(join(root, 'genesis.json'), `${JSON.stringify(genesis, null, 2)}\n`);
  const whole: Manifest = { format: layoutFormat, version: layoutVersion, ...manifest };
  writeFileDurably(join(root, 'salus.json'), `${JSON.stringify(whole, null, 2)}\n`);
}

export interface DirectoryLock {
  release(): void;
}

/**
 * Holds the directory for this process. The lock is the operating system's (through SQLite's), so that it ends with the
 * process however that ends, and no stale file ever stands in the way.
 */
export function lockDirectory(root: string): DirectoryLock {
  let db: DatabaseSync;
  try {
    db = new DatabaseSync(join(root, 'lock'), { timeout: lockTimeoutMs });
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryUnwritable, undefined, { cause });
  }
  try {
    accessSync(root, constants.W_OK);
  } catch (cause) {
    db.close();
    throw new NodeFault(NodeErrorCodes.dataDirectoryUnwritable, undefined, { cause });
  }
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
  } catch (cause) {
    db.close();
    throw new NodeFault(NodeErrorCodes.dataDirectoryLocked, undefined, { cause });
  }
  return {
    release() {
      if (db.isOpen) db.close();
    },
  };
}
