import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { epochRetirementMsMax, type KeyRing, openKeyRing } from './key-ring.ts';
import { EnvironmentKeyProvider, FileKeyProvider } from './organisation-keys.ts';
import { filesContaining, flipInFile, refusal, runModule, temporaryDirectory } from './testing.ts';

const organisation = 'did:salus:organisation';
let temporary: ReturnType<typeof temporaryDirectory>;
let dir: string;
let keyFile: string;
const opened: KeyRing[] = [];

beforeEach(() => {
  temporary = temporaryDirectory();
  dir = join(temporary.path, 'ring');
  keyFile = join(temporary.path, 'secret', 'organisation.json');
});
afterEach(() => {
  for (const ring of opened.splice(0)) ring.close();
  temporary.remove();
});

async function open(at = dir, keys = keyFile): Promise<KeyRing> {
  const ring = await openKeyRing({ dir: at, organisation, keys: new FileKeyProvider(keys) });
  opened.push(ring);
  return ring;
}

function close(ring: KeyRing): void {
  opened.splice(opened.indexOf(ring), 1);
  ring.close();
}

function fill(ring: KeyRing, records = 200, patients = 7): void {
  const items = Array.from({ length: records }, (_, i) => ({ patientId: `p${i % patients}`, recordId: `r${i}` }));
  ring.createRecordKeys(items);
}

/** The wrapped key as it lies in the closed file. */
function wrappedBytes(table: 'records' | 'patients', name: string): Uint8Array {
  const database = new DatabaseSync(join(dir, 'keys.sqlite'));
  const row = database.prepare(`SELECT wrapped FROM ${table} WHERE name = ?`).get(name);
  database.close();
  return Uint8Array.from(row!.wrapped as Uint8Array).subarray(8);
}

function change(sql: string, ...values: (string | Uint8Array)[]): void {
  const database = new DatabaseSync(join(dir, 'keys.sqlite'));
  database.prepare(sql).run(...values);
  database.close();
}

describe('R-REC-5 key ring: erasure destroys', () => {
  it('the wrapped key is in no file afterwards, neither the record’s nor the patient’s old one', async () => {
    const ring = await open();
    fill(ring);
    const kept = ring.recordKey('r7');
    close(ring);
    const needles = [wrappedBytes('records', 'r0'), wrappedBytes('patients', 'p0')];
    for (const needle of needles) expect(filesContaining(dir, needle)).toBe(1);
    const again = await open();
    const evidence = await again.eraseRecords('p0', ['r0'], 1_000);
    for (const needle of needles) expect(filesContaining(dir, needle)).toBe(0);
    expect(evidence).toMatchObject({
      format: 'salus-erasure/1',
      kind: 'record',
      patient: 'p0',
      records: ['r0'],
      keysDestroyed: 1,
      search: { found: 0, keys: 2 },
      list: { sequence: 1 },
      organisationEpoch: 1,
      epochRetiredByMs: 1_000 + epochRetirementMsMax,
    });
    expect(evidence.search.bytes).toBeGreaterThan(10_000);
    expect(await refusal(() => again.recordKey('r0'))).toBe('keyDestroyed');
    expect(again.recordState('r0')).toBe('destroyed');
    expect(await refusal(() => again.createRecordKey('p0', 'r0'))).toBe('keyDestroyed');
    expect(again.recordKey('r7')).toEqual(kept);
    close(again);
    for (const needle of needles) expect(filesContaining(dir, needle)).toBe(0);
    expect(await refusal(async () => (await open()).recordKey('r0'))).toBe('keyDestroyed');
  });

  it('the same while the write-ahead log still holds the key', async () => {
    const ring = await open();
    fill(ring, 20, 2);
    const log = () => readFileSync(join(dir, 'keys.sqlite-wal')).length;
    expect(log()).toBeGreaterThan(0);
    await ring.erasePatient('p1');
    expect(log()).toBe(0);
    expect(await refusal(() => ring.recordKey('r1'))).toBe('keyDestroyed');
    expect(await refusal(() => ring.createRecordKey('p1', 'new'))).toBe('keyDestroyed');
    expect(ring.recordState('r0')).toBe('present');
  });

  it('a copy that the database left behind makes it rebuild the file', async () => {
    const ring = await open();
    fill(ring);
    close(ring);
    const needle = wrappedBytes('records', 'r3');
    change('CREATE TABLE stray (bytes BLOB)');
    change('INSERT INTO stray VALUES (?)', needle);
    change('PRAGMA secure_delete = OFF');
    const database = new DatabaseSync(join(dir, 'keys.sqlite'));
    database.exec('PRAGMA secure_delete = OFF; DROP TABLE stray');
    database.close();
    expect(readFileSync(join(dir, 'keys.sqlite')).indexOf(Buffer.from(needle))).not.toBe(
      readFileSync(join(dir, 'keys.sqlite')).lastIndexOf(Buffer.from(needle)),
    );
    const again = await open();
    await again.eraseRecords('p3', ['r3']);
    expect(filesContaining(dir, needle)).toBe(0);
    expect(again.recordState('r10')).toBe('present');
  });

  it('an unknown record, a record of another patient, an unknown patient: nothing happens', async () => {
    const ring = await open();
    fill(ring, 10, 2);
    expect(await refusal(() => ring.eraseRecords('p0', ['r0', 'r99']))).toBe('keyUnknown');
    expect(await refusal(() => ring.eraseRecords('p1', ['r0']))).toBe('keyUnknown');
    expect(await refusal(() => ring.erasePatient('p9'))).toBe('keyUnknown');
    expect(ring.erasures()).toEqual([]);
    expect(ring.recordState('r0')).toBe('present');
  });

  it('a crash between the list and the destruction is finished at the next start', async () => {
    const ring = await open();
    fill(ring, 10, 2);
    close(ring);
    copyFileSync(join(dir, 'keys.sqlite'), join(temporary.path, 'before.sqlite'));
    const needle = wrappedBytes('records', 'r0');
    const second = await open();
    await second.eraseRecords('p0', ['r0']);
    close(second);
    // The list as it is after the first step, the keys as they were before the second.
    copyFileSync(join(temporary.path, 'before.sqlite'), join(dir, 'keys.sqlite'));
    const third = await open();
    expect(third.recordState('r0')).toBe('destroyed');
    expect(third.recordState('r2')).toBe('present');
    expect(filesContaining(dir, needle)).toBe(0);
  });

  it('a restore replays the list of the system that was lost', async () => {
    const ring = await open();
    fill(ring, 10, 2);
    const restored = join(temporary.path, 'restored');
    await ring.copyTo(restored);
    await ring.eraseRecords('p0', ['r0']);
    await ring.erasePatient('p1');
    const list = readFileSync(join(dir, 'erasures.jsonl'), 'utf8');
    close(ring);
    const second = await open(restored);
    expect(second.recordState('r0')).toBe('present');
    expect(await second.replayErasures(list)).toBe(2);
    expect(['r0', 'r1', 'r2', 'r3'].map((id) => second.recordState(id))).toEqual([
      'destroyed',
      'destroyed',
      'present',
      'destroyed',
    ]);
    expect(await second.replayErasures(list)).toBe(0);
    expect(await refusal(() => second.replayErasures(list.replace('"r0"', '"r2"')))).toBe('erasureListDamaged');
  });

  it('a list that was altered, shortened in the middle or torn', async () => {
    const ring = await open();
    fill(ring, 20, 2);
    for (const id of ['r0', 'r2', 'r4']) await ring.eraseRecords('p0', [id]);
    close(ring);
    const path = join(dir, 'erasures.jsonl');
    const text = readFileSync(path, 'utf8');
    const lines = text.trimEnd().split('\n');
    for (const altered of [text.replace('r2', 'r6'), `${lines[0]}\n${lines[2]}\n`, `{}\n${text}`, 'x\n']) {
      writeFileSync(path, altered);
      expect(await refusal(() => open())).toBe('erasureListDamaged');
    }
    writeFileSync(path, `${text}{"sequence":4,"ki`);
    expect((await open()).erasures()).toHaveLength(3);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('an old copy of the file is of no use once the old epoch is retired', async () => {
    const ring = await open();
    fill(ring, 10, 2);
    close(ring);
    const stolen = join(temporary.path, 'stolen');
    mkdirSync(stolen);
    copyFileSync(join(dir, 'keys.sqlite'), join(stolen, 'keys.sqlite'));
    const again = await open();
    await again.eraseRecords('p0', ['r0']);
    expect(await again.rotate()).toMatchObject({ epoch: 2 });
    await again.retireEpoch(1);
    expect(again.recordState('r2')).toBe('present');
    again.recordKey('r2');
    close(again);
    expect(await refusal(() => open(stolen))).toBe('organisationKeyMissing');
  });
});

describe('R-REC-5 key ring: what was altered or is foreign', () => {
  it('a flipped bit in a wrapped key, a moved key', async () => {
    const ring = await open();
    fill(ring, 10, 2);
    close(ring);
    const path = join(dir, 'keys.sqlite');
    const at = readFileSync(path).indexOf(Buffer.from(wrappedBytes('records', 'r4')));
    for (const offset of [-5, 0, 11, 12, 40, 59]) {
      flipInFile(path, at + offset, 3);
      const damaged = await open();
      expect(await refusal(() => damaged.recordKey('r4'))).toBe('keyUnreadable');
      expect(damaged.recordKey('r2')).toHaveLength(32);
      close(damaged);
      flipInFile(path, at + offset, 3);
    }
    change("UPDATE records SET wrapped = (SELECT wrapped FROM records WHERE name = 'r2') WHERE name = 'r4'");
    const moved = await open();
    expect(await refusal(() => moved.recordKey('r4'))).toBe('keyUnreadable');
    close(moved);
    change("UPDATE records SET patient = 2 WHERE name = 'r6'");
    const assigned = await open();
    expect(await refusal(() => assigned.recordKey('r6'))).toBe('keyUnreadable');
  });

  it('the scan names every record whose key was altered', async () => {
    const ring = await open();
    fill(ring, 50, 5);
    await ring.eraseRecords('p0', ['r0', 'r5']);
    expect(await ring.scan()).toEqual({ records: 50, destroyed: 2, damaged: [], databaseSound: true });
    close(ring);
    change("UPDATE records SET wrapped = (SELECT wrapped FROM records WHERE name = 'r2') WHERE name = 'r3'");
    change("UPDATE patients SET wrapped = (SELECT wrapped FROM patients WHERE name = 'p1') WHERE name = 'p4'");
    const { damaged } = await (await open()).scan();
    expect(damaged).toEqual(['r3', ...Array.from({ length: 10 }, (_, i) => `r${4 + 5 * i}`)]);
  });

  it('another organisation’s key, no key, another organisation, another file', async () => {
    const ring = await open();
    fill(ring, 4, 2);
    close(ring);
    const other = join(temporary.path, 'other.json');
    await new FileKeyProvider(other).create(1);
    expect(await refusal(() => open(dir, other))).toBe('organisationKeyWrong');
    expect(await refusal(() => open(dir, join(temporary.path, 'none.json')))).toBe('organisationKeyMissing');
    const foreign = { dir, organisation: 'did:salus:other', keys: new FileKeyProvider(keyFile) };
    expect(await refusal(() => openKeyRing(foreign))).toBe('storeForeign');
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    writeFileSync(join(dir, 'keys.sqlite'), 'not a database'.repeat(100));
    expect(await refusal(() => open())).toBe('storeForeign');
    rmSync(join(dir, 'keys.sqlite'));
    change('CREATE TABLE t (x)');
    expect(await refusal(() => open())).toBe('storeForeign');
  });

  it('unacceptable ids, and a record of another patient: all or nothing', async () => {
    const ring = await open();
    for (const id of ['', 'a b', 'ä', 'x'.repeat(201), 'a\n']) {
      expect(await refusal(() => ring.createRecordKey('p', id))).toBe('idUnacceptable');
      expect(await refusal(() => ring.createRecordKey(id, 'r'))).toBe('idUnacceptable');
    }
    ring.createRecordKey('p1', 'r1');
    const items = [
      { patientId: 'p3', recordId: 'r3' },
      { patientId: 'p2', recordId: 'r1' },
    ];
    expect(await refusal(() => ring.createRecordKeys(items))).toBe('keyTaken');
    expect(ring.counts()).toEqual({ patients: 1, records: 1 });
    expect(ring.createRecordKey('p3', 'r3')).toEqual(ring.recordKey('r3'));
    expect(await refusal(() => ring.recordKey('r9'))).toBe('keyUnknown');
  });

  it('a second opener, here or in another process', async () => {
    const ring = await open();
    expect(await refusal(() => open())).toBe('storeInUse');
    const child = runModule(
      `import { openKeyRing } from 'DIRECTORY/key-ring.ts';
       import { FileKeyProvider } from 'DIRECTORY/organisation-keys.ts';
       const [dir, file] = process.argv.slice(-2);
       await openKeyRing({ dir, organisation: '${organisation}', keys: new FileKeyProvider(file) })
         .catch((error) => console.log(error.code));`,
      [dir, keyFile],
    );
    await child.exited;
    expect(child.lines).toEqual(['210']);
    close(ring);
    await open();
  });
});

describe('R-REC-5 key ring: what was made stays', () => {
  it('keys are random, stable over restarts and rotations, and known records keep theirs', async () => {
    const ring = await open();
    fill(ring);
    const keys = Array.from({ length: 200 }, (_, i) => ring.recordKey(`r${i}`));
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(200);
    const index = ring.purposeKey('index');
    expect((await ring.rotate()).rewrapped).toBe(9);
    close(ring);
    const again = await open();
    fill(again);
    expect(Array.from({ length: 200 }, (_, i) => again.recordKey(`r${i}`))).toEqual(keys);
    expect(again.purposeKey('index')).toEqual(index);
    expect(again.purposeKey('identity-segment')).not.toEqual(index);
    expect(again.epoch).toBe(2);
    expect(again.recordsOf('p6').slice(0, 2)).toEqual(['r6', 'r13']);
    expect(await refusal(() => again.retireEpoch(2))).toBe('epochInUse');
  });

  it('a rotation that was stopped goes on, also with keys from the environment', async () => {
    const environment: Record<string, string> = { KEYS: `1:${Buffer.alloc(32, 1).toString('base64url')}` };
    const keys = new EnvironmentKeyProvider('KEYS', environment);
    const ring = await openKeyRing({ dir, organisation, keys });
    fill(ring, 10, 2);
    const key = ring.recordKey('r1');
    expect(await refusal(() => ring.rotate())).toBe('organisationKeyReadOnly');
    ring.close();
    environment.KEYS += `,2:${Buffer.alloc(32, 2).toString('base64url')}`;
    const again = await openKeyRing({ dir, organisation, keys });
    again.createRecordKey('p9', 'r-under-2');
    expect(await refusal(() => again.retireEpoch(1))).toBe('epochInUse');
    expect(await again.rotate()).toEqual({ epoch: 2, rewrapped: 3 });
    expect(await refusal(() => again.retireEpoch(1))).toBe('organisationKeyReadOnly');
    again.close();
    environment.KEYS = environment.KEYS!.split(',')[1]!;
    const last = await openKeyRing({ dir, organisation, keys });
    expect(last.recordKey('r1')).toEqual(key);
    last.close();
  });

  it('a killed process loses no key that it was given', async () => {
    const child = runModule(
      `import { openKeyRing } from 'DIRECTORY/key-ring.ts';
       import { FileKeyProvider } from 'DIRECTORY/organisation-keys.ts';
       const [dir, file] = process.argv.slice(-2);
       const ring = await openKeyRing({ dir, organisation: '${organisation}', keys: new FileKeyProvider(file) });
       for (let batch = 0; ; batch++) {
         const items = Array.from({ length: 20 }, (_, i) => ({ patientId: 'p' + i, recordId: batch + '-' + i }));
         const keys = ring.createRecordKeys(items);
         console.log(batch + ' ' + Buffer.from(keys[7]).toString('hex'));
         await new Promise(setImmediate);
       }`,
      [dir, keyFile],
    );
    while (child.lines.length < 40) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill();
    await child.exited;
    const ring = await open();
    for (const line of child.lines) {
      const [batch, key] = line.split(' ');
      expect(Buffer.from(ring.recordKey(`${batch}-7`)).toString('hex')).toBe(key);
    }
  });

  it('any sequence of creating, erasing, rotating and restarting equals a simple model', async () => {
    const command = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('create' as const), p: fc.nat(3), r: fc.nat(15) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('erase' as const), p: fc.nat(3), r: fc.nat(15) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), p: fc.nat(3), r: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('rotate', 'restart'), p: fc.nat(0), r: fc.nat(0) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
        const at = join(temporary.path, `model-${Math.random()}`);
        let ring = await open(at);
        const model = new Map<string, { patient: string; key: Uint8Array | undefined }>();
        const gone = new Set<string>();
        for (const { do: action, p, r } of commands) {
          const [patient, record] = [`p${p}`, `r${r}`];
          const known = model.get(record);
          if (action === 'create') {
            const owner = known !== undefined && known.patient !== patient;
            const dead = gone.has(patient) || (known !== undefined && known.key === undefined);
            const result = await refusal(() => {
              const key = ring.createRecordKey(patient, record);
              if (known === undefined) model.set(record, { patient, key });
              else expect(key).toEqual(known.key);
            });
            const expected = gone.has(patient)
              ? 'keyDestroyed'
              : owner
                ? 'keyTaken'
                : dead
                  ? 'keyDestroyed'
                  : 'nothing thrown';
            expect(result).toBe(expected);
          } else if (action === 'erase') {
            if (known?.patient !== patient) continue;
            await ring.eraseRecords(patient, [record]);
            known.key = undefined;
          } else if (action === 'forget') {
            const result = await refusal(() => ring.erasePatient(patient));
            if (result === 'keyUnknown') continue;
            gone.add(patient);
            for (const entry of model.values()) if (entry.patient === patient) entry.key = undefined;
          } else if (action === 'rotate') {
            const { epoch } = await ring.rotate();
            await ring.retireEpoch(epoch - 1);
          } else {
            close(ring);
            ring = await open(at);
          }
        }
        for (const [record, { key }] of model) {
          if (key === undefined) expect(await refusal(() => ring.recordKey(record))).toBe('keyDestroyed');
          else expect(ring.recordKey(record)).toEqual(key);
        }
        close(ring);
        rmSync(at, { recursive: true });
        rmSync(keyFile);
      }),
      { numRuns: 25 },
    );
  });
});
