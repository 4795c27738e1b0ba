import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SalusError, sha256, toHex } from '@salus/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableApplication, LedgerErrorCodes, openLedger, SnapshotRestore, trustedStateOf } from '../index.ts';
import { commitBlock, positionAfter, stamps, verified } from '../testing/blocks.ts';
import { diskError, FaultyFiles } from '../testing/faulty-files.ts';
import { makeKernel, makeNetwork, stampTransaction } from '../testing/fixture.ts';
import { type Carried, carry, forge, restore, trustOf } from '../testing/snapshots.ts';
import { parseSnapshot } from './manifest.ts';

const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const properties = Number(process.env.SALUS_SNAPSHOT_RUNS ?? 6);

let root: string;
const opened: { close(): Promise<void> }[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'salus-snapshot.'));
});

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  rmSync(root, { recursive: true });
});

async function open(name: string): Promise<DurableApplication> {
  const dir = join(root, name);
  const application = await DurableApplication.open({
    dir,
    genesis,
    kernel: makeKernel(),
    clock: () => genesis.timeMs,
  });
  opened.push(application);
  return application;
}

async function codeOf(promise: Promise<unknown>): Promise<number | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => (error instanceof SalusError ? error.code : -1),
  );
}

/** Nothing that opens, nothing that is in the way of the next restore. */
async function expectEmpty(dir: string): Promise<void> {
  expect(readdirSync(dir).filter((name) => !name.startsWith('lock.sqlite'))).toEqual([]);
  expect(await codeOf(DurableApplication.open({ dir, kernel: makeKernel() }))).toBe(LedgerErrorCodes.directoryEmpty);
}

/** A block of stamps `ms` after the last one; all applications get the same bytes. */
async function blockFor(applications: DurableApplication[], labels: string[], ms: number): Promise<string[]> {
  const [first] = applications as [DurableApplication];
  const { height, timeMs } = first.info();
  const position = { height: height + 1, blockTimeMs: timeMs + ms };
  const bytes = await stamps(network, position, labels);
  const roots: string[] = [];
  for (const application of applications) {
    const transactions = bytes.map((one) => verified(application, one));
    const { results } = application.finalizeBlock(transactions, position);
    expect(results.map(({ code }) => code)).toEqual(labels.map(() => 0));
    roots.push(toHex((await application.commit()).appHash));
  }
  return roots;
}

describe('R-LED-8 a snapshot', () => {
  it('restored elsewhere gives the same roots, refusals and snapshots from there on', async () => {
    const plan = fc.record({
      before: fc.integer({ min: 1, max: 12 }),
      after: fc.integer({ min: 1, max: 6 }),
      // Longer than a transaction is valid now and then, so that used ids pass and are tidied.
      steps: fc.array(fc.constantFrom(1, 1_000, 61_000, 700_000), { minLength: 18, maxLength: 18 }),
      sizes: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 18, maxLength: 18 }),
      flushAt: fc.array(fc.boolean(), { minLength: 18, maxLength: 18 }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(plan, async ({ before, after, steps, sizes, flushAt }) => {
        run += 1;
        const labels = (block: number) =>
          Array.from({ length: sizes[block] as number }, (_, n) => `${run} ${block} ${n}`);
        const original = await open(`original ${run}`);
        for (let block = 0; block < before; block += 1) {
          await blockFor([original], labels(block), steps[block] as number);
          if (flushAt[block]) await original.flush();
        }
        const making = original.snapshots.create();
        // What comes meanwhile is not in it.
        const late = await stamps(network, positionAfter(original.info()), ['late']);
        const at = original.info();
        await commitBlock(original, late);
        const carried = await carry(original.snapshots, await making);
        expect(carried.snapshot.height).toBe(at.height);

        const dir = join(root, `copy ${run}`);
        expect(await restore(carried, { dir, genesis, trusted: trustOf(carried) })).toBe('whole');
        const copy = await open(`copy ${run}`);
        expect(copy.info()).toEqual(at);
        expect(toHex(await commitBlock(copy, late))).toBe(toHex(original.info().appHash));
        const used = verified(copy, late[0] as Uint8Array);
        for (const one of [original, copy]) expect(one.processProposal([used], one.next())).toBe(false);
        for (let block = before; block < before + after; block += 1) {
          const [one, two] = await blockFor([original, copy], labels(block), steps[block] as number);
          expect(two).toBe(one);
          if (flushAt[block]) await copy.flush();
        }
        const [again, other] = [await original.snapshots.create(), await copy.snapshots.create()];
        expect(toHex(other.hash)).toBe(toHex(again.hash));
        const all = ({ state }: DurableApplication) =>
          [...state.durable.iterate('')].map(([key, stored]) => `${key} ${toHex(stored)}`);
        expect(all(copy)).toEqual(all(original));
      }),
      { numRuns: properties },
    );
  }, 60_000);

  it('has the validators, the parameters and the used ids of the state, and is handed out as it was made', async () => {
    const application = await open('one');
    await blockFor([application], ['a', 'b', 'c'], 1_000);
    const snapshot = await application.snapshots.create();
    expect(application.snapshots.list()).toEqual([snapshot]);
    const { chunks } = await carry(application.snapshots, snapshot);
    const text = Buffer.concat(chunks).toString('latin1');
    for (const key of ['governance/validator/', 'kernel/chain', 'kernel/replay/live']) expect(text).toContain(key);
    expect(parseSnapshot(snapshot)).toMatchObject({ height: 1, replayIds: 3, chain: genesis.chain });
    const { chunk } = { chunk: application.snapshots.chunk.bind(application.snapshots) };
    expect(await codeOf(chunk(1, 1, 1))).toBe(LedgerErrorCodes.snapshotUnknown);
    expect(await codeOf(chunk(2, 1, 0))).toBe(LedgerErrorCodes.snapshotUnknown);
    expect(await codeOf(chunk(1, 2, 0))).toBe(LedgerErrorCodes.snapshotUnknown);
    const [name = ''] = readdirSync(join(root, 'one', 'snapshots'));
    writeFileSync(join(root, 'one', 'snapshots', name, 'chunk-00000'), 'something else');
    expect(await codeOf(chunk(1, 1, 0))).toBe(LedgerErrorCodes.snapshotChunkDamaged);
  });

  it('has the used ids that the state still lists, when they have passed on a chain where nothing happens', async () => {
    const application = await open('idle');
    await blockFor([application], ['a', 'b'], 1_000);
    await blockFor([application], [], 700_000);
    await application.flush();
    const snapshot = await application.snapshots.create();
    expect(parseSnapshot(snapshot).replayIds).toBe(2);
    const carried = await carry(application.snapshots, snapshot);
    expect(await restore(carried, { dir: join(root, 'copy'), genesis, trusted: trustOf(carried) })).toBe('whole');
    const copy = await open('copy');
    const [one, two] = await blockFor([application, copy], ['c'], 1_000);
    expect(two).toBe(one);
    for (const either of [application, copy]) expect(either.doctor()).toMatchObject({ ok: true, problems: [] });
    expect(application.replay()).toMatchObject({ ok: true, problems: [] });
    expect(copy.replay().problems.join()).toContain('begins at block 2');
  });

  it('is one at a time, the newest three are kept, and a full disk leaves nothing of one', async () => {
    const files = new FaultyFiles();
    const dir = join(root, 'kept');
    const application = await DurableApplication.open({ dir, genesis, kernel: makeKernel(), files });
    opened.push(application);
    expect(await codeOf(application.snapshots.create())).toBe(LedgerErrorCodes.snapshotNotNow);
    for (let block = 0; block < 5; block += 1) {
      await blockFor([application], [`kept ${block}`], 1_000);
      const making = application.snapshots.create();
      expect(await codeOf(application.snapshots.create())).toBe(LedgerErrorCodes.snapshotBusy);
      await making;
    }
    expect(application.snapshots.list().map(({ height }) => height)).toEqual([5, 4, 3]);
    await blockFor([application], ['more'], 1_000);
    files.fault = (_operation, path) => (path.includes('/chunk-') ? diskError('ENOSPC') : undefined);
    expect(await codeOf(application.snapshots.create())).toBe(LedgerErrorCodes.diskFull);
    expect(readdirSync(join(dir, 'snapshots'))).toHaveLength(3);
    files.fault = () => undefined;
    expect((await application.snapshots.create()).height).toBe(6);
  });
});

describe('R-LED-8 an offer is refused', () => {
  async function made(): Promise<Carried> {
    const application = await open('source');
    await blockFor([application], ['a', 'b', 'c'], 1_000);
    return carry(application.snapshots, await application.snapshots.create());
  }

  it('of another format, chain, height, root, or with metadata that is not what the format says', async () => {
    const carried = await made();
    const { snapshot } = carried;
    const trusted = trustOf(carried);
    const dir = join(root, 'target');
    const begin = (change: object, trust: object = {}, document = genesis) =>
      codeOf(
        SnapshotRestore.begin({
          dir,
          genesis: document,
          snapshot: { ...snapshot, ...change },
          trusted: { ...trusted, ...trust },
        }),
      );
    const text = Buffer.from(snapshot.metadata).toString();
    const rehashed = (metadata: Uint8Array) => ({ metadata, hash: sha256(metadata) });
    const other = makeNetwork(4, 'salus-other').genesis;
    const { snapshotInvalid, snapshotOtherChain, snapshotOtherFormat } = LedgerErrorCodes;
    const cases: [Promise<number | undefined>, number][] = [
      [begin({ format: 2 }), snapshotOtherFormat],
      [begin(rehashed(Buffer.from(text.replace('salus-state/1', 'salus-state/9')))), snapshotOtherFormat],
      [begin(rehashed(Buffer.from(text.replace('"app":1', '"app":2')))), snapshotOtherFormat],
      [begin({}, {}, other), snapshotOtherChain],
      [begin({}, { chain: 'salus-other' }), snapshotOtherChain],
      [begin({}, { height: 2 }), snapshotOtherChain],
      [begin({}, { appHash: sha256(new Uint8Array(0)) }), snapshotInvalid],
      [begin({ height: 2 }), snapshotInvalid],
      [begin({ chunks: 2 }), snapshotInvalid],
      [begin({ hash: sha256(new Uint8Array(0)) }), snapshotInvalid],
      [begin(rehashed(Buffer.from(` ${text}`))), snapshotInvalid],
      [begin(rehashed(Buffer.from('{}'))), snapshotInvalid],
      [begin(rehashed(Buffer.from(text.replace('"entries":', '"entries":-')))), snapshotInvalid],
    ];
    for (const [index, [code, expected]] of cases.entries()) expect(await code, `case ${index}`).toBe(expected);
    expect(existsSync(dir)).toBe(false);
  });

  it('for a directory that holds anything', async () => {
    const carried = await made();
    const trusted = trustOf(carried);
    const { snapshot } = carried;
    for (const [index, name] of ['thesis.txt', 'chain.json', 'genesis.json', 'snapshots'].entries()) {
      const dir = mkdtempSync(join(root, `full-${index}-`));
      writeFileSync(join(dir, name), 'something');
      const code = await codeOf(SnapshotRestore.begin({ dir, genesis, snapshot, trusted }));
      expect([name, code]).toEqual([name, LedgerErrorCodes.directoryNotEmpty]);
      expect(readdirSync(dir)).toContain(name);
    }
  });

  it('whose manifest and chunks agree but whose state is not that of the chain; the directory is empty again', async () => {
    const carried = await made();
    const trusted = trustOf(carried);
    const bytes = Buffer.concat(carried.chunks);
    const { entries, replayIds, timeMs } = parseSnapshot(carried.snapshot);
    const change = (edit: (copy: Buffer) => Buffer | undefined): Buffer => {
      const copy = Buffer.from(bytes);
      return edit(copy) ?? copy;
    };
    /** Where the first entry ends: key and value behind their lengths. */
    const keyEnd = 4 + bytes.readUInt32LE(0);
    const entryEnd = keyEnd + 4 + bytes.readUInt32LE(keyEnd);
    const first = bytes.subarray(0, entryEnd);
    const idsAt = bytes.length - 4 - 4 - 32 * replayIds - 8;
    const forgeries: [string, Carried][] = [
      [
        'a changed value',
        forge(
          carried,
          change((copy) => void copy.writeUInt8(copy.readUInt8(entryEnd - 1) ^ 1, entryEnd - 1)),
        ),
      ],
      [
        'a changed key',
        forge(
          carried,
          change((copy) => void copy.writeUInt8(copy.readUInt8(keyEnd - 1) ^ 1, keyEnd - 1)),
        ),
      ],
      ['a missing entry', forge(carried, bytes.subarray(entryEnd), { entries: entries - 1 })],
      ['an entry twice', forge(carried, Buffer.concat([first, bytes]), { entries: entries + 1 })],
      ['an entry at the wrong place', forge(carried, Buffer.concat([bytes.subarray(entryEnd), first]))],
      ['another number of entries', forge(carried, bytes, { entries: entries + 1 })],
      [
        'a changed used id',
        forge(
          carried,
          change((copy) => void copy.writeUInt8(copy.readUInt8(idsAt + 9) ^ 1, idsAt + 9)),
        ),
      ],
      ['no used ids', forge(carried, Buffer.concat([bytes.subarray(0, idsAt), Buffer.alloc(8)]), { replayIds: 0 })],
      ['bytes behind the end', forge(carried, Buffer.concat([bytes, Buffer.alloc(1)]))],
      ['more behind the end', forge(carried, Buffer.concat([bytes, Buffer.alloc(9)]))],
      ['a missing end', forge(carried, bytes.subarray(0, bytes.length - 1))],
      [
        'a length beyond all bounds',
        forge(
          carried,
          change((copy) => void copy.writeUInt32LE(0xffff_ffff, keyEnd)),
        ),
      ],
    ];
    const dir = join(root, 'target');
    for (const [name, forged] of forgeries) {
      const code = await codeOf(restore(forged, { dir, genesis, trusted }));
      expect([name, code]).toEqual([name, LedgerErrorCodes.snapshotInvalid]);
      await expectEmpty(dir);
    }
    expect(await restore(forge(carried, bytes, { timeMs }), { dir, genesis, trusted })).toBe('whole');
  });
});

describe('R-LED-8 a snapshot of the engine that signs its blocks', () => {
  it('is made while blocks go on, carries the last block where a header proves it, and the chain goes on', async () => {
    const clock = { nowMs: Date.now() };
    const options = { genesis, validatorKey, kernel: makeKernel(), clock: () => clock.nowMs };
    const ledger = await openLedger({ ...options, dir: join(root, 'original') });
    opened.push(ledger);
    const submit = async (label: string) =>
      ledger.submit(await stampTransaction(network, network.participants[0]!, label, { nowMs: clock.nowMs }));
    await submit('first');
    await Promise.all(Array.from({ length: 30 }, (_, n) => submit(`before ${n}`)));
    const [snapshot] = await Promise.all([
      ledger.snapshots.create(),
      ...Array.from({ length: 30 }, (_, n) => submit(`during ${n}`)),
    ]);
    const proving = await ledger.block(snapshot!.height + 1);
    const carried = await carry(ledger.snapshots, snapshot!);
    const trusted = trustedStateOf(proving!.header);
    const dir = join(root, 'copy');
    const otherHeader = { ...proving!.header, lastResultsHash: sha256(new Uint8Array(1)) };
    const refused = restore(carried, { dir, genesis, trusted: trustedStateOf(otherHeader) });
    expect(await codeOf(refused)).toBe(LedgerErrorCodes.snapshotInvalid);
    await expectEmpty(dir);
    expect(await restore(carried, { dir, genesis, trusted })).toBe('whole');

    const copy = await openLedger({ ...options, kernel: makeKernel(), dir });
    opened.push(copy);
    const { height } = snapshot!;
    expect(copy.head()).toMatchObject({ height, appHash: toHex(trusted.appHash) });
    expect(await copy.block(height)).toMatchObject({ header: (await ledger.block(height))!.header });
    expect(await copy.block(height - 1)).toBeUndefined();
    const bytes = await stampTransaction(network, network.participants[1]!, 'after', { nowMs: clock.nowMs });
    const { hash, code } = await copy.submit(bytes);
    expect([code, (await copy.transaction(hash))?.height]).toEqual([0, height + 2]);
    expect(await copy.doctor()).toMatchObject({ ok: true, problems: [] });
    const { items } = await copy.find({});
    expect(items.length).toBeGreaterThan(0);
    // A cursor of a member that has the blocks from before.
    expect((await copy.find({ after: '000000000001.00000' })).items).toEqual(items);
    expect((await copy.find({ after: items[0]!.cursor })).items).toEqual(items.slice(1));
    await copy.copyTo(join(root, 'copy of the copy'));
    const again = await openLedger({ ...options, kernel: makeKernel(), dir: join(root, 'copy of the copy') });
    opened.push(again);
    expect(await again.doctor()).toMatchObject({ ok: true, problems: [] });
    expect((await copy.replay()).problems.join()).toContain(`begins at block ${height}`);
  });

  it('without the header the engine that signs has nothing to go on from', async () => {
    const ledger = await openLedger({ genesis, validatorKey, kernel: makeKernel(), dir: join(root, 'original') });
    opened.push(ledger);
    await ledger.submit(await stampTransaction(network, network.participants[0]!, 'one'));
    const carried = await carry(ledger.snapshots, await ledger.snapshots.create());
    const dir = join(root, 'copy');
    await restore(carried, { dir, genesis, trusted: trustOf(carried) });
    const opening = openLedger({ genesis, validatorKey, kernel: makeKernel(), dir });
    expect(await codeOf(opening)).toBe(LedgerErrorCodes.directoryOtherEngine);
    expect((await open('copy')).info().height).toBe(carried.snapshot.height);
  });
});
