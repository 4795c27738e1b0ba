import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '@salus/api';
import { randomBytes, randomId, toBase64url, utf8 } from '@salus/protocol';
import { createSandbox, readOrganization, staffDid } from '@salus/server';
import { generatePatients } from '@salus/standards';
import { afterAll, describe, expect, test } from 'vitest';
import { authorityFile, memberUrl, trustAuthority } from '../../packages/cli/src/network/addresses.ts';
import { type Network, readNetwork } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { memberProcess } from '../../packages/cli/src/network/run-network.ts';
import { NodeProcess, WalletProcess } from '../../packages/cli/src/walkthrough/processes.ts';
import { doctor, type Problem, refusedStart, salus, temporaryDirectory } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';

const mainFile = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const temporary = temporaryDirectory('handover');
const source = join(temporary.path, 'node');
const dir = join(temporary.path, 'network');
const proofs = join(temporary.path, 'proofs');
const passphrase = toBase64url(randomBytes(18));
let wallet = new WalletProcess(join(temporary.path, 'wallet'), passphrase);
const upMsMax = 120_000;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Running = { stop(): Promise<void> };
const running: Running[] = [];
afterAll(async () => {
  await wallet.stop();
  await Promise.all(running.map((one) => one.stop()));
  temporary.remove();
});

/** A client of an organisation's system, or of its doctor, with keys out of a data directory. */
function clientOf(url: string, dataDir: string, slug: string, isDoctor = false): Client {
  const { keys, directory } = readOrganization(dataDir, slug);
  const { chain } = directory.manifest;
  const doctor = { kind: 'practitioner' as const, id: staffDid(keys.all, 'doctor-1') };
  const as = { subject: doctor, roles: ['doctor'], purpose: 'TREAT', impersonated: true };
  const token = (): Promise<string> =>
    keys.token({ chain, nowMs: Date.now(), ...(isDoctor ? as : { subject: { kind: 'system' as const } }) });
  return createClient({ baseUrl: url, token });
}

/** What the clinic's doctor gets from the hospital's gate. */
async function readAtHospital(url: string, dataDir: string, path: string) {
  const { keys, directory } = readOrganization(dataDir, 'clinic');
  const token = await keys.token({
    chain: directory.manifest.chain,
    subject: { kind: 'practitioner', id: staffDid(keys.all, 'doctor-1') },
    roles: ['doctor'],
    purpose: 'TREAT',
    impersonated: true,
    nowMs: Date.now(),
  });
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/org/hospital/fhir/R4/${path}`, { headers });
  const body = (await response.json()) as { id?: string; entry?: unknown[] };
  return { status: response.status, id: body.id, entries: body.entry?.length };
}

async function bytesOf(url: string, name: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  const file = join(proofs, `${name}.json`);
  writeFileSync(file, Buffer.from(await response.arrayBuffer()));
  return file;
}

/** A proof of the state as the node gives it. */
async function stateFile(url: string, key: string, name: string): Promise<string> {
  const response = await fetch(`${url}/api/state/${key}?proof=true`);
  const { proof } = (await response.json()) as { proof: unknown };
  const file = join(proofs, `${name}.json`);
  writeFileSync(file, JSON.stringify(proof));
  return file;
}

async function verified(file: string): Promise<Record<string, unknown>> {
  const { stdout } = await salus(['verify', file, '--anchor', join(proofs, 'anchor.json'), '--json']);
  return JSON.parse(stdout) as Record<string, unknown>;
}

function exporting(...args: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; out: string }> } {
  const all = ['network', 'export-genesis', '--data', source, '--dir', dir, '--tls', ...args];
  const child = spawn(process.execPath, [mainFile, ...all], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (out += String(data)));
  return { child, ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, out }))) };
}

/** Kills an export when it says this; before that the source is in nobody's way. */
async function killedAt(words: string): Promise<void> {
  const { child, ended } = exporting('--base-port', String(await freeBasePort()));
  child.stderr?.on('data', (data) => {
    if (String(data).includes(words)) child.kill('SIGKILL');
  });
  const { code, out } = await ended;
  expect({ code, said: out.includes(words) }).toEqual({ code: null, said: true });
}

async function untilUp(network: Network): Promise<void> {
  const until = Date.now() + upMsMax;
  for (;;) {
    const status = await networkStatus(network);
    if (status.ok) return;
    if (Date.now() > until) throw new Error(JSON.stringify(status));
    await sleep(200);
  }
}

/** What the rest of this file asks about, made on the embedded chain. */
const before = { patient: '', did: '', approved: '', pending: '', directive: '', transaction: '', entries: 0 };

async function fill(url: string): Promise<void> {
  const hospital = clientOf(url, source, 'hospital');
  await clientOf(url, source, 'clinic').registerPractitioner({
    params: { slug: 'clinic' },
    body: { id: 'doctor-1', roles: ['doctor'] },
  });
  const [generated] = generatePatients({ seed: 'handover', count: 1 });
  const bundle = utf8(JSON.stringify(generated!.bundle));
  const body = (async function* () {
    yield bundle;
  })();
  const report = await hospital.importRecords({ params: { slug: 'hospital' }, body });
  const [patient] = report.patients;
  before.patient = patient!.id;
  before.did = patient!.did;
  const { code } = await hospital.createLinkingCode({ params: { slug: 'hospital' }, body: { patient: patient!.id } });
  await wallet.run('create');
  await wallet.run('link', code, '--org', 'hospital', '--url', url);
  before.approved = await ask(url, source);
  const answer = await wallet.run<{ transaction: string; directive: string }>(
    'approve',
    before.approved,
    '--for',
    '1h',
  );
  Object.assign(before, answer);
  before.pending = await ask(url, source);
  const everything = await readAtHospital(url, source, `Patient/${before.patient}/$everything`);
  expect(everything.status).toBe(200);
  before.entries = everything.entries ?? 0;
  expect(before.entries).toBeGreaterThan(5);
}

async function ask(url: string, dataDir: string): Promise<string> {
  const { id, status } = await clientOf(url, dataDir, 'clinic', true).createAccessRequest({
    params: { slug: 'clinic' },
    body: {
      custodian: 'hospital',
      patient: before.did as `did:salus:${string}`,
      purpose: 'TREAT',
      what: { all: true },
      note: 'A second opinion.',
    },
  });
  expect(status).toBe('pending');
  return id;
}

describe('R-PPL-5 R-LED-8 an embedded chain becomes a network of four', () => {
  test('exports that are killed, come twice or name a wrong place leave the source as it is', async () => {
    mkdirSync(proofs);
    await createSandbox(source, { votingRules: { validators: { votingMs: 4_000, noticeBlocks: 2 } } });
    const first = await NodeProcess.start(source);
    await fill(first.url);
    await bytesOf(`${first.url}/api/anchor`, 'anchor');
    await bytesOf(`${first.url}/api/transactions/${before.transaction}/receipt`, 'before');
    const inUse = exporting();
    expect(JSON.parse((await exporting('--json').ended).out)).toMatchObject({ code: 706 } satisfies Partial<Problem>);
    expect((await inUse.ended).code).toBe(1);
    await first.stop();
    expect(existsSync(dir)).toBe(false);

    mkdirSync(dir);
    writeFileSync(join(dir, 'precious'), 'not ours');
    expect(JSON.parse((await exporting('--json').ended).out)).toMatchObject({ code: 742 });
    expect(readdirSync(dir)).toEqual(['precious']);
    rmSync(dir, { recursive: true });

    await killedAt('The members vote');
    await killedAt('Copying what clinic keeps');
    const again = await NodeProcess.start(source);
    expect((await readAtHospital(again.url, source, `Patient/${before.patient}`)).status).toBe(200);
    await again.stop();
    const report = await doctor(source, '--replay');
    expect(report.problems).toEqual([]);
  });

  test('one that ends hands the chain over; again it changes nothing, and the source makes no more blocks', async () => {
    const one = exporting();
    const isAtWork = new Promise<void>((resolve) => {
      one.child.stderr?.on('data', (data) => {
        if (!String(data).includes('Copying what hospital keeps')) return;
        one.child.kill('SIGSTOP');
        resolve();
      });
    });
    await Promise.race([isAtWork, one.ended]);
    expect(JSON.parse((await exporting('--json').ended).out)).toMatchObject({ code: 706 });
    one.child.kill('SIGCONT');
    expect((await one.ended).code).toBe(0);
    const { out } = await exporting('--json').ended;
    const exported = JSON.parse(out) as { height: number; appHash: string };
    const { problem } = await refusedStart(source);
    expect(problem.code).toBe(741);
    // Nothing that the old validator signs with is left, so that a copy of the keys brings no older backup back to life.
    const retired = JSON.parse(readFileSync(join(source, 'keys', 'validator.json'), 'utf8')) as object;
    expect(Object.keys(retired)).toEqual(['format', 'kty', 'crv', 'x']);
    const elsewhere = ['network', 'export-genesis', '--data', source, '--json', '--dir', `${dir}-2`];
    expect(JSON.parse((await salus(elsewhere)).stdout)).toMatchObject({ code: 741 });
    expect(existsSync(`${dir}-2`)).toBe(false);
    // Killed after the handover was signed: names are missing, nothing else.
    const handover = readFileSync(join(source, 'handover.json'), 'utf8');
    for (const name of ['network.json', 'payer/salus.json', 'regulator/handover.json']) rmSync(join(dir, name));
    expect(JSON.parse((await exporting('--json').ended).out)).toEqual(exported);
    expect(readFileSync(join(source, 'handover.json'), 'utf8')).toBe(handover);
    for (const slug of ['hospital', 'clinic', 'payer', 'regulator']) {
      expect(readFileSync(join(dir, slug, 'handover.json'), 'utf8')).toBe(handover);
      expect(existsSync(join(dir, slug, 'orgs', slug, 'keys', 'vault.json'))).toBe(true);
      expect(readdirSync(join(dir, slug, 'orgs'))).toEqual([slug]);
    }
    expect((await doctor(source, '--replay')).problems).toEqual([]);
    expect(exported.height).toBeGreaterThan(10);
  });

  test('R-LED-7 records, consent, the pending request and receipts are those of before', async () => {
    const network = readNetwork(dir);
    trustAuthority(dir);
    await wallet.stop();
    wallet = new WalletProcess(join(temporary.path, 'wallet'), passphrase, { NODE_EXTRA_CA_CERTS: authorityFile(dir) });
    for (const member of network.members) {
      const process = memberProcess(member, network.host);
      running.push(process);
      await process.start();
    }
    await untilUp(network);
    const [hospital, clinic, , regulator] = network.members.map((member) => memberUrl(network, member));
    const clinicDir = join(dir, 'clinic');

    // The gate opens for what was approved, in the same words for everything else.
    const everything = await readAtHospital(hospital!, clinicDir, `Patient/${before.patient}/$everything`);
    expect(everything).toEqual({ status: 200, id: undefined, entries: before.entries });
    expect((await readAtHospital(hospital!, clinicDir, 'Patient/nobody-of-this-name')).status).toBe(404);

    // The clinic's own node asks the hospital's, where the ledger says that it is.
    const history = await clientOf(clinic!, clinicDir, 'clinic', true).history({
      params: { slug: 'clinic' },
      body: { contexts: [{ custodian: 'hospital', patient: before.did as `did:salus:${string}` }] },
    });
    expect(history.custodians).toMatchObject([{ slug: 'hospital', entries: before.entries }]);

    // The wallet goes with the hospital, believes nobody else, and decides what was asked before.
    await expect(wallet.run('move', '--org', 'hospital', '--url', 'http://127.0.0.1:9')).rejects.toThrow('720');
    await wallet.run('move', '--org', 'hospital', '--url', hospital!);
    const open = await wallet.run<{ id: string; content?: { note?: string } }[]>('requests');
    expect(open.map(({ id, content }) => [id, content?.note])).toEqual([[before.pending, 'A second opinion.']]);
    const { transaction, directive } = await wallet.run<typeof before>('approve', before.pending, '--for', '1h');

    // Old and new, from a member that had nothing to do with it, under the anchor of before.
    const files = {
      old: await bytesOf(`${regulator}/api/transactions/${before.transaction}/receipt`, 'old'),
      new: await bytesOf(`${clinic}/api/transactions/${transaction}/receipt`, 'new'),
      grant: await stateFile(regulator!, `consent/directive/${before.directive}`, 'grant'),
      second: await stateFile(hospital!, `consent/directive/${directive}`, 'second'),
      request: await stateFile(regulator!, `access/request/${before.pending}`, 'request'),
      absence: await stateFile(regulator!, `access/request/${randomId()}`, 'absence'),
      before: join(proofs, 'before.json'),
    };
    const reports = await Promise.all(Object.values(files).map(verified));
    expect(reports.map(({ ok, code }) => ({ ok, code }))).toEqual(reports.map(() => ({ ok: true, code: undefined })));
    expect(readFileSync(files.old, 'utf8')).toBe(readFileSync(files.before, 'utf8'));
    expect(readFileSync(files.new, 'utf8')).toContain('salus-handover/1');

    // Taken back, it is shut again.
    await wallet.run('revoke', before.directive, directive);
    expect((await readAtHospital(hospital!, clinicDir, `Patient/${before.patient}`)).status).toBe(404);

    // A member that was killed comes back where it was, and everything on its disk can be executed again.
    const [first] = running.splice(0, 1);
    await first?.stop();
    const report = await doctor(network.members[0]!.dataDir, '--replay');
    expect(report.problems).toEqual([]);
    const back = memberProcess(network.members[0]!, network.host);
    running.push(back);
    await back.start();
    await untilUp(network);
  });
});
