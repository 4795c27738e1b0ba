import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { proofKeyOf, proofValueOf, toHex, verifyMembership, verifyNonMembership } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication, LedgerErrorCodes, openLedger } from './index.ts';
import { commitBlock, positionAfter, stamps, verified } from './testing/blocks.ts';
import { diskError, FaultyFiles } from './testing/faulty-files.ts';
import { makeKernel, makeNetwork } from './testing/fixture.ts';

const network = makeNetwork(4);
const { genesis } = network;

let dir: string;
let application: DurableApplication;
let files: FaultyFiles;
/** Block times are the test's own, long before the present. */
const open = () => DurableApplication.open({ dir, genesis, kernel: makeKernel(), files, clock: () => genesis.timeMs });

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'salus-application.'));
  files = new FaultyFiles();
  application = await open();
});

afterEach(async () => {
  await application.close();
  rmSync(dir, { recursive: true });
});

const next = (labels: string[]) => stamps(network, positionAfter(application.info()), labels);

describe('R-LED-2 DurableApplication', () => {
  it('shows a block after its commit only, and keeps it over a restart', async () => {
    const before = application.info();
    const transactions = await next(['a', 'b']);
    const position = positionAfter(before);
    const answer = application.finalizeBlock(
      transactions.map((bytes) => verified(application, bytes)),
      position,
    );
    expect(answer.results.map(({ code }) => code)).toEqual([0, 0]);
    expect(application.info()).toEqual(before);
    await application.close();
    application = await open();
    expect(application.info()).toEqual(before);
    // The consensus engine gives it again.
    expect(toHex(await commitBlock(application, transactions))).toBe(toHex(answer.appHash));
    await application.close();
    application = await open();
    expect(application.info()).toMatchObject({ height: 1, timeMs: position.blockTimeMs, appHash: answer.appHash });
  });

  it('answers the same block again alike and refuses any other', async () => {
    const transactions = await next(['a', 'b']);
    const position = positionAfter(application.info());
    const give = (bytes: Uint8Array[], at = position) =>
      application.finalizeBlock(
        bytes.map((one) => verified(application, one)),
        at,
      );
    expect(() => give(transactions, { ...position, height: 2 })).toThrow(/does not follow/);
    const first = give(transactions);
    expect(give(transactions)).toBe(first);
    expect(() => give(transactions.slice(1))).toThrow(/does not follow/);
    expect(await application.commit()).toMatchObject({ height: 1 });
    // A repeated commit changes nothing.
    expect(await application.commit()).toMatchObject({ height: 1 });
  });

  it('proposes what may stand in a block and accepts nothing else', async () => {
    const [one, two] = (await next(['a', 'b'])) as [Uint8Array, Uint8Array];
    const position = positionAfter(application.info());
    const candidates = [one, one, two].map((bytes) => verified(application, bytes));
    const { accepted, refused } = application.prepareProposal(candidates, position);
    expect([accepted.length, [...refused.keys()]]).toEqual([2, [1]]);
    expect(application.processProposal(accepted, position)).toBe(true);
    expect(application.processProposal(candidates, position)).toBe(false);
    // Whatever may leave through a block, the same bytes stand there once.
    expect(
      application.processProposal(
        [one, one].map((bytes) => verified(application, bytes)),
        position,
      ),
    ).toBe(false);
    const root = application.finalizeBlock(accepted, position).appHash;
    expect(application.query('kernel/chain').appHash).toEqual(root);
    await application.commit();
    expect(application.checkTx(candidates[0]!).code).toBe(1004);
  });

  it('proves presence and absence under the root that it names', async () => {
    await commitBlock(application, await next(['a', 'b', 'c']));
    for (const key of ['kernel/chain', 'kernel/nothing']) {
      const { stored, proof, appHash, height } = application.query(key);
      expect([stored !== undefined, height]).toEqual([key === 'kernel/chain', 1]);
      const isProven =
        proof.kind === 'existence'
          ? verifyMembership(appHash, proof, proofKeyOf(key), proofValueOf(stored as Uint8Array))
          : verifyNonMembership(appHash, proof, proofKeyOf(key));
      expect([proof.kind, isProven]).toEqual([stored ? 'existence' : 'absence', true]);
    }
  });

  it('on a full disk refuses what is new, waits with the commit, loses nothing and goes on', async () => {
    await commitBlock(application, await next(['a']));
    const [late, other] = (await next(['late', 'other'])) as [Uint8Array, Uint8Array];
    const waiting = [late, other].map((bytes) => verified(application, bytes));
    files.fault = (operation) => (operation === 'write' ? diskError('ENOSPC') : undefined);
    const { appHash } = application.finalizeBlock(waiting.slice(0, 1), positionAfter(application.info()));
    const committing = application.commit();
    await expect.poll(() => application.status().ok).toBe(false);
    expect(application.checkTx(waiting[1]!).code).toBe(LedgerErrorCodes.diskFull);
    expect(application.info().height).toBe(1);
    files.fault = () => undefined;
    expect(await committing).toMatchObject({ height: 2, appHash });
    await expect.poll(() => application.checkTx(waiting[1]!).code).toBe(0);
  });

  it('waits for room where not even a new file can be named', async () => {
    await application.close();
    files.fault = (operation, path) => {
      return operation === 'open' && path.endsWith('/spare') ? diskError('ENOSPC') : undefined;
    };
    application = await open();
    await expect.poll(() => application.status().ok).toBe(false);
    files.fault = () => undefined;
    await expect.poll(() => application.status().ok).toBe(true);
    await commitBlock(application, await next(['a']));
    expect(application.info().height).toBe(1);
  });

  it('is no directory for the engine that signs its own blocks', async () => {
    await commitBlock(application, await next(['a']));
    await application.close();
    const { validatorKey } = network;
    const opening = openLedger({ dir, genesis, validatorKey, kernel: makeKernel() });
    await expect(opening).rejects.toMatchObject({ code: LedgerErrorCodes.directoryOtherEngine });
    application = await open();
    expect(application.info().height).toBe(1);
  });
});
