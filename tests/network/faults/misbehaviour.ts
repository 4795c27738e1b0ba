import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ed25519PublicKey } from '@salus/protocol';
import { beforeAll, describe, expect, test } from 'vitest';
import { cometHomeOf } from '../../../packages/cli/src/network/comet-home.ts';
import { type MemberStatus, networkStatus } from '../../../packages/cli/src/network/network-status.ts';
import { prepareResync } from '../../../packages/cli/src/network/resync.ts';
import { type BlockJson, snapshotEveryBlocks, TestMember, type TestNetwork } from '../test-network.ts';
import { committed, configure, evidenceIn, logged, until } from './fault-network.ts';
import { isAll, sharedNetwork } from './shared-network.ts';
import type { Tampering } from './tampered-member.ts';

const entry = fileURLToPath(new URL('tampered-member.ts', import.meta.url));
const tampered = (what: Tampering) => ({ entry, env: { SALUS_TAMPER: what } });

let network: TestNetwork;
let others: TestMember[];
let four: TestMember;
beforeAll(async () => {
  network = await sharedNetwork();
  others = network.members.slice(0, 3);
  four = network.members[3]!;
});

async function statusOf(member: TestMember): Promise<MemberStatus> {
  const { members } = await networkStatus(network.network);
  return members.find(({ slug }) => slug === member.member.slug)!;
}

/** Transactions through these members until something holds. */
async function stampUntil(what: string, members: readonly TestMember[], holds: () => Promise<boolean>): Promise<void> {
  await until(what, async () => {
    await Promise.all(members.map(async (member) => committed(member, await member.stamp())));
    return holds();
  });
}

async function honestAgain(): Promise<void> {
  await four.stop();
  await four.start();
  await network.settled();
  const { height } = await committed(others[0]!, await others[0]!.stamp());
  await network.reaches(height + 1);
}

describe('R-LED-2 R-LED-3 a member whose program was changed', () => {
  test('a proposal that no block may be is refused by all others, who name its proposer and go on', async () => {
    await four.stop();
    const before = await others[0]!.height();
    await four.start(tampered('proposal'));
    await network.settled();
    await stampUntil('every other member refused a proposal', others, async () =>
      others.every((member) => logged(member, 'proposal-refused').length > 0),
    );
    const status = await statusOf(four);
    const address = status.comet?.address;
    for (const member of others) {
      const [refused] = logged(member, 'proposal-refused');
      expect(refused).toMatchObject({ validator: address, reason: 'a transaction without a good signature' });
    }
    expect(status.faults?.map(({ kind }) => kind)).toContain('proposal-refused');
    const seenBy = status.faults?.flatMap(({ kind, seenBy: by }) => (kind === 'proposal-refused' ? [by] : []));
    expect(seenBy).toEqual(expect.arrayContaining(others.map(({ member }) => member.slug)));
    for (const member of others) {
      const { faults = [] } = await statusOf(member);
      expect(faults.filter(({ kind }) => kind === 'proposal-refused')).toEqual([]);
    }
    await network.sameBlocks(before);
    await honestAgain();
  });

  test('a wrong result stops that member alone, status names it, and a resync makes it whole', async () => {
    await four.stop();
    const before = await others[0]!.height();
    await four.start(tampered('result'));
    await network.settled();
    await stampUntil('status says that its state differs', others, async () =>
      /its state after block \d+ is not that of the others/.test((await statusOf(four)).problem ?? ''),
    );
    expect((await networkStatus(network.network)).ok).toBe(false);
    for (const member of others) expect((await statusOf(member)).problem).toBeUndefined();
    const standing = await four.height();
    // What it decided for itself is in no header: the others have one root, and it another.
    const roots = await Promise.all(
      others.map(async (member) => (await member.get<BlockJson>(`/api/blocks/${standing}`)).appHash),
    );
    expect(new Set(roots).size).toBe(1);
    expect((await four.get<{ appHash: string }>('/api/status')).appHash).not.toBe(roots[0]);
    while ((await others[0]!.height()) < snapshotEveryBlocks + 5) await others[0]!.commit(await others[0]!.stamp());
    await network.sameBlocks(before, others);
    await four.stop();
    await prepareResync(network.network, four.member);
    await honestAgain();
    expect((await statusOf(four)).problem).toBeUndefined();
  });

  test.runIf(isAll)('one that withholds transactions and snapshots delays nobody', async () => {
    const [one, two, three] = others as [TestMember, TestMember, TestMember];
    await four.stop();
    await four.start(tampered('withhold'));
    await network.settled();
    const before = await one.height();
    const results = await Promise.all(
      network.members.flatMap((member) =>
        Array.from({ length: 5 }, async () => committed(member, await member.stamp())),
      ),
    );
    expect(results.every(({ code }) => code === 0)).toBe(true);
    await network.reaches(Math.max(...results.map(({ height }) => height)) + 1);
    await network.sameBlocks(before);
    // A member that comes anew is offered its snapshots too, and takes the pieces of the others.
    await three.stop();
    await prepareResync(network.network, three.member);
    await three.start();
    await network.settled();
    const { height } = await committed(three, await three.stamp());
    await network.reaches(height + 1, [one, two, three]);
    await network.sameBlocks(height, [one, two, three]);
    expect(logged(three, 'snapshot-offered').length).toBeGreaterThan(0);
    await honestAgain();
  });
});

function signedTwice(member: TestMember): Record<string, unknown>[] {
  return logged(member, 'validator-misbehaved').filter(({ type }) => type === 1);
}

/** The same validator a second time: a copy of the stopped member, without what it signed last, at other ports. */
function twinOf(member: TestMember): TestMember {
  const { slug, dataDir, ports } = member.member;
  const twinDir = `${dataDir}-twin`;
  cpSync(dataDir, twinDir, { recursive: true });
  const home = cometHomeOf(twinDir);
  const shift = 10;
  const moved = { http: ports.http + shift, p2p: ports.p2p + shift, rpc: ports.rpc + shift };
  const twin = new TestMember({ slug, dataDir: twinDir, ports: moved }, network.network.host);
  configure(twin, (config) =>
    config
      .replace(`"tcp://127.0.0.1:${ports.rpc}"`, `"tcp://127.0.0.1:${moved.rpc}"`)
      .replace(`"tcp://127.0.0.1:${ports.p2p}"`, `"tcp://127.0.0.1:${moved.p2p}"`),
  );
  const rewrite = (path: string, change: (value: Record<string, unknown>) => object): void => {
    const file = join(home, path);
    writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')))));
  };
  const seed = Buffer.alloc(32, 7);
  const value = Buffer.concat([seed, ed25519PublicKey(seed)]).toString('base64');
  rewrite('config/node_key.json', () => ({ priv_key: { type: 'tendermint/PrivKeyEd25519', value } }));
  rewrite('data/priv_validator_state.json', () => ({ height: '0', round: 0, step: 0 }));
  rewrite('salus.json', (settings) => ({ ...settings, ports: moved }));
  rmSync(join(twinDir, 'member.pid'), { force: true });
  rmSync(join(home, 'comet.pid'), { force: true });
  rmSync(join(home, 'app.sock'), { force: true });
  return twin;
}

describe('R-LED-2 R-LED-3 a validator that runs twice', () => {
  test('signs two blocks of one height: evidence stands in a block, log and status name it, the others go on', async () => {
    await four.stop();
    const twin = twinOf(four);
    const from = await others[0]!.height();
    try {
      await Promise.all([four.start(), twin.start()]);
      await stampUntil('every other member was told of the evidence', others, async () =>
        others.every((member) => signedTwice(member).length > 0),
      );
    } finally {
      await twin.stop();
    }
    const status = await statusOf(four);
    for (const member of others) {
      expect(signedTwice(member)[0]).toMatchObject({ validator: status.comet?.address });
      const evidence = await evidenceIn(member, from, await member.height());
      expect(evidence[0]).toMatchObject({ type: 'tendermint/DuplicateVoteEvidence' });
    }
    const seenBy = status.faults?.flatMap((fault) => (fault.kind === 'double-vote' ? [fault.seenBy] : []));
    for (const { member } of others) expect(seenBy).toContain(member.slug);
    const results = await Promise.all(others.map(async (member) => committed(member, await member.stamp())));
    expect(results.every(({ code }) => code === 0)).toBe(true);
    await network.reaches(Math.max(...results.map(({ height }) => height)) + 1, others);
    await network.sameBlocks(from, others);
    await honestAgain();
    await network.sameBlocks(from);
  });
});
