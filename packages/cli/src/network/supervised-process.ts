import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import {
  heldLookMs,
  logFileBytesMax,
  restartDelayMsMax,
  restartDelayMsMin,
  settledMs,
  stopWaitMsMax,
} from './limits.ts';

export type ProcessPlan = {
  command: string;
  args: readonly string[];
  /** Standard output and error go here; at its largest size it moves to `.1`. */
  logFile: string;
  /** Holds the process id while it runs. */
  pidFile: string;
  env?: NodeJS.ProcessEnv;
  /** Whether it is to stay ended for now; looked at before each start. */
  isHeld?: () => boolean;
};

/** How a process ended that nobody had told to. */
export type Ended = { atMs: number; how: string };

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const pollMs = 20;

/** Whether there is a process with this id, whichever it is. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Whether a process with this id runs and was started with `mark` among its arguments: ids are used again. */
export function isRunning(pid: number, mark: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    if (/\) Z /.test(status)) return false;
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(mark);
  } catch {
    // No /proc here: the id has to do.
    return true;
  }
}

/** The id in a pid file, if that process still runs with `mark` among its arguments. */
export function runningPid(pidFile: string, mark: string): number | undefined {
  if (!existsSync(pidFile)) return undefined;
  const pid = Number(readFileSync(pidFile, 'utf8'));
  return Number.isInteger(pid) && pid > 0 && isRunning(pid, mark) ? pid : undefined;
}

function endedFile(pidFile: string): string {
  return pidFile.replace(/(\.pid)?$/, '.ended.json');
}

/** How the process of a pid file ended last, where nobody had told it to; undefined once it was stopped in order. */
export function lastEnd(pidFile: string): Ended | undefined {
  try {
    const { atMs, how } = JSON.parse(readFileSync(endedFile(pidFile), 'utf8')) as Partial<Ended>;
    return typeof atMs === 'number' && typeof how === 'string' ? { atMs, how } : undefined;
  } catch {
    return undefined;
  }
}

/** Asks a process to end, makes it after a while, and waits until it is gone. */
export async function endProcess(pid: number, mark: string, waitMs = stopWaitMsMax): Promise<void> {
  const until = performance.now() + waitMs;
  if (isRunning(pid, mark)) process.kill(pid, 'SIGTERM');
  while (isRunning(pid, mark)) {
    if (performance.now() > until) process.kill(pid, 'SIGKILL');
    await sleep(pollMs);
  }
}

/** A process that is started again whenever it ends, until it is stopped. */
export class SupervisedProcess {
  readonly #plan: ProcessPlan;
  readonly #mark: string;
  #child: ChildProcess | undefined;
  #startedMs = 0;
  #delayMs = restartDelayMsMin;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;

  /** `mark`: an argument that no other process of this kind has. */
  constructor(plan: ProcessPlan, mark: string) {
    this.#plan = plan;
    this.#mark = mark;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What a former supervisor left running is ended first: two would fight over one directory. */
  async start(): Promise<void> {
    const orphan = runningPid(this.#plan.pidFile, this.#mark);
    if (orphan !== undefined) await endProcess(orphan, this.#mark);
    if (this.#isStopping) return;
    if (this.#isHeld()) this.#spawnAfter(heldLookMs);
    else this.#spawn();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), stopWaitMsMax);
      await exited;
      clearTimeout(hard);
    }
    this.#forget();
  }

  #isHeld(): boolean {
    return this.#plan.isHeld?.() === true;
  }

  /** Nothing runs, and nobody wonders why. */
  #forget(): void {
    const { pidFile } = this.#plan;
    rmSync(pidFile, { force: true });
    rmSync(endedFile(pidFile), { force: true });
  }

  #spawn(): void {
    const { command, args, env } = this.#plan;
    const log = this.#openLog();
    this.#startedMs = performance.now();
    const child = spawn(command, args, {
      stdio: ['ignore', log ?? 'ignore', log ?? 'ignore'],
      env: env ?? process.env,
    });
    if (log !== undefined) closeSync(log);
    this.#child = child;
    this.#notePid(child);
    child.once('error', ({ message }) => this.#ended(message));
    child.once('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`));
  }

  /** Undefined where the disk takes no file: that must not end whoever watches, and with it all other members. */
  #openLog(): number | undefined {
    const { logFile } = this.#plan;
    try {
      if (existsSync(logFile) && statSync(logFile).size > logFileBytesMax) renameSync(logFile, `${logFile}.1`);
      return openSync(logFile, 'a', 0o600);
    } catch {
      return undefined;
    }
  }

  /** Again later where the disk is full. Who holds it looks for the id after that: one of the two ends what runs. */
  #notePid(child: ChildProcess): void {
    if (child.pid === undefined || this.#child !== child || this.#isStopping) return;
    try {
      writeFileSync(this.#plan.pidFile, String(child.pid));
    } catch {
      setTimeout(() => this.#notePid(child), restartDelayMsMax).unref();
      return;
    }
    if (this.#isHeld()) child.kill('SIGTERM');
  }

  #noteEnd(how: string): void {
    try {
      writeFileSync(endedFile(this.#plan.pidFile), JSON.stringify({ atMs: Date.now(), how }));
    } catch {
      // A full disk: that it does not run is seen without.
    }
  }

  #ended(how: string): void {
    this.#child = undefined;
    if (this.#isStopping || this.#timer) return;
    if (this.#isHeld()) {
      this.#delayMs = restartDelayMsMin;
      this.#forget();
      this.#spawnAfter(heldLookMs);
      return;
    }
    this.#noteEnd(how);
    const wasSettled = performance.now() - this.#startedMs >= settledMs;
    this.#delayMs = wasSettled ? restartDelayMsMin : Math.min(2 * this.#delayMs, restartDelayMsMax);
    this.#spawnAfter(this.#delayMs);
  }

  /** Not before nobody holds it. */
  #spawnAfter(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#isStopping) return;
      if (this.#isHeld()) this.#spawnAfter(heldLookMs);
      else this.#spawn();
    }, delayMs);
  }
}
