import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CometRpc } from '@salus/ledger';
import { addressOf, type Did, ed25519PublicKey, toHex } from '@salus/protocol';
import { readOrganization, readSeed } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleOf, observationOf, patientOf } from '../../packages/server/src/testing/records-node.ts';
import { refusedStart, salus } from '../crash/real-node.ts';
import { snapshotEveryBlocks, type TestMember, TestNetwork } from './test-network.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-recovery-'));
const at = (...names: string[]): string => join(scratch, ...names);
const doctorDid: Did = `did:salus:${Buffer.alloc(20, 7).toString('base64url')}`;
const commitFlag = 2;
const waitMsMax = 60_000;

let network: TestNetwork;
beforeAll(async () => {
  network = await TestNetwork.start(4);
});
afterAll(async () => {
  await network.stop();
  rmSync(scratch, { recursive: true, force: true });
});

async function fhir(member: TestMember, path: string, purpose?: string, body?: unknown): Promise<[number, unknown]> {
  const { slug, dataDir } = member.member;
  const { keys, directory } = readOrganization(dataDir, slug);
  const doctor = { subject: { kind: 'practitioner', id: doctorDid }, purpose, roles: ['doctor'] } as const;
  const system = { subject: { kind: 'system' }, roles: [] } as const;
  const who = purpose === undefined ? system : doctor;
  const about = { chain: directory.manifest.chain, nowMs: Date.now(), impersonated: purpose !== undefined };
  const token = await keys.token({ ...who, ...about, roles: [...who.roles] });
  const response = await fetch(`${member.url}/org/${slug}/fhir/R4${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return [response.status, await response.json()];
}

async function observations(member: TestMember): Promise<string[]> {
  const [status, bundle] = await fhir(member, '/Observation?patient=p1', 'TREAT');
  expect(status).toBe(200);
  return (bundle as { entry: { resource: { id: string } }[] }).entry.map(({ resource }) => resource.id).sort();
}

/** Whether a validator's vote stands in the commit of a block, as another member's CometBFT has it. */
async function signed(witness: TestMember, address: string, height: number): Promise<boolean> {
  const rpc = new CometRpc(witness.member.ports.rpc);
  try {
    const answer = (await rpc.call('commit', { height: String(height) })) as {
      signed_header: { commit: { signatures: { block_id_flag: number; validator_address: string }[] } };
    };
    const { signatures } = answer.signed_header.commit;
    return signatures.some((one) => one.validator_address === address && one.block_id_flag === commitFlag);
  } finally {
    rpc.close();
  }
}

function lastSigned(member: TestMember): number {
  const path = join(member.member.dataDir, 'comet', 'data', 'priv_validator_state.json');
  return Number((JSON.parse(readFileSync(path, 'utf8')) as { height: string }).height);
}

/** What a member measures of the consensus, by short name. */
async function series(member: TestMember): Promise<(name: string) => number> {
  const text = await (await fetch(`${member.url}/metrics`)).text();
  return (name) => Number(new RegExp(`^salus_consensus_${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

async function stampsUntil(members: readonly TestMember[], height: number): Promise<void> {
  const [first] = members as [TestMember];
  while ((await first.height()) < height) await first.commit(await first.stamp());
}

async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await salus([...args, '--json']);
  if (stdout.trim() === '') throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

describe('R-LED-8 a member that somebody else encrypted', () => {
  test('comes back from the others, its backup and its escrow with every record, and votes only where it cannot have voted', async () => {
    const [hospital, clinic, ...rest] = network.members as [TestMember, TestMember, ...TestMember[]];
    const others = [hospital, ...rest];
    const { dataDir } = clinic.member;
    const registered = await clinic.commit(
      await clinic.sign([{ type: 'identity/registerPractitioner', did: doctorDid, roles: ['doctor'] }]),
    );
    const made = bundleOf([patientOf('p1'), observationOf('o-1', 'p1'), observationOf('o-2', 'p1')]);
    expect((await fhir(clinic, '', undefined, made))[0]).toBe(200);
    const before = await observations(clinic);
    expect(before).toHaveLength(2);

    // While it works, and goes on working.
    const backup = await json<{ ok: boolean; online: boolean; height: number }>(
      ...['backup', '--data', dataDir, '--to', at('backup')],
    );
    expect(backup).toMatchObject({ ok: true, online: true });
    for (const path of [
      'keys',
      'orgs/clinic/keys',
      'comet/config/node_key.json',
      'comet/config/priv_validator_key.json',
    ]) {
      cpSync(join(dataDir, path), at('escrow', path), { recursive: true });
    }
    for (const secret of ['keys', 'orgs/clinic/keys', 'comet/config/priv_validator_key.json', 'comet/data']) {
      expect(existsSync(at('backup', secret)), secret).toBe(false);
    }
    const address = toHex(addressOf(ed25519PublicKey(readSeed(dataDir)))).toUpperCase();
    await stampsUntil(network.members, backup.height + 5);

    for (const pid of [clinic.pid(), clinic.cometPid()]) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await clinic.stop();
    const votedUpTo = lastSigned(clinic);
    expect(votedUpTo).toBeGreaterThan(backup.height);
    rmSync(dataDir, { recursive: true });
    await stampsUntil(others, snapshotEveryBlocks + 5);
    const without = await series(hospital);
    expect([without('peers'), without('validators'), without('missing_validators')]).toEqual([2, 4, 1]);
    expect([without('up'), without('validator_power'), without('catching_up')]).toEqual([1, 10, 0]);

    const restore = ['restore', '--from', at('backup'), '--data', dataDir, '--keys'];
    cpSync(at('escrow'), at('short'), { recursive: true });
    rmSync(at('short', 'comet', 'config', 'node_key.json'));
    expect(await json(...restore, at('short'))).toMatchObject({ code: 733 });
    expect(existsSync(dataDir)).toBe(false);
    const restored = await json<{ ok: boolean; mustResync: boolean; height: number }>(...restore, at('escrow'));
    expect(restored).toMatchObject({ ok: true, problems: [], mustResync: true, height: backup.height });
    // It cannot know on what it voted after the backup: by itself it starts not at all.
    const refused = await refusedStart(dataDir, ['--engine', 'cometbft']);
    expect(refused.problem.code).toBe(747);
    const resync = await json<{ height: number }>('network', 'resync', 'clinic', '--dir', network.dir);
    const quietUntil = lastSigned(clinic);
    expect(quietUntil).toBeGreaterThan(votedUpTo + 1);
    expect(quietUntil).toBeGreaterThan(resync.height + 1);

    await clinic.start();
    await network.settled();
    await stampsUntil(others, quietUntil + 3);
    const until = Date.now() + waitMsMax;
    let height = quietUntil;
    while (!(await signed(hospital, address, height))) {
      if (Date.now() > until) throw new Error(`the validator votes no more\n${clinic.logs()}`);
      await stampsUntil(others, height + 2);
      height += 1;
    }
    for (let quiet = resync.height + 1; quiet < quietUntil; quiet += 1) {
      expect(await signed(hospital, address, quiet), String(quiet)).toBe(false);
    }

    expect(await observations(clinic)).toEqual(before);
    const { hash, height: own } = await clinic.commit(await clinic.stamp());
    await network.reaches(own + 1);
    await network.sameBlocks(own);
    expect((await fetch(`${hospital.url}/api/transactions/${hash}`)).status).toBe(200);
    expect((await fetch(`${clinic.url}/api/transactions/${registered.hash}/receipt`)).status).toBe(200);
    for (const member of network.members) {
      const now = await series(member);
      expect([now('evidence_total'), now('peers'), now('validators')]).toEqual([0, 3, 4]);
    }
    const status = await json<{ ok: boolean }>('network', 'status', '--dir', network.dir);
    expect(status.ok).toBe(true);
  });

  test('of a stopped member too, and the doctor finds what was restored in order', async () => {
    const payer = network.members[2]!;
    const { dataDir } = payer.member;
    await payer.stop();
    const backup = await json<{ ok: boolean; online: boolean }>('backup', '--data', dataDir, '--to', at('stopped'));
    expect(backup).toMatchObject({ ok: true, online: false });
    const restored = ['restore', '--from', at('stopped'), '--keys', dataDir, '--data', at('payer')];
    expect(await json(...restored)).toMatchObject({ ok: true, problems: [], mustResync: true });
    await payer.start();
    await network.settled();
  });
});
