/**
 * A wallet that is killed (SIGKILL) in the middle of a command, at each of its exchanges with the node: before the node hears
 * of it, and after the node did it and before the wallet hears the answer. `SALUS_WALLET_KILLS=1` kills at every exchange, not only
 * at those that change something.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  staffDid,
  startNode,
} from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const passphrase = 'several random words';
const isEveryExchange = process.env.SALUS_WALLET_KILLS !== undefined;

type Phase = 'before' | 'after';
interface Plan {
  path: RegExp;
  phase: Phase;
  child: ChildProcess | undefined;
  hits: number;
}

let root: string;
let data: string;
let node: RunningNode;
let proxy: Server;
let url: string;
let plan: Plan | undefined;
/** An exchange that waits until the test lets it go on. */
let hold: { path: RegExp; reached(): void; open: Promise<void> } | undefined;
let serial = 0;

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, looked at by the tests alone
async function salus(...args: string[]): Promise<{ code: number; value: any }> {
  const out: string[] = [];
  const code = await run([...args, '--json'], { out: (text) => void out.push(text), err: () => undefined });
  return { code, value: JSON.parse(out.join('')) };
}

/** Whether the wallet dies here. */
function strikes(name: string, phase: Phase): boolean {
  if (plan === undefined || plan.phase !== phase || !plan.path.test(name)) return false;
  plan.hits += 1;
  plan.child?.kill('SIGKILL');
  return true;
}

async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = `${request.method} ${request.url?.split('?')[0]}`;
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  if (hold?.path.test(name)) {
    hold.reached();
    await hold.open;
  }
  if (strikes(name, 'before')) return void request.socket.destroy();
  const { authorization, 'content-type': type } = request.headers;
  const headers = { ...(authorization && { authorization }), ...(type && { 'content-type': type }) };
  const body = pieces.length > 0 ? Buffer.concat(pieces) : null;
  const answer = await fetch(node.url + request.url, { method: request.method ?? 'GET', headers, body });
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (strikes(name, 'after')) return void request.socket.destroy();
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
  response.end(bytes);
}

/** Runs a wallet command as a process of its own that dies at the planned exchange. */
async function killed(wallet: string, path: RegExp, phase: Phase, args: string[]): Promise<void> {
  plan = { path, phase, child: undefined, hits: 0 };
  const env = { ...process.env, SALUS_WALLET_PASSPHRASE: passphrase };
  const child = spawn(process.execPath, [main, 'wallet', '--wallet', wallet, ...args], { env, stdio: 'ignore' });
  plan.child = child;
  const [, signal] = await once(child, 'exit');
  const { hits } = plan;
  plan = undefined;
  expect({ signal, isHit: hits > 0 }, `${args[0]} ${path} ${phase}`).toEqual({ signal: 'SIGKILL', isHit: true });
}

const systemClient = () => {
  const { keys } = readOrganization(data, 'hospital');
  const token = () => keys.token({ chain: node.chain, subject: { kind: 'system' }, nowMs: Date.now() });
  return createClient({ baseUrl: node.url, token });
};

async function newPatient(): Promise<{ wallet: string; code: string }> {
  serial += 1;
  const resource = { resourceType: 'Patient', id: `p-${serial}` };
  await recordsOf(node)
    .get('hospital')
    ?.import(async function* () {
      yield utf8(JSON.stringify(resource));
    });
  const body = { patient: resource.id };
  const { code } = await systemClient().createLinkingCode({ params: { slug: 'hospital' }, body });
  const wallet = join(root, `wallet-${serial}`);
  expect((await salus('wallet', '--wallet', wallet, 'create')).code).toBe(0);
  return { wallet, code };
}

async function countOf(patient: string, type: string): Promise<number> {
  const { transactions } = await createClient({ baseUrl: node.url }).listTransactions({
    query: { participant: patient, limit: 500 },
  });
  return transactions.filter(({ types, code }) => code === 0 && types.includes(type)).length;
}

beforeAll(async () => {
  process.env.SALUS_WALLET_PASSPHRASE = passphrase;
  root = mkdtempSync(join(tmpdir(), 'salus-kills-'));
  data = join(root, 'node');
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, log: createLog('silent') });
  const clinic = node.organizations.get('clinic');
  if (clinic !== undefined) await registerStaff(node, clinic, 'doctor-1', ['doctor']);
  proxy = createServer((request, response) => void pass(request, response)).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});
afterAll(async () => {
  delete process.env.SALUS_WALLET_PASSPHRASE;
  proxy.close();
  proxy.closeAllConnections();
  await node.stop();
  rmSync(root, { recursive: true, force: true });
});

const submit = /POST \/api\/transactions/;
const seal = /POST \/api\/sealed/;
const confirm = /links\/confirm/;
const reading = [/GET \/api\/status/, /wallet\/requests/, /GET \/api\/state/, /GET \/api\/sealed/];

/** Exchanges of a command at which it dies. */
function points(own: [RegExp, Phase][], also: RegExp[] = []): [RegExp, Phase][] {
  const more = also.flatMap((path): [RegExp, Phase][] => [
    [path, 'before'],
    [path, 'after'],
  ]);
  return isEveryExchange ? [...own, ...more] : own;
}

describe('R-IDN-1 a wallet that is killed while it is linked', () => {
  const each = points(
    [
      [/POST .*\/links$/, 'before'],
      [confirm, 'before'],
      [confirm, 'after'],
    ],
    [/anchor/, /GET \/api\/state/],
  );
  it.each(each)('is linked once in the end (%s %s)', async (path, phase) => {
    const { wallet, code } = await newPatient();
    const link = ['link', code, '--org', 'hospital', '--url', url];
    await killed(wallet, path, phase, link);
    const again = await salus('wallet', '--wallet', wallet, ...link);
    expect(again.code, JSON.stringify(again.value)).toBe(0);
    const contexts = await salus('wallet', '--wallet', wallet, 'contexts');
    expect(contexts.value).toHaveLength(1);
    expect(await countOf(contexts.value[0].patient, 'identity/bindPatient')).toBe(1);
    expect((await salus('wallet', '--wallet', wallet, 'grant', '--org', 'hospital', '--who', 'care-team')).code).toBe(
      0,
    );
  });
});

describe('R-CON-2 R-CON-3 a wallet that is killed while it decides', () => {
  let wallet: string;
  let did: string;
  const own = (...args: string[]) => salus('wallet', '--wallet', wallet, ...args);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const directives = async (): Promise<any> => (await own('directives')).value;
  const granted = (): Promise<number> => countOf(did, 'consent/grant');

  /** After the next command nothing is open, and wallet and ledger say the same. */
  async function agree(): Promise<{ directives: { id: string; revokedMs?: number }[]; waiting: number }> {
    expect((await own('sync')).code).toBe(0);
    const known = await directives();
    expect(known.unsent).toBe(0);
    expect(known.directives).toHaveLength(await granted());
    return known;
  }

  async function ask(): Promise<string> {
    const { keys } = readOrganization(data, 'clinic');
    const subject = { kind: 'practitioner' as const, id: staffDid(keys.all, 'doctor-1') };
    const { chain } = node;
    const token = () =>
      keys.token({ chain, subject, roles: ['doctor'], purpose: 'TREAT', impersonated: true, nowMs: Date.now() });
    const body = { custodian: 'hospital', patient: did, purpose: 'TREAT', what: { all: true } };
    const call = { params: { slug: 'clinic' }, body };
    return (await createClient({ baseUrl: node.url, token }).createAccessRequest(call)).id;
  }

  const statusOf = async (id: string): Promise<string> =>
    (await own('requests', '--all')).value.find((one: { id: string }) => one.id === id).status;

  beforeAll(async () => {
    const patient = await newPatient();
    wallet = patient.wallet;
    const { value } = await own('link', patient.code, '--org', 'hospital', '--url', url);
    did = value.patient;
  });

  const sending: [RegExp, Phase][] = [
    [seal, 'before'],
    [submit, 'before'],
    [submit, 'after'],
  ];

  it.each(points(sending, reading.slice(0, 1)))(
    'a grant: one or none, and the wallet knows which (%s %s)',
    async (path, phase) => {
      const before = await granted();
      await killed(wallet, path, phase, ['grant', '--org', 'hospital', '--who', 'care-team']);
      await agree();
      // From the moment at which it is signed it is sent to its end.
      expect(await granted()).toBe(before + (path === submit ? 1 : 0));
    },
  );

  it.each(points(sending.slice(1), [seal, ...reading]))(
    'an approval: one or none, and the wallet knows which (%s %s)',
    async (path, phase) => {
      const before = await granted();
      const request = await ask();
      await killed(wallet, path, phase, ['approve', request, '--for', '1h']);
      await agree();
      const isSent = path === submit;
      expect(await granted()).toBe(before + (isSent ? 1 : 0));
      expect(await statusOf(request)).toBe(isSent ? 'permitted' : 'pending');
    },
  );

  it.each(points(sending.slice(1, 2), [seal, submit, ...reading]))('a denial (%s %s)', async (path, phase) => {
    const request = await ask();
    await killed(wallet, path, phase, ['deny', request]);
    await agree();
    expect(await statusOf(request)).toBe(path === submit ? 'denied' : 'pending');
  });

  it.each(points(sending.slice(2), [seal, submit, ...reading.slice(0, 1)]))(
    'a revocation: at once or not at all (%s %s)',
    async (path, phase) => {
      const { value } = await own('grant', '--org', 'hospital', '--who', 'care-team');
      await killed(wallet, path, phase, ['revoke', value.directive]);
      const known = await agree();
      const isRevoked = known.directives.find(({ id }) => id === value.directive)?.revokedMs !== undefined;
      expect(isRevoked).toBe(path === submit);
      expect((await own('revoke', value.directive)).code).toBe(path === submit ? 1 : 0);
    },
  );

  it.each(points(sending.slice(1), [seal, ...reading.slice(0, 1)]))(
    'what has come due is sent once, never lost, never twice (%s %s)',
    async (path, phase) => {
      expect((await own('grant', '--everywhere', '--who', 'care-team')).code).toBe(0);
      const opened = Wallet.open(wallet, passphrase);
      for (const due of opened.state.scheduled) due.dueMs = 0;
      opened.save();
      const before = await granted();
      await killed(wallet, path, phase, ['sync']);
      const known = await agree();
      expect(known.waiting).toBe(0);
      expect(await granted()).toBe(before + 1);
    },
  );

  it('a node that does not answer: kept, said so, and sent later under a new signature when the old one has run out', async () => {
    const before = await granted();
    plan = { path: submit, phase: 'before', child: undefined, hits: 0 };
    expect(await own('grant', '--org', 'hospital', '--who', 'care-team')).toMatchObject({
      code: 1,
      value: { code: 815 },
    });
    expect(await own('sync')).toMatchObject({ code: 1, value: { unsent: 1 } });
    plan = undefined;
    const opened = Wallet.open(wallet, passphrase);
    const [first] = opened.state.unsent.map(({ hash }) => hash);
    for (const unsent of opened.state.unsent) unsent.validUntilMs = 0;
    opened.save();
    const { value } = await own('sync');
    expect(value.sent).toHaveLength(1);
    expect(value.sent[0].transaction).not.toBe(first);
    expect(await granted()).toBe(before + 1);
    await agree();
  });

  it('two processes at once: the second is refused and changes nothing, the first goes on', async () => {
    const before = await granted();
    const args = ['wallet', '--wallet', wallet, 'grant', '--org', 'hospital', '--who', 'care-team'];
    const reached = Promise.withResolvers<void>();
    const open = Promise.withResolvers<void>();
    hold = { path: submit, reached: reached.resolve, open: open.promise };
    const first = spawn(process.execPath, [main, ...args], { env: process.env, stdio: 'ignore' });
    const ended = once(first, 'exit');
    await reached.promise;
    const refused = await salus(...args);
    expect(refused).toMatchObject({
      code: 1,
      value: { code: 814, advice: expect.stringContaining('Another process') },
    });
    expect((await own('directives')).code, 'reading goes on').toBe(0);
    hold = undefined;
    open.resolve();
    expect(await ended).toEqual([0, null]);
    expect(await granted()).toBe(before + 1);
    await agree();
  });
});
