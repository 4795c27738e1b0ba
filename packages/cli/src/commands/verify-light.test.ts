import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { anchorOfBlock, lightBlockFromRpc, MemoryLightStore } from '@salus/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { run } from '../program.ts';

type Rpc = { signed_header: { header: { height: string; time: string } } };
type Blocks = { commit: Rpc; validators: { validators: never[] } }[];
const { blocks }: { blocks: Blocks } = JSON.parse(
  readFileSync(new URL('../../../../vectors/light-rpc.json', import.meta.url), 'utf8'),
);

let temporary: string;
let anchorFile: string;
const servers: Server[] = [];

/** The chain of the vectors has its own time; trust in it would end otherwise. */
const lastMs = Date.parse(blocks[3]!.commit.signed_header.header.time);

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: lastMs + 10_000 });
  temporary = mkdtempSync(join(tmpdir(), 'salus-light-'));
  anchorFile = join(temporary, 'anchor.json');
  const [first, second] = blocks.map(({ commit, validators }) =>
    lightBlockFromRpc(commit as never, validators.validators),
  );
  writeFileSync(anchorFile, JSON.stringify(anchorOfBlock(first!, second!.validators)));
});
afterAll(() => {
  vi.useRealTimers();
  rmSync(temporary, { recursive: true, force: true });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

type Answer = { result?: unknown; error?: { code: number; message: string; data: string } };

/** CometBFT's answers, as its RPC gave them, from a server of this test. */
function answerOf(method: string, params: { height?: string }, given: Blocks, asked: string[]): Answer {
  asked.push(method);
  const latest = given.length;
  const height = Number(params.height ?? latest);
  if (method === 'broadcast_evidence') return { result: { hash: '' } };
  if (height > latest) {
    const data = `height ${height} must be less than or equal to the current blockchain height ${latest}`;
    return { error: { code: -32603, message: 'Internal error', data } };
  }
  const block = given[height - 1]!;
  return { result: method === 'commit' ? block.commit : block.validators };
}

async function rpc(given: Blocks = blocks, asked: string[] = []): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString());
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answerOf(method, params, given, asked) }));
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function light(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await run(['--json', 'light', '--anchor', anchorFile, ...args], io);
  return { code, json: JSON.parse(out.join('')) };
}

describe('R-LED-2 R-LED-3 salus light', () => {
  test('wrong command lines exit with 2', async () => {
    const [url, other] = ['http://127.0.0.1:1', 'http://127.0.0.1:2'] as const;
    for (const args of [
      ['--primary', url],
      ['--primary', 'file:///etc/passwd', '--witness', url],
      ['--primary', 'http://user:word@127.0.0.1:1', '--witness', url],
      ['--primary', url, '--witness', `${url}/`],
      ['--primary', url, '--witness', other, '--witness', other],
      ['--primary', url, '--witness', other, '--trust-level', 'half'],
      ['--primary', url, '--witness', other, '--trusting-period', '21'],
      ['--primary', url, '--witness', other, '--height', '0'],
    ]) {
      expect((await light(...args)).code, args.join(' ')).toBe(2);
    }
  });

  test('a source that nobody runs, and a height to come', async () => {
    const silent = 'http://127.0.0.1:1';
    expect(await light('--primary', silent, '--witness', 'http://127.0.0.1:2')).toMatchObject({
      code: 1,
      json: { code: 181 },
    });
    const [primary, witness] = [await rpc(), await rpc()];
    expect(await light('--primary', primary, '--witness', witness, '--height', '9')).toMatchObject({
      code: 1,
      json: { ok: false, code: 182 },
    });
  });

  test('the first block is compared with every witness', async () => {
    const other = structuredClone(blocks);
    other[0] = other[1]!;
    const lying = [await rpc(), await rpc(other)];
    const answer = await light('--primary', lying[0]!, '--witness', lying[1]!, '--height', '1');
    // A block of another height is no answer: the witness is of no use, and the anchor itself was met.
    expect(answer).toMatchObject({ code: 0, json: { ok: true, height: 1 } });
  });

  test('trust that expired', async () => {
    const [primary, witness] = [await rpc(), await rpc()];
    const args = ['--primary', primary, '--witness', witness, '--trusting-period', '1'];
    expect(await light(...args)).toMatchObject({ code: 0, json: { ok: true, height: 4 } });
    vi.setSystemTime(lastMs + 86_400_000);
    expect(await light(...args)).toMatchObject({ code: 1, json: { ok: false, code: 134 } });
    vi.setSystemTime(lastMs - 3_600_000);
    expect(await light(...args)).toMatchObject({ code: 1, json: { ok: false, code: 135 } });
    vi.setSystemTime(lastMs + 10_000);
  });

  test('a forged vote, and a block that no witness has', async () => {
    const forged = structuredClone(blocks);
    const last = forged[3]!.commit as unknown as { signed_header: { commit: { signatures: { signature: string }[] } } };
    for (const vote of last.signed_header.commit.signatures) vote.signature = Buffer.alloc(64).toString('base64');
    const [liar, witness] = [await rpc(forged), await rpc()];
    expect(await light('--primary', liar, '--witness', witness, '--height', '4', '--sequential')).toMatchObject({
      code: 1,
      json: { ok: false, code: 127 },
    });
  });

  test('the latest block, skipping or not', async () => {
    const [primary, witness] = [await rpc(), await rpc()];
    for (const mode of [[], ['--sequential'], ['--trust-level', '2/3']]) {
      const answer = await light('--primary', primary, '--witness', witness, ...mode);
      expect(answer).toMatchObject({ code: 0, json: { ok: true, chain: 'comet-cases', height: 4 } });
    }
  });

  test('the anchor’s block is verified and kept, and asked for once', async () => {
    const asked: string[] = [];
    const [primary, witness] = [await rpc(blocks, asked), await rpc()];
    const store = join(temporary, 'store.json');
    const args = ['--primary', primary, '--witness', witness, '--height', '1', '--store', store];
    expect(await light(...args)).toMatchObject({ code: 0, json: { ok: true, height: 1, stored: [1] } });
    expect(asked).toEqual(['commit', 'validators']);
    expect(MemoryLightStore.decode(readFileSync(store)).heights).toEqual([1]);
    expect((await light(...args)).code).toBe(0);
    expect(asked).toHaveLength(2);
  });
});
