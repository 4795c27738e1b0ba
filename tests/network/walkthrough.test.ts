/** The main job on four members: each is processes, keys and data of its own, and each wallet a process too. */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient } from '@salus/api';
import { didOfBytes, parseAnchor, randomBytes, verifyReceipt } from '@salus/protocol';
import { readOrganization, staffDid } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memberUrl, trustAuthority } from '../../packages/cli/src/network/addresses.ts';
import { readNetwork } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { memberPidFile, type RunningNetwork, runNetwork, waitFor } from '../../packages/cli/src/network/run-network.ts';
import { runningPid } from '../../packages/cli/src/network/supervised-process.ts';
import { salus, temporaryDirectory } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';

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

interface Own {
  client: Client;
  /** Ends its node at once, whatever it does; the supervisor starts it again. */
  kill(): void;
}

/** A member as somebody who works there sees it. */
function member(slug: string, who: 'system' | 'doctor' = 'system'): Own {
  trustAuthority(dir);
  const network = readNetwork(dir);
  const found = network.members.find((one) => one.slug === slug)!;
  const { keys } = readOrganization(found.dataDir, slug);
  const subject =
    who === 'system'
      ? { kind: 'system' as const }
      : { kind: 'practitioner' as const, id: staffDid(keys.all, 'doctor-2') };
  const about = { chain: network.chain, subject, roles: who === 'system' ? [] : ['doctor'] };
  const token = () => keys.token({ ...about, impersonated: who === 'doctor', nowMs: Date.now() });
  return {
    client: createClient({ baseUrl: memberUrl(network, found), token }),
    kill: () => process.kill(runningPid(memberPidFile(found), found.dataDir)!, 'SIGKILL'),
  };
}

describe('R-LED-8 content between members', () => {
  test('a request comes to the custodian although both nodes were killed on the way', async () => {
    const [hospital, clinic] = [member('hospital'), member('clinic')];
    const params = { slug: 'clinic' };
    await clinic.client.registerPractitioner({ params, body: { id: 'doctor-2', roles: ['doctor'] } });
    hospital.kill();
    const patient = didOfBytes(randomBytes(20));
    const body = { custodian: 'hospital', patient, purpose: 'TREAT', what: { all: true } };
    const { id } = await member('clinic', 'doctor').client.createAccessRequest({ params, body });
    clinic.kill();
    const envelopes = async (): Promise<number> => {
      const { content } = await hospital.client.getState({ params: { contract: 'access', key: `request/${id}` } });
      const { commitment } = content as { commitment: string };
      return (await hospital.client.getSealed({ params: { commitment } })).envelopes.length;
    };
    expect(await waitFor(async () => (await envelopes().catch(() => 0)) === 1, upMsMax)).toBe(true);
    const network = readNetwork(dir);
    expect(await waitFor(async () => (await networkStatus(network)).ok, upMsMax)).toBe(true);
  });
});

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
