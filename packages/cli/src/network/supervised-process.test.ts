import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { isRunning, lastEnd, runningPid, SupervisedProcess } from './supervised-process.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-supervised-'));
const waitMsMax = 60_000;
const running: SupervisedProcess[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A process that lives until it is ended and notes each of its starts; held after the first `looks` while a file is there. */
function supervised(name: string, looks: boolean[] = []) {
  const at = (what: string): string => join(scratch, `${name}.${what}`);
  const held = at('stopped');
  const line = `require('node:fs').appendFileSync(process.argv[1], 'x'); setInterval(() => undefined, 1000)`;
  const one = new SupervisedProcess(
    {
      command: process.execPath,
      args: ['-e', line, at('starts')],
      logFile: at('log'),
      pidFile: at('pid'),
      isHeld: () => looks.shift() ?? existsSync(held),
    },
    at('starts'),
  );
  running.push(one);
  return {
    one,
    pidFile: at('pid'),
    hold: () => writeFileSync(held, ''),
    release: () => rmSync(held, { force: true }),
    starts: () => (existsSync(at('starts')) ? readFileSync(at('starts'), 'utf8').length : 0),
    pid: () => runningPid(at('pid'), at('starts')),
  };
}

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + waitMsMax;
  while (!holds()) {
    if (Date.now() > end) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('R-PPL-5 a process that is started again when it ends', () => {
  test('says how it ended by itself, and not any more once it was stopped in order', async () => {
    const { one, pidFile, pid, starts } = supervised('killed');
    await one.start();
    await until(() => starts() === 1);
    const first = pid()!;
    expect(lastEnd(pidFile)).toBeUndefined();
    process.kill(first, 'SIGKILL');
    await until(() => starts() === 2);
    expect(pid()).not.toBe(first);
    expect(lastEnd(pidFile)?.how).toBe('SIGKILL');
    await one.stop();
    expect(lastEnd(pidFile)).toBeUndefined();
  });

  test('stays ended while it is held, and comes back by itself afterwards', async () => {
    const { one, pidFile, pid, starts, hold, release } = supervised('held');
    await one.start();
    await until(() => starts() === 1);
    hold();
    process.kill(pid()!, 'SIGTERM');
    // The id goes when the end was seen: from then on only what holds it keeps it from a second start.
    await until(() => !existsSync(pidFile));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(starts()).toBe(1);
    expect(lastEnd(pidFile)).toBeUndefined();
    release();
    await until(() => starts() === 2);
  });

  test('is not started at all while it is held', async () => {
    const { one, pid, starts, hold, release } = supervised('never');
    hold();
    await one.start();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect([starts(), pid()]).toEqual([0, undefined]);
    release();
    await until(() => starts() === 1);
  });

  test('held between the look at it and its start, it is ended again', async () => {
    const { one, pidFile, pid, hold } = supervised('between', [false]);
    hold();
    await one.start();
    await until(() => !existsSync(pidFile));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(pid()).toBeUndefined();
  });

  test('stopped while it is held, it does not come back when it is released', async () => {
    const { one, starts, hold, release } = supervised('over');
    hold();
    await one.start();
    await one.stop();
    release();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(starts()).toBe(0);
    expect(isRunning(process.pid, process.execPath)).toBe(true);
  });
});
