import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLedger } from './index.ts';
import { makeKernel, makeNetwork } from './testing/fixture.ts';
import { runUntilKilled } from './testing/run-load.ts';

const kills = Number(process.env.SALUS_KILLS ?? 5);
const upMsMax = 900;

describe('R-LED-1 a process killed at random', () => {
  it(`has lost nothing that it acknowledged (${kills} times)`, { timeout: 60_000 + kills * 6_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'salus-kill-'));
    try {
      const acknowledged: string[] = [];
      for (let run = 0; run < kills; run += 1) {
        const lines = await runUntilKilled(dir, `kill ${run}`, Math.random() * upMsMax);
        expect(lines[0]).toBe('ready');
        expect(lines.filter((line) => line.startsWith('refused'))).toEqual([]);
        acknowledged.push(...lines.slice(1));
      }
      const { genesis, validatorKey } = makeNetwork(4);
      const ledger = await openLedger({ dir, genesis, validatorKey, kernel: makeKernel() });
      const missing: string[] = [];
      for (const hash of acknowledged) {
        const found = await ledger.transaction(hash);
        if (found?.code !== 0) missing.push(hash);
      }
      expect(missing).toEqual([]);
      expect(await ledger.doctor()).toMatchObject({ ok: true, problems: [] });
      await ledger.close();
      console.log(`${kills} kills, ${acknowledged.length} acknowledged transactions, none missing`);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
