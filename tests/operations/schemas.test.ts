/** The JSON Schemas of docs/schemas describe what is really written: each is held against documents of a real run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { run } from '@salus/cli';
import { fromBase64url, parseTransaction, utf8 } from '@salus/protocol';
import {
  accessDesks,
  createLog,
  createSandbox,
  type RunningNode,
  readOrganization,
  recordsOf,
  registerStaff,
  staffDid,
  startNode,
} from '@salus/server';
import Schema from 'typebox/schema';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = join(import.meta.dirname, '../../docs/schemas');
const names = readdirSync(folder).flatMap((name) => /^(.*)\.schema\.json$/.exec(name)?.[1] ?? []);
const schemaOf = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.schema.json`), 'utf8'));
/** Documents by the schema that describes them. */
const written = new Map<string, unknown[]>();

let root: string;
let data: string;
let node: RunningNode;

const keep = (name: string, ...documents: unknown[]): void => {
  written.set(name, [...(written.get(name) ?? []), ...documents]);
};

/** What is looked at of what commands say; each says some of it. */
interface Said {
  patient: string;
  directive: string;
}

async function salus(...args: string[]): Promise<Said> {
  const out: string[] = [];
  const code = await run([...args, '--json'], { out: (text) => void out.push(text), err: () => undefined });
  expect(code, out.join('')).toBe(0);
  return JSON.parse(out.join('')) as Said;
}

const own = (...args: string[]) => salus('wallet', '--wallet', join(root, 'wallet'), ...args);

async function tokenOf(slug: string, doctor: boolean): Promise<string> {
  const { keys } = readOrganization(data, slug);
  const id = staffDid(keys.all, 'doctor-1');
  const person = {
    subject: { kind: 'practitioner' as const, id },
    roles: ['doctor'],
    purpose: 'TREAT',
    impersonated: true,
  };
  const system = { subject: { kind: 'system' as const }, roles: ['officer'] };
  return await keys.token({ chain: node.chain, nowMs: Date.now(), ...(doctor ? person : system) });
}

const client = (slug: string, doctor = false) =>
  createClient({ baseUrl: node.url, token: () => tokenOf(slug, doctor) });

async function linked(): Promise<{ id: string; did: string }> {
  const subject = { reference: 'Patient/p1' };
  const code = { coding: [{ system: 'http://loinc.org', code: '2345-7' }] };
  const resources = [
    { resourceType: 'Patient', id: 'p1' },
    { resourceType: 'Observation', id: 'o1', status: 'final', code, subject },
  ];
  const bundle = { resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) };
  await recordsOf(node)
    .get('hospital')
    ?.import(async function* () {
      yield utf8(JSON.stringify(bundle));
    });
  const call = { params: { slug: 'hospital' }, body: { patient: 'p1' } };
  const { code: link } = await client('hospital').createLinkingCode(call);
  await own('create');
  const { patient } = await own('link', link, '--org', 'hospital', '--url', node.url);
  return { id: 'p1', did: patient };
}

async function decideAndRead(did: string): Promise<void> {
  const ask = async (): Promise<string> => {
    const body = { custodian: 'hospital', patient: did, purpose: 'TREAT', what: { all: true } };
    return (await client('clinic', true).createAccessRequest({ params: { slug: 'clinic' }, body })).id;
  };
  const headers = { authorization: `Bearer ${await tokenOf('clinic', true)}` };
  const read = () => fetch(`${node.url}/org/hospital/fhir/R4/Patient/p1/$everything`, { headers });
  expect((await read()).status).toBe(404);
  const { directive } = await own('approve', await ask(), '--for', '1h');
  expect((await read()).status).toBe(200);
  await own('deny', await ask());
  await own('revoke', directive, '--quiet');
}

/** What wallets sealed, opened by the custodian it was sealed to. */
async function sealed(): Promise<void> {
  const desk = accessDesks(node).get('hospital')!;
  const open = createClient({ baseUrl: node.url });
  for (const type of ['access/decide', 'consent/revoke']) {
    const { transactions } = await open.listTransactions({ query: { type, limit: 50 } });
    for (const { hash } of transactions) {
      const { transaction } = await open.getTransaction({ params: { id: hash } });
      const messages = parseTransaction(fromBase64url(transaction)).payload.messages;
      for (const message of messages.filter((one) => one.type === type)) {
        const [first] = (message.directives ?? []) as string[];
        const id = String(message.request ?? first);
        const content = await desk.open(type, id, String(message.commitment ?? message.notice));
        keep(type === 'access/decide' ? 'salus-decision-1' : 'salus-revocation-1', content);
      }
    }
  }
}

async function exits(did: string): Promise<void> {
  const out = join(root, 'export');
  await salus('export', '--org', 'hospital', '--patient', 'p1', '--data', data, '--url', node.url, '--out', out);
  const read = (name: string): unknown => JSON.parse(readFileSync(join(out, name), 'utf8'));
  keep('disclosures', read('disclosures.json'));
  keep('salus-anchor-1', read('anchor.json'));
  for (const name of readdirSync(out).filter((one) => one.startsWith('receipt-'))) keep('salus-receipt-1', read(name));
  const answer = await fetch(`${node.url}/org/hospital/exports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenOf('hospital', false)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ patient: 'p1' }),
  });
  keep(
    'export-line',
    ...(await answer.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
  const { keys } = readOrganization(data, 'hospital');
  const officer = { kind: 'practitioner' as const, id: staffDid(keys.all, 'officer-1') };
  const token = () =>
    keys.token({ chain: node.chain, subject: officer, roles: ['officer'], impersonated: true, nowMs: Date.now() });
  const call = { params: { slug: 'hospital' }, query: { patient: did } };
  const accounting = await createClient({ baseUrl: node.url, token }).accounting(call);
  keep('accounting', accounting);
  keep('salus-disclosure-1', ...accounting.entries.map(({ disclosure }) => disclosure));
  for (const key of [`identity/participant/${did}`, 'access/request/AAAAAAAAAAAAAAAAAAAAAA']) {
    const [contract = '', ...rest] = key.split('/');
    const params = { contract, key: rest.join('/') };
    const { proof } = await createClient({ baseUrl: node.url }).getState({ params, query: { proof: true } });
    keep('salus-receipt-1', proof);
  }
}

beforeAll(async () => {
  process.env.SALUS_WALLET_PASSPHRASE = 'several random words';
  root = mkdtempSync(join(tmpdir(), 'salus-schemas-'));
  data = join(root, 'node');
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, log: createLog('silent') });
  const clinic = node.organizations.get('clinic')!;
  const hospital = node.organizations.get('hospital')!;
  await registerStaff(node, clinic, 'doctor-1', ['doctor']);
  await registerStaff(node, hospital, 'officer-1', ['officer']);
  const { did } = await linked();
  await decideAndRead(did);
  await sealed();
  await exits(did);
  await salus('backup', '--data', data, '--to', join(root, 'backup'));
  keep('salus-backup-1', JSON.parse(readFileSync(join(root, 'backup', 'backup.json'), 'utf8')));
}, 60_000);
afterAll(async () => {
  delete process.env.SALUS_WALLET_PASSPHRASE;
  await node.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Every way to leave out, add or change one member of an object, at the top and one level below. */
function* spoilt(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  yield { ...value, unknown: 1 };
  if ('format' in value) yield { ...value, format: 'salus-other/1' };
  for (const name of Object.keys(value)) yield { ...value, [name]: { unfit: true } };
}

describe('R-REC-8 R-LED-1 docs/schemas', () => {
  it.each(names)('%s fits everything that was written, and nothing that is spoilt', (name) => {
    const schema = schemaOf(name);
    const documents = written.get(name) ?? [];
    expect(documents.length).toBeGreaterThan(0);
    for (const document of documents) {
      expect(Schema.Errors(schema, document)).toEqual([true, []]);
      for (const bad of spoilt(document)) {
        expect(Schema.Check(schema, bad), JSON.stringify(bad).slice(0, 200)).toBe(false);
      }
    }
  });

  it('covers permits and denials, presence and absence, releases and refusals', () => {
    const decisions = written.get('salus-decision-1') as { decision: string }[];
    expect(new Set(decisions.map(({ decision }) => decision))).toEqual(new Set(['permit', 'deny']));
    const receipts = written.get('salus-receipt-1') as { transaction?: unknown; state?: { stored: unknown } }[];
    expect(receipts.some(({ transaction }) => transaction !== undefined)).toBe(true);
    expect(receipts.some(({ state }) => state?.stored === null)).toBe(true);
    const outcomes = (written.get('salus-disclosure-1') as { outcome: string }[]).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(expect.arrayContaining(['released', 'denied']));
    const lines = written.get('export-line') as { kind: string }[];
    expect(new Set(lines.map(({ kind }) => kind))).toEqual(new Set(['resource', 'file', 'receipt', 'end']));
  });
});
