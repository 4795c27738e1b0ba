/** `salus wallet` against a real node: what it does, and what it says when something is wrong. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { run } from '@salus/cli';
import { utf8 } from '@salus/protocol';
import {
  createLog,
  createSandbox,
  type RunningNode,
  readOrganization,
  recordsOf,
  registerStaff,
  staffDid,
  startNode,
} from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let root: string;
let data: string;
let node: RunningNode;
let wallet: string;
let serial = 0;

interface Answer {
  code: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, looked at by the tests alone
  value: any;
}

async function salus(...args: string[]): Promise<Answer> {
  const out: string[] = [];
  const code = await run([...args, '--json'], { out: (text) => void out.push(text), err: () => undefined });
  return { code, value: JSON.parse(out.join('')) };
}

const own = (...args: string[]): Promise<Answer> => salus('wallet', '--wallet', wallet, ...args);

async function token(slug: string, who: 'system' | 'doctor'): Promise<string> {
  const { keys } = readOrganization(data, slug);
  const subject =
    who === 'system'
      ? ({ kind: 'system' } as const)
      : ({ kind: 'practitioner', id: staffDid(keys.all, 'doctor-1') } as const);
  const doctor = { roles: ['doctor'], purpose: 'TREAT', impersonated: true };
  return await keys.token({ chain: node.chain, subject, nowMs: Date.now(), ...(who === 'doctor' && doctor) });
}

const client = (slug: string, who: 'system' | 'doctor') =>
  createClient({ baseUrl: node.url, token: () => token(slug, who) });

/** A patient with two observations at a custodian, and a code to link a wallet with. */
async function patientAt(slug: string): Promise<{ id: string; code: string }> {
  const id = `p-${++serial}`;
  const subject = { reference: `Patient/${id}` };
  const observation = (name: string, category: string) => ({
    resourceType: 'Observation',
    id: `${name}-${id}`,
    status: 'final',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: category }] }],
    code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
    subject,
  });
  const resources = [
    { resourceType: 'Patient', id },
    observation('lab', 'laboratory'),
    observation('vital', 'vital-signs'),
  ];
  const bundle = { resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) };
  await recordsOf(node)
    .get(slug)
    ?.import(async function* () {
      yield utf8(JSON.stringify(bundle));
    });
  const { code } = await client(slug, 'system').createLinkingCode({ params: { slug }, body: { patient: id } });
  return { id, code };
}

async function ask(patient: string, custodian = 'hospital'): Promise<string> {
  const body = { custodian, patient, purpose: 'TREAT', what: { all: true }, note: 'May I?' };
  return (await client('clinic', 'doctor').createAccessRequest({ params: { slug: 'clinic' }, body })).id;
}

/** What the doctor of the clinic sees at the hospital: types, or the HTTP status. */
async function read(id: string): Promise<number | string[]> {
  const headers = { authorization: `Bearer ${await token('clinic', 'doctor')}` };
  const response = await fetch(`${node.url}/org/hospital/fhir/R4/Patient/${id}/$everything`, { headers });
  if (!response.ok) return response.status;
  const { entry = [] } = (await response.json()) as { entry?: { resource: { id: string } }[] };
  return entry.map(({ resource }) => resource.id.split('-')[0] ?? '').sort();
}

async function linked(): Promise<{ id: string; did: string }> {
  wallet = join(root, `wallet-${++serial}`);
  const { id, code } = await patientAt('hospital');
  expect((await own('create')).code).toBe(0);
  const { code: exit, value } = await own('link', code, '--org', 'hospital', '--url', node.url);
  expect(exit, JSON.stringify(value)).toBe(0);
  return { id, did: value.patient };
}

beforeAll(async () => {
  process.env.SALUS_WALLET_PASSPHRASE = 'several random words';
  root = mkdtempSync(join(tmpdir(), 'salus-wallets-'));
  data = join(root, 'node');
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, checkResponses: true, log: createLog('silent') });
  const clinic = node.organizations.get('clinic');
  if (clinic !== undefined) await registerStaff(node, clinic, 'doctor-1', ['doctor']);
});
afterAll(async () => {
  delete process.env.SALUS_WALLET_PASSPHRASE;
  await node.stop();
  rmSync(root, { recursive: true, force: true });
});

describe('R-CON-2 R-CON-1 a patient decides with salus wallet', () => {
  it('approves as far as they say, counts uses, and takes it back', async () => {
    const { id, did } = await linked();
    const request = await ask(did);
    const [shown] = (await own('requests')).value;
    expect(shown).toMatchObject({ id: request, status: 'pending', content: { note: 'May I?', purpose: 'TREAT' } });
    expect(await read(id)).toBe(404);
    const approved = await own('approve', request, '--for', '1h', '--what', 'laboratory', '--uses', '2');
    expect(approved.code, JSON.stringify(approved.value)).toBe(0);
    expect(await read(id)).toEqual(['lab']);
    expect(await read(id)).toEqual(['lab']);
    expect(await read(id), 'used up').not.toEqual(['lab']);
    expect((await own('revoke', approved.value.directive)).code).toBe(0);
    const [directive] = (await own('directives')).value.directives;
    expect(directive.revokedMs).toBeGreaterThan(0);
    expect(directive.content).toMatchObject({ language: 'en', usesMax: 2, readingLevel: expect.any(Number) });
    const [account] = (await own('who-looked')).value;
    expect(account).toMatchObject({ custodian: 'hospital', complete: true, problems: [] });
    expect(account.entries.filter(({ outcome }: { outcome: string }) => outcome === 'released')).toHaveLength(2);
  });

  it('ends an approved access at once by revoking it', async () => {
    const { id, did } = await linked();
    const { value } = await own('approve', await ask(did), '--for', '1h');
    expect(await read(id)).toEqual(['lab', 'p', 'vital']);
    await own('revoke', value.directive, '--quiet');
    expect(await read(id)).toBe(404);
  });

  it('shuts one person out, whatever else is permitted', async () => {
    const { id } = await linked();
    const clinic = readOrganization(data, 'clinic').keys;
    const grant = ['grant', '--org', 'hospital', '--who', `organisation:${clinic.profile.did}`, '--for', '1d'];
    expect((await own(...grant)).code).toBe(0);
    expect(await read(id)).toEqual(['lab', 'p', 'vital']);
    const doctor = staffDid(clinic.all, 'doctor-1');
    expect((await own('exclude', '--org', 'hospital', '--who', `person:${doctor}`)).code).toBe(0);
    expect(await read(id)).toBe(404);
  });

  it('reads their own record, joined', async () => {
    await linked();
    const { code, value } = await own('history');
    expect(code, JSON.stringify(value)).toBe(0);
    expect(value).toMatchObject([{ custodian: 'hospital', entries: 3 }]);
  });

  it('plans what is said everywhere, and sends it when it is due', async () => {
    await linked();
    const planned = await own('grant', '--everywhere', '--who', 'role:nurse');
    expect(planned.value).toHaveLength(1);
    expect(planned.value[0].dueMs).toBeGreaterThan(Date.now() - 10_000);
    expect((await own('directives')).value.waiting + (await own('sync')).value.sent.length).toBeGreaterThan(0);
  });
});

describe('R-IDN-1 what salus wallet refuses', () => {
  it('a second wallet in the same place, none at all, a wrong passphrase', async () => {
    await linked();
    expect((await own('create')).value.code).toBe(800);
    expect((await salus('wallet', '--wallet', join(root, 'none'), 'requests')).value.code).toBe(801);
    process.env.SALUS_WALLET_PASSPHRASE = 'something else entirely';
    expect((await own('contexts')).value.code).toBe(804);
    process.env.SALUS_WALLET_PASSPHRASE = 'several random words';
  });

  it('codes that are wrong, used, or of a place it is linked with already', async () => {
    await linked();
    const { code } = await patientAt('clinic');
    const link = (text: string, slug: string) => own('link', text, '--org', slug, '--url', node.url);
    expect((await link('AAAA-AAAA-AAAA-AAAA', 'clinic')).value.code).toBe(780);
    expect((await link(code, 'clinic')).code).toBe(0);
    expect((await link(code, 'clinic')).value.code).toBe(809);
    const copy = join(root, 'copy');
    cpSync(wallet, copy, { recursive: true });
    const other = await patientAt('hospital');
    expect((await link(other.code, 'hospital')).value.code).toBe(809);
  });

  it('requests that are not there, not its own, or answered', async () => {
    const { did } = await linked();
    expect((await own('approve', 'A'.repeat(22), '--for', '1h')).value.code).toBe(806);
    const request = await ask(did);
    const first = wallet;
    await linked();
    expect((await own('approve', request, '--for', '1h')).value.code, 'somebody else’s').toBe(806);
    wallet = first;
    expect((await own('deny', request)).code).toBe(0);
    const again = await own('approve', request, '--for', '1h');
    expect([again.code, again.value.code >= 6_000]).toEqual([1, true]);
  });

  it('words that mean nothing: durations, grantees, directives', async () => {
    await linked();
    const grant = (...args: string[]) => own('grant', '--org', 'hospital', ...args);
    expect((await grant('--who', 'anyone', '--for', 'soon')).value.code).toBe(811);
    expect((await grant('--who', 'the-president')).code).toBe(2);
    expect((await grant('--who', 'anyone', '--action', 'burn')).value.code).toBe(813);
    expect((await own('grant', '--who', 'anyone')).code).toBe(2);
    expect((await own('grant', '--org', 'payer', '--who', 'anyone')).value.code).toBe(805);
    expect((await own('revoke', 'A'.repeat(22))).value.code).toBe(808);
  });
});
