/** What the command says to people and scripts when something is wrong with how or where it is run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSandbox } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './program.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
let root: string;
let data: string;
const at = (...names: string[]): string => join(root, ...names);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'salus-usage-'));
  data = at('node');
  await createSandbox(data);
  writeFileSync(at('file'), 'text');
  mkdirSync(at('taken'));
  writeFileSync(at('taken', 'letter.txt'), 'mine');
  mkdirSync(at('version'));
  writeFileSync(at('version', 'salus.json'), '{"format":"salus-node/1","version":99,"chain":"x","organizations":[]}');
  mkdirSync(at('half', 'keys'), { recursive: true });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs it in this process; `$name` stands for a path below the directory of the test. */
async function salus(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const line = args.map((arg) => arg.replace(/^\$/, `${root}/`));
  const code = await run(line, { out: (text) => void out.push(text), err: (text) => void err.push(text) });
  return { code, out, err };
}

describe('R-PPL-5 whatever is wrong is one problem with number, exit code and advice', () => {
  test.each([
    ['no command', [], 2, 716],
    ['half a command', ['wallet'], 2, 716],
    ['no such subcommand', ['key', 'nonsense'], 2, 716],
    ['an address that is none', ['status', '--url', 'nonsense'], 2, 716],
    ['an address of another kind', ['status', '--url', 'ftp://127.0.0.1'], 2, 716],
    ['a port where nobody may listen', ['status', '--url', 'http://127.0.0.1:1'], 1, 720],
    ['a file for a directory', ['doctor', '--data', '$file'], 1, 724],
    ['a directory for a file', ['verify', '$taken', '--anchor', '$file'], 1, 724],
    ['a directory of something else', ['start', '--data', '$taken'], 1, 702],
    ['a directory of another version', ['start', '--data', '$version'], 1, 704],
    ['a directory that was not finished', ['start', '--data', '$half'], 1, 703],
    ['no directory', ['export', '--data', '$none', '--org', 'hospital', '--patient', 'p', '--out', '$x'], 1, 708],
    ['a taken target', ['export', '--data', '$node', '--org', 'hospital', '--patient', 'p', '--out', '$taken'], 1, 732],
    ['a taken target of a backup', ['backup', '--data', '$node', '--to', '$taken'], 1, 732],
    ['no backup', ['restore', '--from', '$none', '--keys', '$none', '--data', '$r'], 1, 730],
    ['a walkthrough into a node', ['walkthrough', '--data', '$node'], 1, 732],
    ['no file to import', ['import', '--data', '$node', '--org', 'hospital', '$none'], 1, 721],
    ['no file to sign', ['tx', 'sign', '--data', '$node', '--org', 'hospital', '$none'], 1, 721],
    ['no file to sponsor', ['network', 'sponsor', '--data', '$node', '--org', 'hospital', '$none'], 1, 721],
    ['a database of another kind', ['start', '--data', '$node', '--database', 'mysql://127.0.0.1/x'], 2, 716],
    ['no database to move to', ['store', 'move', 'postgres', '--data', '$node'], 2, 716],
    [
      'a database for a node with files',
      ['start', '--data', '$node', '--database', 'postgres://127.0.0.1:1/x'],
      1,
      853,
    ],
    [
      'a database that is not there',
      ['store', 'move', 'postgres', '--data', '$node', '--database', 'postgres://127.0.0.1:1/x'],
      1,
      850,
    ],
    ['an address that is not here', ['start', '--data', '$node', '--host', '192.0.2.1', '--port', '0'], 1, 701],
  ])('%s', async (_name, args, exit, code) => {
    const json = await salus(...args, '--json');
    expect(json.err).toEqual([]);
    expect(json.out).toHaveLength(1);
    const problem = JSON.parse(json.out[0] ?? '');
    expect([json.code, problem.code]).toEqual([exit, code]);
    expect(problem).toMatchObject({ type: `urn:salus:error:${code}`, advice: expect.stringMatching(/.{10}/) });
    expect(problem.title).not.toMatch(/[a-z][A-Z]/);
    expect(problem.detail ?? '').not.toContain(problem.advice);
    const plain = await salus(...args);
    expect([plain.code, plain.out]).toEqual([exit, []]);
    expect(plain.err.join('')).not.toBe('');
  });

  test('a node that is no Salus node, and one that breaks off', async () => {
    const server = createServer((request, response) => {
      if (request.url?.includes('status') === true) response.writeHead(200).end('<html>');
      else response.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const args of [['status'], ['tx', 'show', '0'.repeat(64)]]) {
      const { code, out } = await salus(...args, '--url', url, '--json');
      expect([code, JSON.parse(out.join('')).code]).toEqual([1, args[0] === 'status' ? 723 : 720]);
    }
    server.close();
  });

  test.skipIf(process.getuid?.() === 0)('a place where nothing may be written or read', async () => {
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o000);
    const { code, out } = await salus('doctor', '--data', at('closed', 'node'), '--json');
    expect([code, JSON.parse(out.join('')).code]).toEqual([1, 722]);
    chmodSync(at('closed'), 0o700);
  });
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** A process of its own. `meet` is given it when it said something. */
async function launch(args: string[], meet: (child: ReturnType<typeof spawn>, said: string) => void): Promise<Ended> {
  const env = { ...process.env, TMPDIR: existsSync(at('tmp')) ? at('tmp') : tmpdir() };
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended: Ended = { code: null, out: '', err: '' };
  child.stdout.on('data', (piece) => {
    ended.out += piece;
    meet(child, ended.out);
  });
  child.stderr.on('data', (piece) => {
    ended.err += piece;
    meet(child, ended.err);
  });
  [ended.code] = await once(child, 'exit');
  return ended;
}

describe('R-PPL-5 processes', () => {
  test('help for a reader who stops reading, and standard input that is closed', async () => {
    const help = await launch(['--help'], (child) => child.stdout?.destroy());
    expect([help.code, help.err]).toEqual([0, '']);
    const closed = await launch(['wallet', 'requests', '--wallet', at('w'), '--json'], () => undefined);
    expect([closed.code, JSON.parse(closed.out).code]).toEqual([2, 716]);
    const empty = await launch(['tx', 'submit', '-', '--url', 'http://127.0.0.1:1', '--json'], () => undefined);
    expect([empty.code, JSON.parse(empty.out).code]).toEqual([1, 720]);
  });

  test('a node goes on where nobody reads, and takes Ctrl-C that comes twice at once as one', async () => {
    let isSeen = false;
    const node = await launch(['start', '--data', data, '--port', '0', '--json'], (child, said) => {
      if (isSeen || !said.includes('\n')) return;
      isSeen = true;
      child.stdout?.destroy();
      const { url } = JSON.parse(said);
      void fetch(`${url}/healthz`).then(() => {
        child.kill('SIGINT');
        child.kill('SIGINT');
      });
    });
    expect([node.code, node.err]).toEqual([0, '']);
    expect((await salus('doctor', '--data', data, '--json')).code).toBe(0);
  });

  test('a walkthrough that is ended in the middle leaves no process and no directory behind', async () => {
    mkdirSync(at('tmp'));
    let isSeen = false;
    const ended = await launch(['walkthrough', '--patients', '1', '--out', at('proofs')], (child, said) => {
      if (isSeen || !said.includes('link wallets')) return;
      isSeen = true;
      child.kill('SIGINT');
    });
    expect(ended.code).toBe(1);
    expect(readdirSync(at('tmp'))).toEqual([]);
  });
});
