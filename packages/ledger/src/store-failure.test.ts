import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { directoryPaths } from './directory.ts';
import { LedgerErrorCodes, openLedger } from './index.ts';
import { Store } from './state/store.ts';
import { descriptorsOf, makeReadOnly } from './testing/descriptors.ts';
import { makeKernel, makeNetwork, stampTransaction } from './testing/fixture.ts';

const run = promisify(execFile);
const freeListChild = fileURLToPath(new URL('./testing/free-list-child.ts', import.meta.url));
const limitedChild = fileURLToPath(new URL('./testing/limited-child.ts', import.meta.url));
const network = makeNetwork(4);
const { genesis, validatorKey } = network;
const hasProc = process.platform === 'linux';
const segmentBytes = 256 * 1024;
/** The store is the only file that grows to this. */
const fileKibibytes = 768;
/** More threads than writes: each write is the first one of its thread, whose stack then holds zeros. */
const threads = '1024';
const timeoutMs = 60_000;

let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'salus-failure.')));
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = () => openLedger({ dir, genesis, validatorKey, kernel: makeKernel(), verifyWorkers: 1 });

/** LMDB can no longer write its pages, or no longer its first pages, with which a commit ends. */
function breakStore(store: string, isSynced: boolean): void {
  const file = join(store, 'data.mdb');
  const broken = descriptorsOf(file).filter((one) => one.isSynced === isSynced);
  expect(broken.length).toBe(1);
  for (const { fd } of broken) makeReadOnly(fd, file);
}

const put = (store: Store, ...keys: string[]): Promise<void> =>
  store.write((writer) => {
    for (const key of keys) writer.state(key, Buffer.from(key));
  });

describe('R-LED-1 a store that cannot be written', () => {
  it.skipIf(!hasProc).each([false, true])(
    'is opened again, below those who read (first pages: %s)',
    async (isSynced) => {
      const store = new Store(dir);
      await put(store, 'a', 'b', 'c', 'd');
      const reading = store.rangeState('')[Symbol.iterator]();
      expect(reading.next().value?.[0]).toBe('a');
      const pinned = store.pin();
      const pinnedRows = pinned.rangeState()[Symbol.iterator]();
      expect(pinnedRows.next().value?.[0]).toBe('a');

      breakStore(dir, isSynced);
      await expect(put(store, 'lost')).rejects.toMatchObject({ code: LedgerErrorCodes.storeUnwritable });
      expect(store.getState('lost')).toBeUndefined();
      expect(store.getState('b')).toEqual(Buffer.from('b'));
      await put(store, 'bb');
      expect([reading.next(), reading.next(), reading.next()].map(({ value }) => value?.[0])).toEqual(['b', 'bb', 'c']);
      expect(() => pinnedRows.next()).toThrow();
      expect(() => pinned.getState('a')).toThrow();
      pinned.release();

      // As often as it happens.
      breakStore(dir, isSynced);
      await expect(put(store, 'lost')).rejects.toMatchObject({ code: LedgerErrorCodes.storeUnwritable });
      await put(store, 'e');
      await store.close();
      expect(() => store.getState('a')).toThrow();
      const again = new Store(dir);
      expect([...again.rangeState('')].map(([key]) => key)).toEqual(['a', 'b', 'bb', 'c', 'd', 'e']);
      await again.close();
    },
  );

  it.skipIf(!hasProc).each([false, true])(
    'keeps no transaction waiting and loses none (first pages: %s)',
    async (isSynced) => {
      const rejections: unknown[] = [];
      const note = (error: unknown): number => rejections.push(error);
      process.on('unhandledRejection', note);
      let ledger = await open();
      const hashes: string[] = [];
      const submit = async (label: string): Promise<void> => {
        const stamps = network.participants.map((one) => stampTransaction(network, one, label));
        const answers = await Promise.all((await Promise.all(stamps)).map((bytes) => ledger.submit(bytes)));
        hashes.push(...answers.map(({ hash }) => hash));
      };
      await submit('before');
      await ledger.flush();
      breakStore(directoryPaths(dir).store, isSynced);
      await submit('broken');
      await Promise.all([ledger.flush(), submit('meanwhile')]);
      expect(ledger.status()).toEqual({ ok: true, problem: undefined });
      await submit('after');
      expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
      await ledger.close();
      ledger = await open();
      for (const hash of hashes) expect((await ledger.transaction(hash))?.code, hash).toBe(0);
      expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
      await ledger.close();
      process.off('unhandledRejection', note);
      expect(rejections).toEqual([]);
    },
    timeoutMs,
  );

  it.skipIf(process.platform === 'win32')(
    'however often it was opened again stops the ledger, with a number, and nothing acknowledged is lost',
    async () => {
      const limited = 'ulimit -f "$1"; shift; exec "$@"';
      const command = [process.execPath, limitedChild, dir, String(segmentBytes)];
      const { stdout } = await run('bash', ['-c', limited, 'limited', String(fileKibibytes), ...command]);
      const { storeFailed } = LedgerErrorCodes;
      const said = JSON.parse(stdout) as { acknowledged: string[]; problem: string };
      expect(said).toMatchObject({
        flushed: storeFailed,
        ok: false,
        read: 0,
        submitted: storeFailed,
        closed: storeFailed,
      });
      expect(said.problem).toContain('start again');
      const ledger = await open();
      expect(said.acknowledged.length).toBeGreaterThan(0);
      for (const hash of said.acknowledged) expect((await ledger.transaction(hash))?.code, hash).toBe(0);
      await ledger.flush();
      expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
      await ledger.close();
    },
    timeoutMs,
  );
});

describe('R-LED-1 a store whose free pages are used up by one write', () => {
  it(
    'takes that write, and those behind it',
    async () => {
      const env = { ...process.env, UV_THREADPOOL_SIZE: threads };
      const { stdout } = await run(process.execPath, [freeListChild], { env });
      expect(JSON.parse(stdout)).toEqual({ failures: [] });
    },
    timeoutMs,
  );
});
