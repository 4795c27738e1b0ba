import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { NodeErrorCodes, NodeFault } from '@salus/server';

/** The version that Salus is tested with (ADR 5). */
export const cometVersion = '0.39.4';
export const cometModule = `github.com/cometbft/cometbft/cmd/cometbft@v${cometVersion}`;
/** Names a binary, over everything else. */
const cometVariable = 'SALUS_COMETBFT';

const versionTimeoutMs = 10_000;
const run = promisify(execFile);

/** Where `salus network install` puts it. */
export function cometInstallDir(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'salus', `cometbft-${cometVersion}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The binary that SALUS_COMETBFT names, that was installed for Salus, or that is in PATH. */
export function findComet(): string | undefined {
  const named = process.env[cometVariable];
  if (named !== undefined) return isExecutable(named) ? named : undefined;
  const places = [cometInstallDir(), ...(process.env.PATH ?? '').split(delimiter).filter((dir) => dir !== '')];
  return places.map((dir) => join(dir, 'cometbft')).find(isExecutable);
}

export async function versionOfComet(binary: string): Promise<string> {
  const { stdout } = await run(binary, ['version'], { timeout: versionTimeoutMs });
  return stdout.trim().replace(/^v/, '');
}

/** Throws a NodeFault that says how to get it. Another version than the pinned one runs only when it is named. */
export async function requireComet(): Promise<{ binary: string; version: string }> {
  const binary = findComet();
  const named = process.env[cometVariable];
  if (binary === undefined) {
    const where = named === undefined ? 'There is no CometBFT' : `${cometVariable} names no program: ${named}`;
    throw new NodeFault(NodeErrorCodes.consensusMissing, `${where}.`);
  }
  const version = await versionOfComet(binary).catch((cause: unknown) => {
    throw new NodeFault(NodeErrorCodes.consensusMissing, `${binary} does not run.`, { cause });
  });
  if (version !== cometVersion && named === undefined) {
    throw new NodeFault(NodeErrorCodes.consensusMissing, `${binary} is version ${version}, not ${cometVersion}.`);
  }
  return { binary, version };
}

/** Builds the pinned version with Go; the module proxy's checksums say that it is the published one. */
export async function installComet(): Promise<string> {
  const env = { ...process.env, GOBIN: cometInstallDir() };
  try {
    await run('go', ['install', cometModule], { env });
  } catch (cause) {
    const text = 'Building CometBFT needs Go 1.25 or later and its module proxy.';
    throw new NodeFault(NodeErrorCodes.consensusMissing, text, { cause });
  }
  return join(cometInstallDir(), 'cometbft');
}
