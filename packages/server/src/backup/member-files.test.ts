import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NodeErrorCodes } from '../node/errors.ts';
import { createSandbox } from '../node/sandbox.ts';
import { startNode } from '../node/start-node.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { backupNode } from './backup.ts';
import { holdSigning, isSigningHeld, releaseSigning } from './member-files.ts';
import { restoreNode } from './restore.ts';

const heightNever = '9223372036854775807';
const temporary = temporaryDirectory();
const at = (...names: string[]): string => join(temporary.path, ...names);
afterAll(() => temporary.remove());

const statePath = (root: string): string => join(root, 'comet', 'data', 'priv_validator_state.json');
const stateOf = (root: string): unknown => JSON.parse(readFileSync(statePath(root), 'utf8'));

function put(root: string, path: string, text: string): void {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe('R-LED-3 what a validator signed last', () => {
  test('is no height until it is released, and then the one that is said', () => {
    holdSigning(at('held'));
    expect(isSigningHeld(at('held'))).toBe(true);
    expect(stateOf(at('held'))).toEqual({ height: heightNever, round: 0, step: 3 });
    releaseSigning(at('held'), 120);
    expect(isSigningHeld(at('held'))).toBe(false);
    expect(stateOf(at('held'))).toEqual({ height: '120', round: 0, step: 3 });
  });

  test('stays where it is remembered, however far the others are, and is made where it is lost', () => {
    const known = '{"height":"77","round":2,"step":2}';
    put(at('known'), 'comet/data/priv_validator_state.json', known);
    releaseSigning(at('known'), 500);
    expect(readFileSync(statePath(at('known')), 'utf8')).toBe(known);
    releaseSigning(at('lost'), 500);
    expect(stateOf(at('lost'))).toMatchObject({ height: '500' });
  });
});

describe('R-LED-8 the backup of a member', () => {
  const data = at('node');
  beforeAll(async () => {
    await createSandbox(data);
    const node = await startNode({ dataDir: data, port: 0 });
    await node.stop();
    // A member's directory differs by these; what they say is CometBFT's business.
    put(data, 'comet/salus.json', '{}');
    put(data, 'comet/config/config.toml', 'moniker = "hospital"');
    put(data, 'comet/config/genesis.json', '{}');
    put(data, 'comet/config/node_key.json', '{"secret":1}');
    put(data, 'comet/config/priv_validator_key.json', '{"secret":2}');
    put(data, 'comet/data/priv_validator_state.json', '{"height":"9"}');
  });

  test('holds how CometBFT is set up, neither its keys nor what its validator signed', async () => {
    await backupNode(data, at('backup'));
    const found = readdirSync(at('backup', 'comet'), { recursive: true }).map(String).sort();
    expect(found).toEqual(['config', 'config/config.toml', 'config/genesis.json', 'salus.json']);
  });

  test('is restored with its keys alone, and then votes on nothing', async () => {
    const keys = at('keys');
    cpSync(join(data, 'keys'), join(keys, 'keys'), { recursive: true });
    for (const slug of readdirSync(join(data, 'orgs'))) {
      cpSync(join(data, 'orgs', slug, 'keys'), join(keys, 'orgs', slug, 'keys'), { recursive: true });
    }
    const options = { from: at('backup'), keys, data: at('restored') };
    const missing = { code: NodeErrorCodes.backupKeysMissing, message: expect.stringContaining('node_key.json') };
    await expect(restoreNode(options)).rejects.toMatchObject(missing);
    expect(existsSync(at('restored'))).toBe(false);
    for (const name of ['node_key.json', 'priv_validator_key.json']) {
      cpSync(join(data, 'comet', 'config', name), join(keys, 'comet', 'config', name));
    }
    // Kept on a medium without modes, and with its certificate.
    put(keys, 'tls/certificate.pem', 'certificate');
    put(keys, 'tls/key.pem', 'key');
    const secrets = ['tls/key.pem', 'keys/validator.json', 'comet/config/priv_validator_key.json'];
    for (const path of secrets) chmodSync(join(keys, path), 0o644);
    const report = await restoreNode(options);
    expect(report).toMatchObject({ mustResync: true });
    for (const path of secrets) expect(statSync(at('restored', path)).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('restored', 'tls/certificate.pem'), 'utf8')).toBe('certificate');
    expect(existsSync(at('restored', 'tls/authority.pem'))).toBe(false);
    expect(isSigningHeld(at('restored'))).toBe(true);
    expect(stateOf(at('restored'))).toMatchObject({ height: heightNever });
  });
});
