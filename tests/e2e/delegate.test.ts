/** Somebody who acts for a patient: registered over HTTP, named by the patient, acting with a wallet of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { run, Wallet } from '@salus/cli';
import { utf8 } from '@salus/protocol';
import {
  createLog,
  createSandbox,
  type RunningNode,
  readOrganization,
  recordsOf,
  registerStaff,
  type Subject,
  staffDid,
  startNode,
} from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const passphrase = 'several random words';
let root: string;
let data: string;
let node: RunningNode;
let patient: string;
let carer: string;

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, looked at by the tests alone
async function salus(...args: string[]): Promise<{ code: number; value: any }> {
  const out: string[] = [];
  const code = await run([...args, '--json'], { out: (text) => void out.push(text), err: () => undefined });
  return { code, value: JSON.parse(out.join('')) };
}

const as = (who: string, ...args: string[]) => salus('wallet', '--wallet', join(root, who), ...args);
const acting = (...args: string[]) => as('carer', 'delegate', ...args, '--org', 'hospital', '--patient', patient);

function client(slug: string, person?: string) {
  const { keys } = readOrganization(data, slug);
  const subject: Subject =
    person === undefined ? { kind: 'system' } : { kind: 'practitioner', id: staffDid(keys.all, person) };
  const role = person?.split('-')[0];
  const token = () =>
    keys.token({
      ...{ chain: node.chain, subject, nowMs: Date.now(), impersonated: person !== undefined },
      ...(role !== undefined && { roles: [role], purpose: 'TREAT' }),
    });
  return createClient({ baseUrl: node.url, token });
}

const params = { slug: 'hospital' };
const newCode = async (): Promise<string> => (await client('hospital').createDelegateCode({ params })).code;

async function ask(): Promise<string> {
  const body = { custodian: 'hospital', patient, purpose: 'TREAT', what: { all: true } };
  return (await client('clinic', 'doctor-1').createAccessRequest({ params: { slug: 'clinic' }, body })).id;
}

const ids = async (): Promise<string[]> =>
  (await acting('history')).value.resources.map(({ id }: { id: string }) => id).sort();

beforeAll(async () => {
  process.env.SALUS_WALLET_PASSPHRASE = passphrase;
  root = mkdtempSync(join(tmpdir(), 'salus-delegates-'));
  data = join(root, 'node');
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, checkResponses: true, log: createLog('silent') });
  const clinic = node.organizations.get('clinic')!;
  const hospital = node.organizations.get('hospital')!;
  await registerStaff(node, clinic, 'doctor-1', ['doctor']);
  await registerStaff(node, hospital, 'clerk-1', ['clerk']);
  const category = (code: string) => [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code }] },
  ];
  const observation = (id: string, kind: string) => ({
    ...{ resourceType: 'Observation', id, status: 'final', category: category(kind) },
    code: { coding: [{ system: 'http://loinc.org', code: '2345-7' }] },
    subject: { reference: 'Patient/p1' },
  });
  const resources = [
    { resourceType: 'Patient', id: 'p1' },
    observation('lab', 'laboratory'),
    observation('vital', 'vital-signs'),
  ];
  const bundle = { resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) };
  await recordsOf(node)
    .get('hospital')
    ?.import(async function* () {
      yield utf8(JSON.stringify(bundle));
    });
  for (const who of ['patient', 'carer']) await as(who, 'create');
  const { code } = await client('hospital').createLinkingCode({ params, body: { patient: 'p1' } });
  patient = (await as('patient', 'link', code, '--org', 'hospital', '--url', node.url)).value.patient;
}, 60_000);
afterAll(async () => {
  delete process.env.SALUS_WALLET_PASSPHRASE;
  await node.stop();
  rmSync(root, { recursive: true, force: true });
});

describe('R-CON-4 R-IDN-1 registering somebody who acts for patients', () => {
  const register = (code: string) => as('carer', 'delegate', 'register', code, '--org', 'hospital', '--url', node.url);

  it('refuses codes that are wrong or for patients, and staff who may not give one', async () => {
    expect((await register('ABCD-EFGH-IJKL-MNOP')).code).toBe(1);
    const { code: link } = await client('hospital').createLinkingCode({ params, body: { patient: 'p1' } });
    expect((await register(link)).code).toBe(1);
    const code = await newCode();
    expect((await as('carer', 'link', code, '--org', 'hospital', '--url', node.url)).code).toBe(1);
    await expect(client('hospital', 'clerk-1').createDelegateCode({ params })).rejects.toMatchObject({ status: 403 });
    await expect(client('clinic').createDelegateCode({ params })).rejects.toMatchObject({ status: 403 });
    expect(Wallet.open(join(root, 'carer'), passphrase).state.delegations).toEqual([]);
    await expect(acting('for')).resolves.toMatchObject({ code: 1, value: { code: 816 } });
  });

  it('makes one of them, once, under a name that is no patient’s', async () => {
    const code = await newCode();
    const { code: exit, value } = await register(code);
    expect(exit, JSON.stringify(value)).toBe(0);
    carer = value.did;
    expect((await register(code)).value.did).toBe(carer);
    const { content } = await client('hospital').getState({
      params: { contract: 'identity', key: `participant/${carer}` },
    });
    expect(content).toMatchObject({ kind: 'delegate', status: 'active' });
    expect(carer).not.toBe(patient);
  });
});

describe('R-CON-4 acting for a patient', () => {
  it('learns and may nothing before the patient says so', async () => {
    const { value } = await acting('for');
    expect(value).toMatchObject({ authorities: [], requests: [] });
    expect(value.fhirId).toBeUndefined();
    expect(await ids()).toEqual([]);
    const nobody = 'did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA';
    const unknown = await as('carer', 'delegate', 'for', '--org', 'hospital', '--patient', nobody);
    expect(unknown.value).toEqual({ ...value, patient: nobody });
    const stranger = ['delegate', 'name', nobody, '--org', 'hospital'];
    expect(await as('patient', ...stranger)).toMatchObject({ code: 1, value: { code: 818 } });
    expect((await as('patient', 'delegate', 'name', 'somebody', '--org', 'hospital')).code).toBe(2);
  });

  it('reads as far as it was named, and no further', async () => {
    const name = await as('patient', 'delegate', 'name', carer, '--org', 'hospital', '--what', 'laboratory');
    expect(name.code, JSON.stringify(name.value)).toBe(0);
    expect(await ids()).toEqual(['lab']);
    const request = await ask();
    expect((await acting('for')).value.requests).toEqual([]);
    expect(await acting('approve', request)).toMatchObject({ code: 1, value: { code: 806 } });
    const [account] = (await as('patient', 'who-looked')).value;
    expect(account).toMatchObject({ complete: true, problems: [] });
    expect((await as('patient', 'delegate', 'end', name.value.authority)).code).toBe(0);
    expect(await ids()).toEqual([]);
    const [ended] = (await as('patient', 'delegate', 'named')).value;
    expect(ended.endedMs).toBeGreaterThan(0);
    expect((await as('patient', 'delegate', 'end', name.value.authority)).value.code).toBe(817);
  });

  it('answers requests in the patient’s place, until the patient ends it', async () => {
    const may = ['--may', 'read', 'decide'];
    const name = await as('patient', 'delegate', 'name', carer, '--org', 'hospital', ...may);
    const [first, second] = [await ask(), await ask()];
    const { value } = await acting('for');
    expect(value.requests.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining([first, second]));
    expect(value.requests.at(-1).content).toMatchObject({ purpose: 'TREAT', patient });
    expect((await acting('approve', first, '--for', '1h')).code).toBe(0);
    expect((await acting('deny', second)).code).toBe(0);
    const status = async (id: string): Promise<string> =>
      (await client('clinic', 'doctor-1').getAccessRequest({ params: { slug: 'clinic', id } })).status;
    expect([await status(first), await status(second)]).toEqual(['permitted', 'denied']);
    expect(await acting('approve', first)).toMatchObject({ code: 1, value: { code: 806 } });
    await as('patient', 'delegate', 'end', name.value.authority);
    expect((await acting('for')).value).toMatchObject({ authorities: [], requests: [] });
  });
});
