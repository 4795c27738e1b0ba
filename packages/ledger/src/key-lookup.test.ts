import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelErrors } from '@salus/contracts';
import { toHex } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication, LedgerErrorCodes } from './index.ts';
import { verified } from './testing/blocks.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const keyMs = 60_000;
const dayMs = 24 * 3_600_000;
const network = makeNetwork(2);
const { genesis } = network;
const [first] = genesis.members;
first!.keys = first!.keys.map((key) => ({ ...key, expiresMs: genesis.timeMs + keyMs }));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'salus-key-lookup.'));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function member(name: string, nowMs: number): Promise<DurableApplication> {
  return DurableApplication.open({ dir: join(dir, name), genesis, kernel: makeKernel(), clock: () => nowMs });
}

describe('R-LED-2 keys of signatures', () => {
  const block = { height: 1, blockTimeMs: genesis.timeMs + 1_000 };

  it('a member that executes a block long after a key of it has expired answers as the others did', async () => {
    const bytes = await stampTransaction(network, network.participants[0]!, 'a', { nowMs: block.blockTimeMs });
    const [prompt, late] = [await member('prompt', block.blockTimeMs), await member('late', genesis.timeMs + dayMs)];
    const [one, other] = [prompt, late].map((application) => {
      const { results, appHash } = application.finalizeBlock([verified(application, bytes)], block);
      return { codes: results.map(({ code }) => code), appHash: toHex(appHash) };
    });
    expect(one).toEqual(other);
    expect(one?.codes).toEqual([0]);
    await prompt.close();
    await late.close();
  });

  it('a key that has expired signs nothing, however good its signature is', async () => {
    const nowMs = genesis.timeMs + keyMs;
    const bytes = await stampTransaction(network, network.participants[0]!, 'a', { nowMs });
    const application = await member('one', nowMs);
    const transaction = verified(application, bytes);
    expect(application.checkTx(transaction).code).toBe(kernelErrors.signerNotActive.code);
    const at = { height: 1, blockTimeMs: nowMs };
    const { appHash } = application.info();
    expect(application.prepareProposal([transaction], at).accepted).toEqual([transaction]);
    expect(application.processProposal([transaction], at)).toBe(true);
    // It leaves the mempools through the block, which does nothing for it.
    const { results, ...block } = application.finalizeBlock([transaction], at);
    expect(results).toMatchObject([{ code: LedgerErrorCodes.transactionUnfit, events: [] }]);
    expect([block.appHash, block.writes.size, block.replayIds]).toEqual([appHash, 0, []]);
    await application.close();
  });
});
