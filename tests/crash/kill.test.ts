import { describe, expect, it } from 'vitest';
import { Acknowledged, Client, Load, missing, registerDoctor } from './load.ts';
import { doctor, RealNode, seeded, sleep, temporaryDirectory } from './real-node.ts';

const kills = Number(process.env.SALUS_KILLS ?? 4);
const seed = Number(process.env.SALUS_SEED ?? Math.floor(Math.random() * 2 ** 32));
const upMsMax = 1_200;
/** Now and then it dies while it still starts. */
const startKillShare = 0.1;
const msPerKill = 12_000;
const settleMs = 1_500;

/** What was read is anchored a little later, by itself. */
async function settled(node: RealNode): Promise<{ appHash: string; height: number }> {
  for (let before = await node.status(); ; ) {
    await sleep(settleMs);
    const now = await node.status();
    if (now.height === before.height) return now;
    before = now;
  }
}

describe('R-LED-1 R-REC-1 a real node killed at random under load', () => {
  it(`has lost nothing that it acknowledged (${kills} times)`, { timeout: 60_000 + kills * msPerKill }, async () => {
    console.log(`seed ${seed}`);
    const random = seeded(seed);
    const { path: dataDir, remove } = temporaryDirectory('kill');
    const acknowledged = new Acknowledged();
    let node = await RealNode.start(dataDir);
    const client = new Client(dataDir);
    const physician = await registerDoctor(node, client);
    for (let run = 0; run < kills; run += 1) {
      const load = new Load(node, client, physician, acknowledged, { random }).start();
      await sleep(random() * upMsMax);
      await node.kill();
      await load.stop();
      if (random() < startKillShare) await RealNode.killedStart(dataDir, random() * upMsMax);
      node = await RealNode.start(dataDir);
    }
    expect(acknowledged.surprises).toEqual([]);
    expect([...acknowledged.refusals]).toEqual([]);
    expect(await missing(node, client, physician, acknowledged)).toEqual([]);

    const before = await node.status();
    expect((await registerDoctor(node, client)).length).toBeGreaterThan(0);
    expect((await node.status()).height).toBeGreaterThan(before.height);
    const { appHash } = await settled(node);
    await node.stop();
    const report = await doctor(dataDir, '--replay');
    expect(report).toMatchObject({ ok: true, problems: [] });
    node = await RealNode.start(dataDir);
    expect((await node.status()).appHash).toBe(appHash);
    await node.stop();
    const { transactions, imports, readCount } = acknowledged;
    console.log(
      `${kills} kills: ${transactions.size} transactions, ${imports.size} imports, ${readCount} reads acknowledged, ` +
        `none missing; doctor with replay: ${report.blocks} blocks, ${report.transactions} transactions, 0 problems`,
    );
    remove();
  });
});
