/** The main job on four members: each is processes, keys and data of its own, and each wallet a process too. */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { parseAnchor, verifyReceipt } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readNetwork } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { type RunningNetwork, runNetwork, waitFor } from '../../packages/cli/src/network/run-network.ts';
import { salus, temporaryDirectory } from '../crash/real-node.ts';
import { freeBasePort } from './test-network.ts';

const synthea = join(
  process.env.SALUS_DATA ?? join(import.meta.dirname, '../../../shared/data'),
  'synthea-fhir-r4/us-ma',
);
const patients = process.env.SALUS_WALKTHROUGH_PATIENTS ?? '1';
const upMsMax = 120_000;
const slowMs = 600_000;

interface Report {
  ok: boolean;
  patients: number;
  resources: number;
  steps: { name: string; ok: boolean; ms: number; detail: string }[];
  receipts: string[];
}

const temporary = temporaryDirectory('members');
const dir = join(temporary.path, 'network');
let running: RunningNetwork;
beforeAll(async () => {
  const basePort = String(await freeBasePort());
  const made = await salus(['network', 'init', '--validators', '4', '--tls', '--dir', dir, '--base-port', basePort]);
  expect(made.exitCode, made.stdout).toBe(0);
  const network = readNetwork(dir);
  running = await runNetwork(dir, network);
  expect(await waitFor(async () => (await networkStatus(network)).ok, upMsMax)).toBe(true);
});
afterAll(async () => {
  await running?.stop();
  temporary.remove();
});

async function walk(
  name: string,
  ...args: string[]
): Promise<{ report: Report; exitCode: number | null; out: string }> {
  const out = join(temporary.path, name);
  const { exitCode, stdout } = await salus(['walkthrough', '--network', dir, '--out', out, '--json', ...args]);
  return { report: JSON.parse(stdout) as Report, exitCode, out };
}

describe('R-LED-2 R-REC-1 R-CON-1 R-CON-2 the main job on four members', () => {
  test('on patients of real records, read at the custodian’s member, with proofs that stand alone', {
    timeout: slowMs,
  }, async () => {
    const bundles = existsSync(synthea) ? ['--bundles', synthea] : [];
    const { report, exitCode, out } = await walk('proofs', ...bundles, '--patients', patients);
    expect(report.steps.filter(({ ok }) => !ok)).toEqual([]);
    expect([exitCode, report.ok, report.patients]).toEqual([0, true, Number(patients)]);
    expect(report.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['reach members', 'forged approvals', 'nobody else', 'one history', 'verify']),
    );
    await running.stop();
    renameSync(dir, `${dir}-away`);
    const anchorFile = join(out, 'anchor.json');
    const anchor = parseAnchor(readFileSync(anchorFile));
    for (const file of report.receipts) verifyReceipt(readFileSync(join(out, file)), anchor);
    const verified = await salus(['verify', join(out, report.receipts[0]!), '--anchor', anchorFile]);
    expect(verified.exitCode, verified.stdout).toBe(0);
  });
});
