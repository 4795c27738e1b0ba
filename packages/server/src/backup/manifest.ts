import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { writeFileDurably } from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';

export const backupFormat = 'salus-backup/1';
export const manifestName = 'backup.json';
const manifestBytesMax = 256 * 1024 * 1024;
const filePattern = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

export interface BackupFile {
  /** Relative, with slashes; names no parent directory. */
  path: string;
  bytes: number;
  sha256: string;
}

/** What a backup says of itself; written last, so that an unfinished one has none. */
export interface BackupManifest {
  format: typeof backupFormat;
  chain: string;
  height: number;
  appHash: string;
  createdMs: number;
  software: string;
  organizations: string[];
  files: BackupFile[];
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** Every file below a directory with its length and hash, in the order of their paths. */
export async function listFiles(root: string): Promise<BackupFile[]> {
  const files: BackupFile[] = [];
  for (const file of filesBelow(root).sort()) {
    const path = relative(root, file).split(sep).join('/');
    files.push({ path, bytes: statSync(file).size, sha256: await hashOf(file) });
  }
  return files;
}

export function writeManifest(root: string, manifest: BackupManifest): void {
  writeFileDurably(join(root, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
}

function isFile(value: unknown): value is BackupFile {
  if (typeof value !== 'object' || value === null) return false;
  const { path, bytes, sha256 } = value as Record<string, unknown>;
  return typeof path === 'string' && filePattern.test(path) && typeof bytes === 'number' && typeof sha256 === 'string';
}

function isManifest(value: unknown): value is BackupManifest {
  if (typeof value !== 'object' || value === null) return false;
  const { format, chain, height, appHash, createdMs, organizations, files } = value as Record<string, unknown>;
  const texts = [chain, appHash].every((text) => typeof text === 'string');
  const numbers = [height, createdMs].every((number) => Number.isSafeInteger(number));
  const lists = Array.isArray(organizations) && Array.isArray(files);
  if (format !== backupFormat || !texts || !numbers || !lists) return false;
  return (
    organizations.every((slug) => typeof slug === 'string' && /^[a-z0-9-]{1,64}$/.test(slug)) && files.every(isFile)
  );
}

export function readManifest(root: string): BackupManifest {
  const path = join(root, manifestName);
  if (!existsSync(path)) throw new NodeFault(NodeErrorCodes.backupMissing);
  try {
    if (statSync(path).size > manifestBytesMax) throw new RangeError();
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (isManifest(manifest)) return manifest;
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.backupDamaged, `${manifestName} cannot be read.`, { cause });
  }
  throw new NodeFault(NodeErrorCodes.backupDamaged, `${manifestName} is not a manifest of this version.`);
}

/** Reads every file and compares. Throws for the first that is missing, has another length, or another hash. */
export async function checkFiles(root: string, manifest: BackupManifest): Promise<void> {
  for (const { path, bytes, sha256 } of manifest.files) {
    const file = join(root, path);
    if (!existsSync(file)) throw new NodeFault(NodeErrorCodes.backupDamaged, `${path} is missing.`);
    const isSame = statSync(file).size === bytes && (await hashOf(file)) === sha256;
    if (!isSame) throw new NodeFault(NodeErrorCodes.backupDamaged, `${path} is not what was copied.`);
  }
}
