import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { type JsonValue, signTransaction } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../http/log.ts';
import { examineDirectory } from '../node/doctor.ts';
import { createSandbox } from '../node/sandbox.ts';
import { type RunningNode, startNode } from '../node/start-node.ts';
import { generateKey, keySpec } from '../orgs/keys.ts';
import { readOrganization } from '../orgs/offline-keys.ts';
import { selfSigned } from '../testing/certificate.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { certificateExpiries } from './certificates.ts';
import { expiryCriticalMs, expiryLevel, expiryWarningMs } from './expiry.ts';
import { ExpiryWatch } from './expiry-watch.ts';

const dayMs = 86_400_000;
const validForMs = 60_000;
const directory = temporaryDirectory();
const data = join(directory.path, 'node');
const lines: Record<string, unknown>[] = [];
/** The clock that the node goes by: tests let years pass. */
let aheadMs = 0;
let node: RunningNode | undefined;

async function start(certificates: string[] = []): Promise<RunningNode> {
  lines.length = 0;
  const log = createLog('warn', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  node = await startNode({ dataDir: data, port: 0, log, certificates, clockMs: () => Date.now() + aheadMs });
  return node;
}

async function stop(): Promise<void> {
  await node?.stop();
  node = undefined;
}

/** Puts a new key in the place of `name` that ends in so many days; the node itself keeps the file it has. */
async function limit(running: RunningNode, slug: string, name: string, days: number): Promise<void> {
  const { keys } = readOrganization(data, slug);
  const old = keys.all.find((key) => key.name === name)!;
  const key = await generateKey(old.purpose, { taken: keys.all.map((one) => one.name) });
  const spec = { ...keySpec(key), expiresMs: Date.now() + days * dayMs } as unknown as JsonValue;
  const message = { type: 'identity/rotateKey', participant: keys.profile.did, name, key: spec };
  const validUntil = Date.now() + validForMs;
  const body = await signTransaction({
    chain: running.chain,
    messages: [message],
    signers: [keys.signer()],
    validUntil,
  });
  await createClient({ baseUrl: running.url }).submitTransaction({ body });
}

function certificate(name: string, ...days: number[]): string {
  const path = join(directory.path, `${name}.pem`);
  writeFileSync(path, days.map((one) => selfSigned(`${name}.example`, Date.now() + one * dayMs)).join(''));
  return path;
}

beforeAll(async () => {
  await createSandbox(data);
});
afterAll(async () => {
  await stop();
  directory.remove();
});

describe('R-IDN-1 the end of keys and certificates', () => {
  test('has a level that follows from the time that is left', () => {
    const level = (leftMs: number) => expiryLevel(1e12 + leftMs, 1e12);
    expect(level(expiryWarningMs + 1)).toBeUndefined();
    expect(level(expiryWarningMs)).toBe('warning');
    expect(level(expiryCriticalMs + 1)).toBe('warning');
    expect(level(expiryCriticalMs)).toBe('critical');
    expect(level(1)).toBe('critical');
    expect(level(0)).toBe('expired');
    expect(level(-1)).toBe('expired');
  });

  test('is told of no key that has no end, nor of a rotation', async () => {
    const running = await start();
    expect(running.status().expiring).toEqual([]);
    expect(lines.filter(({ event }) => String(event).startsWith('key-'))).toEqual([]);
    await stop();
  });

  test('of certificates is the first among a chain, and a file without one is refused', async () => {
    const long = certificate('long', 400);
    const short = certificate('short', 400, 3);
    expect(certificateExpiries([long])[0]!.expiresMs).toBeGreaterThan(Date.now() + 399 * dayMs);
    const running = await start([long, short]);
    expect(running.status().expiring.filter(({ kind }) => kind === 'certificate')).toMatchObject([
      { kind: 'certificate', name: 'short.pem', level: 'critical' },
    ]);
    const text = await createClient({ baseUrl: running.url }).metrics();
    expect(Number(/salus_certificate_expiry_seconds\{certificate="2"\} (\S+)/.exec(text)?.[1])).toBeLessThan(
      4 * 86_400,
    );
    expect(text).not.toContain('short.pem');
    await stop();
    const problem = { code: 729 };
    await expect(start([join(data, 'salus.json')])).rejects.toMatchObject(problem);
    await expect(start([join(data, 'not-there.pem')])).rejects.toMatchObject(problem);
    const report = await examineDirectory(data, { certificates: [short] });
    expect(report.warnings).toContainEqual(expect.stringMatching(/^the certificate short\.pem ends on /));
    const ended = await examineDirectory(data, { certificates: [certificate('gone', -1)] });
    expect(ended.ok).toBe(false);
    expect(ended.problems).toEqual([expect.stringMatching(/^the certificate gone\.pem ended on /)]);
  });

  test('is told in the status, the metrics and the log, by the ledger’s word', async () => {
    const running = await start();
    await limit(running, 'clinic', 'auth-1', 20);
    const [one, ...others] = running.status().expiring;
    expect(others).toEqual([]);
    expect(one).toMatchObject({
      kind: 'key',
      organization: 'clinic',
      purpose: 'authenticate',
      name: 'auth-2',
      level: 'warning',
    });
    const text = await createClient({ baseUrl: running.url }).metrics();
    const seconds = Number(
      /salus_key_expiry_seconds\{organization="clinic",purpose="authenticate"\} (\S+)/.exec(text)?.[1],
    );
    expect(seconds).toBeGreaterThan(19 * 86_400);
    expect(seconds).toBeLessThanOrEqual(20 * 86_400);
    await stop();
  });

  test('is told of all members, and in the log of those that the node serves', async () => {
    const running = await start();
    const told: string[] = [];
    const log = createLog('warn', { write: (line) => void told.push(line) });
    const watch = (slug: string): ExpiryWatch => {
      const served = running.members.filter((member) => member.slug === slug);
      const { reader } = running;
      return new ExpiryWatch({ reader, served, certificates: [], log, height: () => 1, nowMs: () => Date.now() });
    };
    const ofHospital = watch('hospital');
    expect(ofHospital.expiring().map(({ organization }) => organization)).toEqual(['clinic']);
    expect(told).toEqual([]);
    const ofClinic = watch('clinic');
    expect(told).toHaveLength(1);
    // The same again within a day is one line.
    ofClinic.tell();
    expect(told).toHaveLength(1);
    ofHospital.close();
    ofClinic.close();
    await stop();
  });

  test('is told by the doctor before it is a problem', async () => {
    const report = await examineDirectory(data);
    expect(report.warnings).toEqual([expect.stringMatching(/^clinic: the authenticate key auth-2 ends on \d{4}-/)]);
    expect(report.problems.filter((problem) => problem.includes('ends on'))).toEqual([]);
  });

  // Last: blocks carry the time that has passed, and no later start goes back behind them.
  test('comes nearer as time passes, and is past at last', async () => {
    aheadMs = 14 * dayMs;
    const later = await start();
    expect(later.status().expiring.map(({ level }) => level)).toEqual(['critical']);
    expect(lines).toMatchObject([
      { level: 'warn', event: 'key-expires', organization: 'clinic', purpose: 'authenticate', days: 5 },
    ]);
    await stop();
    aheadMs = 21 * dayMs;
    expect((await start()).status().expiring.map(({ level }) => level)).toEqual(['expired']);
    expect(lines).toMatchObject([{ event: 'key-expired', organization: 'clinic' }]);
    await stop();
  });
});
