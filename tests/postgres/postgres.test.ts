import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { backupNode, moveStores, recordsOf, restoreNode, startNode } from '@salus/server';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  bundleOf,
  observationOf,
  patientOf,
  type RecordsNode,
  startRecordsNode,
} from '../../packages/server/src/testing/records-node.ts';

const { SALUS_TEST_PGDATA: data = '', SALUS_TEST_PGBIN: bin = '', SALUS_TEST_PGUSER: user = '' } = process.env;
const url = process.env.SALUS_TEST_STORE ?? '';
const outageMs = 1_500;
/** Recovery after a crash takes as long as the disk does. */
const controlSMax = 100;
const writers = 4;
/** What a node may answer while its database is away: done, or come back later; never that it failed. */
const allowed = new Set([200, 201, 503]);

/** As the user whom the server belongs to. */
function control(...args: string[]): void {
  const command = [join(bin, 'pg_ctl'), '-D', data, '-w', '-t', String(controlSMax), ...args];
  const whole = process.getuid?.() === 0 ? ['runuser', '-u', user, '--', ...command] : command;
  execFileSync(whole[0] ?? '', whole.slice(1), { stdio: 'ignore' });
}

function dump(): string {
  const args = ['--inserts', '--dbname', url];
  return execFileSync(join(bin, 'pg_dump'), args, { encoding: 'latin1', maxBuffer: 1 << 30 });
}

function* filesOf(path: string): Generator<string> {
  for (const name of readdirSync(path)) {
    const inner = join(path, name);
    if (statSync(inner).isDirectory()) yield* filesOf(inner);
    else yield inner;
  }
}

let records: RecordsNode;
beforeEach(async () => {
  records = await startRecordsNode();
});
afterEach(async () => {
  await records.stop();
});

const put = async (id: string, token: string) =>
  await records.fhir(`/Observation/${id}`, { method: 'PUT', body: observationOf(id, 'p1'), token });

describe('R-LED-8 a node whose rows are in PostgreSQL', () => {
  test('lives through a database that crashes and comes back: nothing acknowledged is lost, nothing is a fault', async () => {
    await records.import(bundleOf([patientOf('p1')]));
    const token = await records.system();
    const acknowledged: string[] = [];
    const statuses = new Set<number>();
    let isOver = false;
    const write = async (writer: number): Promise<void> => {
      for (let n = 0; !isOver; n += 1) {
        const id = `w${writer}-${n}`;
        const { status } = await put(id, token);
        statuses.add(status);
        if (status === 200 || status === 201) acknowledged.push(id);
        else await sleep(20);
      }
    };
    const work = Array.from({ length: writers }, (_, writer) => write(writer));
    await sleep(outageMs);
    control('-m', 'immediate', 'stop');
    expect((await fetch(`${records.node.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${records.node.url}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${records.node.url}/metrics`)).text()).toMatch(/salus_store_up\{[^}]*\} 0/);
    await sleep(outageMs);
    control('start', '-l', join(data, '..', 'log'));
    await expect.poll(async () => (await fetch(`${records.node.url}/readyz`)).status).toBe(200);
    const before = acknowledged.length;
    await expect.poll(() => acknowledged.length).toBeGreaterThan(before);
    isOver = true;
    await Promise.all(work);
    expect([...statuses].filter((status) => !allowed.has(status))).toEqual([]);
    for (const id of acknowledged) expect(await records.records().resources.find('Observation', id)).toBeDefined();
    expect(statuses).toContain(503);
  });

  test('a copy of its directory cannot run beside it', async () => {
    const copy = `${records.dataDir}-copy`;
    await records.node.stop();
    cpSync(records.dataDir, copy, { recursive: true });
    await records.restart();
    try {
      const second = startNode({ dataDir: copy, port: 0, logLevel: 'silent', storeUrl: url });
      await expect(second).rejects.toThrow(expect.objectContaining({ code: 851 }));
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });

  test('is refused without the address of its database, and with one where it has files', async () => {
    await records.node.stop();
    const start = (storeUrl?: string) => startNode({ dataDir: records.dataDir, port: 0, logLevel: 'silent', storeUrl });
    await expect(start()).rejects.toThrow(expect.objectContaining({ code: 853 }));
    await moveStores(records.dataDir, 'sqlite', url);
    await expect(start(url)).rejects.toThrow(expect.objectContaining({ code: 853 }));
    await moveStores(records.dataDir, 'postgres', url);
  });

  test('keeps everything when its rows move to files and back', async () => {
    await records.import(bundleOf([patientOf('p1'), observationOf('o1', 'p1')]));
    const { token } = await records.practitioner();
    const read = async () => (await records.fhir('/Observation/o1', { token })).body;
    const before = await read();
    expect(before).toMatchObject({ id: 'o1' });
    await records.node.stop();
    const there = await moveStores(records.dataDir, 'sqlite', url);
    expect(there.rows).toBeGreaterThan(0);
    await records.restart({ storeUrl: undefined });
    expect(await read()).toEqual(before);
    expect((await put('o2', await records.system())).status).toBe(201);
    await records.node.stop();
    expect((await moveStores(records.dataDir, 'postgres', url)).rows).toBeGreaterThan(there.rows);
    await records.restart();
    expect(await read()).toEqual(before);
    expect((await put('o2', await records.system())).status).toBe(200);
  });

  test('is backed up into files, with which a node is restored without a database', async () => {
    await records.import(bundleOf([patientOf('p1'), observationOf('o1', 'p1')]));
    await records.node.stop();
    const [backup, restored] = [`${records.dataDir}-backup`, `${records.dataDir}-restored`];
    try {
      await expect(backupNode(records.dataDir, backup)).rejects.toThrow(expect.objectContaining({ code: 853 }));
      await backupNode(records.dataDir, backup, { storeUrl: url });
      const report = await restoreNode({ from: backup, keys: records.dataDir, data: restored });
      expect(report).toMatchObject({ ok: true, problems: [] });
      const node = await startNode({ dataDir: restored, port: 0, logLevel: 'silent' });
      expect(await recordsOf(node).get('hospital')?.resources.find('Observation', 'o1')).toMatchObject({ id: 'o1' });
      await node.stop();
    } finally {
      for (const path of [backup, restored]) rmSync(path, { recursive: true, force: true });
      await records.restart();
    }
  });

  test('R-REC-3 leaves no name, number or address in any byte of the database', async () => {
    const about = { address: [{ line: ['7 Wobblestone Lane'], city: 'Fernhollow' }], telecom: [{ value: '555-0173' }] };
    await records.import(bundleOf([patientOf('p1', 'Quillfeather', about), observationOf('o1', 'p1')]));
    await records.fhir('/Observation/o1', { token: (await records.practitioner()).token });
    await records.node.stop();
    control('-m', 'fast', 'restart', '-l', join(data, '..', 'log'));
    const words = ['Quillfeather', 'Odile', 'MRN-p1', '1971-03-05', 'Wobblestone', 'Fernhollow', '555-0173', '8867-4'];
    const rows = dump();
    expect(rows).toContain('INSERT INTO');
    expect(words.filter((word) => rows.includes(word))).toEqual([]);
    for (const file of filesOf(data)) {
      const bytes = readFileSync(file);
      expect(words.filter((word) => bytes.includes(word)).map((word) => `${word} in ${file}`)).toEqual([]);
    }
    await records.restart();
  });
});
