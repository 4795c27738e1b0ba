import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Ballots } from '../../packages/cli/src/network/ballots.ts';
import { createNetwork, type Network } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { doctor, refusedStart, salus } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';
import { type BlockJson, TestMember } from './test-network.ts';

const parent = mkdtempSync(join(tmpdir(), 'salus-upgrade-'));
const votingMs = 4_000;
const upMsMax = 120_000;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let network: Network;
let member: TestMember;
let dataDir: string;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + upMsMax;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end) throw new Error(`${what} never came\n${member.logs()}`);
    await sleep(200);
  }
}

async function started(): Promise<void> {
  await member.start();
  await until('the member', async () => (await networkStatus(network)).ok);
}

beforeAll(async () => {
  const upgrade = { votingMs, noticeBlocks: 2 };
  const basePort = await freeBasePort();
  network = await createNetwork({ dir: join(parent, 'net'), validators: 1, basePort, votingRules: { upgrade } });
  member = new TestMember(network.members[0]!, network.host);
  dataDir = member.member.dataDir;
  await started();
});
afterAll(async () => {
  await member.stop();
  rmSync(parent, { recursive: true, force: true });
});

async function rollback(): Promise<{ code?: number; height?: number; appHash?: string }> {
  return JSON.parse((await salus(['network', 'rollback', '--data', dataDir, '--json'])).stdout);
}

describe('R-PPL-5 R-LED-6 a member whose program changes', () => {
  test('goes one block back, CometBFT and ledger together, and executes the block again', async () => {
    const { height } = await member.commit(await member.stamp());
    await member.commit(await member.stamp());
    expect(await rollback()).toMatchObject({ code: 706 });
    await until('the last proof', async () => (await member.height()) > height + 1);
    const present = await member.height();
    const blocks = await Promise.all(
      Array.from({ length: present }, (_, index) => member.get<BlockJson>(`/api/blocks/${index + 1}`)),
    );
    await member.stop();
    const first = await rollback();
    expect(first.height).toBeGreaterThanOrEqual(present - 1);
    expect(await rollback()).toEqual(first);
    const report = await doctor(dataDir, '--replay');
    expect([report.problems, report.blocks]).toEqual([[], first.height]);
    await started();
    await until('the block again', async () => (await member.height()) > (first.height ?? 0));
    for (const block of blocks) {
      const again = await member.get<BlockJson>(`/api/blocks/${block.height}`);
      expect([again.hash, again.appHash]).toEqual([block.hash, block.appHash]);
    }
    expect((await member.commit(await member.stamp())).code).toBe(0);
  });

  test('does not know the version that was voted in: stops before it with 442, its data whole', async () => {
    const ballots = new Ballots({ data: dataDir, org: 'hospital', url: member.url });
    const opened = await ballots.propose({ kind: 'upgrade', version: 2, release: 'A'.repeat(43) });
    await ballots.vote(opened.proposal, 'yes');
    await sleep(Math.max(0, opened.deadlineMs - Date.now()) + 500);
    await member.commit(await member.stamp());
    const effective = (await ballots.execute(opened.proposal)) ?? 0;
    expect(effective).toBeGreaterThan(0);
    // Nobody starts it again: this one is to end by itself.
    await member.stop();
    const flags = [
      '--engine',
      'cometbft',
      '--data',
      dataDir,
      '--port',
      String(member.member.ports.http),
      '--plain-peers',
    ];
    const ending = salus(['start', ...flags]);
    let isOver = false;
    void ending.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await member.commit(await member.stamp()).catch(() => undefined);
      await sleep(100);
    }
    const { exitCode, stderr } = await ending;
    expect(stderr).toContain('Error 442');
    expect(stderr).toContain(`version 2 from block ${effective}`);
    expect(exitCode).toBe(1);
    const { problem } = await refusedStart(dataDir, ['--engine', 'cometbft', '--plain-peers']);
    expect(problem.code).toBe(442);
    const report = await doctor(dataDir, '--replay');
    expect([report.problems, report.blocks]).toEqual([[], effective - 1]);
  });
});
