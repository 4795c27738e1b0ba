/** `salus demo` as somebody meets it who tries Salus for the first time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createClient } from '@salus/api';
import { run } from '@salus/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const salusBin = fileURLToPath(new URL('../../packages/cli/bin/salus.js', import.meta.url));
const patients = 4;
const quietMs = 2_500;
const memoryKbMax = 500_000;

let data: string;
let url: string;
let node: ChildProcess;

async function start(): Promise<void> {
  const args = [salusBin, 'demo', '--data', data, '--port', '0', '--patients', String(patients), '--json'];
  node = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: node.stdout as NodeJS.ReadableStream });
  const [line] = await once(lines, 'line');
  ({ url } = JSON.parse(line));
}

async function stop(): Promise<number | null> {
  const ended = once(node, 'exit');
  node.kill('SIGTERM');
  const [code] = await ended;
  return code;
}

/** The height at which nothing more happens. */
async function settled(): Promise<number> {
  const client = createClient({ baseUrl: url });
  for (let height = -1; ; ) {
    const now = (await client.status()).height;
    if (now === height) return height;
    height = now;
    await sleep(quietMs);
  }
}

async function fhir(
  path: string,
  slug = 'hospital',
): Promise<{ status: number; body: { entry?: { resource: { id: string } }[] } }> {
  const out: string[] = [];
  const args = ['token', '--data', data, '--org', slug, '--as', 'practitioner:doctor-1', '--purpose', 'TREAT'];
  await run(args, { out: (text) => void out.push(text), err: () => undefined });
  const headers = { authorization: `Bearer ${out.join('')}` };
  const response = await fetch(`${url}/org/${slug}/fhir/R4/${path}`, { headers });
  return { status: response.status, body: (await response.json()) as { entry?: { resource: { id: string } }[] } };
}

const idsOf = async (slug: string): Promise<string[]> =>
  ((await fhir('Patient?birthdate=gt1900-01-01&_count=50', slug)).body.entry ?? [])
    .map(({ resource }) => resource.id)
    .sort();

beforeAll(async () => {
  data = join(mkdtempSync(join(tmpdir(), 'salus-demo-')), 'node');
  await start();
});
afterAll(() => {
  node.kill('SIGKILL');
  rmSync(join(data, '..'), { recursive: true, force: true });
});

describe('R-PPL-5 R-REC-1 salus demo', () => {
  it('answers at once, and fills with staff and patients meanwhile', async () => {
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await settled();
    for (const slug of ['hospital', 'clinic']) {
      const ids = await idsOf(slug);
      expect(ids).toHaveLength(patients);
      const { status, body } = await fhir(`Patient/${ids[0]}/$everything`, slug);
      expect([status, (body.entry?.length ?? 0) > 10]).toEqual([200, true]);
    }
    const memory = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1];
    expect(Number(memory)).toBeLessThan(memoryKbMax);
  });

  it('has the same people after a restart, and adds nothing', async () => {
    const before = [await idsOf('hospital'), await idsOf('clinic')];
    expect(await stop()).toBe(0);
    await start();
    await settled();
    expect([await idsOf('hospital'), await idsOf('clinic')]).toEqual(before);
  });
});
