import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('./load-child.ts', import.meta.url));
const pollMs = 5;

/**
 * Runs load-child.ts and kills it `afterMs` after it is ready; the lines that it wrote until then. It writes to a file:
 * what is in there has been said, however the process ended.
 */
export async function runUntilKilled(
  dir: string,
  label: string,
  afterMs: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string[]> {
  const path = `${dir}-said`;
  const out = openSync(path, 'w');
  const child = spawn(process.execPath, [CHILD, dir, label], { stdio: ['ignore', out, 'inherit'], env });
  closeSync(out);
  let readyMs = Number.POSITIVE_INFINITY;
  const poll = setInterval(() => {
    if (readyMs === Number.POSITIVE_INFINITY && readFileSync(path, 'latin1').startsWith('ready')) {
      readyMs = performance.now();
    }
    if (performance.now() - readyMs >= afterMs) child.kill('SIGKILL');
  }, pollMs);
  await new Promise((resolve) => child.on('close', resolve));
  clearInterval(poll);
  const lines = readFileSync(path, 'latin1').split('\n').slice(0, -1);
  rmSync(path);
  return lines;
}
