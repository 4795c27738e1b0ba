import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const startMsMax = 60_000;

export interface Ended {
  exitCode: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** What runs the command, for a process below another one: `unshare …`, a variable for the loader. */
export interface Surroundings {
  env?: Record<string, string>;
  /** A command that runs the node's as its own last step, with `exec`. */
  prefix?: readonly string[];
}

function launch(args: readonly string[], { env, prefix = [] }: Surroundings = {}): ChildProcess {
  const options = { stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } };
  const [command = process.execPath, ...rest] = [...prefix, process.execPath, MAIN, ...args];
  return spawn(command, rest, options);
}

function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }));
  });
}

/** One run of the command to its end. */
export function salus(args: readonly string[], surroundings?: Surroundings): Promise<Ended> {
  return ended(launch(args, surroundings));
}

export interface Problem {
  code: number;
  title?: string;
  advice?: string;
  detail?: string;
}

/** A start that must not succeed: what was said and the exit code. A node that starts all the same is killed. */
export async function refusedStart(
  dataDir: string,
  args: readonly string[] = [],
  surroundings: Surroundings = {},
): Promise<{ exitCode: number; problem: Problem }> {
  const port = args.includes('--port') ? [] : ['--port', '0'];
  const child = launch(['start', '--data', dataDir, '--json', ...port, ...args], surroundings);
  child.stdout?.once('data', (data: Buffer) => {
    if (data.toString().includes('"url"')) child.kill('SIGKILL');
  });
  const { exitCode, stdout, stderr } = await ended(child);
  if (exitCode === null || stdout.trim() === '') throw new Error(`no refusal: ${stdout}${stderr}`);
  return { exitCode, problem: JSON.parse(stdout) as Problem };
}

export interface DoctorReport {
  ok: boolean;
  blocks: number;
  transactions: number;
  problems: string[];
}

export async function doctor(dataDir: string, ...args: string[]): Promise<DoctorReport> {
  const { stdout, stderr, signal } = await salus(['doctor', '--data', dataDir, '--json', ...args]);
  if (stdout.trim() === '') throw new Error(`doctor said nothing (${signal}): ${stderr}`);
  return JSON.parse(stdout) as DoctorReport;
}

/** A node in a process of its own, as `salus demo` runs it. */
export class RealNode {
  readonly url: string;
  readonly dataDir: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  #hasEnded = false;

  private constructor(child: ChildProcess, over: Promise<Ended>, url: string, dataDir: string) {
    this.#child = child;
    this.#ended = over;
    this.url = url;
    this.dataDir = dataDir;
    void over.then(() => {
      this.#hasEnded = true;
    });
  }

  static async start(
    dataDir: string,
    surroundings: Surroundings = {},
    more: readonly string[] = [],
  ): Promise<RealNode> {
    const args = ['demo', '--data', dataDir, '--port', '0', '--json', '--log-level', 'error', ...more];
    const child = launch(args, surroundings);
    const over = ended(child);
    const url = await new Promise<string>((resolve, reject) => {
      let text = '';
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error('the node did not start in time'));
      }, startMsMax);
      child.stdout?.on('data', (data: Buffer) => {
        text += data.toString();
        const end = text.indexOf('\n');
        if (end < 0) return;
        clearTimeout(timer);
        // A node that ends soon after may have said why behind it.
        const { url: found } = JSON.parse(text.slice(0, end)) as { url?: string };
        if (found === undefined) reject(new Error(`the node did not start: ${text}`));
        else resolve(found);
      });
      void over.then(({ stdout, stderr }) => {
        clearTimeout(timer);
        reject(new Error(`the node did not start: ${stdout}${stderr}`));
      });
    });
    return new RealNode(child, over, url, dataDir);
  }

  /** A start that is cut off after a while, wherever it then is. */
  static async killedStart(dataDir: string, afterMs: number): Promise<void> {
    const child = launch(['demo', '--data', dataDir, '--port', '0', '--json', '--log-level', 'error']);
    const over = ended(child);
    await sleep(afterMs);
    child.kill('SIGKILL');
    await over;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async kill(): Promise<Ended> {
    this.#child.kill('SIGKILL');
    return await this.#ended;
  }

  async stop(): Promise<Ended> {
    this.#child.kill('SIGTERM');
    return await this.#ended;
  }

  async get<T>(path: string, token?: string): Promise<T> {
    const response = await fetch(this.url + path, token ? { headers: { authorization: `Bearer ${token}` } } : {});
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  status(): Promise<{ chain: string; height: number; appHash: string }> {
    return this.get('/api/status');
  }
}

export function temporaryDirectory(name: string): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `salus-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Every file below a directory, as paths from there. */
export function filesOf(dir: string, below = ''): string[] {
  return readdirSync(join(dir, below), { withFileTypes: true })
    .flatMap((one) => (one.isDirectory() ? filesOf(dir, join(below, one.name)) : [join(below, one.name)]))
    .sort();
}

/** Digest of every file and mode below a directory, so that nothing changes unseen. */
export function treeDigest(dir: string, except: (file: string) => boolean = () => false): string {
  const hash = createHash('sha256');
  for (const file of filesOf(dir).filter((name) => !except(name))) {
    const path = join(dir, file);
    hash.update(`${file}\0${statSync(path).mode}\0`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

/** Random numbers that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
