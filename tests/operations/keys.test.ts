/** Keys of an organisation change under a node that runs: `salus key rotate`, `register`, `revoke`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@salus/api';
import { run } from '@salus/cli';
import { parseTransaction, randomBytes, toBase64url } from '@salus/protocol';
import {
  accessDesks,
  createLog,
  createSandbox,
  type RunningNode,
  readOrganization,
  setKeyState,
  startNode,
} from '@salus/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let root: string;
let data: string;
let node: RunningNode;

/** What the commands on keys and tokens say; each of them says some of it. */
interface Said {
  code: number;
  state: string;
  live: boolean;
  current: Readonly<Record<string, string>>;
  transaction: string;
  token: string;
}

async function salus(...args: string[]): Promise<{ code: number; value: Said }> {
  const out: string[] = [];
  const line = [...args, '--org', 'hospital', '--data', data, '--json'];
  const code = await run(line, { out: (text) => void out.push(text), err: () => undefined });
  return { code, value: JSON.parse(out.join('')) as Said };
}

const onLedger = (...args: string[]) => salus('key', ...args, '--url', node.url);
const hospital = () => node.organizations.get('hospital')!;

/** Name of the key with which the running node signs now. */
async function signsWith(): Promise<string | undefined> {
  const bytes = await hospital().sign([{ type: 'kernel/stamp', digest: toBase64url(randomBytes(32)) }]);
  const { code } = await node.ledger.submit(bytes);
  expect(code).toBe(0);
  return parseTransaction(bytes).signatures[0]?.kid.split('#')[1];
}

async function reads(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${node.url}/org/hospital/notices`, { method: 'HEAD', headers })).status;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'salus-keys-'));
  data = join(root, 'node');
  await createSandbox(data);
  node = await startNode({ dataDir: data, port: 0, log: createLog('silent') });
});
afterAll(async () => {
  await node.stop();
  rmSync(root, { recursive: true, force: true });
});

describe('R-IDN-2 keys of a running node', () => {
  it('refuses to leave a purpose without a key, an overlap that is none, and a key that is unknown', async () => {
    expect(await onLedger('revoke', 'sign-1')).toMatchObject({ code: 2 });
    expect(await onLedger('rotate', '--purpose', 'sign', '--overlap', 'long')).toMatchObject({ code: 2 });
    expect(await onLedger('rotate', '--purpose', 'sign', '--overlap', '90d')).toMatchObject({ code: 1 });
    expect(await onLedger('register', 'sign-9')).toMatchObject({ code: 2 });
    expect(await signsWith()).toBe('sign-1');
    expect((await salus('key', 'show', 'sign-2')).value.state).toBe('pending');
  });

  it('signs with the new key at once, also where the old one ends at once', async () => {
    const rotated = await onLedger('rotate', '--purpose', 'sign', '--overlap', '0');
    expect(rotated).toMatchObject({ code: 0, value: { state: 'registered', live: true, current: { sign: 'sign-3' } } });
    expect(await signsWith()).toBe('sign-3');
    const params = { contract: 'identity', key: `key/${hospital().profile.did}/sign-1` };
    const { content } = await createClient({ baseUrl: node.url }).getState({ params });
    expect(content).toMatchObject({ revokedHeight: expect.any(Number) });
  });

  it('a token made before counts during the overlap, and not without one', async () => {
    const { token } = (await salus('token', '--as', 'system')).value;
    expect((await onLedger('rotate', '--purpose', 'authenticate')).value).toMatchObject({ live: true });
    expect(await reads(token)).toBe(200);
    const { token: next } = (await salus('token', '--as', 'system')).value;
    expect((await onLedger('rotate', '--purpose', 'authenticate', '--overlap', '0')).code).toBe(0);
    expect(await reads(next)).toBe(401);
    expect(await reads((await salus('token', '--as', 'system')).value.token)).toBe(200);
  });

  it('opens what was sealed to the key before', async () => {
    const desk = accessDesks(node).get('hospital')!;
    const { did } = hospital().profile;
    const commitment = await desk.seal('consent/grant', 'before', { says: 'before' }, [did]);
    expect((await onLedger('rotate', '--purpose', 'encrypt', '--overlap', '0')).code).toBe(0);
    expect(await desk.open('consent/grant', 'before', commitment)).toEqual({ says: 'before' });
    const after = await desk.seal('consent/grant', 'after', { says: 'after' }, [did]);
    expect(await desk.open('consent/grant', 'after', after)).toEqual({ says: 'after' });
  });

  it('a command that was cut off behind the ledger is finished by the next one', async () => {
    await salus('key', 'generate', '--purpose', 'sign');
    const { keysDirectory, keys } = readOrganization(data, 'hospital');
    const made = keys.all.find(({ name }) => name === 'sign-4')!;
    expect((await onLedger('register', 'sign-4')).value).toMatchObject({ state: 'registered', live: true });
    setKeyState(keysDirectory, made, 'pending');
    const { code, value } = await onLedger('register', 'sign-4');
    expect({ code, state: value.state, transaction: value.transaction }).toEqual({
      code: 0,
      state: 'registered',
      transaction: undefined,
    });
    expect(await signsWith()).toBe('sign-4');
    expect((await onLedger('revoke', 'sign-4', '--reason', 'stolen')).value.current.sign).toBe('sign-3');
    expect(await signsWith()).toBe('sign-3');
  });

  it('goes on with the keys that it has where the directory lacks one, and says where no node answers', async () => {
    const { keysDirectory, keys } = readOrganization(data, 'hospital');
    const current = keys.all.find(({ name }) => name === 'encrypt-2')!;
    setKeyState(keysDirectory, current, 'ended');
    expect(() => hospital().reloadKeys()).toThrow(/key file/);
    expect(await signsWith()).toBe('sign-3');
    setKeyState(keysDirectory, current, 'registered');
    await node.stop();
    expect((await onLedger('rotate', '--purpose', 'sign')).value.code).toBe(720);
    node = await startNode({ dataDir: data, port: 0, log: createLog('silent') });
    rmSync(join(data, 'control'));
    const unheard = await onLedger('rotate', '--purpose', 'sign');
    expect(unheard).toMatchObject({ code: 0, value: { live: false } });
    expect(await signsWith()).toBe('sign-3');
  });

  it('a key with an end is told of in time, by salus status, as the ledger has it', async () => {
    const rotate = ['rotate', '--purpose', 'authenticate', '--overlap', '0'];
    expect((await onLedger(...rotate, '--valid-for', '90d')).code).toBe(0);
    expect(node.status().expiring).toEqual([]);
    expect((await onLedger(...rotate, '--valid-for', '6d')).code).toBe(0);
    const out: string[] = [];
    await run(['status', '--url', node.url], { out: (text) => void out.push(text), err: () => undefined });
    expect(out.join('')).toMatch(/critical: hospital: the authenticate key auth-\d+ ends on \d{4}-/);
    expect((await onLedger(...rotate)).code).toBe(0);
    expect(node.status().expiring).toEqual([]);
  });
});
