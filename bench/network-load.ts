/** Load through CometBFT's own RPC, the same for every application behind it. */
import { Agent, request } from 'node:http';
import { round } from './ledger-load.ts';

/** CometBFT's default for requests in one body. */
const batchTransactions = 10;
const lanesPerMember = 16;
const pollMs = 10;
const waitMsMax = 300_000;
/** Calls that answer with the block are few: CometBFT bounds how many may wait. */
const commitsWaitingMax = 80;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** JSON-RPC of one CometBFT with as many connections as are used at once. */
export class Rpc {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  close(): void {
    this.#agent.destroy();
  }

  post(body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const call = request(
        { host: '127.0.0.1', port: this.#port, method: 'POST', agent: this.#agent, headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => resolve(Buffer.concat(chunks).toString()));
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  }

  async call<T>(method: string, params: object = {}): Promise<T> {
    const answer = JSON.parse(await this.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })));
    if (answer.error) throw new Error(`${method}: ${answer.error.data ?? answer.error.message}`);
    return answer.result as T;
  }
}

/** Bodies of up to ten `broadcast_tx_async`, encoded before the clock runs. */
export function bodiesOf(transactions: readonly Uint8Array[], perBody = batchTransactions): string[] {
  const bodies: string[] = [];
  for (let from = 0; from < transactions.length; from += perBody) {
    const calls = transactions.slice(from, from + perBody).map((bytes, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'broadcast_tx_async',
      params: { tx: Buffer.from(bytes).toString('base64') },
    }));
    bodies.push(JSON.stringify(calls));
  }
  return bodies;
}

function checkTaken(answer: string): void {
  const answers: { error?: { data?: string; message: string } }[] = [JSON.parse(answer)].flat();
  for (const { error } of answers) if (error) throw new Error(error.data ?? error.message);
}

async function heightOf(rpc: Rpc): Promise<number> {
  const { sync_info: sync } = await rpc.call<{ sync_info: { latest_block_height: string } }>('status');
  return Number(sync.latest_block_height);
}

/** Transactions in the blocks after `from`. */
async function countAfter(rpc: Rpc, from: number): Promise<{ height: number; transactions: number }> {
  const height = await heightOf(rpc);
  let transactions = 0;
  for (let low = from + 1; low <= height; low += 20) {
    const range = { minHeight: String(low), maxHeight: String(Math.min(height, low + 19)) };
    const { block_metas: metas } = await rpc.call<{ block_metas: { num_txs: string }[] }>('blockchain', range);
    for (const { num_txs: count } of metas) transactions += Number(count);
  }
  return { height, transactions };
}

/** From the first transaction sent to the block that holds the last, per second. */
export async function throughput(rpcs: readonly Rpc[], transactions: readonly Uint8Array[], perBody?: number) {
  const bodies = bodiesOf(transactions, perBody);
  const observer = rpcs[0]!;
  let from = await heightOf(observer);
  const startMs = performance.now();
  let next = 0;
  const lane = async (rpc: Rpc): Promise<void> => {
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) checkTaken(await rpc.post(body));
  };
  await Promise.all(rpcs.flatMap((rpc) => Array.from({ length: lanesPerMember }, () => lane(rpc))));
  let left = transactions.length;
  while (left > 0) {
    if (performance.now() - startMs > waitMsMax) throw new Error(`${left} transactions are in no block`);
    await sleep(pollMs);
    const seen = await countAfter(observer, from);
    left -= seen.transactions;
    from = seen.height;
  }
  return (transactions.length / (performance.now() - startMs)) * 1000;
}

/** At a steady rate, one after the other through all members; milliseconds from when it was due to the block that holds it. */
export async function latency(rpcs: readonly Rpc[], transactions: readonly Uint8Array[], perSecond: number) {
  const times: number[] = [];
  const calls: Promise<void>[] = [];
  let waiting = 0;
  const startMs = performance.now();
  for (const [index, bytes] of transactions.entries()) {
    const dueMs = startMs + (index / perSecond) * 1000;
    while (performance.now() < dueMs) await sleep(1);
    const rpc = rpcs[index % rpcs.length]!;
    const params = { tx: Buffer.from(bytes).toString('base64') };
    // Of the others it is enough to know that they were accepted.
    const isSample = waiting < commitsWaitingMax;
    if (!isSample) {
      calls.push(rpc.call('broadcast_tx_sync', params).then(() => undefined));
      continue;
    }
    waiting += 1;
    calls.push(
      rpc
        .call<{ tx_result: { code: number; log: string } }>('broadcast_tx_commit', params)
        .then(({ tx_result: result }) => {
          waiting -= 1;
          if (result.code !== 0) throw new Error(result.log);
          times.push(performance.now() - dueMs);
        }),
    );
  }
  await Promise.all(calls);
  times.sort((left, right) => left - right);
  const at = (part: number): number => round(times[Math.min(times.length - 1, Math.floor(part * times.length))]!);
  return { p50Ms: at(0.5), p99Ms: at(0.99), samples: times.length };
}
