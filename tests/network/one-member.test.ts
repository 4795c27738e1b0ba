import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { doctor, type Problem, RealNode, refusedStart, salus, temporaryDirectory } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';

const mainFile = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const onComet = ['--engine', 'cometbft', '--patients', '0'];
const temporary = temporaryDirectory('comet');
afterAll(() => temporary.remove());

describe('R-PPL-5 one member on CometBFT', () => {
  test('the whole walkthrough holds, a restart keeps it, the doctor finds it in order', async () => {
    const dataDir = join(temporary.path, 'sandbox');
    const node = await RealNode.start(dataDir, {}, onComet);
    const { exitCode, stdout } = await salus([
      'walkthrough',
      ...['--url', node.url, '--data', dataDir, '--patients', '1', '--out', join(temporary.path, 'proofs')],
    ]);
    expect(stdout).toContain('All steps held');
    expect(exitCode).toBe(0);
    const before = await node.status();
    await node.stop();
    const again = await RealNode.start(dataDir, {}, onComet);
    expect((await again.status()).height).toBeGreaterThanOrEqual(before.height);
    expect((await again.status()).appHash).toBe(before.appHash);
    await again.stop();
    const report = await doctor(dataDir, '--replay');
    expect(report.problems).toEqual([]);
    expect(report.transactions).toBeGreaterThan(20);
    const embedded = await refusedStart(dataDir);
    expect(embedded).toMatchObject({ exitCode: 1, problem: { code: 407 } });
  });

  test('a directory that the embedded engine ordered is refused, and stays as it is', async () => {
    const dataDir = join(temporary.path, 'embedded');
    const node = await RealNode.start(dataDir, {}, ['--patients', '0']);
    const before = await node.status();
    await node.stop();
    const { problem } = await refusedStart(dataDir, ['--engine', 'cometbft']);
    expect(problem.code).toBe(747);
    const again = await RealNode.start(dataDir, {}, ['--patients', '0']);
    expect((await again.status()).height).toBeGreaterThanOrEqual(before.height);
    await again.stop();
  });

  test('salus network init, start, status and stop', async () => {
    const dir = join(temporary.path, 'network');
    const basePort = String(await freeBasePort());
    const network = (...args: string[]) => salus(['network', ...args, '--dir', dir, '--json']);
    expect(JSON.parse((await network('status')).stdout)).toMatchObject({ code: 745 });
    expect((await network('init', '--validators', '1', '--base-port', basePort)).exitCode).toBe(0);
    expect((await network('init', '--validators', '1')).exitCode).toBe(1);
    const supervisor = spawn(process.execPath, [mainFile, 'network', 'start', '--dir', dir, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => supervisor.once('exit', resolve));
    const said = await new Promise<string>((resolve) =>
      supervisor.stdout.once('data', (data) => resolve(String(data))),
    );
    expect(JSON.parse(said)).toMatchObject({ ready: true });
    const second = JSON.parse((await network('start')).stdout) as Problem;
    expect(second.code).toBe(746);
    const status = await network('status');
    expect(status.exitCode).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({
      ok: true,
      members: [{ slug: 'hospital', comet: { power: 10 } }],
    });
    expect(JSON.parse((await network('stop')).stdout)).toEqual({ stopped: true });
    expect(await ended).toBe(0);
    expect((await network('status')).exitCode).toBe(1);
  });
});
