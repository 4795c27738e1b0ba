import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createKernel } from '@salus/contracts';
import { DurableApplication, draftLedgerHandover } from '@salus/ledger';
import { ed25519PublicKey, fromBase64url, signHandover } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ledgerPath, openDirectory, writeHandover } from '../node/data-directory.ts';
import { examineDirectory } from '../node/doctor.ts';
import { genesisOf, readSeed, retireValidatorKey } from '../node/embedded-ledger.ts';
import { NodeErrorCodes } from '../node/errors.ts';
import { createSandbox, createValidatorKey } from '../node/sandbox.ts';
import { startNode } from '../node/start-node.ts';
import { recordsOf } from '../records/records-part.ts';
import { bundleOf, observationOf, patientOf, type RecordsNode, startRecordsNode } from '../testing/records-node.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { backupNode } from './backup.ts';
import { copyErasureLists } from './erasure-lists.ts';
import { listFiles, readManifest } from './manifest.ts';
import { restoreNode } from './restore.ts';

const temporary = temporaryDirectory();
const at = (...names: string[]): string => join(temporary.path, ...names);
let records: RecordsNode;
let doctor: string;
let head: { height: number; appHash: string };

/** What an operator keeps in an escrow: everything that backups leave out. */
function escrow(dataDir: string, target: string): string {
  cpSync(join(dataDir, 'keys'), join(target, 'keys'), { recursive: true });
  for (const slug of readdirSync(join(dataDir, 'orgs'))) {
    cpSync(join(dataDir, 'orgs', slug, 'keys'), join(target, 'orgs', slug, 'keys'), { recursive: true });
  }
  return target;
}

const faultOf = (work: Promise<unknown>): Promise<number | undefined> =>
  work.then(
    () => undefined,
    (error) => error.code,
  );

/** Private parts of every key file, as the bytes they are and as the texts they are written in. */
function secrets(dir: string): Buffer[] {
  const texts = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .flatMap((entry) => [
      ...readFileSync(join(entry.parentPath, entry.name), 'utf8').matchAll(/"(?:d|key)": ?"([^"]+)"/g),
    ])
    .map((match) => match[1] ?? '');
  return texts.flatMap((text) => {
    const bytes = Buffer.from(text, 'base64url');
    return [Buffer.from(text), bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64'))];
  });
}

function holds(root: string, needles: readonly Buffer[]): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const bytes = readFileSync(file);
      return needles.some((needle) => bytes.includes(needle));
    });
}

beforeAll(async () => {
  records = await startRecordsNode();
  await records.import(bundleOf([patientOf('p1'), observationOf('o1', 'p1'), observationOf('o2', 'p1')]));
  await records.import(bundleOf([patientOf('p2'), observationOf('o3', 'p2')]));
  await records.records().anchorer.drain();
  doctor = (await records.practitioner()).did;
  head = records.node.ledger.head();
  await records.node.stop();
  escrow(records.dataDir, at('escrow'));
  // A ledger that stops adds the block that proves its last one.
  head.height = (await backupNode(records.dataDir, at('monday'))).height;
});
afterAll(() => {
  temporary.remove();
  rmSync(join(records.dataDir, '..'), { recursive: true, force: true });
});

describe('R-LED-8 what no backup is made of', () => {
  test('a running node, a target that is taken or lies inside, a directory that is none', async () => {
    const node = await startNode({ dataDir: records.dataDir, offline: true });
    expect(await faultOf(backupNode(records.dataDir, at('running')))).toBe(NodeErrorCodes.dataDirectoryLocked);
    await node.stop();
    expect(existsSync(at('running'))).toBe(false);
    expect(await faultOf(backupNode(records.dataDir, at('monday')))).toBe(NodeErrorCodes.backupTargetTaken);
    expect(await faultOf(backupNode(records.dataDir, join(records.dataDir, 'b')))).toBe(NodeErrorCodes.inputInvalid);
    expect(await faultOf(backupNode(at('nowhere'), at('b')))).toBe(NodeErrorCodes.dataDirectoryMissing);
  });
});

describe('R-LED-8 R-REC-5 a backup', () => {
  test('holds no key of an organisation or validator, in no spelling', () => {
    const needles = secrets(at('escrow'));
    expect(needles.length).toBeGreaterThan(4 * 4 * 4);
    expect(holds(at('escrow'), needles).length).toBeGreaterThan(16);
    expect(holds(at('monday'), needles)).toEqual([]);
  });

  test('names chain, height and every file with its hash', async () => {
    const manifest = readManifest(at('monday'));
    expect(manifest).toMatchObject({ chain: records.node.chain, appHash: head.appHash });
    const others = (await listFiles(at('monday'))).filter(({ path }) => path !== 'backup.json');
    expect(manifest.files).toEqual(others);
    expect(manifest.files.map(({ path }) => path)).toContain('orgs/hospital/vault/keys/keys.sqlite');
  });
});

describe('R-LED-8 R-REC-5 a restore refuses', () => {
  const restore = (from: string, keys = at('escrow'), data = at('restored')): Promise<number | undefined> =>
    faultOf(restoreNode({ from, keys, data }));

  test.each([
    'ledger/blocks/000000000000001.blocks',
    'orgs/hospital/node.sqlite',
    'orgs/clinic/vault/keys/keys.sqlite',
    'genesis.json',
  ])('a flipped bit in %s', async (path) => {
    cpSync(at('monday'), at('flipped'), { recursive: true });
    const bytes = readFileSync(at('flipped', path));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(at('flipped', path), bytes);
    expect(await restore(at('flipped'))).toBe(NodeErrorCodes.backupDamaged);
    rmSync(at('flipped'), { recursive: true });
    expect(existsSync(at('restored'))).toBe(false);
  });

  test('a missing file, a longer file, a manifest that leads outside or is none', async () => {
    cpSync(at('monday'), at('cut'), { recursive: true });
    appendFileSync(at('cut', 'salus.json'), ' ');
    expect(await restore(at('cut'))).toBe(NodeErrorCodes.backupDamaged);
    rmSync(at('cut', 'salus.json'));
    expect(await restore(at('cut'))).toBe(NodeErrorCodes.backupDamaged);
    const text = readFileSync(at('cut', 'backup.json'), 'utf8');
    writeFileSync(at('cut', 'backup.json'), text.replace('"salus.json"', '"../salus.json"'));
    expect(await restore(at('cut'))).toBe(NodeErrorCodes.backupDamaged);
    writeFileSync(at('cut', 'backup.json'), text.slice(0, 200));
    expect(await restore(at('cut'))).toBe(NodeErrorCodes.backupDamaged);
    rmSync(at('cut', 'backup.json'));
    expect(await restore(at('cut'))).toBe(NodeErrorCodes.backupMissing);
    expect(existsSync(at('restored'))).toBe(false);
  });

  test('keys that are missing or of somebody else, and a directory that is taken', async () => {
    expect(await restore(at('monday'), at('no-keys'))).toBe(NodeErrorCodes.backupKeysMissing);
    cpSync(at('escrow'), at('mixed'), { recursive: true });
    cpSync(at('escrow/orgs/clinic/keys/vault.json'), at('mixed/orgs/hospital/keys/vault.json'));
    expect(await restore(at('monday'), at('mixed'))).toBeGreaterThanOrEqual(200);
    expect(existsSync(at('restored'))).toBe(false);
    mkdirSync(at('taken'));
    writeFileSync(at('taken', 'letter.txt'), 'mine');
    expect(await restore(at('monday'), at('escrow'), at('taken'))).toBe(NodeErrorCodes.backupTargetTaken);
    expect(readFileSync(at('taken', 'letter.txt'), 'utf8')).toBe('mine');
  });

  test('erasure lists that are not there, or of another history', async () => {
    const options = { from: at('monday'), keys: at('escrow'), data: at('restored') };
    expect(await faultOf(restoreNode({ ...options, erasures: at('nowhere') }))).toBe(NodeErrorCodes.erasuresMissing);
    mkdirSync(at('forged'));
    writeFileSync(at('forged', 'hospital.jsonl'), '{"sequence":1}\n');
    expect(await faultOf(restoreNode({ ...options, erasures: at('forged') }))).toBeGreaterThanOrEqual(200);
    expect(existsSync(at('restored'))).toBe(false);
  });
});

describe('R-LED-8 R-REC-5 scenario 35: a whole node is lost', () => {
  test('everything is back, and what was erased after the backup is not', async () => {
    const before = await startNode({ dataDir: records.dataDir, offline: true });
    const store = recordsOf(before).get('hospital')!.resources;
    const erased = (await store.find('Observation', 'o1'))!;
    await store.erase(erased);
    await before.stop();
    expect(copyErasureLists(records.dataDir, at('erasures'))).toMatchObject({ hospital: 1, clinic: 0 });
    cpSync(records.dataDir, at('original'), { recursive: true });
    rmSync(records.dataDir, { recursive: true });

    const options = { from: at('monday'), keys: at('escrow'), data: records.dataDir, erasures: at('erasures') };
    const report = await restoreNode(options);
    expect(report).toMatchObject({
      ok: true,
      problems: [],
      height: head.height,
      erasuresReplayed: 1,
      recordsErased: 1,
    });

    records.node = await startNode({ dataDir: records.dataDir, port: 0 });
    expect(records.node.ledger.head()).toMatchObject({ appHash: head.appHash });
    const token = await records.token({ kind: 'practitioner', id: doctor }, { purpose: 'TREAT', roles: ['doctor'] });
    expect((await records.fhir('/Observation/o2', { token })).body.id).toBe('o2');
    expect((await records.fhir('/Observation/o1', { token })).status).toBe(404);
    expect((await records.fhir('/Observation?patient=p1', { token })).body.total).toBe(1);
    const { vault, resources } = records.records();
    expect(vault.ring.recordState(erased.record)).toBe('destroyed');
    expect(vault.blobs.has(erased.blob)).toBe(false);
    expect(await resources.find('Observation', 'o1')).toMatchObject({ erased: true });
    expect(await vault.scan()).toMatchObject({ ok: true });
    await records.node.stop();
  });

  test('a data directory serves as the newer list, and without one the backup says so', async () => {
    const options = { from: at('monday'), keys: at('escrow'), data: at('again') };
    expect(await restoreNode({ ...options, erasures: at('original') })).toMatchObject({ ok: true, recordsErased: 1 });
    rmSync(at('again'), { recursive: true });
    expect(await restoreNode(options)).toMatchObject({ ok: true, erasuresReplayed: 0, recordsErased: 0 });
  });

  test('a list is never replaced by one that says less', () => {
    expect(() => copyErasureLists(at('again'), at('erasures'))).toThrow(/earlier state/);
  });
});

describe('R-LED-2 R-LED-8 a backup from before a handover', () => {
  const startOf = (dataDir: string): Promise<number | undefined> =>
    faultOf(startNode({ dataDir, offline: true }).then((node) => node.stop()));
  const restored = async (keys: string, more: { erasures?: string } = {}) => {
    const data = at(`old-${readdirSync(temporary.path).length}`);
    const report = await restoreNode({ from: at('monday'), keys, data, ...more });
    return { data, report };
  };

  /** As `salus network export-genesis` ends the chain of its source. */
  async function handOver(dataDir: string): Promise<void> {
    const directory = openDirectory(dataDir);
    const genesis = genesisOf(directory);
    const application = await DurableApplication.open({ dir: ledgerPath(dataDir), genesis, kernel: createKernel() });
    const publicKey = fromBase64url(createValidatorKey(at('next')));
    const draft = await draftLedgerHandover(application, [{ publicKey, power: 10 }]);
    await application.close();
    const seed = readSeed(dataDir);
    writeHandover(dataDir, signHandover(draft, { seed, publicKey: ed25519PublicKey(seed) }));
    retireValidatorKey(dataDir);
    retireValidatorKey(dataDir);
  }

  test('makes no blocks where the handover, or what is left of the key, is at hand', async () => {
    const source = (await restored(at('escrow'))).data;
    expect(await startOf(source)).toBeUndefined();
    await handOver(source);
    expect(await startOf(source)).toBe(NodeErrorCodes.chainHandedOver);
    expect((await examineDirectory(source)).problems).toEqual([]);
    // A copy of the keys that was renewed afterwards signs nothing, whatever else is known.
    escrow(source, at('renewed'));
    expect(holds(at('renewed'), secrets(join(at('escrow'), 'keys')))).toEqual([]);
    expect(await faultOf(restored(at('renewed')))).toBe(NodeErrorCodes.chainHandedOver);
    // With the handover beside them the old state is there to be examined.
    cpSync(join(source, 'handover.json'), at('renewed', 'handover.json'));
    cpSync(join(source, 'handover.json'), at('original', 'handover.json'));
    for (const [keys, more] of [[at('renewed')], [at('escrow'), { erasures: at('original') }]] as const) {
      const { data, report } = await restored(keys, more);
      expect(report).toMatchObject({ ok: true, handedOver: true, problems: [] });
      expect(await startOf(data)).toBe(NodeErrorCodes.chainHandedOver);
    }
    // What is left of the source can be kept, too, and stays what it is.
    await backupNode(source, at('tuesday'));
    const last = await restoreNode({ from: at('tuesday'), keys: at('escrow'), data: at('last') });
    expect(last).toMatchObject({ ok: true, handedOver: true });
    expect(await startOf(at('last'))).toBe(NodeErrorCodes.chainHandedOver);
  });

  test('is not held up by the handover of another chain, and a retired key alone is told', async () => {
    await createSandbox(at('other'));
    const other = await startNode({ dataDir: at('other'), offline: true });
    await other.organizations.get('hospital')?.execute([{ type: 'kernel/stamp', digest: 'A'.repeat(43) }]);
    await other.stop();
    await handOver(at('other'));
    cpSync(at('escrow'), at('beside'), { recursive: true });
    cpSync(at('other', 'handover.json'), at('beside', 'handover.json'));
    const { data, report } = await restored(at('beside'));
    expect(report).toMatchObject({ ok: true, handedOver: false });
    expect(await startOf(data)).toBeUndefined();
    retireValidatorKey(data);
    expect((await examineDirectory(data)).problems.join()).toContain('validator key: it is damaged');
  });
});
