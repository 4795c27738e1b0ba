import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createListener } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createNetwork, type Network } from './network-directory.ts';
import { networkStatus } from './network-status.ts';
import { supervisorPidFile } from './run-network.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-status-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A port that nobody listens on: taken once, and given back. */
async function freePort(): Promise<number> {
  const server = createListener().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function made(name: string, http?: number): Promise<Network> {
  const network = await createNetwork({ dir: join(scratch, name), validators: 1, basePort: 20_000 });
  const members = await Promise.all(
    network.members.map(async (member) => ({
      ...member,
      ports: { http: http ?? (await freePort()), p2p: await freePort(), rpc: await freePort() },
    })),
  );
  return { ...network, members };
}

async function problemOf(network: Network): Promise<string | undefined> {
  const { ok, members } = await networkStatus(network);
  expect(ok).toBe(false);
  return members[0]?.problem;
}

describe('R-PPL-5 the status of a network', () => {
  test('whose supervisor was killed says so while members run, and not when nothing runs', async () => {
    const network = await made('left');
    const [{ dataDir } = { dataDir: '' }] = network.members;
    writeFileSync(supervisorPidFile(dirname(dataDir)), '4194304');
    expect((await networkStatus(network)).problem).toBeUndefined();
    const left = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', dataDir], { stdio: 'ignore' });
    try {
      writeFileSync(join(dataDir, 'member.pid'), String(left.pid));
      await expect.poll(async () => (await networkStatus(network)).problem).toMatch(/was killed and left members/);
    } finally {
      left.kill('SIGKILL');
    }
  });
});

describe('R-PPL-5 the status of a member that is not in order', () => {
  test('names the logs of what does not answer', async () => {
    expect(await problemOf(await made('silent'))).toBe(
      'the node does not answer: see hospital/member.log; its CometBFT does not answer: see hospital/comet/comet.log',
    );
  });

  test('says that its directory is missing, or of another network', async () => {
    const network = await made('one');
    const other = await made('two');
    const [{ dataDir } = { dataDir: '' }] = network.members;
    rmSync(dataDir, { recursive: true });
    expect(await problemOf(network)).toMatch(/^its directory is missing; the node does not answer;/);
    renameSync(other.members[0]!.dataDir, dataDir);
    expect(await problemOf(network)).toMatch(/^its directory is of another chain;/);
  });

  test.each([
    ['a node of another network', JSON.stringify({ chain: 'sandbox-other', height: 7, appHash: 'ab' })],
    ['another program', '<html></html>'],
  ])('does not take %s at its port for the member', async (_what, body) => {
    const server = createServer((_request, response) => void response.end(body)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      const network = await made(`taken-${body.length}`, (server.address() as AddressInfo).port);
      const { ok, members } = await networkStatus(network);
      expect(ok).toBe(false);
      expect(members[0]?.problem).toContain('what answers at the port of the node is not of this network');
      expect(members[0]).not.toHaveProperty('height');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
