import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@salus/api';
import { parseAnchor, verifyReceipt } from '@salus/protocol';
import { readOrganization, staffDid } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { trustAuthority, trustMember } from '../../packages/cli/src/network/addresses.ts';
import { Ballots } from '../../packages/cli/src/network/ballots.ts';
import { createNetwork, type Network, type NetworkMember } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { doctor, refusedStart, salus } from '../crash/real-node.ts';
import { freeBasePort } from '../support/free-ports.ts';
import { TestMember } from './test-network.ts';

const parent = mkdtempSync(join(tmpdir(), 'salus-join-'));
const dir = join(parent, 'network');
const fresh = join(parent, 'clinic-5');
const votingMs = 10_000;
const short = { votingMs, noticeBlocks: 2 };
const upMsMax = 120_000;
/** From one step at which a process is killed to the next; SALUS_JOIN_KILLS=all takes every one. */
const killEvery = process.env.SALUS_JOIN_KILLS === 'all' ? 1 : 5;
const killedAt = fileURLToPath(new URL('killed-at.ts', import.meta.url));
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let basePort: number;
let network: Network;
let members: TestMember[];
let newcomer: TestMember | undefined;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + upMsMax;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end)
      throw new Error(`${what} never came\n${[...members, newcomer].map((one) => one?.logs()).join('\n')}`);
    await sleep(200);
  }
}

beforeAll(async () => {
  basePort = await freeBasePort();
  const votingRules = { admit: short, validators: short };
  network = await createNetwork({ dir, validators: 4, basePort, snapshotEveryBlocks: 10, votingRules, tls: true });
  trustAuthority(dir);
  members = network.members.map((member) => new TestMember(member, network.host));
  await Promise.all(members.map((member) => member.start()));
  await until('the network', async () => (await networkStatus(network)).ok);
});
afterAll(async () => {
  await Promise.all([...members, newcomer].map((member) => member?.stop()));
  rmSync(parent, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<Record<string, unknown> & { code?: number }> {
  const { stdout, stderr } = await salus(['network', ...args, '--json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const files = { invitation: join(parent, 'invitation.json'), anchor: join(parent, 'anchor.json') };

type Joined = { code?: number; stage?: string; endpoint?: string; request?: string };

function joinArguments(data = fresh, slug = 'clinic-5', anchor = files.anchor, more: string[] = []): string[] {
  const who = ['--slug', slug, '--name', 'Clinic 5', '--role', 'clinic', '--class', 'provider'];
  const how = ['--invitation', files.invitation, '--anchor', anchor, '--base-port', String(basePort + 40)];
  return ['join', '--data', data, ...how, ...who, ...more];
}

function joining(...given: Parameters<typeof joinArguments>): Promise<Joined> {
  return run(...joinArguments(...given));
}

/** What must never change once it is there: everything secret, and what was prepared with it. */
function kept(): Map<string, string> {
  if (!existsSync(fresh)) return new Map();
  const names = readdirSync(fresh, { recursive: true, encoding: 'utf8' });
  const secret = names.filter((name) => /(^join|(^|\/)(keys|tls)\/.*|_key)\.(json|pem)$/.test(name));
  return new Map(secret.map((name) => [name, readFileSync(join(fresh, name), 'utf8')]));
}

/** The same command again and again, each time killed some steps later, until it comes to its end. Gives what it then says. */
async function joinedThroughKills(between: () => Promise<void>): Promise<Joined> {
  for (let at = 1; ; at += killEvery) {
    const before = kept();
    const env = { SALUS_KILL_AT: String(at), SALUS_KILL_BELOW: fresh, NODE_OPTIONS: `--import=${killedAt}` };
    const { signal, stdout, stderr } = await salus(['network', ...joinArguments(), '--json'], { env });
    const after = kept();
    for (const [name, text] of before) expect(after.get(name), `${name} at step ${at}`).toBe(text);
    if (signal === null) {
      expect(at, stderr).toBeGreaterThan(killEvery);
      return JSON.parse(stdout) as Joined;
    }
    expect(signal).toBe('SIGKILL');
    await between();
  }
}

/** Killed anywhere, it is no node, and says what to do. */
async function isNoNode(): Promise<void> {
  if (!existsSync(fresh)) return;
  const before = kept();
  expect((await refusedStart(fresh, ['--engine', 'cometbft'])).problem).toMatchObject({ code: 749 });
  expect(kept()).toEqual(before);
}

function ballots(member: TestMember): Ballots {
  return new Ballots({ data: member.member.dataDir, org: member.member.slug, url: member.url });
}

type Opened = { proposal: number; deadlineMs: number; code?: number };

async function voted({ proposal }: Opened, choice: 'yes' | 'no', voters = members): Promise<void> {
  await Promise.all(
    voters.map(async (voter) => {
      // A member can be a block behind the one that took the proposal.
      const path = `/api/state/governance/proposals/all/${proposal}`;
      await until('the proposal', async () => (await voter.get<{ present: boolean }>(path)).present);
      await ballots(voter).vote(proposal, choice);
    }),
  );
}

/** Block time is the clock that counts: a block brings it up to date. */
async function counted({ deadlineMs }: Opened): Promise<void> {
  await sleep(Math.max(0, deadlineMs - Date.now()) + 500);
  await members[0]!.commit(await members[0]!.stamp());
}

type Token = { keys: ReturnType<typeof readOrganization>['keys']; chain: string };

function tokenOf({ keys, chain }: Token, as: 'system' | 'doctor'): Promise<string> {
  const doctor = { kind: 'practitioner' as const, id: staffDid(keys.all, 'doctor-1') };
  const about = { chain, nowMs: Date.now() };
  if (as === 'system') return keys.token({ ...about, subject: { kind: 'system' } });
  return keys.token({ ...about, subject: doctor, roles: ['doctor'], purpose: 'TREAT', impersonated: true });
}

/** A doctor of the one asks the gate of the other for nobody, through the own node: it answers, so it was reached. */
async function reaches(own: TestMember, custodian: string): Promise<void> {
  const { slug, dataDir } = own.member;
  const { keys, directory } = readOrganization(dataDir, slug);
  const about = { keys, chain: directory.manifest.chain };
  const client = createClient({ baseUrl: own.url, token: () => tokenOf(about, 'system') });
  await client.registerPractitioner({ params: { slug }, body: { id: 'doctor-1', roles: ['doctor'] } });
  const url = `${own.url}/org/${slug}/members/${custodian}/fhir/R4/Patient/nobody`;
  // The other one can be a block behind, and not know yet who asks.
  await until(`${slug} at ${custodian}`, async () => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${await tokenOf(about, 'doctor')}` } });
    const { resourceType } = (await response.json()) as { resourceType?: string };
    return response.status === 404 && resourceType === 'OperationOutcome';
  });
}

describe('R-LED-6 R-PPL-5 a new member', () => {
  test('is refused with another chain’s anchor, a name that is taken, and without a vote that passed', async () => {
    const [hospital, , , regulator] = members as [TestMember, TestMember, TestMember, TestMember];
    const anchor = await (await fetch(`${hospital.url}/api/anchor`)).text();
    writeFileSync(files.anchor, anchor);
    await run('invite', '--dir', dir, '--out', files.invitation);
    expect(readFileSync(files.invitation, 'utf8')).not.toContain('PrivKey');
    const wrong = join(parent, 'wrong.json');
    for (const change of [{ chain: 'another' }, { headerHash: '0'.repeat(64) }, { timeMs: 1 }]) {
      writeFileSync(wrong, JSON.stringify({ ...JSON.parse(anchor), ...change }));
      expect(await joining(fresh, 'clinic-5', wrong)).toMatchObject({ code: 726 });
    }
    expect(await joining(fresh, 'clinic')).toMatchObject({ code: 727 });
    expect(existsSync(fresh)).toBe(false);

    // What a killed attempt left beside.
    mkdirSync(`${fresh}.making-clinic-5/orgs`, { recursive: true });
    const asked = (await joinedThroughKills(async () => undefined)) as { stage: string; request: string };
    await isNoNode();
    expect(existsSync(`${fresh}.making-clinic-5`)).toBe(false);
    expect(asked.stage).toBe('requested');
    const made = kept();
    expect(await joining(fresh, 'clinic-6')).toMatchObject({ code: 702 });
    for (const other of [
      ['--host', '127.0.0.2'],
      ['--endpoint', 'https://clinic-5.example'],
      ['--base-port', '9000'],
    ]) {
      expect(await joining(fresh, 'clinic-5', files.anchor, other)).toMatchObject({ code: 716 });
    }
    const plain = join(parent, 'plain');
    expect(await joining(plain, 'clinic-7', files.anchor, ['--host', '0.0.0.0'])).toMatchObject({ code: 716 });
    const proxied = ['--endpoint', 'https://clinic-7.example'];
    expect(await joining(plain, 'clinic-7', files.anchor, [...proxied, '--tls', '--host', '0.0.0.0'])).toMatchObject({
      stage: 'requested',
      endpoint: expect.stringMatching(/^https:\/\/clinic-7\.example\/#sha256-[\w-]{43}$/),
    });
    rmSync(plain, { recursive: true });
    expect((await joining(plain, 'clinic-7', files.anchor, proxied)).endpoint).toBe('https://clinic-7.example');
    expect(existsSync(join(plain, 'tls'))).toBe(false);
    expect(kept()).toEqual(made);
    const sponsor = (member: TestMember) =>
      run('sponsor', asked.request, '--data', member.member.dataDir, '--org', member.member.slug, '--url', member.url);
    // Nothing was sent, so that the request is still good.
    expect(await sponsor(hospital)).toMatchObject({ code: 716 });
    const lost = (await sponsor(regulator)) as Opened;
    expect(lost.code).toBeUndefined();
    await voted(lost, 'no');
    const won = (await sponsor(regulator)) as Opened;
    await voted(won, 'yes');
    expect(await joining()).toMatchObject({ code: 749 });
    expect(await joining(join(parent, 'other'))).toMatchObject({ code: 727 });
    const execute = ({ proposal }: Opened) =>
      run('execute', String(proposal), '--data', hospital.member.dataDir, '--org', 'hospital', '--url', hospital.url);
    await counted(won);
    expect(await execute(lost)).toMatchObject({ code: 3014 });
    expect(await joining()).toMatchObject({ code: 749 });
    expect((await execute(won)).code).toBeUndefined();
  });

  test('R-LED-8 takes the state from the others, then signs blocks, and its receipts verify', async () => {
    const [hospital] = members as [TestMember];
    while ((await hospital.height()) < 25) await hospital.commit(await hospital.stamp());
    expect((await joinedThroughKills(isNoNode)).stage).toBe('ready');
    expect(await joining()).toMatchObject({ code: 727 });
    // Two at once: one of them makes the member, whole.
    rmSync(join(fresh, 'salus.json'));
    const both = await Promise.all([joining(), joining()]);
    expect(both.filter(({ stage }) => stage === 'ready')).toHaveLength(1);
    expect(await joining()).toMatchObject({ code: 727 });
    const ports = { http: basePort + 40, p2p: basePort + 41, rpc: basePort + 42 };
    const member: NetworkMember = { slug: 'clinic-5', dataDir: fresh, ports };
    trustMember(fresh);
    newcomer = new TestMember(member, network.host);
    await newcomer.start();
    const all: Network = { ...network, members: [...network.members, member] };
    await until('the newcomer', async () => (await networkStatus(all)).ok);
    expect(readFileSync(join(fresh, 'member.log'), 'utf8')).toContain('snapshot-offered');

    // Both ways over HTTPS; the old member knows the new one by the ledger alone.
    await reaches(hospital, 'clinic-5');
    await reaches(newcomer, 'hospital');
    const key = ['validator', '--data', fresh, '--org', 'clinic-5', '--url', newcomer.url];
    const own = (await run(...key)) as Opened;
    await voted(own, 'yes', [...members, newcomer]);
    await counted(own);
    const effective = (await ballots(newcomer).execute(own.proposal)) ?? 0;
    expect(effective).toBeGreaterThan(0);
    while ((await hospital.height()) < effective + 3) await hospital.commit(await hospital.stamp());
    await until('its power', async () => {
      const { members: told } = await networkStatus(all);
      return told.every(({ comet }) => comet?.power === 10);
    });
    const { hash, height } = await newcomer.commit(await newcomer.stamp());
    await until('its proof', async () => (await newcomer!.height()) > height);
    const response = await fetch(`${newcomer.url}/api/transactions/${hash}/receipt`);
    const receipt = new Uint8Array(await response.arrayBuffer());
    const report = verifyReceipt(receipt, parseAnchor(readFileSync(files.anchor)));
    expect(report.transaction?.sender).toBe(newcomer.did());
    // Where it stands alone its directory is in order, although genesis does not name it.
    await newcomer.stop();
    expect((await doctor(fresh)).problems).toEqual([]);
    await newcomer.start();
    await until('the newcomer again', async () => (await networkStatus(all)).ok);
    // Four of five are enough: it counts.
    await members[1]!.stop();
    await members[2]!.commit(await members[2]!.stamp());
    const one = (await hospital.get<{ hash: string }>(`/api/blocks/${height}`)).hash;
    expect((await newcomer.get<{ hash: string }>(`/api/blocks/${height}`)).hash).toBe(one);
  });
});
