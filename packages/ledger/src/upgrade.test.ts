import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtInContracts, type Contract, defineMessage, Kernel, messageSchema } from '@salus/contracts';
import { SalusError, toHex } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CometLedger, DurableApplication, LedgerErrorCodes, openLedger, rollBack, upgradeProblem } from './index.ts';
import { AbciClient } from './testing/abci-client.ts';
import { commitBlock, positionAfter, stamps, verified } from './testing/blocks.ts';
import { makeNetwork, stampTransaction } from './testing/fixture.ts';
import { carry, restore, trustOf } from './testing/snapshots.ts';

const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const [member] = network.participants;

/** What is said, and from which version on it is said otherwise. */
function greeting(first: string, revised?: string): Contract {
  const saying = (word: string, since?: number) =>
    defineMessage({
      schema: messageSchema('greeting/say', {}),
      cost: 1,
      handle: (state) => {
        const count = (state.get<number>('greeting/count/all') ?? 0) + 1;
        state.put('greeting/count/all', count);
        state.put(`greeting/word/${count}`, word);
        return word;
      },
      ...(since !== undefined && { since }),
    });
  return {
    name: 'greeting',
    number: 90,
    messages: {
      'greeting/announce': defineMessage({
        schema: messageSchema('greeting/announce', {}),
        cost: 1,
        handle: (state, _message, { height }) => state.call('kernel', 'scheduleVersion', [2, height + 2]) as number,
      }),
      'greeting/say': { ...saying(first), ...(revised !== undefined && { revisions: [saying(revised, 2)] }) },
    },
    errors: {},
    invariants: () => [],
  };
}

const oldProgram = () => new Kernel([...builtInContracts, greeting('hello')], { latestVersion: 1 });
const newProgram = () => new Kernel([...builtInContracts, greeting('hello', 'good day')], { latestVersion: 2 });
/** The same change, and nobody remembered that it needs a version. */
const careless = () => new Kernel([...builtInContracts, greeting('good day')], { latestVersion: 2 });

let parent: string;
let dir: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'salus-upgrade.'));
  dir = join(parent, 'ledger');
});
afterEach(() => rmSync(parent, { recursive: true }));

const open = (kernel: Kernel) => DurableApplication.open({ dir, genesis, kernel, clock: () => genesis.timeMs });

async function using<T>(kernel: Kernel, work: (application: DurableApplication) => Promise<T>): Promise<T> {
  const application = await open(kernel);
  try {
    return await work(application);
  } finally {
    await application.close();
  }
}

function saying(application: DurableApplication, verb: string): Promise<Uint8Array> {
  const { blockTimeMs: nowMs } = positionAfter(application.info());
  return stampTransaction(network, member!, verb, { nowMs, messages: [{ type: `greeting/${verb}` }] });
}

async function say(application: DurableApplication, verb = 'say'): Promise<unknown> {
  const bytes = await saying(application, verb);
  const answer = application.finalizeBlock([verified(application, bytes)], positionAfter(application.info()));
  await application.commit();
  return answer.results[0]?.outputs[0];
}

function codeOf(error: unknown): number {
  if (!(error instanceof SalusError)) throw error;
  return error.code;
}

/** A chain of the old program that stands right before the block of version 2. */
async function announced(): Promise<void> {
  await using(oldProgram(), async (application) => {
    expect(await say(application)).toBe('hello');
    expect(await say(application, 'announce')).toBe(2);
    expect(await say(application)).toBe('hello');
  });
}

describe('R-LED-6 R-PPL-5 upgrade', () => {
  it('a new program gives the old chain its old results, and one that forgot the version is found before it matters', async () => {
    await announced();
    const replayed = (kernel: Kernel) => using(kernel, async (application) => application.replay());
    expect(await replayed(newProgram())).toMatchObject({ ok: true, blocks: 3, transactions: 3 });
    const found = await replayed(careless());
    expect(found.problems).toContain('block 1: executed again it gives another root');
    expect(found.problems).toContain('block 1: executed again it gives another results');
  });

  it('a program without the version stops before the block, its data whole; the right one goes on there', async () => {
    await announced();
    const before = await using(oldProgram(), async (application) => {
      const info = application.info();
      const bytes = await saying(application, 'say');
      expect(application.checkTx(verified(application, bytes)).code).not.toBe(0);
      expect(() => application.finalizeBlock([verified(application, bytes)], positionAfter(info))).toThrow('version 2');
      expect(upgradeProblem(application.kernel, application.state.execution, info.height + 1)?.code).toBe(442);
      expect(application.doctor().problems).toEqual([]);
      expect(application.replay().problems).toEqual([]);
      return info;
    });
    const words = await using(newProgram(), async (application) => {
      expect(application.info()).toEqual(before);
      return [await say(application), await say(application)];
    });
    expect(words).toEqual(['good day', 'good day']);
    const report = await using(newProgram(), async (application) => application.replay());
    expect(report).toMatchObject({ ok: true, blocks: 5 });
  });

  it('on CometBFT: it refuses the block with 442 and tells whoever runs it; the next start refuses at once', async () => {
    await using(oldProgram(), async (application) => {
      await say(application, 'announce');
    });
    const fatal: number[] = [];
    const options = { dir, genesis, abci: { path: join(parent, 's') }, rpcPort: 1, softwareVersion: 'test' };
    const kernel = oldProgram();
    const clock = () => genesis.timeMs;
    const onFatal = (problem: SalusError): void => void fatal.push(problem.code);
    const ledger = await CometLedger.open({ ...options, kernel, clock, onFatal });
    const client = await AbciClient.connect(join(parent, 's'));
    const block = (height: bigint) => ({ height, time: { seconds: 1_700_000_100n + height, nanos: 0 }, txs: [] });
    await client.call('finalizeBlock', block(2n));
    await client.call('commit');
    const head = ledger.head();
    await expect(client.call('processProposal', block(3n))).rejects.toThrow('version 2');
    await expect(client.call('finalizeBlock', block(3n))).rejects.toThrow('version 2');
    expect(fatal).toEqual([442, 442]);
    expect(ledger.head()).toEqual(head);
    client.socket.destroy();
    await ledger.close();
    const refused = await CometLedger.open({ ...options, kernel: oldProgram(), clock }).catch(codeOf);
    expect(refused).toBe(LedgerErrorCodes.upgradeNeeded);
    const right = await CometLedger.open({ ...options, kernel: newProgram(), clock });
    expect(right.head()).toEqual(head);
    await right.close();
  });

  it('on the embedded engine: nothing more is taken, what is there is read', async () => {
    const ledger = await openLedger({ dir, genesis, validatorKey, kernel: oldProgram() });
    const send = (verb: string) =>
      stampTransaction(network, member!, verb, { messages: [{ type: `greeting/${verb}` }] }).then((bytes) =>
        ledger.submit(bytes),
      );
    const { height, hash } = await send('announce');
    // The block that proves the announcement is the last one of the old version.
    await ledger.receipt(hash);
    expect(await send('say').catch(codeOf)).toBe(LedgerErrorCodes.upgradeNeeded);
    expect(ledger.status().ok).toBe(false);
    expect(ledger.head().height).toBe(height + 1);
    expect((await ledger.doctor()).problems).toEqual([]);
    await ledger.close();
    const right = await openLedger({ dir, genesis, validatorKey, kernel: newProgram() });
    const bytes = await stampTransaction(network, member!, 'later', { messages: [{ type: 'greeting/say' }] });
    expect((await right.submit(bytes)).outputs).toEqual(['good day']);
    await right.close();
  });
});

describe('R-PPL-5 one block back', () => {
  const blocks = ['a', 'b', 'c', 'd'];
  async function filled(): Promise<{ heads: string[]; last: Uint8Array[] }> {
    return using(oldProgram(), async (application) => {
      const heads: string[] = [];
      let last: Uint8Array[] = [];
      for (const label of blocks) {
        last = await stamps(network, positionAfter(application.info()), [label, `${label}2`]);
        heads.push(toHex(await commitBlock(application, last)));
      }
      await application.snapshots.create();
      return { heads, last };
    });
  }
  const back = (height: number) => rollBack({ dir, kernel: oldProgram(), height });

  it('gives the state of the block before, proven by its root, and the block again gives the same', async () => {
    const { heads, last } = await filled();
    expect(await back(3)).toMatchObject({ height: 3, appHash: heads[2] });
    expect(await back(3)).toMatchObject({ height: 3 });
    await using(oldProgram(), async (application) => {
      expect(application.info().height).toBe(3);
      expect(application.snapshots.list()).toEqual([]);
      expect(application.state.place(toHex(verified(application, last[0]!).tx.hash))).toBeUndefined();
      expect(application.doctor().problems).toEqual([]);
      expect(toHex(await commitBlock(application, last))).toBe(heads[3]);
      expect(application.replay().problems).toEqual([]);
    });
  });

  it('killed between the renames, it is ended by the next attempt', async () => {
    const { heads } = await filled();
    await back(3);
    renameSync(dir, `${dir}.rollback`);
    await using(oldProgram(), async () => undefined);
    renameSync(dir, `${dir}.before`);
    expect(await back(3)).toMatchObject({ height: 3, appHash: heads[2] });
    expect([existsSync(`${dir}.before`), existsSync(`${dir}.rollback`)]).toEqual([false, false]);
  });

  it('is refused where the blocks from genesis on are not here, with nothing changed', async () => {
    const { heads } = await filled();
    expect(await back(0).catch(codeOf)).toBe(LedgerErrorCodes.rollbackUnable);
    expect(await back(5).catch(codeOf)).toBe(LedgerErrorCodes.rollbackUnable);
    const restored = join(parent, 'restored');
    await using(oldProgram(), async ({ snapshots }) => {
      const carried = await carry(snapshots, snapshots.list()[0]!);
      await restore(carried, { dir: restored, genesis, trusted: trustOf(carried) });
    });
    const refused = await rollBack({ dir: restored, kernel: oldProgram(), height: 3 }).catch(codeOf);
    expect(refused).toBe(LedgerErrorCodes.rollbackUnable);
    await using(oldProgram(), async (application) => {
      expect(toHex(application.info().appHash)).toBe(heads[3]);
    });
  });
});
