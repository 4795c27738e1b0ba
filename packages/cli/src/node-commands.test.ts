import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomBytes, toBase64url } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './program.ts';

const bin = fileURLToPath(new URL('../bin/salus.js', import.meta.url));
const mutations = 200;

let temporary: string;
let data: string;
let node: ChildProcess;
let started: { url: string; chain: string; organizations: { slug: string; did: string }[] };

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

const json = async (...args: string[]) => {
  const result = await salus(...args, '--json');
  return { code: result.code, value: JSON.parse(result.out) };
};

/** Starts a real process and gives the first line it prints. */
function launch(...args: string[]): Promise<{ process: ChildProcess; line: string }> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes('\n')) resolve({ process: child, line: text });
    });
    child.once('exit', (code) => reject(new Error(`exit ${code}: ${text}`)));
  });
}

const exitOf = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve));

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'salus-cli-'));
  data = join(temporary, 'node');
  const launched = await launch('demo', '--data', data, '--port', '0', '--json');
  node = launched.process;
  started = JSON.parse(launched.line);
});
afterAll(() => {
  node.kill('SIGKILL');
  rmSync(temporary, { recursive: true, force: true });
});

describe('R-PPL-5 salus demo', () => {
  test('is a running sandbox that says where it is', async () => {
    expect((await fetch(`${started.url}/healthz`)).status).toBe(200);
    const status = await json('status', '--url', started.url);
    expect(status.value).toMatchObject({ chain: started.chain, sandbox: true });
    expect((await salus('status', '--url', started.url)).out).toContain('hospital');
  });

  test('a busy port and a directory in use are clear errors', async () => {
    const port = new URL(started.url).port;
    const other = join(temporary, 'other');
    expect(await json('demo', '--data', other, '--port', port)).toMatchObject({ code: 1, value: { code: 700 } });
    expect(await json('start', '--data', data, '--port', '0')).toMatchObject({ code: 1, value: { code: 706 } });
    expect(await json('doctor', '--data', data)).toMatchObject({ code: 1, value: { code: 706 } });
    expect(await json('doctor', '--data', other)).toMatchObject({ code: 0, value: { ok: true, problems: [] } });
  });

  test('takes a token from the command line', async () => {
    const { value } = await json('token', '--org', 'hospital', '--as', 'system', '--data', data);
    const headers = { authorization: `Bearer ${value.token}` };
    const answer = await fetch(`${started.url}/org/hospital/notices`, { method: 'HEAD', headers });
    expect(answer.status).toBe(200);
  });
});

describe('R-LED-1 salus tx and salus verify', () => {
  const path = (name: string) => join(temporary, name);
  let hash: string;

  beforeAll(async () => {
    writeFileSync(path('message.json'), JSON.stringify({ type: 'kernel/stamp', digest: toBase64url(randomBytes(32)) }));
    await salus('tx', 'sign', path('message.json'), '--org', 'hospital', '--out', path('tx.json'), '--data', data);
    const submitted = await json('tx', 'submit', path('tx.json'), '--url', started.url);
    expect(submitted).toMatchObject({ code: 0, value: { code: 0 } });
    hash = submitted.value.hash;
    writeFileSync(path('anchor.json'), await (await fetch(`${started.url}/api/anchor`)).text());
    await salus('tx', 'receipt', hash, '--url', started.url, '--out', path('receipt.json'));
    const absent = await (await fetch(`${started.url}/api/state/kernel/stamp/nobody/nothing?proof=true`)).json();
    writeFileSync(path('absence.json'), JSON.stringify((absent as { proof: unknown }).proof));
  });

  test('a transaction goes from a message to a receipt that verifies offline', async () => {
    expect((await json('tx', 'show', hash, '--url', started.url)).value).toMatchObject({ hash, code: 0 });
    const verified = await json('verify', path('receipt.json'));
    expect(verified).toMatchObject({
      code: 0,
      value: { ok: true, proves: ['transaction', 'result'], chain: started.chain, transaction: { hash } },
    });
    expect((await salus('verify', path('receipt.json'))).out).toMatch(/^Valid\. Chain .* block \d+, confirmed 20/);
    expect(await json('verify', path('absence.json'))).toMatchObject({ code: 0, value: { proves: ['absence'] } });
  });

  test('what is too old is refused', async () => {
    const { value } = await json('verify', path('receipt.json'));
    const verify = (...args: string[]) => json('verify', path('receipt.json'), ...args);
    expect((await verify('--min-height', String(value.height), '--as-of', value.time)).code).toBe(0);
    expect(await verify('--min-height', String(value.height + 1))).toMatchObject({ code: 1, value: { ok: false } });
    expect(await verify('--as-of', '2999-01-01')).toMatchObject({ code: 1, value: { ok: false } });
  });

  test('any changed byte is refused with exit code 1', async () => {
    for (const name of ['receipt.json', 'absence.json']) {
      const whole = readFileSync(path(name));
      for (let n = 0; n < mutations; n += 1) {
        const changed = Buffer.from(whole);
        const at = (n * 7_919) % whole.length;
        changed[at] = (changed[at]! + 1 + (n % 255)) % 256;
        if (changed.equals(whole)) continue;
        writeFileSync(path('changed.json'), changed);
        const answer = await json('verify', path('changed.json'), '--anchor', path('anchor.json'));
        expect([answer.code, answer.value.ok], `${name} byte ${at}`).toEqual([1, false]);
      }
    }
  });

  test('without an anchor, or with that of another chain, nothing is proven', async () => {
    const other = join(temporary, 'foreign');
    const launched = await launch('demo', '--data', other, '--port', '0', '--json');
    const { url } = JSON.parse(launched.line);
    writeFileSync(path('foreign.json'), await (await fetch(`${url}/api/anchor`)).text());
    launched.process.kill('SIGTERM');
    expect(await exitOf(launched.process)).toBe(0);
    expect(await json('verify', path('receipt.json'), '--anchor', path('foreign.json'))).toMatchObject({ code: 1 });
    writeFileSync(path('foreign.json'), 'x');
    expect(await json('verify', path('receipt.json'), '--anchor', path('foreign.json'))).toMatchObject({ code: 1 });
  });
});

describe('R-IDN-2 salus key on the ledger', () => {
  const org = ['--org', 'clinic'];
  const ledger = () => [...org, '--data', data, '--url', started.url];
  const reads = async () => {
    const { value } = await json('token', ...org, '--as', 'system', '--data', data);
    const headers = { authorization: `Bearer ${value.token}` };
    return (await fetch(`${started.url}/org/clinic/notices`, { method: 'HEAD', headers })).status;
  };

  test('a key is rotated: made, registered, used, and the old one revoked', async () => {
    await salus('key', 'generate', ...org, '--purpose', 'authenticate', '--data', data);
    expect(await reads()).toBe(200);
    expect((await json('key', 'revoke', 'auth-2', ...ledger())).code).toBe(2);
    expect(await json('key', 'register', 'auth-2', ...ledger())).toMatchObject({
      code: 0,
      value: { state: 'registered' },
    });
    expect(await json('key', 'register', 'auth-2', ...ledger())).toMatchObject({ code: 2 });
    const old = (await json('token', ...org, '--as', 'system', '--data', data)).value.token;
    expect(Buffer.from(old.split('.')[0], 'base64url').toString()).toContain('#auth-2');
    expect(await json('key', 'revoke', 'auth-2', ...ledger(), '--reason', 'stolen')).toMatchObject({ code: 0 });
    const answer = await fetch(`${started.url}/org/clinic/notices`, { headers: { authorization: `Bearer ${old}` } });
    expect(await answer.json()).toMatchObject({ code: 624 });
    expect(await reads()).toBe(200);
  });
});

describe('R-LED-8 stopping', () => {
  test('a signal stops the node in order, and the directory starts again', async () => {
    node.kill('SIGINT');
    expect(await exitOf(node)).toBe(0);
    expect(await json('doctor', '--data', data)).toMatchObject({ code: 0, value: { ok: true } });
    const again = await launch('start', '--data', data, '--port', '0', '--json');
    expect(JSON.parse(again.line).chain).toBe(started.chain);
    again.process.kill('SIGTERM');
    expect(await exitOf(again.process)).toBe(0);
  });
});
