/** The main job as `salus walkthrough` plays it: node and wallets are processes of their own, on loopback. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAnchor, verifyReceipt } from '@salus/protocol';
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
    const walked = await walk('made-up', '--patients', '2');
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

  it('says what is wrong with bundles that hold nobody', { timeout: slowMs }, async () => {
    const empty = mkdtempSync(join(root, 'empty-'));
    const { code, report } = await walk('nothing', '--bundles', empty);
    expect([code, report.ok]).toEqual([1, false]);
    expect(report.steps).toHaveLength(1);
    expect(report.steps[0]?.detail).not.toBe('');
  });
});
