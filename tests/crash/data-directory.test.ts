import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Acknowledged, Client, Load, registerDoctor } from './load.ts';
import { doctor, RealNode, refusedStart, seeded, sleep, temporaryDirectory, treeDigest } from './real-node.ts';

const base = temporaryDirectory('base');
const dir = join(base.path, 'node');
const segment = 'ledger/blocks/000000000000001.blocks';
type Row = [name: string, code: number, file: string, change: (bytes: Buffer) => Buffer | undefined];
/** By default every third row, so that the usual run stays short; SALUS_DIRECTORY_ROWS=all takes all of them. */
const everyRow = process.env.SALUS_DIRECTORY_ROWS === 'all' ? 1 : 3;
const some = (rows: Row[]): Row[] => rows.filter((_row, index) => index % everyRow === 0);
const loadMs = 2_500;
const settleMs = 1_200;
let whole = '';

/** What says who uses a directory and what is on its way into a database: no content of its own. */
function isTransient(file: string): boolean {
  return /(^|\/)(lock|lock-journal|lock\.sqlite|lock\.mdb)$|-(wal|shm|journal)$/.test(file);
}

const digest = (path = dir): string => treeDigest(path, isTransient);
const at = (file: string): string => join(dir, file);

/** Changes one file for the time of a check, and puts it back as it was. */
async function changed(file: string, change: (bytes: Buffer) => Buffer | undefined, check: () => Promise<void>) {
  const bytes = readFileSync(at(file));
  const { mode } = statSync(at(file));
  const other = change(Buffer.from(bytes));
  if (other === undefined) rmSync(at(file));
  else writeFileSync(at(file), other);
  try {
    await check();
  } finally {
    writeFileSync(at(file), bytes, { mode });
  }
}

const gone = (): undefined => undefined;
const half = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length >> 1);
const replace = (from: string, to: string) => (bytes: Buffer) => Buffer.from(bytes.toString().replace(from, to));

/** One bit, at a share of what the file really uses. */
function flip(share: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const used = bytes.findLastIndex((byte) => byte !== 0);
    const place = Math.floor(used * share);
    bytes[place] = (bytes[place] ?? 0) ^ 4;
    return bytes;
  };
}

/** One bit of a character some way behind a text. */
function flipIn(before: string): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const place = bytes.indexOf(before) + before.length + 10;
    bytes[place] = bytes[place] === 65 ? 66 : 65;
    return bytes;
  };
}

/** One bit in every copy of a key: a database keeps old pages, and a flip in a free one damages nothing. */
function flipKey(key: () => string): (bytes: Buffer) => Buffer {
  return (bytes) => {
    for (let place = bytes.indexOf(key()); place >= 0; place = bytes.indexOf(key(), place + 1)) {
      bytes[place] = (bytes[place] ?? 0) ^ 4;
    }
    return bytes;
  };
}

beforeAll(async () => {
  const node = await RealNode.start(dir);
  const client = new Client(dir);
  const physician = await registerDoctor(node, client);
  const options = { random: seeded(3), importShare: 0.3, readShare: 0.3 };
  const load = new Load(node, client, physician, new Acknowledged(), options).start();
  await sleep(loadMs);
  await load.stop();
  await sleep(settleMs);
  await node.stop();
  whole = digest();
});

afterAll(() => base.remove());

describe('R-LED-1 a directory that is not a whole node of this version is refused and left as it is', () => {
  it.each<Row>(
    some([
      ['another layout version', 704, 'salus.json', replace('"version": 1', '"version": 9')],
      ['another chain in salus.json', 705, 'salus.json', replace('"chain": "sandbox-', '"chain": "sandbox-0')],
      ['half of salus.json', 707, 'salus.json', half],
      ['salus.json missing', 703, 'salus.json', gone],
      ['half of genesis.json', 707, 'genesis.json', half],
      ['genesis.json missing', 707, 'genesis.json', gone],
      ['the validator key missing', 711, 'keys/validator.json', gone],
      ['half of the validator key', 712, 'keys/validator.json', half],
      ['another validator key', 406, 'keys/validator.json', replace('"d": "', '"d": "AAAA')],
      ['chain.json of the ledger missing', 403, 'ledger/chain.json', gone],
      ['half of chain.json', 404, 'ledger/chain.json', half],
      ['another version of the ledger', 402, 'ledger/chain.json', replace('salus-ledger/1', 'salus-ledger/9')],
      ['half of the ledger’s genesis', 404, 'ledger/genesis.json', half],
      ['the block log missing', 410, segment, gone],
      ['a signing key missing', 711, 'orgs/hospital/keys/sign-1.json', gone],
      ['half of a signing key', 712, 'orgs/hospital/keys/sign-1.json', half],
    ]),
  )('%s: %i', async (_name, code, file, change) => {
    await changed(file, change, async () => {
      const before = digest();
      const { exitCode, problem } = await refusedStart(dir);
      expect([exitCode, problem.code]).toEqual([1, code]);
      expect(problem.advice?.length).toBeGreaterThan(20);
      expect(digest()).toBe(before);
    });
    expect(digest()).toBe(whole);
  });

  it.each<Row>(
    some([
      ['the vault’s key missing', 200, 'orgs/hospital/keys/vault.json', gone],
      ['half of the vault’s key', 202, 'orgs/hospital/keys/vault.json', half],
      ['half of the index of contents', 216, 'orgs/hospital/vault/blobs/index.sqlite', half],
      ['the index of contents missing', 216, 'orgs/hospital/vault/blobs/index.sqlite', gone],
      ['the access log cut', 253, 'orgs/hospital/vault/log/00000001.log', gone],
    ]),
  )(
    '%s, found when the ledger is open already: %i, and the vault stays as it is',
    async (_name, code, file, change) => {
      const vault = at('orgs/hospital/vault');
      await changed(file, change, async () => {
        const before = digest(vault);
        const { exitCode, problem } = await refusedStart(dir);
        expect([exitCode, problem.code]).toEqual([1, code]);
        expect(digest(vault)).toBe(before);
      });
    },
  );

  it.each<Row>([
    ['half of the store of the ledger', 409, 'ledger/store/data.mdb', half],
    ['half of the block log', 410, segment, half],
  ])('%s: %i, and doctor says so', async (_name, code, file, change) => {
    await changed(file, change, async () => {
      const before = digest();
      const { exitCode, problem } = await refusedStart(dir);
      expect([exitCode, problem.code]).toEqual([1, code]);
      const { ok, problems } = await doctor(dir);
      expect([ok, problems.filter((one) => one.startsWith(`ledger: error ${code}: `)).length]).toEqual([false, 1]);
      expect(digest()).toBe(before);
    });
  });

  it('foreign files: 702 for demo and start alike', async () => {
    const alien = join(base.path, 'alien');
    mkdirSync(alien);
    writeFileSync(join(alien, 'thesis.txt'), 'not a node');
    const before = treeDigest(alien);
    expect(await refusedStart(alien)).toMatchObject({ exitCode: 1, problem: { code: 702 } });
    expect(await RealNode.start(alien).catch(String)).toContain('"code":702');
    expect([readdirSync(alien), treeDigest(alien)]).toEqual([['thesis.txt'], before]);
  });

  it('the ledger of another node: 406 or 401', async () => {
    const other = join(base.path, 'other');
    await (await RealNode.start(other)).stop();
    rmSync(join(other, 'ledger'), { recursive: true });
    cpSync(at('ledger'), join(other, 'ledger'), { recursive: true });
    const before = digest(other);
    const { exitCode, problem } = await refusedStart(other);
    expect([exitCode, [401, 406].includes(problem.code)]).toEqual([1, true]);
    expect(digest(other)).toBe(before);
    rmSync(other, { recursive: true });
  });

  it('a second process: 706; a port in use: 700; the first goes on', async () => {
    const other = join(base.path, 'second');
    await (await RealNode.start(other)).stop();
    const node = await RealNode.start(dir);
    expect(await refusedStart(dir)).toMatchObject({ exitCode: 1, problem: { code: 706 } });
    expect(await doctor(dir)).toMatchObject({ code: 706 });
    const taken = await refusedStart(other, ['--port', new URL(node.url).port]);
    const { height } = await node.status();
    await node.stop();
    expect(taken).toMatchObject({ exitCode: 1, problem: { code: 700 } });
    expect(height).toBeGreaterThan(0);
    expect(await doctor(other)).toMatchObject({ ok: true, problems: [] });
    rmSync(other, { recursive: true });
  });

  const canMount = (() => {
    try {
      execFileSync('unshare', ['-rm', 'true'], { stdio: 'ignore' });
      return true;
    } catch {
      console.log('skipped: no mount namespace is permitted here');
      return false;
    }
  })();

  it.skipIf(!canMount)('a directory that cannot be written: 718', async () => {
    const script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"';
    const before = digest();
    const prefix = ['unshare', '-rm', 'sh', '-c', script, dir];
    const { exitCode, problem } = await refusedStart(dir, [], { prefix });
    expect([exitCode, problem.code]).toEqual([1, 718]);
    expect(digest()).toBe(before);
  });
});

describe('R-LED-1 R-REC-1 doctor finds one flipped bit and says where', () => {
  const participant = (): string => `identity/participant/${new Client(dir).did}`;
  const pack = (): string => `orgs/hospital/vault/blobs/packs/${readdirSync(at('orgs/hospital/vault/blobs/packs'))[0]}`;
  it.each<[string, () => string, (bytes: Buffer) => Buffer, RegExp]>([
    ['a segment of the block log', () => segment, flip(0.5), /^ledger: .*block/],
    ['the vault’s pack', pack, flip(0.5), /^hospital: vault: content [0-9a-f]{64} is damaged/],
    ['the access log', () => 'orgs/hospital/vault/log/00000001.log', flip(0.5), /^hospital: vault: error 25[23]/],
    ['a signing key', () => 'orgs/hospital/keys/sign-1.json', flipIn('"x": "'), /^hospital: key sign-1 is damaged/],
    ['the validator’s key', () => 'keys/validator.json', flipIn('"x": "'), /^validator key: it is damaged/],
    ['the ledger’s copy of it', () => 'ledger/validator.key', flipIn(''), /^ledger: error 406/],
    ['the state of the ledger', () => 'ledger/store/data.mdb', flipKey(participant), /^ledger: /],
  ])('in %s', async (_name, file, change, text) => {
    await changed(file(), change, async () => {
      const { ok, problems } = await doctor(dir);
      expect(ok).toBe(false);
      expect(problems.join('\n')).toMatch(text);
    });
  });

  it('and nothing in a whole directory', async () => {
    expect(await doctor(dir, '--replay')).toMatchObject({ ok: true, problems: [] });
  });
});
