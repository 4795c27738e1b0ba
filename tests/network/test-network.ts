import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseGenesis } from '@salus/contracts';
import { type Message, signTransaction } from '@salus/protocol';
import { type OfflineOrganization, openDirectory, readOrganization } from '@salus/server';
import { memberUrl } from '../../packages/cli/src/network/addresses.ts';
import { cometHomeOf } from '../../packages/cli/src/network/comet-home.ts';
import { createNetwork, type Network, type NetworkMember } from '../../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../../packages/cli/src/network/network-status.ts';
import { memberPidFile } from '../../packages/cli/src/network/run-network.ts';
import { runningPid, SupervisedProcess } from '../../packages/cli/src/network/supervised-process.ts';
import { freeBasePort } from '../support/free-ports.ts';

export type Result = { hash: string; height: number; index: number; code: number; outputs: unknown[] };
export type BlockJson = {
  height: number;
  timeMs: number;
  appHash: string;
  hash: string;
  transactions: { hash: string }[];
};

/** How a member's process is started where that differs from what `salus network start` does. */
export type Launch = {
  /** A command that runs the rest in the place of its own process. */
  prefix?: readonly string[];
  /** The program instead of `salus`. */
  entry?: string;
  args?: readonly string[];
  env?: NodeJS.ProcessEnv;
};

const mainFile = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const validityMs = 300_000;
/** Often, so that a short test sees some. */
export const snapshotEveryBlocks = 20;
/** Long enough for four votes on a machine that has much else to do. */
const votingMs = 6_000;
const votingRules = { validators: { votingMs, noticeBlocks: 2 } };
const upMsMax = 60_000;
const logLinesMax = 60;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One member: its processes, and an organisation that signs and asks through it. */
export class TestMember {
  readonly member: NetworkMember;
  readonly url: string;
  readonly #organization: OfflineOrganization;
  #process: SupervisedProcess | undefined;
  readonly #host: string;

  constructor(member: NetworkMember, host: string) {
    this.member = member;
    this.#host = host;
    this.url = memberUrl({ host }, member);
    this.#organization = readOrganization(member.dataDir, member.slug);
  }

  async start({ prefix = [], entry = mainFile, args = [], env = {} }: Launch = {}): Promise<void> {
    const { dataDir, ports } = this.member;
    const flags = ['--engine', 'cometbft', '--data', dataDir, '--host', this.#host, '--port', String(ports.http)];
    const [command = process.execPath, ...rest] = [
      ...prefix,
      process.execPath,
      ...[entry, 'start', ...flags, '--log-level', 'info', ...args],
    ];
    const logFile = join(dataDir, 'member.log');
    const pidFile = memberPidFile(this.member);
    this.#process = new SupervisedProcess(
      { command, args: rest, logFile, pidFile, env: { ...process.env, ...env } },
      dataDir,
    );
    await this.#process.start();
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  did(): string {
    return this.#organization.keys.profile.did;
  }

  pid(): number | undefined {
    return runningPid(memberPidFile(this.member), this.member.dataDir);
  }

  cometPid(): number | undefined {
    const home = cometHomeOf(this.member.dataDir);
    return runningPid(join(home, 'comet.pid'), home);
  }

  sign(messages: Message[], validForMs = validityMs): Promise<Uint8Array> {
    const { directory, keys } = this.#organization;
    const validUntil = Date.now() + validForMs;
    return signTransaction({ chain: directory.manifest.chain, messages, signers: [keys.signer()], validUntil });
  }

  stamp(): Promise<Uint8Array> {
    return this.sign([{ type: 'kernel/stamp', digest: randomBytes(32).toString('base64url') }]);
  }

  submit(bytes: Uint8Array): Promise<Response> {
    return fetch(`${this.url}/api/transactions?wait=commit`, {
      method: 'POST',
      headers: { 'content-type': 'application/jose+json' },
      body: bytes as Uint8Array<ArrayBuffer>,
    });
  }

  /** Commits or throws. */
  async commit(bytes: Uint8Array): Promise<Result> {
    const response = await this.submit(bytes);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${this.member.slug}: ${response.status} ${text}`);
    return JSON.parse(text) as Result;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}${path}`);
    if (!response.ok) throw new Error(`${this.member.slug} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async height(): Promise<number> {
    return (await this.get<{ height: number }>('/api/status')).height;
  }

  /** Everything that member and CometBFT wrote, for a test that failed. */
  logs(): string {
    const files = [join(this.member.dataDir, 'member.log'), join(cometHomeOf(this.member.dataDir), 'comet.log')];
    const lines = files.map((file) => readFileSync(file, 'utf8').split('\n'));
    const telling = lines.map((all) => all.filter((line) => !line.includes('"event":"request"')).slice(-logLinesMax));
    return files.map((file, index) => `--- ${file}\n${telling[index]?.join('\n')}`).join('\n');
  }
}

export class TestNetwork {
  readonly dir: string;
  readonly network: Network;
  readonly members: TestMember[];

  private constructor(dir: string, network: Network, hosts: readonly string[] = []) {
    this.dir = dir;
    this.network = network;
    this.members = network.members.map((member, index) => new TestMember(member, hosts[index] ?? network.host));
  }

  /** Files alone; `hosts` where each member has an address of its own. */
  static async create(validators: number, hosts?: readonly string[]): Promise<TestNetwork> {
    const parent = mkdtempSync(join(tmpdir(), 'salus-network-'));
    const basePort = await freeBasePort();
    const dir = join(parent, 'net');
    const options = { dir, validators, basePort, snapshotEveryBlocks, votingRules };
    const spread = hosts && { hosts, host: '0.0.0.0' };
    return new TestNetwork(dir, await createNetwork({ ...options, ...spread }), hosts);
  }

  static async start(validators: number): Promise<TestNetwork> {
    const network = await TestNetwork.create(validators);
    await Promise.all(network.members.map((member) => member.start()));
    await network.settled();
    return network;
  }

  /** Every member answers and none of them catches up. */
  async settled(): Promise<void> {
    const until = Date.now() + upMsMax;
    for (;;) {
      const status = await networkStatus(this.network);
      if (status.ok) return;
      if (Date.now() > until) {
        const silent = this.members.filter((_member, index) => status.members[index]?.problem !== undefined);
        throw new Error(`${JSON.stringify(status)}\n${silent.map((member) => member.logs()).join('\n')}`);
      }
      await sleep(100);
    }
  }

  /** Waits until every member has the block. */
  async reaches(height: number, members: readonly TestMember[] = this.members): Promise<void> {
    const until = Date.now() + upMsMax;
    for (const member of members) {
      while ((await member.height().catch(() => 0)) < height) {
        if (Date.now() > until) throw new Error(`${member.member.slug} never reached ${height}\n${member.logs()}`);
        await sleep(50);
      }
    }
  }

  /** Blocks up to the lowest head, compared between the members; throws where they differ. */
  async sameBlocks(from = 1, members: readonly TestMember[] = this.members): Promise<BlockJson[]> {
    const heights = await Promise.all(members.map((member) => member.height()));
    const blocks: BlockJson[] = [];
    for (let height = from; height <= Math.min(...heights); height += 1) {
      const all = await Promise.all(members.map((member) => member.get<BlockJson>(`/api/blocks/${height}`)));
      const texts = new Set(all.map((block) => JSON.stringify([block.hash, block.appHash, block.transactions])));
      if (texts.size !== 1) throw new Error(`members differ at ${height}: ${[...texts].join('\n')}`);
      blocks.push(all[0] as BlockJson);
    }
    return blocks;
  }

  /** All vote for another power of one member's validator; gives the height from which on it counts, which is past. */
  async votePower(of: TestMember, power: number): Promise<number> {
    const { validators } = parseGenesis(openDirectory(of.member.dataDir).genesis());
    const { publicKey, member } = validators.find(({ member: did }) => did === of.did())!;
    const change = { kind: 'validators', changes: [{ publicKey, member, power }] };
    const propose = { type: 'governance/propose', change, reason: 'A'.repeat(43), activationHeight: 0 };
    const [opened] = (await of.commit(await of.sign([propose]))).outputs as [{ proposal: number; digest: string }];
    const { proposal, digest } = opened;
    const vote = { type: 'governance/vote', proposal, digest, choice: 'yes' };
    await Promise.all(this.members.map(async (voter) => voter.commit(await voter.sign([vote]))));
    await sleep(votingMs + 500);
    // Block time is the clock that counts: a block brings it up to date.
    await of.commit(await of.stamp());
    const executed = await of.commit(await of.sign([{ type: 'governance/execute', proposal, digest }]));
    const [{ effectiveHeight }] = executed.outputs as [{ effectiveHeight: number }];
    while ((await of.height()) < effectiveHeight + 3) await of.commit(await of.stamp());
    return effectiveHeight;
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
    rmSync(join(this.dir, '..'), { recursive: true, force: true });
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Numbers from 0 to 1 that follow from the seed alone (xorshift32). */
export function randomOf(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
