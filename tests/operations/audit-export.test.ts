/** What the privacy officer and the patient get out of a node by `salus audit` and `salus export`. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AccountingAuditor, type AuditSource, run, type ToldEntry } from '@salus/cli';
import { type Did, parseAnchor } from '@salus/protocol';
import { readOrganization, type Subject } from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seenBy } from '../scenarios/exits.ts';
import { type Patient, type Staff, World } from '../scenarios/world.ts';

let world: World;
let data: string;
let doctor: Staff;
let officer: Staff;
let patient: Patient;
let quiet: Patient;
let source: AuditSource;
let told: ToldEntry[];

const observation = (id: string): Record<string, unknown> => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
  valueQuantity: { value: 5.1, unit: 'mmol/L' },
});

async function salus(...args: string[]) {
  const out: string[] = [];
  const code = await run([...args, '--json'], { out: (text) => void out.push(text), err: () => undefined });
  return { code, value: JSON.parse(out.join('')) };
}

/** The truth with one thing changed. */
const lying = (change: Partial<AuditSource>): AuditSource => ({ ...source, ...change });
const accountingOf = (entries: readonly ToldEntry[]) => async () => ({ complete: true, entries });
const problemsOf = async (change: Partial<AuditSource>): Promise<string> =>
  (await new AccountingAuditor(lying(change)).audit(patient.did)).problems.join('\n');

async function openSource(): Promise<AuditSource> {
  const { node } = world;
  const path = '/org/hospital/accounting';
  const token = await world.token(officer);
  const answer = async (did: Did) => (await world.http('GET', `${path}?patient=${did}`, token)).body;
  return {
    custodian: world.org('hospital').profile.did,
    anchor: parseAnchor(await node.ledger.anchor()),
    accounting: answer,
    receipt: (hash) => node.ledger.receipt(hash, {}),
    proof: (key) => node.ledger.stateProof(key),
  };
}

beforeAll(async () => {
  world = await World.create();
  data = world.node.dataRoot;
  doctor = await world.staff('hospital', 'doctor');
  officer = await world.staff('hospital', 'officer');
  const clerk = await world.staff('hospital', 'clerk');
  const elsewhere = await world.staff('clinic', 'doctor');
  patient = await (await world.patient('hospital', [observation('a'), observation('b')])).link();
  quiet = await world.patient('hospital', [observation('c')]);
  await seenBy(world, patient, () => world.token(doctor));
  await seenBy(world, patient, () => world.token(clerk));
  await patient.grant({ grantees: [{ kind: 'person', id: elsewhere.did }] });
  await seenBy(world, patient, () => world.token(elsewhere));
  source = await openSource();
  told = [...(await source.accounting(patient.did)).entries];
});
afterAll(() => world.close());

describe('R-CON-3 an audit does not believe', () => {
  const some = (path: string): ToldEntry => told.find((entry) => entry.path === path)!;

  it('a disclosure that was altered afterwards', async () => {
    const altered = told.map((entry, position) =>
      position > 0 ? entry : { ...entry, disclosure: { ...(entry.disclosure as object), purpose: 'HMARKT' } },
    );
    expect(await problemsOf({ accounting: accountingOf(altered) })).toContain('was altered');
  });

  it('an access that passes for a refusal, of which nothing is on the ledger', async () => {
    const passed = told.map((entry) => (entry === some('batch') ? { ...entry, path: 'local' } : entry));
    expect(await problemsOf({ accounting: accountingOf(passed) })).toContain('is not on the ledger');
  });

  it.each(['batch', 'ledger'])('that one entry less is all there is (%s)', async (path) => {
    const less = told.filter((entry) => entry !== some(path));
    const found = await problemsOf({ accounting: accountingOf(less) });
    expect(found).toMatch(path === 'batch' ? /the ledger counts/ : /not in the accounting/);
  });

  it('an entry twice in the place of another', async () => {
    const [first, second] = told.filter(({ path }) => path === 'batch');
    const twice = told.map((entry) => (entry === second ? first! : entry));
    expect(await problemsOf({ accounting: accountingOf(twice) })).toContain('the ledger counts');
  });

  it('another transaction’s receipt, and an entry that names none', async () => {
    const { transaction: other } = some('ledger');
    const moved = told.map((entry) => (entry === some('batch') ? { ...entry, transaction: other! } : entry));
    expect(await problemsOf({ accounting: accountingOf(moved) })).toContain('does not hold it');
    const { transaction: _, ...unplaced } = some('batch');
    const without = told.map((entry) => (entry === some('batch') ? unplaced : entry));
    expect(await problemsOf({ accounting: accountingOf(without) })).toContain('is not on the ledger');
  });

  it('a receipt with a flipped byte, an accounting of somebody else, words that are none', async () => {
    const receipt = async (hash: string): Promise<Uint8Array> => {
      const text = Buffer.from(await source.receipt(hash)).toString();
      return Buffer.from(
        text.replace(/"sig(?:nature)?": ?"(.)/, (match) => match.slice(0, -1) + (match.endsWith('A') ? 'B' : 'A')),
      );
    };
    expect(await problemsOf({ receipt })).toContain('proof is not valid');
    const custodian = world.org('clinic').profile.did;
    expect(await problemsOf({ custodian })).toContain('somebody else');
    expect(await problemsOf({ accounting: accountingOf([{ ...told[0]!, disclosure: 'none' }]) })).toContain(
      'cannot be read',
    );
  });

  it('a node that says of itself that something is missing', async () => {
    const accounting = async () => ({ complete: false, entries: told });
    expect(await problemsOf({ accounting })).toContain('the node itself');
  });
});

describe('R-REC-8 R-CON-3 salus export --url', () => {
  const target = (out: string): string => join(data, '..', out);
  const base = (out: string, ...more: string[]): string[] => [
    ...['export', '--data', data, '--url', world.node.url, '--org', 'hospital', '--out', target(out), ...more],
  ];

  /** The world has a clock of its own, and so its tokens. */
  const tokenOf = async (subject: Subject): Promise<string[]> => {
    const { keys } = readOrganization(data, 'hospital');
    const { chain } = world.node;
    const impersonated = subject.kind !== 'system';
    return ['--token', await keys.token({ chain, subject, impersonated, nowMs: world.nowMs })];
  };
  const system = (): Promise<string[]> => tokenOf({ kind: 'system' });

  it('gives nothing for unknown patients, to other organisations, or to people whom nothing permits', async () => {
    const unknown = base('u1', '--patient', 'nobody', ...(await system()));
    expect(await salus(...unknown)).toMatchObject({ code: 1, value: { code: 735 } });
    const stranger = ['--patient', patient.id, '--purpose', 'TREAT'];
    const token = await tokenOf({ kind: 'practitioner', id: 'somebody' });
    expect(await salus(...base('u1', ...stranger, ...token))).toMatchObject({ code: 1, value: { code: 735 } });
    const foreign = await world.token(await world.staff('clinic', 'doctor'));
    expect((await salus(...base('u1', '--patient', patient.id, '--token', foreign))).code).toBe(1);
    expect((await salus(...base('u1', '--patient', patient.id, '--as', 'patient:other'))).code).toBe(2);
    mkdirSync(target('u2'));
    writeFileSync(join(target('u2'), 'letter.txt'), 'mine');
    expect(await salus(...base('u2', '--patient', patient.id))).toMatchObject({ code: 1, value: { code: 732 } });
    expect(existsSync(target('u1'))).toBe(false);
  });

  it('writes what the stopped node writes, recorded first, with receipts that verify', async () => {
    const { code, value } = await salus(...base('u3', '--patient', patient.id, ...(await system())));
    expect({ code, types: value.types }).toEqual({ code: 0, types: { Patient: 1, Observation: 2 } });
    const lines = readFileSync(join(target('u3'), 'Observation.ndjson'), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).id).sort()).toEqual(['a', 'b']);
    const [disclosed] = JSON.parse(readFileSync(join(target('u3'), 'disclosures.json'), 'utf8'));
    expect(disclosed).toMatchObject({ path: 'ledger', disclosure: { exit: 'export', outcome: 'released' } });
    for (const name of value.receipts) {
      expect((await salus('verify', join(target('u3'), name))).value).toMatchObject({ ok: true });
    }
    const own = ['--patient', patient.id, '--as', 'system', '--purpose', 'HOPERAT', ...(await system())];
    expect((await salus(...base('u4', ...own))).code).toBe(0);
  });

  it('keeps nothing of an answer that was cut off or is none', async () => {
    const whole = await fetch(`${world.node.url}/org/hospital/exports`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await world.token(doctor)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ patient: patient.id, purpose: 'TREAT' }),
    });
    const text = await whole.text();
    expect(text.trimEnd().split('\n').at(-1)).toContain('"kind":"end"');
    const lastLine = text.lastIndexOf('{"kind":"end"');
    for (const cut of [
      text.slice(0, lastLine),
      text.slice(0, -40),
      text.slice(0, 30),
      '',
      '<html>',
      '{"kind":"file"}\n',
    ]) {
      const server = createServer((_request, response) => response.end(cut)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const args = base('u5', '--patient', patient.id, '--token', 'a.b.c');
      args[args.indexOf('--url') + 1] = `http://127.0.0.1:${port}`;
      expect(await salus(...args), cut.slice(0, 20)).toMatchObject({ code: 1, value: { code: 740 } });
      expect(readdirSync(target('u5'))).toEqual([]);
      server.close();
    }
  });
});

describe('R-CON-3 R-LED-1 salus audit', () => {
  it('proves a complete accounting of a running node, for its officer only', async () => {
    const anchor = join(data, '..', 'anchor.json');
    writeFileSync(anchor, await world.node.ledger.anchor());
    const base = ['audit', '--url', world.node.url, '--org', 'hospital', '--anchor', anchor];
    const token = await world.token(officer);
    const { code, value } = await salus(...base, '--patient', patient.did, '--token', token);
    expect(value.patients[0].problems).toEqual([]);
    expect({ code, complete: value.complete }).toEqual({ code: 0, complete: true });
    const [one] = value.patients;
    expect(one.accesses.every((access: { verified: boolean }) => access.verified)).toBe(true);
    expect(one.counted.releases).toBeGreaterThan(0);
    const onLedger = one.accesses.filter((access: { path: string }) => access.path !== 'local');
    expect(onLedger.length).toBeLessThan(one.accesses.length);
    expect(one.counted.routine + one.counted.releases).toBe(onLedger.length);
    expect((await salus(...base, '--patient', patient.did, '--token', await world.token(doctor))).code).toBe(1);
    expect((await salus(...base, '--token', token)).code).toBe(2);
    expect((await salus(...base, '--patient', 'Robin Example', '--token', token)).code).toBe(2);
  });

  it('proves the same of a stopped node, for all patients', async () => {
    expect(await salus('audit', '--data', data, '--org', 'hospital')).toMatchObject({ code: 1, value: { code: 706 } });
    await world.node.stop();
    const { code, value } = await salus('audit', '--data', data, '--org', 'hospital');
    expect(value.patients.flatMap(({ problems }: { problems: string[] }) => problems)).toEqual([]);
    expect(code).toBe(0);
    const dids = value.patients.map((one: { patient: string }) => one.patient);
    expect(dids.sort()).toEqual([patient.did, quiet.did].sort());
    expect(await salus('audit', '--data', data, '--org', 'nobody')).toMatchObject({ code: 1, value: { code: 714 } });
  });
});

describe('R-REC-8 R-CON-3 salus export', () => {
  const base = (out: string, ...more: string[]): string[] => [
    ...['export', '--data', data, '--org', 'hospital', '--out', join(data, '..', out), ...more],
  ];

  it('gives nothing for unknown patients, to people whom nothing permits, or into a directory that is taken', async () => {
    expect(await salus(...base('x1', '--patient', 'nobody'))).toMatchObject({ code: 1, value: { code: 735 } });
    const stranger = ['--patient', patient.id, '--as', 'practitioner:somebody', '--purpose', 'TREAT'];
    expect(await salus(...base('x2', ...stranger))).toMatchObject({ code: 1, value: { code: 735 } });
    expect(readdirSync(join(data, '..', 'x2')).filter((name) => name.endsWith('.ndjson'))).toEqual([]);
    mkdirSync(join(data, '..', 'x3'));
    writeFileSync(join(data, '..', 'x3', 'letter.txt'), 'mine');
    expect(await salus(...base('x3', '--patient', patient.id))).toMatchObject({ code: 1, value: { code: 732 } });
  });

  it('writes the whole record, recorded on the ledger first, with receipts that verify', async () => {
    const out = join(data, '..', 'record');
    const { code, value } = await salus(...base('record', '--patient', patient.id));
    expect({ code, types: value.types }).toEqual({ code: 0, types: { Patient: 1, Observation: 2 } });
    const lines = readFileSync(join(out, 'Observation.ndjson'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).id).sort()).toEqual(['a', 'b']);
    const [disclosed] = JSON.parse(readFileSync(join(out, 'disclosures.json'), 'utf8'));
    expect(disclosed).toMatchObject({ path: 'ledger', disclosure: { exit: 'export', outcome: 'released' } });
    expect(disclosed.disclosure.records).toHaveLength(3);
    expect(value.receipts.length).toBeGreaterThan(0);
    for (const name of value.receipts) {
      expect(existsSync(join(out, name))).toBe(true);
      expect((await salus('verify', join(out, name))).value).toMatchObject({
        ok: true,
        proves: ['transaction', 'result'],
      });
    }
    const { code: after } = await salus('audit', '--data', data, '--org', 'hospital', '--patient', patient.did);
    expect(after).toBe(0);
  });
});
