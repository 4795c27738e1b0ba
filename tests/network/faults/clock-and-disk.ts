import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TestMember, TestNetwork } from '../test-network.ts';
import { clocksProblem, wrongClock } from './clocks.ts';
import { committed, logged, rpc, until } from './fault-network.ts';
import { isAll, sharedNetwork } from './shared-network.ts';

const clocks = clocksProblem();
if (clocks !== undefined) console.log(`skipped: ${clocks}`);

const skewMs = 10_000;
const diskBytes = 192 * 1024 * 1024;
/** What a full disk still has to take: the reserves. */
const leftBytes = 64 * 1024;

let network: TestNetwork;
beforeAll(async () => {
  network = await sharedNetwork();
});

type Signed = {
  signed_header: {
    header: { time: string };
    commit: { signatures: { validator_address: string; timestamp: string | null }[] };
  };
};

/** How much later than the time of the block that it is for this member voted; undefined where it did not. */
async function voteAfterMs(member: TestMember, height: number): Promise<number | undefined> {
  const { validator_info: own } = await rpc<{ validator_info: { address: string } }>(member, 'status');
  const { header, commit } = (await rpc<Signed>(member, 'commit', { height: String(height) })).signed_header;
  const vote = commit.signatures.find(({ validator_address: signer }) => signer === own.address);
  return vote?.timestamp ? Date.parse(vote.timestamp) - Date.parse(header.time) : undefined;
}

describe.skipIf(clocks !== undefined)('R-LED-2 a member whose clock is wrong', () => {
  test.each(isAll ? [skewMs, -skewMs] : [skewMs])(
    'by %i ms: block time stays between the right clocks, and nothing stops',
    async (skew) => {
      const four = network.members[3]!;
      await four.stop();
      const from = await network.members[0]!.height();
      const before = Date.now();
      await four.start(wrongClock(skew / 1000, join(network.dir, 'skewed-cometbft')));
      await network.settled();
      const { startedMs } = await four.get<{ startedMs: number }>('/api/status');
      expect(startedMs - skew).toBeGreaterThanOrEqual(before);
      expect(startedMs - skew).toBeLessThanOrEqual(Date.now());
      for (const member of network.members) {
        const sentMs = Date.now();
        const first = await member.commit(await member.stamp());
        // Votes for the first block were cast after it was sent; their median is the time of the blocks that follow.
        const second = await member.commit(await member.stamp());
        expect([first.code, second.code]).toEqual([0, 0]);
        expect(second.height).toBeGreaterThan(first.height);
        const { timeMs } = await member.get<{ timeMs: number }>(`/api/blocks/${second.height}`);
        expect(timeMs).toBeGreaterThanOrEqual(sentMs);
        expect(timeMs).toBeLessThanOrEqual(Date.now());
      }
      // Its CometBFT is as wrong as its node, and its votes say so: a vote lies at least a millisecond after its block.
      await until('a vote of the member with the wrong clock', async () => {
        const other = network.members[0]!;
        const { height } = await other.commit(await other.stamp());
        await network.reaches(height + 1);
        const afterMs = await voteAfterMs(four, height);
        return afterMs !== undefined && (skew > 0 ? afterMs > skew / 2 : afterMs === 1);
      });
      await network.sameBlocks(from);
      await four.stop();
      await four.start();
      await network.settled();
    },
  );
});

/** Moves a stopped member onto a small disk of its own; says why where that is not permitted. */
function smallDisk(dataDir: string): string | undefined {
  const moved = `${dataDir}-moved`;
  renameSync(dataDir, moved);
  mkdirSync(dataDir, { mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=0700`, 'tmpfs', dataDir], { stdio: 'pipe' });
  } catch (error) {
    rmSync(dataDir, { recursive: true });
    renameSync(moved, dataDir);
    return String((error as { stderr?: Buffer }).stderr);
  }
  cpSync(moved, dataDir, { recursive: true, preserveTimestamps: true });
  rmSync(moved, { recursive: true });
  return undefined;
}

function fill(dataDir: string): void {
  const { bavail, bsize } = statfsSync(dataDir);
  try {
    writeFileSync(join(dataDir, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - leftBytes), 1), { flag: 'a' });
  } catch {
    // The member took some of it at the same time: then the disk is as full as it should be.
  }
}

describe('R-LED-2 R-LED-1 a member whose disk is full', () => {
  test('refuses with 420, the others go on; with room again it catches up', async ({ skip }) => {
    const [one, two, three, four] = network.members as [TestMember, TestMember, TestMember, TestMember];
    const others = [one, two, three];
    await four.stop();
    const { dataDir } = four.member;
    const problem = smallDisk(dataDir);
    if (problem !== undefined) {
      await four.start();
      console.log(`skipped: no disk of its own can be mounted here: ${problem}`);
      skip();
    }
    try {
      await four.start();
      await network.settled();
      await committed(four, await four.stamp());
      const misbehaved = logged(one, 'validator-misbehaved').length;
      fill(dataDir);
      const refusals = new Set<number>();
      await until('the member refuses for its full disk', async () => {
        fill(dataDir);
        await Promise.all(others.map(async (member) => committed(member, await member.stamp())));
        const response = await four.submit(await four.stamp());
        if (response.status !== 200) refusals.add(((await response.json()) as { code: number }).code);
        return refusals.has(420);
      });
      const standing = await four.height();
      for (const member of others) await member.commit(await member.stamp());
      await network.reaches(standing + 3, others);
      rmSync(join(dataDir, 'filler'));
      await until(
        'the member takes transactions again',
        async () => (await four.submit(await four.stamp())).status === 200,
      );
      await network.settled();
      await network.reaches(Math.max(...(await Promise.all(others.map((member) => member.height())))));
      await network.sameBlocks(Math.max(1, standing - 2));
      // What it signed last was kept: it signed nothing twice.
      expect(logged(one, 'validator-misbehaved').length).toBe(misbehaved);
    } finally {
      await four.stop();
      execFileSync('umount', ['-l', dataDir]);
    }
  });
});
