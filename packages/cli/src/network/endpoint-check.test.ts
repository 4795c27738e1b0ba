import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, startNode } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certifyNewcomer } from './certificates.ts';
import { endpointProblem, registeredEndpoint } from './endpoint-check.ts';
import { createNetwork, type NetworkMember } from './network-directory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'salus-endpoint-'));
const here = { host: '127.0.0.1' };
const pins = { own: '', other: '' };
let tls: NetworkMember;
let plain: NetworkMember;
const at = (url: string): string =>
  url.replaceAll('PORT', '19900').replace('OWN', pins.own).replace('OTHER', pins.other);

beforeAll(async () => {
  const make = async (name: string, isTls: boolean): Promise<NetworkMember> => {
    const options = { dir: join(scratch, name), validators: 1, basePort: 19_900, tls: isTls };
    return (await createNetwork(options)).members[0]!;
  };
  tls = await make('tls', true);
  plain = await make('plain', false);
  const about = { slug: 'hospital', host: here.host, authority: undefined };
  pins.own = certifyNewcomer(tls.dataDir, about, Date.now());
  pins.other = certifyNewcomer(join(scratch, 'other'), about, Date.now());
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('R-PPL-5 a member’s address on the ledger', () => {
  test.each([
    ['https://127.0.0.1:PORT', undefined],
    ['https://127.0.0.1:PORT/#sha256-OWN', undefined],
    ['https://hospital.example:PORT', undefined],
    // A proxy’s business.
    ['https://hospital.example', undefined],
    ['https://hospital.example/#sha256-OTHER', undefined],
    ['http://127.0.0.1:PORT', 'it speaks HTTPS, and the ledger says http://127.0.0.1:PORT'],
    ['https://127.0.0.1:PORT/#sha256-OTHER', 'its certificate is of another key than the ledger says'],
    ['https://127.0.0.1:19910', 'it listens at port PORT, and the ledger says https://127.0.0.1:19910'],
    ['https://127.0.0.1', 'it listens at port PORT, and the ledger says https://127.0.0.1'],
    ['', 'the ledger has no address for it'],
    ['nonsense', 'the ledger has no usable address for it'],
  ])('%s of one that speaks HTTPS', (endpoint, problem) => {
    const expected = problem && `${at(problem)}: the others do not reach it`;
    expect(endpointProblem(tls, here, at(endpoint))).toBe(expected);
  });

  test.each([
    ['http://127.0.0.1:PORT', undefined],
    [
      'https://127.0.0.1:PORT',
      'it speaks plain HTTP, having no certificate, and the ledger says https://127.0.0.1:PORT',
    ],
    ['https://proxy.example', undefined],
  ])('%s of one that speaks plain HTTP', (endpoint, problem) => {
    const expected = problem && `${at(problem)}: the others do not reach it`;
    expect(endpointProblem(plain, here, at(endpoint))).toBe(expected);
  });

  test('what came back without its certificate is told', () => {
    renameSync(join(tls.dataDir, 'tls'), join(tls.dataDir, 'gone'));
    expect(endpointProblem(tls, here, at('https://127.0.0.1:PORT'))).toContain('having no certificate');
    renameSync(join(tls.dataDir, 'gone'), join(tls.dataDir, 'tls'));
  });

  test('is read from a node, where it has one', async () => {
    const node = await startNode({ dataDir: plain.dataDir, port: 0, log: createLog('silent') });
    try {
      expect(await registeredEndpoint(node.url, 'hospital')).toBe(at('http://127.0.0.1:PORT'));
      expect(await registeredEndpoint(node.url, 'nobody')).toBeUndefined();
    } finally {
      await node.stop();
    }
    expect(await registeredEndpoint(node.url, 'hospital')).toBeUndefined();
  });
});
