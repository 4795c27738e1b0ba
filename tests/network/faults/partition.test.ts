import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestMember, TestNetwork } from '../test-network.ts';
import { committed, configure, rpc, standstill, until } from './fault-network.ts';
import { Namespaces, namespacesProblem } from './namespaces.ts';

const problem = namespacesProblem();
if (problem !== undefined) console.log(`skipped: ${problem}`);

const size = 4;
const delayMs = 200;
const lossPermille = 50;
const transactions = Number(process.env.SALUS_LINK_TRANSACTIONS ?? 12);

let links: Namespaces;
let network: TestNetwork;

/** Answers this machine too: a member's RPC is for its own machine alone, which here is its namespace. */
function openRpc(member: TestMember): void {
  configure(member, (config) => config.replace('[rpc]\nladdr = "tcp://127.0.0.1:', '[rpc]\nladdr = "tcp://0.0.0.0:'));
}

async function peersOf(member: TestMember): Promise<number> {
  return Number((await rpc<{ n_peers: string }>(member, 'net_info')).n_peers);
}

async function linked(): Promise<void> {
  await until('every member has three peers', async () => {
    const peers = await Promise.all(network.members.map(peersOf));
    return peers.every((count) => count === size - 1);
  });
}

/** Transactions through all members in turn, and then the same blocks everywhere. */
async function takesTransactions(): Promise<void> {
  const from = await network.members[0]!.height();
  const results = await Promise.all(
    Array.from({ length: transactions }, async (_, index) => {
      const member = network.members[index % size]!;
      return await committed(member, await member.stamp());
    }),
  );
  expect(results.every(({ code }) => code === 0)).toBe(true);
  await network.reaches(Math.max(...results.map(({ height }) => height)) + 1);
  const blocks = await network.sameBlocks(Math.max(1, from));
  const listed = blocks.flatMap((block) => block.transactions.map(({ hash }) => hash));
  expect(results.filter(({ hash }) => listed.filter((one) => one === hash).length !== 1)).toEqual([]);
}

describe.skipIf(problem !== undefined)('R-LED-2 R-LED-8 four members in network namespaces', () => {
  beforeAll(async () => {
    links = await Namespaces.make(size);
    network = await TestNetwork.create(
      size,
      Array.from({ length: size }, (_, index) => links.address(index)),
    );
    network.members.forEach(openRpc);
    await Promise.all(
      network.members.map((member, index) =>
        member.start({ prefix: links.prefix(index), args: ['--rate-limit', '0'] }),
      ),
    );
    await linked();
    await network.reaches(1);
  });
  afterAll(async () => {
    await network?.stop();
    await links?.remove();
  });

  test('two against two: no side decides anything, no fork; healed it goes on and takes what waited', async () => {
    const [one, , three] = network.members as [TestMember, TestMember, TestMember, TestMember];
    await takesTransactions();
    links.part([2, 3]);
    expect(links.connectMs(0, 2, three.member.ports.p2p, 1_000)).toBeUndefined();
    expect(links.connectMs(0, 1, network.members[1]!.member.ports.p2p, 1_000)).toBeDefined();
    const [left, right] = [await one.stamp(), await three.stamp()];
    const answers = Promise.all([committed(one, left), committed(three, right)]);
    const halted = await standstill(network.members);
    links.heal();
    for (const { height } of await answers) expect(height).toBeGreaterThan(halted);
    await network.reaches(halted + 2);
    await network.sameBlocks(Math.max(1, halted - 5));
  });

  test('three against one: the three go on, the one stands still and catches up', async () => {
    const [one, two, three, four] = network.members as [TestMember, TestMember, TestMember, TestMember];
    const others = [one, two, three];
    links.part([3]);
    const bytes = await four.stamp();
    const waiting = committed(four, bytes);
    const standing = await standstill([four]);
    for (const member of others) await committed(member, await member.stamp());
    await network.reaches(standing + 3, others);
    expect(await four.height()).toBe(standing);
    links.heal();
    const { height } = await waiting;
    expect(height).toBeGreaterThan(standing);
    await network.reaches(height + 1);
    await network.sameBlocks(standing);
  });

  test(`${delayMs} ms on every link: slower, with the same blocks everywhere`, async () => {
    await linked();
    await links.set('delay', delayMs);
    // There and back.
    expect(links.connectMs(0, 1, network.members[1]!.member.ports.p2p, 10_000)).toBeGreaterThanOrEqual(2 * delayMs);
    await takesTransactions();
    await links.set('delay', 0);
  });

  test('5 % of all frames lost, then a link that loses nothing', async () => {
    const before = await links.stats();
    await links.set('loss', lossPermille);
    await takesTransactions();
    await links.set('loss', 0);
    expect((await links.stats()).lost).toBeGreaterThan(before.lost);
    await takesTransactions();
    await linked();
  });
});
