import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessDesks } from '../access/access-part.ts';
import { accountingOf } from '../access/accounting.ts';
import { callNode } from '../control/call.ts';
import { NodeErrorCodes } from '../node/errors.ts';
import { startNode } from '../node/start-node.ts';
import { recordsOf } from '../records/records-part.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { pinDatabase } from './backup.ts';
import { copyErasureLists } from './erasure-lists.ts';
import { readManifest } from './manifest.ts';
import { restoreNode } from './restore.ts';

const temporary = temporaryDirectory();
const at = (...names: string[]): string => join(temporary.path, ...names);
const patients = ['p1', 'p2', 'p3'];
let records: RecordsNode;
let doctor: { did: string; token: string };

const faultOf = (work: Promise<unknown>): Promise<number | undefined> =>
  work.then(
    () => undefined,
    (error) => error.code,
  );

function escrow(target: string): string {
  cpSync(join(records.dataDir, 'keys'), join(target, 'keys'), { recursive: true });
  for (const slug of readdirSync(join(records.dataDir, 'orgs'))) {
    cpSync(join(records.dataDir, 'orgs', slug, 'keys'), join(target, 'orgs', slug, 'keys'), { recursive: true });
  }
  return target;
}

const read = (patient: string): Promise<{ status: number; body: { total?: number } }> =>
  records.fhir(`/Observation?patient=${patient}`, { token: doctor.token });

/** Imports and reads without a pause until it is told to stop; gives what it imported. */
function load(): { stop(): Promise<number> } {
  let isOver = false;
  const working = (async () => {
    let imported = 0;
    for (; !isOver; imported += 1) {
      const patient = patients[imported % patients.length]!;
      await records.import(bundleOf([observationOf(`late-${imported}`, patient)]));
      expect((await read(patient)).status).toBe(200);
    }
    return imported;
  })();
  return {
    stop() {
      isOver = true;
      return working;
    },
  };
}

beforeAll(async () => {
  records = await startRecordsNode();
  const first = patients.flatMap((id) => [patientOf(id), observationOf(`o-${id}`, id), observationOf(`e-${id}`, id)]);
  await records.import(bundleOf(first));
  doctor = await records.practitioner();
  escrow(at('escrow'));
});
afterAll(async () => {
  await records.stop();
  temporary.remove();
});

describe('R-LED-8 what no backup of a running node is made of', () => {
  const backup = (to: string): Promise<unknown> => callNode(records.dataDir, { command: 'backup', to });

  test('a target inside, around or taken; two at once; a directory where nothing runs', async () => {
    expect(await faultOf(backup(join(records.dataDir, 'b')))).toBe(NodeErrorCodes.inputInvalid);
    expect(await faultOf(backup(at('escrow')))).toBe(NodeErrorCodes.backupTargetTaken);
    const both = await Promise.all([faultOf(backup(at('one'))), faultOf(backup(at('two')))]);
    expect(both.filter((code) => code === NodeErrorCodes.backupUnderWay)).toHaveLength(1);
    expect([existsSync(at('one', 'backup.json')), existsSync(at('two', 'backup.json'))]).toContain(true);
    expect(existsSync(at('one')) && existsSync(at('two'))).toBe(false);
    expect(await faultOf(callNode(at('nowhere'), { command: 'backup', to: at('b') }))).toBe(
      NodeErrorCodes.controlUnavailable,
    );
  });

  test('somebody who does not know the secret, or sends what is no request', async () => {
    const { port, secret } = JSON.parse(readFileSync(join(records.dataDir, 'control'), 'utf8'));
    const say = (text: string): Promise<string> =>
      new Promise((resolve) => {
        let heard = '';
        const socket = connect(port, '127.0.0.1', () => socket.end(text));
        socket.on('data', (piece) => {
          heard += piece;
        });
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(heard));
      });
    const wrong = { secret: `${secret.slice(1)}A`, command: 'backup', to: at('stolen') };
    const unfit = [JSON.stringify(wrong), '{}', 'GET / HTTP/1.1', '', '"', `{"secret":"${'x'.repeat(70_000)}"}`];
    for (const text of unfit) {
      const heard = await say(`${text}\n`);
      expect(heard === '' || JSON.parse(heard).ok === false, text.slice(0, 20)).toBe(true);
    }
    expect(existsSync(at('stolen'))).toBe(false);
  });
});

describe('R-LED-8 pinDatabase', () => {
  test('copies what was there when it was pinned, whatever is written meanwhile', async () => {
    const path = at('pinned.sqlite');
    const database = new DatabaseSync(path);
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE entries (n INTEGER); INSERT INTO entries VALUES (1)');
    const pinned = pinDatabase(path);
    database.exec('INSERT INTO entries VALUES (2); CREATE TABLE later (n INTEGER)');
    const copying = pinned.copyTo(at('copy.sqlite'));
    database.exec('INSERT INTO entries VALUES (3)');
    await copying;
    await pinned.close();
    database.close();
    const copy = new DatabaseSync(at('copy.sqlite'));
    expect(copy.prepare('SELECT n FROM entries').all()).toEqual([{ n: 1 }]);
    copy.close();
  });
});

describe('R-LED-8 R-REC-5 a backup of a node at work', () => {
  test('is what was there at one moment, opens, and continues; what was erased meanwhile stays erased', async () => {
    const work = load();
    const store = recordsOf(records.node).get('hospital')!.resources;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const copying = callNode(records.dataDir, { command: 'backup', to: at('online') });
    await store.erase((await store.find('Observation', 'e-p1'))!);
    await copying;
    await store.erase((await store.find('Observation', 'e-p2'))!);
    const imported = await work.stop();
    expect(imported).toBeGreaterThan(2);
    copyErasureLists(records.dataDir, at('erasures'));
    const manifest = readManifest(at('online'));
    const keysInside = manifest.files.filter(({ path }) =>
      /(^|\/)keys\/.*\.json$|validator|control$|\/lock/.test(path),
    );
    expect(keysInside).toEqual([]);
    await records.node.stop();
    expect(existsSync(join(records.dataDir, 'control'))).toBe(false);
    rmSync(records.dataDir, { recursive: true });

    const options = { from: at('online'), keys: at('escrow'), data: records.dataDir, erasures: at('erasures') };
    const report = await restoreNode(options);
    expect(report).toMatchObject({ ok: true, problems: [], recordsErased: 2 });
    records.node = await startNode({ dataDir: records.dataDir, port: 0 });
    for (const id of ['o-p1', 'o-p2', 'o-p3', 'e-p3']) {
      expect((await records.fhir(`/Observation/${id}`, { token: doctor.token })).status, id).toBe(200);
    }
    for (const id of ['e-p1', 'e-p2']) {
      expect((await records.fhir(`/Observation/${id}`, { token: doctor.token })).status, id).toBe(404);
    }
    // Everything that the indexes name is there, and the accounting agrees with the ledger's own count.
    const { vault } = records.records();
    expect(await vault.scan()).toMatchObject({ ok: true });
    const desk = accessDesks(records.node).get('hospital')!;
    for (const id of patients) {
      const accounting = await accountingOf(records.node.reader, desk, records.didOf(id));
      expect(accounting.complete, id).toBe(true);
      expect(accounting.entries.length).toBeGreaterThan(0);
    }
    expect((await records.import(bundleOf([observationOf('new', 'p1')]))).accepted).toBe(1);
  }, 60_000);
});
