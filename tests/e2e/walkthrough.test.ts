/** The main job as `salus walkthrough` plays it: node and wallets are processes of their own, on loopback. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Wallet } from '@salus/cli';
import { parseAnchor, verifyReceipt } from '@salus/protocol';
import { createLog, createSandbox, startNode } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const salusBin = fileURLToPath(new URL('../../packages/cli/bin/salus.js', import.meta.url));
const synthea = join(
  process.env.SALUS_DATA ?? join(import.meta.dirname, '../../../shared/data'),
  'synthea-fhir-r4/us-ma',
);
const syntheaPatients = 2;
const slowMs = 600_000;
const outputBytesMax = 64 * 1024 * 1024;

interface Report {
  ok: boolean;
  patients: number;
  resources: number;
  steps: { name: string; ok: boolean; ms: number; detail: string }[];
  receipts: string[];
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'salus-e2e-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function salus(...args: string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    const options = { maxBuffer: outputBytesMax };
    execFile(process.execPath, [salusBin, ...args], options, (error, out) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out });
    });
  });
}

async function walk(name: string, ...args: string[]): Promise<{ code: number; report: Report; out: string }> {
  const out = join(root, name);
  const { code, out: text } = await salus('walkthrough', '--json', '--out', out, ...args);
  return { code, report: JSON.parse(text), out };
}

function checkReport({ code, report, out }: Awaited<ReturnType<typeof walk>>): void {
  expect(
    report.steps.filter((step) => !step.ok),
    'steps that failed',
  ).toEqual([]);
  expect([code, report.ok]).toEqual([0, true]);
  expect(readdirSync(out).sort()).toEqual([...report.receipts, 'anchor.json'].sort());
}

describe('R-REC-1 R-CON-1 R-CON-2 R-IDN-1 the main job', () => {
  it('on patients that the project makes up, with proofs that stand alone', { timeout: slowMs }, async () => {
    const walked = await walk('made-up', '--data', join(root, 'kept'), '--patients', '2');
    checkReport(walked);
    const { report, out } = walked;
    expect(report.patients).toBe(2);
    expect(report.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'import',
        'forged approvals',
        'approve',
        'old approvals',
        'read',
        'revoke',
        'verify offline',
      ]),
    );
    const anchor = parseAnchor(readFileSync(join(out, 'anchor.json')));
    const proven = report.receipts.map((file) => verifyReceipt(readFileSync(join(out, file)), anchor));
    const types = new Set(
      proven.flatMap(({ transaction }) => transaction?.payload.messages.map(({ type }) => type) ?? []),
    );
    for (const type of [
      'identity/bindPatient',
      'access/request',
      'access/decide',
      'access/release',
      'consent/revoke',
    ]) {
      expect(types, type).toContain(type);
    }
    expect(proven.some(({ state }) => state?.present === true)).toBe(true);
    expect(proven.some(({ state }) => state?.present === false)).toBe(true);
  });

  it('leaves files that `salus verify` takes, and none with a changed byte', { timeout: slowMs }, async () => {
    const out = join(root, 'made-up');
    const anchor = join(out, 'anchor.json');
    const file = join(out, 'absence.json');
    expect(await salus('verify', file, '--anchor', anchor)).toMatchObject({ code: 0 });
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    const forged = join(root, 'forged.json');
    writeFileSync(forged, bytes);
    expect(await salus('verify', forged, '--anchor', anchor)).toMatchObject({ code: 1 });
  });

  it.skipIf(!existsSync(synthea))(
    `on ${syntheaPatients} Synthea patients, each at several custodians`,
    { timeout: slowMs },
    async () => {
      const walked = await walk('synthea', '--bundles', synthea, '--patients', String(syntheaPatients));
      checkReport(walked);
      expect(walked.report.patients).toBe(syntheaPatients);
      expect(walked.report.resources).toBeGreaterThan(500);
    },
  );

  it('plays on a node that runs already, and again, and leaves it running', { timeout: slowMs }, async () => {
    const data = join(root, 'running');
    await createSandbox(data);
    const node = await startNode({ dataDir: data, port: 0, log: createLog('silent') });
    try {
      for (const name of ['first', 'second']) {
        checkReport(await walk(name, '--url', node.url, '--data', data, '--patients', '1'));
      }
      expect((await fetch(`${node.url}/healthz`)).status).toBe(200);
      const other = join(root, 'other-chain');
      await createSandbox(other);
      const { code, report } = await walk('third', '--url', node.url, '--data', other);
      expect({ code, steps: report.steps.length, detail: report.steps[0]?.detail }).toEqual({
        code: 1,
        steps: 1,
        detail: expect.stringContaining('another chain'),
      });
    } finally {
      await node.stop();
    }
  });

  it('keeps the run where it is told to, for looking at', { timeout: slowMs }, async () => {
    const kept = join(root, 'kept');
    expect(await salus('doctor', '--data', join(kept, 'node'), '--json')).toMatchObject({ code: 0 });
    expect(await salus('audit', '--data', join(kept, 'node'), '--org', 'hospital')).toMatchObject({ code: 0 });
    const passphrase = readFileSync(join(kept, 'wallets', '1.passphrase'), 'utf8').trim();
    expect(Wallet.open(join(kept, 'wallets', '1'), passphrase).state.directives.length).toBeGreaterThan(1);
    expect(await salus('walkthrough', '--data', kept, '--json')).toMatchObject({ code: 1 });
  });

  it('says what is wrong with bundles that hold nobody', { timeout: slowMs }, async () => {
    const empty = mkdtempSync(join(root, 'empty-'));
    const { code, report } = await walk('nothing', '--bundles', empty);
    expect([code, report.ok]).toEqual([1, false]);
    expect(report.steps).toHaveLength(1);
    expect(report.steps[0]?.detail).not.toBe('');
  });
});
