import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../packages/cli/src/index.ts';
import { trustAuthority } from '../../packages/cli/src/network/addresses.ts';
import { type Network, readNetwork } from '../../packages/cli/src/network/network-directory.ts';
import { type NetworkStatus, networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { temporaryDirectory } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';
import { TestMember } from './test-network.ts';

const mainFile = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const temporary = temporaryDirectory('supervised');
const dir = join(temporary.path, 'net');
const upMsMax = 120_000;

let supervisor: ChildProcess | undefined;
let network: Network;

type Said = Record<string, unknown> & { exit: number; code?: number; ready?: boolean };

/** In this process: a start of its own for each would take longer than what is tried. */
async function command(...args: string[]): Promise<Said> {
  const said: string[] = [];
  const io = { out: (text: string): void => void said.push(text), err: (): void => undefined };
  const exit = await run(['network', ...args, '--dir', dir, '--json'], io);
  return { exit, ...JSON.parse(said.join('')) };
}

async function supervise(): Promise<Said> {
  const child = spawn(process.execPath, [mainFile, 'network', 'start', '--dir', dir, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  supervisor = child;
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(JSON.parse(String(data))));
    child.once('exit', () => reject(new Error('network start ended')));
  });
}

async function ended(): Promise<void> {
  const child = supervisor;
  if (child === undefined || child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

async function until(what: string, holds: (status: NetworkStatus) => boolean): Promise<NetworkStatus> {
  const end = Date.now() + upMsMax;
  for (;;) {
    const status = await networkStatus(network);
    if (holds(status)) return status;
    if (Date.now() > end) throw new Error(`${what} never came: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const of = ({ members }: NetworkStatus, slug: string) => members.find((one) => one.slug === slug)!;
const member = (slug: string): TestMember =>
  new TestMember(network.members.find((one) => one.slug === slug)!, network.host);

beforeAll(async () => {
  const basePort = String(await freeBasePort());
  expect((await command('init', '--validators', '4', '--tls', '--base-port', basePort)).exit).toBe(0);
  network = readNetwork(dir);
  trustAuthority(dir);
  expect(await supervise()).toMatchObject({ ready: true });
});
afterAll(async () => {
  await ended();
  rmSync(dir, { recursive: true, force: true });
  temporary.remove();
});

describe('R-PPL-5 one member of a network that salus network start runs', () => {
  test('is stopped, both of its processes, while the others go on, and comes back when it is started', async () => {
    expect(await command('start', 'clinic')).toMatchObject({ exit: 1, code: 832 });
    expect(await command('resync', 'clinic')).toMatchObject({ exit: 1, code: 746 });
    const clinic = member('clinic');
    const [node, comet] = [clinic.pid()!, clinic.cometPid()!];
    expect(await command('stop', 'clinic')).toMatchObject({
      exit: 0,
      member: 'clinic',
      stopped: true,
      power: { total: 40, there: 30, needed: 27 },
    });
    for (const pid of [node, comet]) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await command('stop', 'clinic')).toMatchObject({ exit: 1, code: 831 });
    const hospital = member('hospital');
    const { height } = await hospital.commit(await hospital.stamp());
    // Stopped is not crashed: the network is in order, and nothing starts the member again.
    const status = await command('status');
    expect(status).toMatchObject({ exit: 0, ok: true, supervised: true, power: { there: 30 } });
    expect(of(status as unknown as NetworkStatus, 'clinic')).toMatchObject({
      stopped: expect.stringMatching(/^20.*Z$/),
    });
    expect(clinic.pid()).toBeUndefined();
    expect(await command('start', 'clinic')).toMatchObject({ exit: 0, ready: true });
    await until('the member', (now) => now.ok && (of(now, 'clinic').height ?? 0) >= height);
  });

  test('is not stopped where too little power would be left, unless its operator insists', async () => {
    expect(await command('stop', 'payer')).toMatchObject({ exit: 0 });
    expect(await command('stop', 'clinic')).toMatchObject({ exit: 1, code: 833 });
    expect((await until('both', () => true)).members.map(({ stopped }) => stopped !== undefined)).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(await command('stop', 'clinic', '--yes')).toMatchObject({ exit: 0, power: { there: 20, needed: 27 } });
    expect(await command('status')).toMatchObject({ exit: 1, ok: false });
    for (const slug of ['payer', 'clinic']) expect(await command('start', slug)).toMatchObject({ exit: 0 });
    await until('all four', ({ ok }) => ok);
  });

  test('that crashed is told from one that was stopped, and is started again', async () => {
    const clinic = member('clinic');
    const pid = clinic.pid()!;
    process.kill(pid, 'SIGKILL');
    const crashed = await until('the end', (status) => of(status, 'clinic').problem?.includes('SIGKILL') === true);
    expect(of(crashed, 'clinic')).not.toHaveProperty('stopped');
    expect(of(crashed, 'clinic').problem).toMatch(/^the node ended by itself \(SIGKILL\) at .* and is started again/);
    await until('the restart', ({ ok }) => ok);
    expect(clinic.pid()).not.toBe(pid);
  });

  test('takes its ledger from the others while they run', async () => {
    await command('stop', 'clinic');
    expect(await command('resync', 'clinic')).toMatchObject({ exit: 0, member: 'clinic' });
    const { height } = await member('hospital').commit(await member('hospital').stamp());
    expect(await command('start', 'clinic')).toMatchObject({ exit: 0 });
    const back = await until('the resynced member', (now) => now.ok && (of(now, 'clinic').height ?? 0) >= height);
    expect(new Set(back.members.map(({ appHash }) => appHash)).size).toBe(1);
    expect(readFileSync(join(dir, 'clinic', 'member.log'), 'utf8')).not.toContain('"level":"error"');
  });

  test('is told to be out of reach where the ledger has another address for it than it has', async () => {
    const payer = member('payer');
    const endpoint = payer.url.replace('https:', 'http:');
    await payer.commit(await payer.sign([{ type: 'identity/updateOrganisation', endpoint }]));
    const status = await until('the address', (now) => of(now, 'payer').endpoint === endpoint);
    expect(status.ok).toBe(false);
    expect(of(status, 'payer').problem).toBe(
      `it speaks HTTPS, and the ledger says ${endpoint}: the others do not reach it`,
    );
    expect(of(status, 'hospital')).toMatchObject({ endpoint: member('hospital').url });
    expect(of(status, 'hospital')).not.toHaveProperty('problem');
    await payer.commit(await payer.sign([{ type: 'identity/updateOrganisation', endpoint: payer.url }]));
    await until('the right address', ({ ok }) => ok);
  });

  test('R-LED-6 shows how a vote stands, proven by one of the members', async () => {
    const clinic = member('clinic');
    const change = { kind: 'parameter', name: 'requestTimeoutMs', value: 120_000 };
    const proposed = { type: 'governance/propose', change, reason: 'A'.repeat(43), activationHeight: 0 };
    const [opened] = (await clinic.commit(await clinic.sign([proposed]))).outputs as [
      { proposal: number; digest: string },
    ];
    const { proposal, digest } = opened;
    const { height } = await clinic.commit(
      await clinic.sign([{ type: 'governance/vote', proposal, digest, choice: 'yes' }]),
    );
    // Whoever is asked can be a block behind the one that took the vote.
    await until('the vote everywhere', ({ members }) => members.every((one) => (one.height ?? 0) > height));
    const shown = await command('votes', String(proposal));
    expect(shown).toMatchObject({ exit: 0, chain: network.chain, what: 'parameter requestTimeoutMs = 120000' });
    expect(shown).toMatchObject({ by: { slug: 'clinic' }, standing: { electorate: 4, voted: 1, quorum: 2 } });
  });

  test('stays stopped when all are stopped and started', async () => {
    await command('stop', 'clinic');
    expect(await command('stop')).toMatchObject({ stopped: true });
    expect(await command('start', 'clinic')).toMatchObject({ exit: 1, code: 830 });
    expect(await supervise()).toMatchObject({ ready: true });
    expect(member('clinic').pid()).toBeUndefined();
    expect(await command('status')).toMatchObject({ exit: 0, ok: true });
    expect(await command('start', 'clinic')).toMatchObject({ exit: 0, ready: true });
  });
});
