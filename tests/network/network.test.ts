import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKernel, kernelErrors, parseGenesis } from '@salus/contracts';
import { CometRpc, DurableApplication } from '@salus/ledger';
import { type Anchor, parseAnchor, parseTransaction, verifyReceipt } from '@salus/protocol';
import { openDirectory } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { prepareResync } from '../../packages/cli/src/network/resync.ts';
import {
  type BlockJson,
  hashOf,
  type Result,
  randomOf,
  snapshotEveryBlocks,
  type TestMember,
  TestNetwork,
} from './test-network.ts';

const rounds = Number(process.env.SALUS_ROUNDS ?? 8);
const seed = Number(process.env.SALUS_SEED ?? Date.now() % 2 ** 31);
/** Each at least once, then at random. */
const kinds = ['application', 'comet', 'both'] as const;
const endingMs = 4_000;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let network: TestNetwork;
beforeAll(async () => {
  network = await TestNetwork.start(4);
});
afterAll(() => network.stop());

async function bytesOf(member: TestMember, path: string): Promise<Uint8Array> {
  const response = await fetch(member.url + path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function anchorOf(member: TestMember): Promise<Anchor> {
  return parseAnchor(await bytesOf(member, '/api/anchor'));
}

/** The roots that the state machine gives for these blocks where no consensus is. */
async function rootsOf(blocks: readonly BlockJson[], sent: ReadonlyMap<string, Uint8Array>): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'salus-alone-'));
  const member = network.members[0]!;
  const genesis = parseGenesis(openDirectory(member.member.dataDir).genesis());
  const alone = await DurableApplication.open({ dir: join(dir, 'ledger'), genesis, kernel: createKernel() });
  try {
    const roots: string[] = [];
    for (const { height, timeMs, transactions } of blocks) {
      const verified = [];
      for (const { hash } of transactions) {
        const tx = parseTransaction(sent.get(hash) ?? Buffer.alloc(0));
        const keysUsed = tx.signatures.map(({ kid }) => {
          const key = alone.keyFor(kid, tx.payload);
          if ('code' in key) throw new Error(key.log);
          return key.thumbprint;
        });
        verified.push({ tx, keysUsed });
      }
      alone.finalizeBlock(verified, { height, blockTimeMs: timeMs });
      roots.push(Buffer.from((await alone.commit()).appHash).toString('hex'));
    }
    return roots;
  } finally {
    await alone.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Transactions in the mempool of a member's CometBFT. */
async function waitingAt({ member }: TestMember): Promise<number> {
  const rpc = new CometRpc(member.ports.rpc);
  try {
    return Number(((await rpc.call('num_unconfirmed_txs')) as { total: string }).total);
  } finally {
    rpc.close();
  }
}

/** Its validity ends while the chain stands: beside what waits already it is in the mempool when this resolves. */
async function submitEnding(member: TestMember): Promise<Promise<Response>[]> {
  const sent: Promise<Response>[] = [];
  // Where the machine is slow its validity may end before it gets there.
  for (let lookMs = 0; (await waitingAt(member)) < 2; lookMs = lookMs > 0 ? lookMs - 100 : endingMs) {
    if (lookMs <= 0) {
      const digest = randomBytes(32).toString('base64url');
      sent.push(member.submit(await member.sign([{ type: 'kernel/stamp', digest }], endingMs)));
    }
    await sleep(100);
  }
  return sent;
}

async function emptied(member: TestMember): Promise<void> {
  const until = Date.now() + 60_000;
  while ((await waitingAt(member)) > 0) {
    if (Date.now() > until) throw new Error(`transactions stay in the mempool of ${member.member.slug}`);
    await sleep(100);
  }
}

/** Lanes that stamp through all members in turn; what was answered is kept. */
class Load {
  readonly acknowledged = new Map<string, Result>();
  #isStopped = false;
  readonly #lanes: Promise<void>[];

  constructor(members: readonly TestMember[], lanes: number) {
    this.#lanes = Array.from({ length: lanes }, (_, lane) => this.#run(members, lane));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#lanes);
  }

  async #run(members: readonly TestMember[], lane: number): Promise<void> {
    for (let turn = lane; !this.#isStopped; turn += 1) {
      const member = members[turn % members.length]!;
      try {
        const bytes = await member.stamp();
        const result = await member.commit(bytes);
        this.acknowledged.set(hashOf(bytes), result);
      } catch {
        // Its member is being killed: nothing was acknowledged.
        await sleep(20);
      }
    }
  }
}

describe('R-LED-2 four members', () => {
  test('take transactions through any of them and agree on every block, whose roots are the state machine’s', async () => {
    const sent = new Map<string, Uint8Array>();
    const send = async (member: TestMember): Promise<Result> => {
      const bytes = await member.stamp();
      sent.set(hashOf(bytes), bytes);
      return member.commit(bytes);
    };
    const results = await Promise.all(
      network.members.flatMap((member) => Array.from({ length: 15 }, () => send(member))),
    );
    expect(results.every(({ code }) => code === 0)).toBe(true);
    await network.reaches(Math.max(...results.map(({ height }) => height)) + 1);
    const blocks = await network.sameBlocks();
    const listed = new Set(blocks.flatMap(({ transactions }) => transactions.map(({ hash }) => hash)));
    expect(results.filter(({ hash }) => !listed.has(hash))).toEqual([]);
    expect(await rootsOf(blocks, sent)).toEqual(blocks.map(({ appHash }) => appHash));
  });

  test('R-LED-7 a receipt of one member verifies offline under the anchor of another', async () => {
    const [one, two, three] = network.members as [TestMember, TestMember, TestMember];
    const { hash, height } = await one.commit(await one.stamp());
    await network.reaches(height + 1);
    const anchor = await anchorOf(three);
    const report = verifyReceipt(await bytesOf(two, `/api/transactions/${hash}/receipt`), anchor);
    expect(report).toMatchObject({ height, chain: network.network.chain });
    const other = { ...anchor, chain: 'another' };
    const receipt = await bytesOf(two, `/api/transactions/${hash}/receipt`);
    expect(() => verifyReceipt(receipt, other)).toThrow();
  });

  test('the same bytes through two members at once stand in one block once, and give both one answer', async () => {
    const [one, two] = network.members as [TestMember, TestMember];
    const bytes = await one.stamp();
    const [first, second] = await Promise.all([one.commit(bytes), two.commit(bytes)]);
    expect(second).toEqual(first);
    expect(await two.commit(bytes)).toEqual(first);
  });

  test('refuse what no block may hold, wherever it is sent, and go on', async () => {
    const [one, two] = network.members as [TestMember, TestMember];
    const bytes = await one.stamp();
    const text = Buffer.from(bytes).toString();
    const at = text.indexOf('"signature":"') + 30;
    const forged = Buffer.from(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
    const expired = await one.sign([{ type: 'kernel/stamp', digest: 'A'.repeat(43) }], -60_000);
    for (const wrong of [forged, expired, Buffer.from('{}')]) {
      for (const member of [one, two]) {
        expect([400, 422]).toContain((await member.submit(wrong)).status);
        expect((await fetch(`${member.url}/api/transactions/${hashOf(wrong)}`)).status).toBe(404);
      }
    }
    expect((await two.commit(bytes)).code).toBe(0);
  });

  test(`${rounds} times SIGKILL under load (seed ${seed}): the chain goes on, the member comes back, nothing answered is lost`, {
    timeout: 240_000 + rounds * 30_000,
  }, async () => {
    const random = randomOf(seed);
    const before = await network.members[0]!.height();
    const load = new Load(network.members, 8);
    const kills = { application: 0, comet: 0, both: 0 };
    for (let round = 0; round < rounds; round += 1) {
      const victim = network.members[Math.floor(random() * 4)]!;
      const kind = kinds[round < kinds.length ? round : Math.floor(random() * kinds.length)]!;
      kills[kind] += 1;
      await sleep(200 + random() * 800);
      const pids = [
        kind === 'comet' ? undefined : victim.pid(),
        kind === 'application' ? undefined : victim.cometPid(),
      ];
      for (const pid of pids) if (pid !== undefined) process.kill(pid, 'SIGKILL');
      const others = network.members.filter((member) => member !== victim);
      const height = await others[0]!.height();
      await network.reaches(height + 3, others);
      await network.settled();
      // It is back: it has what the others decided without it, and the same root.
      await network.reaches(height + 3, [victim]);
      const [theirs, its] = await Promise.all(
        [others[0]!, victim].map((member) => member.get<BlockJson>(`/api/blocks/${height + 3}`)),
      );
      expect(its?.appHash).toBe(theirs?.appHash);
    }
    await load.stop();
    console.log(`killed ${JSON.stringify(kills)}; ${load.acknowledged.size} transactions acknowledged`);
    expect(load.acknowledged.size).toBeGreaterThan(rounds);
    await network.reaches(Math.max(...[...load.acknowledged.values()].map(({ height }) => height)) + 1);
    const blocks = await network.sameBlocks(before);
    const places = new Map(
      blocks.flatMap(({ height, transactions }) => transactions.map(({ hash }, index) => [hash, `${height}.${index}`])),
    );
    const lost = [...load.acknowledged].filter(
      ([hash, { height, index }]) => places.get(hash) !== `${height}.${index}`,
    );
    expect(lost).toEqual([]);
  });

  test('two of four down: no block, no fork; with them back it goes on and takes what waited', async () => {
    const [one, two, three, four] = network.members as [TestMember, TestMember, TestMember, TestMember];
    await Promise.all([three.stop(), four.stop()]);
    // What was decided when they left may still be stored.
    await sleep(1_000);
    const halted = Math.max(await one.height(), await two.height());
    const waiting = await one.stamp();
    const answer = one.submit(waiting);
    const ended = await submitEnding(one);
    await sleep(endingMs);
    expect(await waitingAt(one)).toBe(2);
    expect(Math.max(await one.height(), await two.height())).toBe(halted);
    expect((await networkStatus(network.network)).ok).toBe(false);
    await Promise.all([three.start(), four.start()]);
    await network.settled();
    const response = await answer;
    expect(response.status).toBe(200);
    const { height } = (await response.json()) as Result;
    expect(height).toBeGreaterThan(halted);
    // Block time stood with the chain: by the first block its validity may not have ended yet.
    const answers = await Promise.all(ended.map(async (response) => (await response).json() as Promise<Result>));
    expect(answers.filter(({ code }) => code !== 0 && code !== kernelErrors.expired.code)).toEqual([]);
    await network.reaches(height + 1);
    await network.sameBlocks(Math.max(1, halted - 5));
    // What nobody can put into a block any more would make every member's CometBFT produce one empty block after another.
    for (const member of network.members) await emptied(member);
    const quietFrom = await one.height();
    await sleep(2_000);
    // One block may prove the last state; the next is due after 15 s.
    expect(await one.height()).toBeLessThan(quietFrom + 4);
  });

  test('R-LED-8 a member that lost its ledger takes a snapshot of the others, proven by their votes, and goes on', async () => {
    const [one, , , four] = network.members as [TestMember, TestMember, TestMember, TestMember];
    while ((await one.height()) < snapshotEveryBlocks + 5) await one.commit(await one.stamp());
    const { hash, height: before } = await one.commit(await one.stamp());
    await four.stop();
    await prepareResync(network.network, four.member);
    await four.start();
    await network.settled();
    const { height } = await four.commit(await four.stamp());
    expect(height).toBeGreaterThan(before);
    await network.reaches(height + 1);
    await network.sameBlocks(before + 1);
    const log = readFileSync(join(four.member.dataDir, 'member.log'), 'utf8');
    expect(log).toContain('snapshot-offered');
    // A receipt that it makes itself, of a transaction that came after the snapshot.
    const after = await four.commit(await four.stamp());
    await network.reaches(after.height + 1);
    const receipt = await bytesOf(four, `/api/transactions/${after.hash}/receipt`);
    expect(verifyReceipt(receipt, await anchorOf(one)).height).toBe(after.height);
    expect((await fetch(`${one.url}/api/transactions/${hash}`)).status).toBe(200);
  });

  test('R-LED-6 a vote changes the power of a validator, and receipts from then on still verify from genesis', async () => {
    const [one, two] = network.members as [TestMember, TestMember];
    const power = 12;
    const effectiveHeight = await network.votePower(one, power);
    const status = await networkStatus(network.network);
    expect(status.members.map(({ comet }) => comet?.power)).toEqual([power, 10, 10, 10]);
    const { hash, height } = await two.commit(await two.stamp());
    await network.reaches(height + 1);
    const receipt = await bytesOf(two, `/api/transactions/${hash}/receipt`);
    expect(verifyReceipt(receipt, await anchorOf(one)).height).toBe(height);
    expect(JSON.parse(Buffer.from(receipt).toString()).trust).toHaveLength(1);
    await network.sameBlocks(effectiveHeight);
  });
});
