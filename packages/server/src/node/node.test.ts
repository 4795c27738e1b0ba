import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readOrganization } from '../orgs/offline-keys.ts';
import { MemoryLedger } from '../testing/memory-ledger.ts';
import { temporaryDirectory } from '../testing/test-node.ts';
import { inspectDirectory, lockDirectory, openDirectory } from './data-directory.ts';
import { createSandbox } from './sandbox.ts';
import { type NodeOptions, startNode } from './start-node.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let root: string;
beforeEach(() => {
  temporary = temporaryDirectory();
  root = join(temporary.path, 'node');
});
afterEach(() => temporary.remove());

const start = (options: Partial<NodeOptions> = {}) =>
  startNode({
    dataDir: root,
    port: 0,
    parts: [],
    openLedger: async (directory) => new MemoryLedger(directory.manifest.chain),
    ...options,
  });

/** Every file with its content: to show that nothing changed. */
function snapshot(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((file) => [join(file.parentPath, file.name), readFileSync(join(file.parentPath, file.name), 'hex')]),
  );
}

describe('R-PPL-5 a sandbox consortium', () => {
  test('has four members with roots, keys and a genesis document of their own', async () => {
    const chain = await createSandbox(root);
    expect(chain).toMatch(/^sandbox-[0-9a-f]{12}$/);
    const directory = openDirectory(root, chain);
    expect(directory.manifest.organizations).toEqual(['hospital', 'clinic', 'payer', 'regulator']);
    for (const slug of directory.manifest.organizations) {
      expect(readdirSync(join(root, 'orgs', slug, 'keys')).sort()).toEqual([
        'auth-1.json',
        'encrypt-1.json',
        'sign-1.json',
        'vault.json',
      ]);
    }
    const dids = directory.manifest.organizations.map((slug) => readOrganization(root, slug).keys.profile.did);
    expect(new Set(dids).size).toBe(4);
    expect(JSON.stringify(directory.genesis())).not.toContain('"d":');
  });

  test('R-REC-5 keys are readable by their owner only', async () => {
    await createSandbox(root);
    const files = readdirSync(root, { recursive: true, withFileTypes: true });
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      if (path.includes('keys') && file.isFile()) expect(statSync(path).mode & 0o077).toBe(0);
      if (file.isDirectory()) expect(statSync(path).mode & 0o077).toBe(0);
    }
  });

  test('can have fewer members, and none that do not exist', async () => {
    await createSandbox(root, { slugs: ['clinic'] });
    expect(() => readOrganization(root, 'hospital')).toThrow(expect.objectContaining({ code: 714 }));
    await expect(createSandbox(join(temporary.path, 'b'), { slugs: ['nobody'] })).rejects.toMatchObject({ code: 716 });
  });
});

describe('R-PPL-5 data directories', () => {
  test('one that is missing, alien, unfinished, of another version, damaged or of another chain is refused unchanged', async () => {
    const chain = await createSandbox(root);
    const manifest = readFileSync(join(root, 'salus.json'), 'utf8');
    const change = (text: string) => () => writeFileSync(join(root, 'salus.json'), text);
    const changed = (members: object) => JSON.stringify({ ...JSON.parse(manifest), ...members });
    const cases: [string, number, () => void, Partial<NodeOptions>?][] = [
      ['another version', 704, change(changed({ version: 2 }))],
      ['another format', 704, change(changed({ format: 'x' }))],
      ['half a manifest', 707, change(manifest.slice(0, 40))],
      ['a list', 707, change('[]')],
      ['no organisations', 707, change(changed({ organizations: undefined }))],
      ['genesis of another chain', 705, change(changed({ chain: 'sandbox-other' }))],
      ['asked for another chain', 705, change(manifest), { chain: 'sandbox-other' }],
      ['no manifest', 703, () => rmSync(join(root, 'salus.json'))],
      ['other files', 702, () => writeFileSync(join(root, 'thesis.doc'), 'x')],
      ['nothing', 708, () => rmSync(root, { recursive: true })],
    ];
    expect(chain).toBeDefined();
    for (const [name, code, prepare, options] of cases) {
      prepare();
      const before = name === 'nothing' ? {} : snapshot(root);
      await expect(start(options), name).rejects.toMatchObject({ code });
      if (name !== 'nothing') expect(snapshot(root), name).toEqual(before);
    }
  });

  test('createSandbox refuses what is not empty', async () => {
    await createSandbox(root);
    await expect(createSandbox(root)).rejects.toMatchObject({ code: 702 });
    rmSync(join(root, 'salus.json'));
    await expect(createSandbox(root)).rejects.toMatchObject({ code: 703 });
    expect(inspectDirectory(temporary.path)).toBe('alien');
  });

  test('a missing or damaged key file stops the start', async () => {
    await createSandbox(root);
    const path = join(root, 'orgs', 'clinic', 'keys', 'sign-1.json');
    const key = readFileSync(path, 'utf8');
    writeFileSync(path, key.slice(0, 30));
    await expect(start()).rejects.toMatchObject({ code: 712 });
    rmSync(path);
    await expect(start()).rejects.toMatchObject({ code: 711 });
  });

  test('is used by one process at a time, and free again after a kill', async () => {
    await createSandbox(root);
    const node = await start();
    await expect(start()).rejects.toMatchObject({ code: 706 });
    await node.stop();
    const script = `import { lockDirectory } from ${JSON.stringify(new URL('./data-directory.ts', import.meta.url).href)};
      lockDirectory(${JSON.stringify(root)}); process.stdout.write('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(() => lockDirectory(root)).toThrow(expect.objectContaining({ code: 706 }));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    lockDirectory(root).release();
  });
});

describe('R-PPL-5 starting and stopping', () => {
  test('a busy port is a clear error, and everything is closed again', async () => {
    await createSandbox(root);
    const node = await start();
    const other = join(temporary.path, 'other');
    await createSandbox(other);
    let ledger: MemoryLedger | undefined;
    const openLedger: NodeOptions['openLedger'] = async (directory) => {
      ledger = new MemoryLedger(directory.manifest.chain);
      return ledger;
    };
    await expect(start({ dataDir: other, port: node.port, openLedger })).rejects.toMatchObject({ code: 700 });
    expect(ledger?.isClosed).toBe(true);
    const again = await start({ dataDir: other });
    await Promise.all([node.stop(), again.stop()]);
  });

  test('stop finishes what is under way, once, and parts stop before the ledger', async () => {
    await createSandbox(root);
    const order: string[] = [];
    const ledger = new MemoryLedger('x');
    const part = {
      name: 'test',
      start: async () => () => void order.push(`part, ledger closed: ${ledger.isClosed}`),
    };
    const node = await start({ openLedger: async () => ledger, parts: [part] });
    const calls = Array.from({ length: 20 }, () => fetch(`${node.url}/api/status`).then((response) => response.status));
    const statuses = await Promise.all(calls);
    await Promise.all([node.stop(), node.stop()]);
    expect(statuses.every((status) => status === 200)).toBe(true);
    expect(order).toEqual(['part, ledger closed: false']);
    expect(ledger.isClosed).toBe(true);
    await expect(fetch(`${node.url}/healthz`)).rejects.toThrow();
  });

  test('stop waits for no sender who was answered in the middle of a body, or says nothing', {
    timeout: 30_000,
  }, async () => {
    await createSandbox(root);
    const node = await start();
    const heard: string[] = [];
    const say = (text: string) =>
      new Promise<void>((resolve) => {
        const socket = connect(node.port, '127.0.0.1', () => socket.write(text));
        socket.on('error', () => undefined);
        socket.on('data', (chunk) => {
          heard.push(String(chunk).slice(0, 12));
          resolve();
        });
      });
    const post =
      'POST /api/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: text/html\r\ncontent-length: 100000\r\n\r\nhalf';
    await say(post);
    void say('GET /healthz HTTP/1.1\r\nhos');
    void say('');
    await expect(fetch(`${node.url}/healthz`)).resolves.toMatchObject({ status: 200 });
    await node.stop();
    expect(heard).toEqual(['HTTP/1.1 415']);
  });

  test('a part that fails stops the start and closes the rest', async () => {
    await createSandbox(root);
    const failing = { name: 'bad', start: async () => Promise.reject(new Error('part failed')) };
    await expect(start({ parts: [failing] })).rejects.toThrow('part failed');
    await (await start()).stop();
  });

  test.skipIf(process.getuid?.() === 0)('a directory that cannot be written is refused', async () => {
    await createSandbox(root);
    chmodSync(root, 0o500);
    await expect(start()).rejects.toMatchObject({ code: 718 });
    chmodSync(root, 0o700);
  });

  test('an empty directory is as good as none', async () => {
    mkdirSync(root);
    await createSandbox(root);
    await (await start()).stop();
  });
});
