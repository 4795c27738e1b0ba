import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { genesisMembers, openDirectory } from '@salus/server';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from '../index.ts';
import { createNetwork } from './network-directory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-hosts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('R-PPL-5 members that are carried to machines of their own', () => {
  test('know each other by name at the same ports, listen where they are told, and believe the authority', async () => {
    const dir = join(scratch, 'net');
    const hosts = ['hospital.example', 'clinic.example', 'payer.example'];
    const options = { dir, validators: 3, basePort: 8_080, host: '0.0.0.0', hosts, tls: true };
    const { members } = await createNetwork(options);
    const genesis = openDirectory(members[0]!.dataDir).genesis();
    expect(genesisMembers(genesis).map(({ slug }) => slug)).toEqual(['hospital', 'clinic', 'payer']);
    for (const [index, { dataDir, ports }] of members.entries()) {
      expect(ports).toEqual({ http: 8_080, p2p: 8_081, rpc: 8_082 });
      const config = readFileSync(join(dataDir, 'comet', 'config', 'config.toml'), 'utf8');
      const peers = /^persistent_peers = "(.*)"$/m.exec(config)?.[1]?.split(',') ?? [];
      const others = hosts.filter((_host, place) => place !== index).map((host) => `${host}:8081`);
      expect(peers.map((peer) => peer.split('@')[1])).toEqual(others);
      expect(config).toContain('laddr = "tcp://0.0.0.0:8081"');
      expect(config).toContain('laddr = "tcp://127.0.0.1:8082"');
      const read = (name: string): X509Certificate =>
        new X509Certificate(readFileSync(join(dataDir, 'tls', `${name}.pem`)));
      expect(read('certificate').checkHost(hosts[index]!)).toBe(hosts[index]);
      expect(read('certificate').verify(read('authority').publicKey)).toBe(true);
      expect(JSON.stringify(genesis)).toContain(`https://${hosts[index]}:8080`);
    }
  });

  test('are as many as there are names', async () => {
    const args = ['network', 'init', '--validators', '2', '--hosts', 'one.example', '--dir', join(scratch, 'none')];
    expect(await run(args, { out: () => undefined, err: () => undefined })).toBe(2);
  });
});

describe('R-PPL-5 a network that could never run', () => {
  const quiet = { out: (): void => undefined, err: (): void => undefined };
  const init = (dir: string, ...more: string[]): Promise<number> =>
    run(['network', 'init', '--validators', '2', '--dir', dir, ...more], quiet);

  test.each([
    ['a port above the last', ['--base-port', '65526']],
    ['an address of nothing', ['--host', '']],
    ['a host that is none', ['--host', 'nonsense..x']],
    ['an address with a port', ['--host', '127.0.0.1:80']],
    ['an address of IPv6', ['--host', '::1']],
    ['a machine named twice', ['--hosts', 'one.example,one.example']],
    ['a machine without a name', ['--hosts', 'one.example,']],
    ['names that are none', ['--hosts', 'a b,c/d']],
    ['a chain without a name', ['--chain', '']],
    ['a chain that genesis refuses', ['--chain', 'a / b']],
    ['a chain with too long a name', ['--chain', 'a'.repeat(51)]],
  ])('is not made: %s', async (_what, more) => {
    const dir = join(scratch, 'never');
    expect(await init(dir, ...more)).toBe(2);
    expect(existsSync(dir)).toBe(false);
  });

  test('the last port is one of this machine’s, and a network that is there stays as it is', async () => {
    const dir = join(scratch, 'edge');
    expect(await init(dir, '--base-port', '65523', '--host', 'localhost', '--chain', 'a'.repeat(50))).toBe(0);
    const before = readFileSync(join(dir, 'network.json'), 'utf8');
    const told: string[] = [];
    const args = ['network', 'init', '--validators', '2', '--dir', dir];
    expect(await run(args, { ...quiet, err: (text) => void told.push(text) })).toBe(1);
    expect(told.join('\n')).toContain('A network is there already');
    expect(readFileSync(join(dir, 'network.json'), 'utf8')).toBe(before);
  });
});

describe('R-PPL-5 a member that could never join', () => {
  const dir = join(scratch, 'joining');
  const told: string[] = [];
  const quiet = { out: (text: string): void => void told.push(text), err: (): void => undefined };
  const given: Record<string, string> = {
    '--invitation': join(scratch, 'none.json'),
    '--anchor': join(scratch, 'none.json'),
    '--slug': 'clinic-5',
    '--name': 'Clinic 5',
    '--role': 'clinic',
    '--class': 'provider',
  };

  async function refusal(change: Record<string, string>): Promise<[exit: number, code: number, detail: string]> {
    told.length = 0;
    const options = Object.entries({ ...given, ...change }).flat();
    const exit = await run(['network', 'join', '--data', dir, '--json', ...options], quiet);
    const { code, detail = '', title } = JSON.parse(told.join('')) as { code: number; detail?: string; title: string };
    return [exit, code, `${title} ${detail}`];
  }

  test.each([
    ['a slug that leads elsewhere', { '--slug': '../other' }, '--slug'],
    ['a slug with capital letters', { '--slug': 'Clinic' }, '--slug'],
    ['a slug that begins with a dash', { '--slug': '-clinic' }, '--slug'],
    ['a slug that is too long', { '--slug': 'a'.repeat(41) }, '--slug'],
    ['no name', { '--name': ' ' }, '--name'],
    ['a name that is too long', { '--name': 'a'.repeat(121) }, '--name'],
    ['an address that is too long', { '--endpoint': `https://${'a'.repeat(193)}` }, '--endpoint'],
    ['a role that is none', { '--role': 'doctor' }, '--role'],
    ['ports above the last', { '--base-port': '65534' }, '65536'],
    ['a host that is none', { '--host': 'a b' }, 'a b'],
    ['a host of IPv6', { '--host': '::' }, '::'],
  ])('%s', async (_what, change, named) => {
    const [exit, code, said] = await refusal(change);
    expect([exit, code]).toEqual([2, 716]);
    expect(said).toContain(named);
    expect(readdirSync(scratch).filter((name) => name.startsWith('joining'))).toEqual([]);
  });

  test('whatever else is wrong comes after that', async () => {
    const fits = {
      '--slug': 'a'.repeat(40),
      '--name': 'a'.repeat(120),
      '--base-port': '65533',
      '--role': 'publicHealth',
    };
    expect((await refusal(fits)).slice(0, 2)).toEqual([1, 721]);
  });
});
