/**
 * Members on CometBFT against CometBFT's built-in kvstore: the same binary, configuration, number of validators, sizes and
 * load, one after the other in the same run. Every transaction of Salus is signed and verified by every member. Where Go is
 * at hand, also against the least that this costs: a Go program behind the same socket that checks signatures and nothing else.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Did, type Message, signTransaction, toBase64url } from '@salus/protocol';
import { readOrganization } from '@salus/server';
import { requireComet } from '../packages/cli/src/network/comet-binary.ts';
import { cometHomeOf } from '../packages/cli/src/network/comet-home.ts';
import { createNetwork, type Network } from '../packages/cli/src/network/network-directory.ts';
import { networkStatus } from '../packages/cli/src/network/network-status.ts';
import { prepareResync } from '../packages/cli/src/network/resync.ts';
import { memberPidFile, memberProcess } from '../packages/cli/src/network/run-network.ts';
import { runningPid } from '../packages/cli/src/network/supervised-process.ts';
import { freeBasePort } from '../tests/support/free-ports.ts';
import { type Measurement, print, round } from './ledger-load.ts';
import { latency, Rpc, throughput } from './network-load.ts';

const networkValidators = 4;
const transactionsOfLoad = 15_000;
const batches = 40;
const entriesPerBatch = 2_000;
const patientsPerBatch = 100;
const didBytes = 20;
const latencySamples = 400;
const latencyPerSecond = 50;
const catchUpTransactions = 100_000;
const snapshotEveryBlocks = 100;
const validityMs = 590_000;
const pointBytes = 65;
const signatureBytes = 64;
const upMsMax = 120_000;
const ratioTargets = { one: 0.5, four: 0.45 };
const latencyRatioMax = 1.5;
const batchedPerSecondMin = 15_000;
const deadMemberMsMax = 400;
const catchUpSecondsMax = 60;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Bench = { network: Network; rpcs: Rpc[]; pids(): number[]; stop(): Promise<void> };

/** Kernel ticks are hundredths of a second on every Linux that Node runs on. */
const microsPerTick = 10_000;

/** CPU time of processes, user and system, with all their threads; microseconds. */
function cpuMicros(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * microsPerTick;
}

/** Throughput, and what of the CPU time of all members' processes each transaction takes. */
async function loaded(bench: { rpcs: Rpc[]; pids(): number[] }, transactions: readonly Uint8Array[]) {
  const before = cpuMicros(bench.pids());
  const rate = await throughput(bench.rpcs, transactions);
  return { rate, cpu: (cpuMicros(bench.pids()) - before) / transactions.length };
}

async function make(validators: number): Promise<{ dir: string; network: Network; rpcs: Rpc[] }> {
  const dir = join(mkdtempSync(join(process.env.SALUS_BENCH_DIR ?? tmpdir(), 'salus-bench-')), 'net');
  const network = await createNetwork({ dir, validators, basePort: await freeBasePort(), snapshotEveryBlocks });
  return { dir, network, rpcs: network.members.map(({ ports }) => new Rpc(ports.rpc)) };
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + upMsMax;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > endMs) throw new Error(`waited too long for ${what}`);
    await sleep(100);
  }
}

async function end(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      child.kill('SIGINT');
      if (child.exitCode === null) await once(child, 'exit');
    }),
  );
}

/** An application that the bench brings: CometBFT's own key-value store, or a program that listens on a socket. */
type Peer = { name: string; program?: string; load(count: number, bytes: number): Uint8Array[] };

/** The same CometBFT with another application behind it. */
async function startPeer({ name, program }: Peer, validators: number): Promise<Bench> {
  const { binary } = await requireComet();
  const { dir, network, rpcs } = await make(validators);
  const programs: ChildProcess[] = [];
  const children = network.members.map(({ dataDir, slug }) => {
    const socket = `unix://${join(dir, '..', `${slug}.sock`)}`;
    if (program !== undefined) programs.push(spawn(program, [socket], { stdio: 'ignore' }));
    const proxy = program === undefined ? 'kvstore' : socket;
    const options = ['start', '--home', cometHomeOf(dataDir), '--proxy_app', proxy, '--log_level', 'error'];
    return spawn(binary, options, { stdio: 'ignore' });
  });
  await until(name, async () => {
    const heights = rpcs.map((rpc) => rpc.call<{ sync_info: { latest_block_height: string } }>('status'));
    return (await Promise.all(heights)).every(({ sync_info: sync }) => Number(sync.latest_block_height) >= 2);
  });
  return {
    network,
    rpcs,
    pids: () => [...children, ...programs].map(({ pid }) => pid as number),
    async stop() {
      for (const rpc of rpcs) rpc.close();
      await end(children);
      await end(programs);
      rmSync(join(dir, '..'), { recursive: true });
    },
  };
}

class SalusNetwork {
  readonly network: Network;
  readonly rpcs: Rpc[];
  readonly #dir: string;
  readonly #processes;

  private constructor(dir: string, network: Network, rpcs: Rpc[]) {
    this.#dir = dir;
    this.network = network;
    this.rpcs = rpcs;
    this.#processes = network.members.map((member) => memberProcess(member, network.host));
  }

  static async start(validators: number): Promise<SalusNetwork> {
    const { dir, network, rpcs } = await make(validators);
    const started = new SalusNetwork(dir, network, rpcs);
    try {
      await Promise.all(started.#processes.map((one) => one.start()));
      await started.settled();
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  pids(): number[] {
    return this.network.members.flatMap((member) => {
      const home = cometHomeOf(member.dataDir);
      const pids = [runningPid(memberPidFile(member), member.dataDir), runningPid(join(home, 'comet.pid'), home)];
      return pids.filter((pid) => pid !== undefined);
    });
  }

  settled(): Promise<void> {
    return until('the network', async () => (await networkStatus(this.network)).ok);
  }

  async stopMember(index: number): Promise<void> {
    await this.#processes[index]?.stop();
  }

  async startMember(index: number): Promise<void> {
    const process = memberProcess(this.network.members[index]!, this.network.host);
    this.#processes[index] = process;
    await process.start();
  }

  async stop(): Promise<void> {
    for (const rpc of this.rpcs) rpc.close();
    await Promise.all(this.#processes.map((one) => one.stop()));
    rmSync(join(this.#dir, '..'), { recursive: true });
  }
}

/** Signed beforehand by all organisations in turn. */
async function signed(network: Network, count: number, messages: (index: number) => Message[]): Promise<Uint8Array[]> {
  const signers = network.members.map(({ dataDir, slug }) => readOrganization(dataDir, slug).keys.signer());
  const validUntil = Date.now() + validityMs;
  const transactions: Uint8Array[] = [];
  for (let index = 0; index < count; index += 1) {
    const signer = signers[index % signers.length]!;
    transactions.push(
      await signTransaction({ chain: network.chain, messages: messages(index), signers: [signer], validUntil }),
    );
  }
  return transactions;
}

function stamps(network: Network, count: number): Promise<Uint8Array[]> {
  return signed(network, count, () => [{ type: 'kernel/stamp', digest: toBase64url(randomBytes(32)) }]);
}

/** Of the length that a signed stamp has. */
const kvstore: Peer = {
  name: 'kvstore',
  load: (count, bytes) =>
    Array.from({ length: count }, () => Buffer.from(`${randomBytes(16).toString('hex')}=`.padEnd(bytes, 'v'))),
};

/** What `tests/foreign/comet/signedstore` takes: a key, a signature, and what was signed, of the same length. */
function signedPairs(count: number, bytes: number): Uint8Array[] {
  const pairs = Array.from({ length: networkValidators }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  return Array.from({ length: count }, (_, index) => {
    const { privateKey, publicKey } = pairs[index % pairs.length]!;
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    const key = spki.subarray(spki.length - pointBytes);
    const text = Buffer.from(
      randomBytes(16)
        .toString('hex')
        .padEnd(bytes - pointBytes - signatureBytes, 'v'),
    );
    return Buffer.concat([key, sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' }), text]);
  });
}

/** Undefined where there is no Go to build it with. */
function buildSignedStore(dir: string): Peer | undefined {
  const program = join(dir, 'signedstore');
  try {
    const cwd = join(import.meta.dirname, '../tests/foreign/comet');
    execFileSync('go', ['build', '-o', program, './signedstore'], { cwd, stdio: 'ignore' });
  } catch {
    console.error('Go is not here: left out what checking signatures alone costs.');
    return undefined;
  }
  return { name: 'signatures checked in Go and nothing else', program, load: signedPairs };
}

type Compared = { salus: SalusNetwork; validators: number };

/** One after the other: on one machine they would take each other's time. */
async function compare({ salus, validators }: Compared, ratioTarget: number): Promise<void> {
  const { network, rpcs } = salus;
  const load = await stamps(network, transactionsOfLoad);
  const bytes = load[0]!.length;
  await throughput(rpcs, await stamps(network, transactionsOfLoad / 10));
  const { rate, cpu } = await loaded(salus, load);
  const own = await latency(rpcs, await stamps(network, latencySamples), latencyPerSecond);
  for (const index of network.members.keys()) await salus.stopMember(index);
  const on = `on ${validators} validator${validators > 1 ? 's' : ''}`;
  const { limit, theirs } = await measured(kvstore, { validators, bytes, on });
  const least = signedStore && (await measured(signedStore, { validators, bytes, on, limit }));
  for (const index of network.members.keys()) await salus.startMember(index);
  await salus.settled();
  const ratio = round(rate / limit);
  const value = round(rate);
  const ofLeast = least && { ratioToSignaturesAlone: round(rate / least.limit) };
  const figures = { ...own, ...ofLeast, cpuMicros: round(cpu), ratioTarget, bytes };
  print({ name: `signed transactions ${on}`, value, unit: '1/s', limit: round(limit), ratio, ...figures });
  const latencyRatio = round(own.p50Ms / theirs.p50Ms);
  const name = `median latency ${on}`;
  print({ name, value: own.p50Ms, unit: 'ms', limit: theirs.p50Ms, ratio: latencyRatio, ratioMax: latencyRatioMax });
}

type Setting = { validators: number; bytes: number; on: string; limit?: number };

async function measured(peer: Peer, { validators, bytes, on, limit: other }: Setting) {
  const bench = await startPeer(peer, validators);
  try {
    await throughput(bench.rpcs, peer.load(transactionsOfLoad / 10, bytes));
    const { rate: limit, cpu } = await loaded(bench, peer.load(transactionsOfLoad, bytes));
    const theirs = await latency(bench.rpcs, peer.load(latencySamples, bytes), latencyPerSecond);
    const ofOther = other === undefined ? {} : { limit: round(other), ratio: round(limit / other) };
    print({
      name: `${peer.name} ${on}`,
      value: round(limit),
      unit: '1/s',
      ...ofOther,
      ...theirs,
      cpuMicros: round(cpu),
    });
    return { limit, theirs };
  } finally {
    await bench.stop();
  }
}

async function batched({ network, rpcs }: SalusNetwork): Promise<Measurement> {
  const patients = Array.from(
    { length: patientsPerBatch },
    () => `did:salus:${toBase64url(randomBytes(didBytes))}` as Did,
  );
  const transactions = await signed(network, batches, () => [
    {
      type: 'access/anchorBatch',
      entries: Array.from({ length: entriesPerBatch }, (_, index) => [
        patients[index % patientsPerBatch]!,
        toBase64url(randomBytes(32)),
      ]),
    },
  ]);
  // What the mempool refuses would be waited for in vain.
  await latency(rpcs, transactions.splice(0, 1), 1);
  const value = (await throughput(rpcs, transactions, 1)) * entriesPerBatch;
  return {
    name: 'batched entries on 4 validators',
    value: round(value),
    unit: '1/s',
    limit: batchedPerSecondMin,
    ratio: round(value / batchedPerSecondMin),
  };
}

async function withoutOne(salus: SalusNetwork): Promise<Measurement> {
  const last = networkValidators - 1;
  await salus.stopMember(last);
  const times = await latency(salus.rpcs.slice(0, last), await stamps(salus.network, latencySamples), latencyPerSecond);
  await salus.startMember(last);
  await salus.settled();
  return {
    name: 'median latency with one of 4 validators dead',
    value: times.p50Ms,
    unit: 'ms',
    limit: deadMemberMsMax,
    ratio: round(times.p50Ms / deadMemberMsMax),
    ...times,
  };
}

async function catchUp(salus: SalusNetwork, count: number): Promise<Measurement> {
  const { network, rpcs } = salus;
  const part = 20_000;
  for (let done = 0; done < count; done += part)
    await throughput(rpcs, await stamps(network, Math.min(part, count - done)));
  const last = networkValidators - 1;
  const member = network.members[last]!;
  await salus.stopMember(last);
  await prepareResync(network, member);
  const startMs = performance.now();
  await salus.startMember(last);
  await salus.settled();
  const value = (performance.now() - startMs) / 1000;
  return {
    name: `a wiped member takes ${count} transactions by state sync`,
    value: round(value),
    unit: 's',
    limit: catchUpSecondsMax,
    ratio: round(value / catchUpSecondsMax),
  };
}

async function withNetwork(validators: number, work: (salus: SalusNetwork) => Promise<void>): Promise<void> {
  const salus = await SalusNetwork.start(validators);
  try {
    await work(salus);
  } finally {
    await salus.stop();
  }
}

const programs = mkdtempSync(join(tmpdir(), 'salus-bench-programs-'));
process.on('exit', () => rmSync(programs, { recursive: true, force: true }));
const signedStore = buildSignedStore(programs);
const argument = process.argv.indexOf('--catch-up');
const catchUpCount = argument > 0 ? Number(process.argv[argument + 1]) : catchUpTransactions;
await withNetwork(1, (salus) => compare({ salus, validators: 1 }, ratioTargets.one));
await withNetwork(networkValidators, async (salus) => {
  await compare({ salus, validators: networkValidators }, ratioTargets.four);
  print(await batched(salus));
  print(await withoutOne(salus));
  if (catchUpCount > 0) print(await catchUp(salus, catchUpCount));
});
