/** What two members leave behind that exchanged requests, records and refusals: files, backups, logs, metrics, errors. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Did } from '@salus/protocol';
import { randomBytes, randomId, toBase64url, toHex } from '@salus/protocol';
import { callNode, exportPatient, readOrganization } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chain, type Member, Members, Patient, until } from '../peers/members.ts';
import type { Staff } from '../scenarios/world.ts';
import { ByteScanner } from '../support/byte-scan.ts';

/** One for each place where a text of a person comes in. */
const canaries = {
  family: 'Quillfeatherstonehaugh',
  given: 'Odile-Cunégonde',
  phone: '+1-555-0147-2233',
  street: '17 Periwinkle Crescent',
  identifier: 'MRN-88412-QX',
  logicalId: 'pt-larkspur-5512',
  finding: 'Kartagener sequence, left',
  note: 'asks on behalf of her niece',
  reason: 'found unconscious at the quay',
  staffName: 'Dr Bartholomew Inchbald',
  staffId: 'inchbald-bartholomew',
  search: 'Thistlewood-Moebius',
};
const refusalsMin = 20;
const largeScanBytesMin = 1_000_000;

const out = mkdtempSync(join(tmpdir(), 'salus-two-nodes-'));
let members: Members;
let hospital: Member;
let clinic: Member;
let patient: Patient;
let doctor: Staff;
/** What nodes answered where they gave nothing. */
const refusals: string[] = [];
let metrics = '';

function bundle(): Uint8Array {
  const { family, given, phone, street, identifier, logicalId: id, finding } = canaries;
  const person = {
    resourceType: 'Patient',
    id,
    identifier: [{ system: 'urn:example:mrn', value: identifier }],
    name: [{ family, given: [given] }],
    telecom: [{ system: 'phone', value: phone }],
    address: [{ line: [street] }],
  };
  const condition = {
    resourceType: 'Condition',
    id: `c-${toHex(randomBytes(6))}`,
    recordedDate: '2026-01-02',
    code: { text: finding },
    subject: { reference: `Patient/${id}` },
  };
  const entry = [person, condition].map((resource) => ({ resource }));
  return Buffer.from(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
}

async function asked(member: Member, path: string, body?: unknown, token?: string) {
  const response = await fetch(member.node.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${token ?? (await clinic.world().token(doctor))}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status >= 400) refusals.push(`${response.status} ${[...response.headers]} ${text}`);
  return { status: response.status, text };
}

function system(member: Member, changes = {}): Promise<string> {
  const { keys } = readOrganization(member.dataDir, member.slug);
  return keys.token({ chain, subject: { kind: 'system' }, nowMs: Date.now(), ...changes });
}

function request(): Promise<{ status: number; text: string }> {
  const body = { custodian: 'hospital', patient: patient.did, purpose: 'TREAT', what: { all: true } };
  return asked(clinic, '/org/clinic/access-requests', { ...body, note: canaries.note });
}

/** Asked for, decided in the wallet, read at the custodian through the own node. */
async function exchange(): Promise<void> {
  const { id } = JSON.parse((await request()).text) as { id: string };
  await until(async () => (await hospital.records().content.get('request', id)) !== undefined, 'the request');
  expect(await hospital.records().content.get('request', id)).toMatchObject({ note: canaries.note });
  expect(await patient.decide(id, 'permit')).toBe(0);
  const everything = `/org/clinic/members/hospital/fhir/R4/Patient/${patient.id}/$everything`;
  const { text } = await asked(clinic, everything);
  for (const name of ['family', 'phone', 'street', 'finding'] as const) expect(text).toContain(canaries[name]);
  const contexts = [{ custodian: 'hospital', patient: patient.did }];
  expect((await asked(clinic, '/org/clinic/history', { contexts })).text).toContain(canaries.finding);
  const report = await exportPatient(hospital.node, {
    slug: 'hospital',
    patient: patient.id,
    out: join(out, 'export'),
  });
  expect(report.resources).toBe(2);
}

async function emergency(): Promise<void> {
  const untilMs = Date.now() + 86_400_000;
  const licence = { practitioner: doctor.did, profession: 'doctor', status: 'active', untilMs };
  await members.get('regulator').execute({ type: 'identity/setLicence', ...licence });
  const body = { custodian: 'hospital', patient: patient.did, reasonCode: 'ETREAT', reasonText: canaries.reason };
  const { status, text } = await asked(clinic, '/org/clinic/break-glass', body);
  expect(status, text).toBe(201);
  const { id } = JSON.parse(text) as { id: string };
  await until(async () => (await hospital.records().content.get('glass', id)) !== undefined, 'the reason');
}

/** Canaries in every place of a request that is refused, at the own node and, through it, at the other. */
async function refused(): Promise<void> {
  const { search, logicalId, note, staffId, family } = canaries;
  const text = encodeURIComponent(search);
  const through = '/org/clinic/members/hospital/fhir/R4';
  const here = '/org/hospital/fhir/R4';
  for (const path of [
    `/Patient?name=${text}`,
    `/Patient/${logicalId}-x`,
    `/${text}/1`,
    `/Observation?subject=${text}`,
  ]) {
    await asked(clinic, through + path);
    await asked(hospital, here + path);
    await asked(hospital, here + path, undefined, await system(clinic, { forSlug: 'hospital' }));
  }
  const wrong = { custodian: search, patient: family, purpose: search, what: { text: note }, note, [search]: note };
  for (const body of [wrong, [note], note, `{"${search}": ${note}`]) {
    await asked(clinic, '/org/clinic/access-requests', body);
    await asked(clinic, '/org/clinic/break-glass', body);
    await asked(clinic, '/org/clinic/history', body);
    await asked(hospital, `${here}/Patient`, body);
    for (const path of ['sealed', 'cursor', 'history']) {
      const boundTo = { method: 'POST', path: `/org/hospital/peers/${path}` };
      const token = await system(clinic, { forSlug: 'hospital', boundTo });
      await asked(hospital, boundTo.path, typeof body === 'object' ? { ...wrong, envelope: body } : body, token);
    }
  }
  const place = { epoch: randomId(), sequence: 1, oldest: 1 };
  const boundTo = { method: 'POST', path: '/org/hospital/peers/sealed' };
  const token = await system(members.get('payer'), { forSlug: 'hospital', boundTo });
  await asked(hospital, boundTo.path, { ...place, envelope: { format: note, commitment: family } }, token);
  await asked(clinic, `/org/clinic/members/${staffId}/fhir/R4/Patient/${logicalId}`);
  await asked(hospital, `/api/transactions/${text}/receipt`);
  await asked(hospital, `/api/state/${text}/${logicalId}`);
  expect(refusals.length).toBeGreaterThan(refusalsMin);
}

beforeAll(async () => {
  members = await Members.create();
  [hospital, clinic] = [members.get('hospital'), members.get('clinic')];
  const did = `did:salus:${toBase64url(randomBytes(20))}` as Did;
  await clinic.execute({ type: 'identity/registerPractitioner', did, roles: ['doctor'] });
  doctor = { did, slug: 'clinic', roles: ['doctor'] };
  const { staffId: id, staffName: name } = canaries;
  const registered = await asked(
    clinic,
    '/org/clinic/practitioners',
    { id, name, roles: ['nurse'] },
    await system(clinic),
  );
  expect(registered.status, registered.text).toBeLessThan(300);
  const report = await hospital.records().import(async function* () {
    yield bundle();
  });
  expect(report.errors).toEqual([]);
  const found = hospital.records().patients.byId(canaries.logicalId);
  patient = await new Patient(hospital.world(), 'hospital', canaries.logicalId, found!.did).link();
  await exchange();
  await emergency();
  await refused();
  for (const member of [hospital, clinic]) {
    await callNode(member.dataDir, { command: 'backup', to: join(out, member.slug) });
    metrics += await (await fetch(`${member.node.url}/metrics`)).text();
  }
  // A request that waits in the outbox, and one to a node that does not answer.
  await hospital.stop();
  await request();
  await asked(clinic, `/org/clinic/members/hospital/fhir/R4/Patient/${canaries.logicalId}`);
  metrics += await (await fetch(`${clinic.node.url}/metrics`)).text();
  expect((await clinic.store().read.selectFrom('peer_outbox').selectAll().execute()).length).toBeGreaterThan(2);
  await clinic.stop();
});
afterAll(async () => {
  await members.close();
  rmSync(out, { recursive: true, force: true });
});

function found(text: string, where: string): unknown[] {
  const scanner = new ByteScanner(Object.values(canaries));
  scanner.scan(Buffer.from(text), where);
  return scanner.findings.slice(0, 5);
}

describe('R-LED-5 two members that exchanged', () => {
  test('have nothing of anybody in their files and backups, in no encoding', async () => {
    const scanner = new ByteScanner(Object.values(canaries));
    for (const dir of [
      hospital.dataDir,
      clinic.dataDir,
      members.chainDir,
      join(out, 'hospital'),
      join(out, 'clinic'),
    ]) {
      const before = scanner.bytes;
      await scanner.scanDirectory(dir);
      expect(scanner.bytes - before, dir).toBeGreaterThan(largeScanBytesMin);
    }
    expect(scanner.findings.slice(0, 5)).toEqual([]);
  });

  test('nor in their logs, metrics and refusals', () => {
    const lines = [...hospital.logLines, ...clinic.logLines];
    expect(lines.some((line) => line.includes('peers/sealed'))).toBe(true);
    expect(found(lines.join('\n'), 'log')).toEqual([]);
    expect(metrics).toContain('salus_outbox');
    expect(found(metrics, 'metrics')).toEqual([]);
    expect(found(refusals.join('\n'), 'refusals')).toEqual([]);
  });

  test('a copy for the patient holds the record, and says nothing of it in names and proofs', () => {
    const dir = join(out, 'export');
    const names = readdirSync(dir, { recursive: true, encoding: 'utf8' });
    const records = names.filter((name) => name.endsWith('.ndjson'));
    expect(records.map((name) => readFileSync(join(dir, name), 'utf8')).join()).toContain(canaries.family);
    expect(found(names.join('\n'), 'names')).toEqual([]);
    for (const name of names.filter((one) => one.endsWith('.json'))) {
      expect(found(readFileSync(join(dir, name), 'utf8'), name)).toEqual([]);
    }
  });

  test('a text that got there is found', async () => {
    const { note } = canaries;
    writeFileSync(join(clinic.dataDir, 'planted'), `prefix ${Buffer.from(note).toString('base64')} suffix`);
    const scanner = new ByteScanner([note]);
    await scanner.scanDirectory(clinic.dataDir);
    expect(scanner.findings.map(({ file }) => file.endsWith('planted'))).toEqual([true]);
    expect(found(`x${note}`, 'text')).not.toEqual([]);
  });
});
