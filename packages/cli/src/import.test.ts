import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createSandbox, NodeErrorCodes, startNode } from '@salus/server';
import { generatePatients, sandboxDirectory } from '@salus/standards';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './program.ts';

let temporary: string;
let data: string;
let bundles: string;

async function salus(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await run([...args, '--data', data, '--json'], io);
  return { code, value: JSON.parse(out.join('\n')) };
}

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'salus-import-'));
  data = join(temporary, 'node');
  bundles = join(temporary, 'bundles');
  await createSandbox(data);
  mkdirSync(bundles);
  // By name the directory would come last; what it holds decides.
  writeFileSync(join(bundles, 'zz-directory.json'), JSON.stringify(sandboxDirectory()));
  for (const { id, bundle } of generatePatients({ seed: 'cli', count: 3 })) {
    writeFileSync(join(bundles, `${id}.json.gz`), gzipSync(JSON.stringify(bundle)));
  }
  writeFileSync(join(bundles, 'notes.txt'), 'not FHIR');
});

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

describe('R-REC-4 salus import', () => {
  test('takes a directory without a server, organisations first; repeating it changes nothing', async () => {
    const first = await salus('import', '--org', 'hospital', bundles);
    expect(first.value.errors).toEqual([]);
    expect([first.code, first.value.files, first.value.rejected, first.value.unchanged]).toEqual([0, 4, 0, 0]);
    expect(first.value.accepted).toBe(first.value.resources);
    expect(first.value.patients).toHaveLength(3);
    expect(first.value.patients[0].did).toMatch(/^did:salus:/);
    expect(first.value.seconds).toBeGreaterThan(0);
    const again = await salus('import', '--org', 'hospital', bundles);
    expect([again.code, again.value.accepted, again.value.unchanged]).toEqual([
      0,
      first.value.accepted,
      first.value.accepted,
    ]);
    expect(again.value.patients).toEqual(first.value.patients);
  });

  test('ends with 1 and says file, entry and number when something is rejected or cut off', async () => {
    const wrong = join(temporary, 'wrong.ndjson');
    writeFileSync(wrong, '{"resourceType":"Patient","id":"n-1"}\n{"resourceType":"Wish","id":"n-2"}\n');
    const { code, value } = await salus('import', '--org', 'clinic', wrong);
    expect([code, value.accepted, value.rejected]).toEqual([1, 1, 1]);
    expect(value.errors[0]).toMatchObject({ file: 'wrong.ndjson', entry: 1, code: 331 });
    const cut = join(temporary, 'cut.json.gz');
    const whole = gzipSync(JSON.stringify(sandboxDirectory()));
    writeFileSync(cut, whole.subarray(0, whole.length - 40));
    const half = await salus('import', '--org', 'clinic', cut);
    expect([half.code, half.value.complete]).toEqual([1, false]);
  });

  test('says what is wrong with the command line', async () => {
    expect((await salus('import', '--org', 'nobody', bundles)).value.code).toBe(NodeErrorCodes.organizationUnknown);
    expect((await salus('import', '--org', 'hospital', join(temporary, 'missing.json'))).value.code).toBe(721);
    expect((await salus('import', '--org', 'hospital')).code).toBe(2);
  });

  test('sends to a running node, whose directory is taken', async () => {
    const node = await startNode({ dataDir: data, port: 0, logLevel: 'silent' });
    try {
      const locked = await salus('import', '--org', 'payer', bundles);
      expect([locked.code, locked.value.code]).toEqual([1, NodeErrorCodes.dataDirectoryLocked]);
      const sent = await salus('import', '--org', 'payer', '--url', node.url, bundles);
      expect([sent.code, sent.value.rejected, sent.value.patients.length]).toEqual([0, 0, 3]);
      const refused = await salus('import', '--org', 'payer', '--url', node.url, '--token', 'x.y.z', bundles);
      expect([refused.code, refused.value.code]).toEqual([1, 621]);
    } finally {
      await node.stop();
    }
  });
});
