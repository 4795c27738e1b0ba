import { type GenesisDocument, genesisHash, parseGenesis } from '@salus/contracts';
import {
  canonicalJson,
  ed25519PublicKey,
  equalBytes,
  fromBase64url,
  fromHex,
  type JsonValue,
  sortValidators,
  toBase64url,
  toHex,
  type Validator,
} from '@salus/protocol';
import { ledgerError } from './errors.ts';
import type { Files } from './files.ts';
import { type ScanStart, SEGMENT_HEAD_BYTES } from './log/segment.ts';

/**
 * A data directory: `chain.json` (written last: with it the directory is whole), `genesis.json`, `validator.key`,
 * `blocks/` (the log), `store/` (LMDB) and `snapshots/`. `restoring` stands there while a snapshot is being restored.
 */
export const directoryFormat = 'salus-ledger/1';

export type DirectoryInfo = {
  genesis: GenesisDocument;
  genesisHash: Uint8Array;
  seed: Uint8Array | undefined;
  /** Where a restored directory begins: the log has this block and what follows, none before it. */
  base?: DirectoryBase | undefined;
};

export type DirectoryBase = { height: number; timeMs: number; appHash: Uint8Array };

/** Where the log begins, for whoever reads all of it. */
export function logStart(base: DirectoryBase | undefined): ScanStart | undefined {
  return base && { segment: base.height, offset: SEGMENT_HEAD_BYTES, height: base.height };
}

const seedFileMode = 0o600;
const seedBytes = 32;

export const directoryPaths = (dir: string) => ({
  chain: `${dir}/chain.json`,
  genesis: `${dir}/genesis.json`,
  validatorKey: `${dir}/validator.key`,
  blocks: `${dir}/blocks`,
  store: `${dir}/store`,
  snapshots: `${dir}/snapshots`,
  restoring: `${dir}/restoring`,
});

/** What stands in a directory before this process makes a ledger of it: nothing that could be overwritten. */
export function directoryState(files: Files, dir: string): 'empty' | 'incomplete' | 'whole' {
  const paths = directoryPaths(dir);
  if (files.exists(paths.chain)) return 'whole';
  const parts = [paths.genesis, paths.validatorKey, paths.blocks, paths.store, paths.restoring];
  return parts.some((path) => files.exists(path)) ? 'incomplete' : 'empty';
}

/** Reads a whole directory; refuses another version, another chain, or files that contradict each other. */
export function readDirectory(files: Files, dir: string, expected: GenesisDocument | undefined): DirectoryInfo {
  const paths = directoryPaths(dir);
  const chain = readJson(files, paths.chain) as { format?: unknown; genesisHash?: unknown; base?: unknown };
  if (chain.format !== directoryFormat) throw ledgerError('directoryOtherVersion', String(chain.format));
  const genesis = parseStoredGenesis(files, paths.genesis);
  const hash = genesisHash(genesis);
  if (toHex(hash) !== chain.genesisHash) throw ledgerError('directoryDamaged', 'genesis.json');
  if (expected && !equalBytes(genesisHash(expected), hash)) throw ledgerError('directoryOtherChain', genesis.chain);
  const seed = files.exists(paths.validatorKey) ? readSeed(files, paths.validatorKey) : undefined;
  return { genesis, genesisHash: hash, seed, base: readBase(chain.base, paths.chain) };
}

/** The first files of a new directory; `finishDirectory` makes it whole. */
export function beginDirectory(
  files: Files,
  dir: string,
  genesis: GenesisDocument,
  seed: Uint8Array | undefined,
): DirectoryInfo {
  const paths = directoryPaths(dir);
  const document = parseGenesis(genesis);
  files.writeFileAtomic(paths.genesis, Buffer.from(canonicalJson(document as unknown as JsonValue)));
  if (seed) files.writeFileAtomic(paths.validatorKey, Buffer.from(toBase64url(seed)), seedFileMode);
  files.makeDirectory(paths.blocks);
  files.makeDirectory(paths.store);
  files.syncDirectory(dir);
  return { genesis: document, genesisHash: genesisHash(document), seed };
}

export function finishDirectory(files: Files, dir: string, info: DirectoryInfo): void {
  const { genesis, genesisHash: hash, base } = info;
  const begin = base && { base: { ...base, appHash: toHex(base.appHash) } };
  const content = { format: directoryFormat, chain: genesis.chain, genesisHash: toHex(hash), ...begin };
  files.writeFileAtomic(directoryPaths(dir).chain, Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`));
}

/** The validators that a chain begins with, in the order of the set. */
export function genesisValidators(genesis: GenesisDocument): Validator[] {
  return sortValidators(
    genesis.validators.map(({ publicKey, power }) => ({ publicKey: fromBase64url(publicKey), power })),
  );
}

/** The seed of the one validator that the genesis document names. */
export function checkSeed(genesis: GenesisDocument, seed: Uint8Array): void {
  const [validator, ...others] = genesis.validators;
  const publicKey = seed.length === seedBytes ? toBase64url(ed25519PublicKey(seed)) : undefined;
  if (others.length > 0 || validator?.publicKey !== publicKey) throw ledgerError('validatorKeyMismatch');
}

function readJson(files: Files, path: string): object {
  try {
    return JSON.parse(Buffer.from(files.readFile(path)).toString()) as object;
  } catch (cause) {
    throw ledgerError('directoryDamaged', path, { cause });
  }
}

function readBase(base: unknown, path: string): DirectoryBase | undefined {
  if (base === undefined) return undefined;
  const { height, timeMs, appHash } = base as Record<string, unknown>;
  if (Number.isSafeInteger(height) && Number.isSafeInteger(timeMs) && typeof appHash === 'string') {
    return { height: height as number, timeMs: timeMs as number, appHash: fromHex(appHash) };
  }
  throw ledgerError('directoryDamaged', path);
}

function parseStoredGenesis(files: Files, path: string): GenesisDocument {
  const json = readJson(files, path);
  try {
    return parseGenesis(json);
  } catch (cause) {
    throw ledgerError('directoryDamaged', path, { cause });
  }
}

function readSeed(files: Files, path: string): Uint8Array {
  try {
    return fromBase64url(Buffer.from(files.readFile(path)).toString().trim());
  } catch (cause) {
    throw ledgerError('directoryDamaged', path, { cause });
  }
}
