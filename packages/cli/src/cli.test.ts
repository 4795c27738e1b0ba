import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTransaction } from '@salus/protocol';
import { createSandbox, openDirectory, writeFileDurably } from '@salus/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './program.ts';

/** Header and claims of a token, unverified. */
const decode = (token: string) =>
  token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));

let temporary: string;
let data: string;
beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'salus-cli-'));
  data = join(temporary, 'node');
  await createSandbox(data);
});
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

interface Result {
  code: number;
  out: string;
  err: string;
}

async function salus(...args: string[]): Promise<Result> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await run(args, { out: (text) => void out.push(text), err: (text) => void err.push(text) });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const commands = ['demo', 'start', 'status', 'token', 'key', 'tx', 'verify', 'doctor', 'bench'];

describe('R-PPL-5 help and errors', () => {
  test('help names every command, and each command has examples', async () => {
    const help = await salus('--help');
    expect(help.code).toBe(0);
    for (const command of commands) {
      expect(help.out).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
      const text = (await salus(command, '--help')).out;
      expect(text).toMatch(/Global Options:.*--json.*--data/s);
      if (command !== 'key' && command !== 'tx') expect(text).toContain('Examples:');
    }
    for (const sub of ['sign', 'submit', 'show', 'receipt'])
      expect((await salus('tx', sub, '--help')).out).toContain('Examples:');
  });

  test.each([
    ['an unknown command', ['nonsense']],
    ['an unknown option', ['status', '--nonsense']],
    ['a missing option', ['token', '--as', 'system']],
    ['a missing operand', ['verify']],
    ['a port out of range', ['start', '--port', '70000']],
    ['a choice that is none', ['start', '--engine', 'x']],
    ['a wrong subject', ['token', '--org', 'hospital', '--as', 'root']],
    ['an unknown benchmark', ['bench', '../x']],
    ['a time that is none', ['verify', 'x', '--as-of', 'yesterday']],
  ])('%s exits 2, and prints a problem under --json', async (_name, args) => {
    const plain = await salus('--data', data, ...args);
    expect([plain.code, plain.out]).toEqual([2, '']);
    expect(plain.err).not.toBe('');
    const json = await salus('--data', data, '--json', ...args);
    expect([json.code, json.err]).toEqual([2, '']);
    expect(JSON.parse(json.out)).toMatchObject({ type: 'urn:salus:error:716', code: 716, advice: expect.any(String) });
  });

  test.each([
    ['no node', ['status', '--url', 'http://127.0.0.1:59999'], 720],
    ['no directory', ['token', '--org', 'hospital', '--as', 'system', '--data', '/nonexistent'], 708],
    ['no such organisation', ['token', '--org', 'nobody', '--as', 'system'], 714],
    ['no such file', ['verify', '/nonexistent'], 721],
  ])('%s exits 1 with its number', async (_name, args, code) => {
    const json = await salus('--data', data, ...args, '--json');
    expect([json.code, JSON.parse(json.out).code]).toEqual([1, code]);
    expect((await salus('--data', data, ...args)).err).toContain(`Error ${code}`);
  });

  test('--version', async () => {
    expect(await salus('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
  });
});

describe('R-IDN-1 salus token', () => {
  test('prints one token and nothing else', async () => {
    const { code, out } = await salus(
      'token',
      '--org',
      'clinic',
      '--as',
      'practitioner:dr-lee',
      '--purpose',
      'TREAT',
      '--data',
      data,
    );
    const { chain } = openDirectory(data).manifest;
    expect(code).toBe(0);
    const [header, claims] = decode(out);
    expect(header).toMatchObject({ alg: 'ES384', typ: 'salus+jwt' });
    expect(claims).toMatchObject({
      sub: expect.stringMatching(/^practitioner:did:salus:[A-Za-z0-9_-]{27}$/),
      aud: chain,
      purpose: 'TREAT',
      roles: ['doctor'],
      imp: true,
    });
    expect(claims.exp - claims.iat).toBe(600);
  });

  test('for the organisation itself it impersonates nobody', async () => {
    const { out } = await salus(
      '--json',
      '--data',
      data,
      'token',
      '--org',
      'hospital',
      '--as',
      'system',
      '--life',
      '60',
    );
    const { token, expiresMs } = JSON.parse(out);
    expect(decode(token)[1].imp).toBeUndefined();
    expect(expiresMs - Date.now()).toBeLessThanOrEqual(60_000);
  });

  test('for other people exists on sandbox chains only', async () => {
    const real = join(temporary, 'real');
    await createSandbox(real);
    const rename = (file: string) =>
      writeFileDurably(
        join(real, file),
        readFileSync(join(real, file), 'utf8').replaceAll(/sandbox-[0-9a-f]+/g, 'salus-main'),
      );
    rename('salus.json');
    rename('genesis.json');
    const answer = await salus('token', '--org', 'hospital', '--as', 'patient:p1', '--data', real, '--json');
    expect([answer.code, JSON.parse(answer.out).code]).toEqual([1, 715]);
    expect((await salus('token', '--org', 'hospital', '--as', 'system', '--data', real)).code).toBe(0);
  });
});

describe('R-IDN-1 salus key', () => {
  test('lists, shows and makes keys, and never prints a private one', async () => {
    const list = async () =>
      JSON.parse((await salus('key', 'list', '--org', 'payer', '--data', data, '--json')).out) as { kid: string }[];
    expect((await list()).map((key) => key.kid.split('#')[1])).toEqual(['auth-1', 'encrypt-1', 'sign-1']);
    const made = await salus('key', 'generate', '--org', 'payer', '--purpose', 'sign', '--data', data);
    expect(made.code).toBe(0);
    const shown = await salus('key', 'show', 'sign-2', '--org', 'payer', '--data', data);
    expect(shown.out).toBe(made.out);
    expect(JSON.stringify([await list(), made, shown])).not.toContain('"d"');
    expect((await salus('key', 'show', 'sign-9', '--org', 'payer', '--data', data)).code).toBe(2);
  });
});

describe('R-LED-1 salus tx sign', () => {
  test('signs a message or several from a file', async () => {
    const file = join(temporary, 'message.json');
    const out = join(temporary, 'tx.json');
    writeFileSync(
      file,
      JSON.stringify([
        { type: 'kernel/stamp', digest: 'x' },
        { type: 'kernel/stamp', digest: 'y' },
      ]),
    );
    expect(await salus('tx', 'sign', file, '--org', 'hospital', '--out', out, '--data', data)).toMatchObject({
      code: 0,
      out,
    });
    const parsed = parseTransaction(readFileSync(out));
    expect([parsed.chain, parsed.payload.messages.length]).toEqual([openDirectory(data).manifest.chain, 2]);
    writeFileSync(file, '{"no":"type"}');
    expect((await salus('tx', 'sign', file, '--org', 'hospital', '--data', data)).code).toBe(2);
    writeFileSync(file, '{"a":1,"a":1}');
    expect((await salus('tx', 'sign', file, '--org', 'hospital', '--data', data)).code).toBe(1);
  });
});
