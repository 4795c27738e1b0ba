/**
 * Signed durable transactions through HTTP, against this machine's own raw P-256 verify rate measured in the same run.
 * The node is a process of its own, with everything switched on; the sender shares the machine with it, writes requests
 * that were signed and encoded beforehand, and reads no more of an answer than its status and length.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeNetwork, type Network } from '../packages/ledger/src/testing/fixture.ts';
import { toBase64url } from '../packages/protocol/src/index.ts';
import {
  finishDirectory,
  makeDirectory,
  startNode,
  validatorKeyPath,
  writeFileDurably,
} from '../packages/server/src/index.ts';
import {
  benchChain,
  type Latency,
  type Measurement,
  machineBusy,
  members,
  presign,
  print,
  rawVerifyRate,
  round,
} from './ledger-load.ts';

const connectionsOfLoad = 256;
const roundsOfLoad = 5;
const rawSample = 3_000;
const ratioTarget = 0.6;
const latencyMsTarget = 50;
const serveArgument = 'serve';

async function serve(dataDir: string): Promise<void> {
  const node = await startNode({ dataDir, port: 0, rateLimitPerMinute: 0 });
  process.on('message', (message) => {
    if (message === 'cpu') process.send?.(process.cpuUsage());
    if (message === 'stop') void node.stop().then(() => process.exit(0));
  });
  process.send?.(node.port);
}

function makeDataDirectory(root: string, network: Network): void {
  makeDirectory(join(root, 'keys'));
  writeFileDurably(validatorKeyPath(root), JSON.stringify({ d: toBase64url(network.validatorKey) }));
  finishDirectory(root, { chain: network.genesis.chain, organizations: [] }, network.genesis);
}

type Node = { port: number; cpuMicros(): Promise<number>; stop(): Promise<void> };

async function startProcess(dataDir: string): Promise<Node> {
  const child = fork(fileURLToPath(import.meta.url), [serveArgument, dataDir]);
  const [port] = (await once(child, 'message')) as [number];
  return {
    port,
    async cpuMicros() {
      child.send('cpu');
      const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage];
      return user + system;
    },
    async stop() {
      child.send('stop');
      await once(child, 'exit');
    },
  };
}

function requestOf(transaction: Uint8Array): Buffer {
  const head =
    'POST /api/transactions?wait=commit HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/jose+json\r\n' +
    `content-length: ${transaction.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), transaction]);
}

/** One connection, one request at a time. */
class Connection {
  readonly #socket: Socket;
  #answered: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #received = '';

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#take(text));
    this.#socket.on('error', (error) => this.#failed?.(error));
  }

  request(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(bytes);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = /content-length: (\d+)/i.exec(this.#received)?.[1];
    if (this.#received.length < end + 4 + Number(length)) return;
    const answer = this.#received;
    this.#received = '';
    if (answer.startsWith('HTTP/1.1 200')) this.#answered?.();
    else this.#failed?.(new Error(answer.slice(0, 2_000)));
  }
}

type Load = { connections: Connection[]; requests: Buffer[] };

async function saturate({ connections, requests }: Load): Promise<number> {
  let next = 0;
  const startMs = performance.now();
  const lane = async (connection: Connection): Promise<void> => {
    for (let request = requests[next++]; request; request = requests[next++]) await connection.request(request);
  };
  await Promise.all(connections.map(lane));
  return (requests.length / (performance.now() - startMs)) * 1000;
}

/** At a steady rate whether answers come or not; a request that finds no free connection waits, and that counts. */
async function paced({ connections, requests }: Load, perSecond: number): Promise<Latency> {
  const latencies: number[] = [];
  const startMs = performance.now();
  let next = 0;
  const lane = async (connection: Connection): Promise<void> => {
    for (let place = next++; place < requests.length; place = next++) {
      const dueMs = startMs + (place / perSecond) * 1000;
      while (performance.now() < dueMs)
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())));
      await connection.request(requests[place] as Buffer);
      latencies.push(performance.now() - dueMs);
    }
  };
  await Promise.all(connections.map(lane));
  latencies.sort((left, right) => left - right);
  const at = (part: number): number => latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))]!;
  return { p50Ms: round(at(0.5)), p99Ms: round(at(0.99)), maxMs: round(at(1)) };
}

type Round = { perSecond: number; raw: number; nodeCpu: number; senderCpu: number; others: number };

async function measureRound(
  node: Node,
  network: Network,
  connections: Connection[],
  part: Uint8Array[],
): Promise<Round> {
  const requests = part.map(requestOf);
  const before = rawVerifyRate(network, part, rawSample);
  const nodeBefore = await node.cpuMicros();
  const own = process.cpuUsage();
  const busy = machineBusy();
  const startMs = performance.now();
  const perSecond = await saturate({ connections, requests });
  const nodeCpu = ((await node.cpuMicros()) - nodeBefore) / part.length;
  const others = busy() - (nodeCpu * part.length) / 1000 / (performance.now() - startMs);
  const { user, system } = process.cpuUsage(own);
  const raw = (before + rawVerifyRate(network, part, rawSample)) / 2;
  return { perSecond, raw, nodeCpu, senderCpu: (user + system) / part.length, others: Math.max(0, others) };
}

export async function benchHttp(count = 40_000, pacedSeconds = 8): Promise<Measurement[]> {
  const root = mkdtempSync(join(process.env.SALUS_BENCH_DIR ?? tmpdir(), 'salus-bench-'));
  const network = makeNetwork(members, benchChain);
  makeDataDirectory(root, network);
  const node = await startProcess(root);
  const connections = Array.from({ length: connectionsOfLoad }, () => new Connection(node.port));
  try {
    const warmUp = await presign(network, 10_000, 'warm-up');
    await saturate({ connections, requests: warmUp.map(requestOf) });
    const rounds: Round[] = [];
    for (let part = 0; part < roundsOfLoad; part += 1) {
      const transactions = await presign(network, count / roundsOfLoad, `load ${part}`);
      rounds.push(await measureRound(node, network, connections, transactions));
    }
    rounds.sort((left, right) => left.perSecond / left.raw - right.perSecond / right.raw);
    const { perSecond, raw, nodeCpu, senderCpu, others } = rounds[Math.floor(roundsOfLoad / 2)]!;
    const best = rounds.at(-1)!;
    const half = await presign(network, Math.round((perSecond / 2) * pacedSeconds), 'half');
    const latency = await paced({ connections, requests: half.map(requestOf) }, perSecond / 2);
    const name = 'signed durable transactions through HTTP';
    const figures = { value: round(perSecond), unit: '1/s', limit: round(raw), ratio: round(perSecond / raw) };
    const cpu = { nodeCpuMicros: round(nodeCpu), senderCpuMicros: round(senderCpu), coresUsedByOthers: round(others) };
    return [
      {
        name,
        ...figures,
        ...latency,
        ratioTarget,
        latencyMsTarget,
        bestRatio: round(best.perSecond / best.raw),
        ...cpu,
      },
    ];
  } finally {
    for (const connection of connections) connection.close();
    await node.stop();
    rmSync(root, { recursive: true });
  }
}

if (process.argv[2] === serveArgument) await serve(process.argv[3] ?? '');
else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const measurement of await benchHttp(Number(process.argv[2]) || undefined)) print(measurement);
}
