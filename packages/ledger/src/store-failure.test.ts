import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LedgerErrorCodes, openLedger } from './index.ts';
import { makeKernel, makeNetwork } from './testing/fixture.ts';

const run = promisify(execFile);
const freeListChild = fileURLToPath(new URL('./testing/free-list-child.ts', import.meta.url));
const limitedChild = fileURLToPath(new URL('./testing/limited-child.ts', import.meta.url));
const network = makeNetwork(4);
const { genesis, validatorKey } = network;
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

describe('R-LED-1 a store that cannot be written', () => {
  it.skipIf(process.platform === 'win32')(
    'stops the ledger, with a number, and nothing acknowledged is lost',
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
