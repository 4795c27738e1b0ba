/** What the tests of this package share. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SalusError } from '@salus/protocol';
import { VaultErrorCodes, type VaultErrorName } from './errors.ts';

export function temporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'salus-vault-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function gather(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(Uint8Array.from(part));
  return new Uint8Array(Buffer.concat(parts));
}

/** The name of the error with which `work` ends, or 'nothing thrown'. */
export async function refusal(work: () => unknown): Promise<VaultErrorName | 'nothing thrown'> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    const found = Object.entries(VaultErrorCodes).find(([, code]) => code === error.code);
    if (found === undefined) throw error;
    return found[0] as VaultErrorName;
  }
  return 'nothing thrown';
}

export function flipped(bytes: Uint8Array, position: number, bit = 0): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[position] = (copy[position] ?? 0) ^ (1 << bit);
  return copy;
}

export function flipInFile(path: string, position: number, bit = 0): void {
  writeFileSync(path, flipped(readFileSync(path), position, bit));
}

export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
}

/** How many files below a directory contain these bytes. */
export function filesContaining(directory: string, needle: Uint8Array): number {
  return filesBelow(directory).filter((path) => readFileSync(path).includes(Buffer.from(needle))).length;
}

export type Child = { lines: string[]; exited: Promise<{ code: number | null; stderr: string }>; kill(): void };

/** Runs a module's text in a process of its own; `DIRECTORY` in it is this package's source directory. */
export function runModule(text: string, args: string[] = [], wrapper: string[] = []): Child {
  const module = text.replaceAll('DIRECTORY', import.meta.dirname);
  const command = [...wrapper, process.execPath, '--input-type=module', '-e', module, '--', ...args];
  const child = spawn(command[0] ?? process.execPath, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let rest = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const exited = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stderr }));
  });
  return { lines, exited, kill: () => child.kill('SIGKILL') };
}

/** Runs a module in a file system of its own of `mebibytes`, whose directory is its argument; undefined = not possible here. */
export function smallDisk(directory: string, mebibytes: number): string[] | undefined {
  const wrapper = [
    'unshare',
    '-rm',
    'sh',
    '-c',
    `mount -t tmpfs -o size=${mebibytes}m none ${directory} && exec "$@"`,
    '-',
  ];
  const probe = spawnSync(wrapper[0] ?? '', [...wrapper.slice(1), 'true'], { stdio: 'ignore' });
  return probe.status === 0 ? wrapper : undefined;
}
