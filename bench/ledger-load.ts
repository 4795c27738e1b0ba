import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTransaction } from '@salus/protocol';
import { type Ledger, openLedger } from '../packages/ledger/src/index.ts';
import { makeKernel, makeNetwork, type Network, stampTransaction } from '../packages/ledger/src/testing/fixture.ts';

/** What benches print, one JSON object per line. `ratio` is value ÷ limit. */
export type Measurement = {
  name: string;
  value: number;
  unit: string;
  limit?: number;
  ratio?: number;
  p50Ms?: number;
  p99Ms?: number;
  [detail: string]: number | string | undefined;
};

export type Rig = { ledger: Ledger; network: Network; dir: string; close(): Promise<void> };

export const members = 1_000;
export const benchChain = 'salus-bench';
const WINDOW = 3_000;

export async function openRig(options: { preload?: (dir: string) => Promise<void> } = {}): Promise<Rig> {
  const dir = mkdtempSync(join(process.env.SALUS_BENCH_DIR ?? tmpdir(), 'salus-bench-'));
  const network = makeNetwork(members, benchChain);
  const openAgain = () =>
    openLedger({ dir, genesis: network.genesis, validatorKey: network.validatorKey, kernel: makeKernel() });
  let ledger = await openAgain();
  if (options.preload) {
    await ledger.close();
    await options.preload(dir);
    ledger = await openAgain();
  }
  const close = async (): Promise<void> => {
    await ledger.close();
    rmSync(dir, { recursive: true });
  };
  return { ledger, network, dir, close };
}

/** Transactions signed beforehand, round robin over all keys. */
export async function presign(network: Network, count: number, label: string): Promise<Uint8Array[]> {
  const transactions: Uint8Array[] = [];
  for (let index = 0; index < count; index += 1) {
    const participant = network.participants[index % network.participants.length]!;
    transactions.push(await stampTransaction(network, participant, `${label} ${index}`));
  }
  return transactions;
}

type Check = (key: KeyObject, signingInput: Uint8Array, signature: Uint8Array) => boolean;

/** The call that Node has for signatures as JWS carries them. */
const asJws: Check = (key, signingInput, signature) =>
  verify('sha256', signingInput, { key, dsaEncoding: 'ieee-p1363' }, signature);

/**
 * P-256 verifications per second that one thread of this machine does, with imported keys and nothing else: by Node's
 * call for r‖s, or by another.
 */
export function rawVerifyRate(
  network: Network,
  transactions: readonly Uint8Array[],
  count: number,
  isGood = asJws,
): number {
  const keys = new Map(
    network.participants.map(({ kid, jwk }) => [kid, createPublicKey({ key: { ...jwk }, format: 'jwk' })]),
  );
  const work = transactions.slice(0, count).map((bytes) => {
    const { kid, signingInput, signature } = parseTransaction(bytes).signatures[0]!;
    return { key: keys.get(kid)!, signingInput, signature };
  });
  const startMs = performance.now();
  for (const { key, signingInput, signature } of work) {
    if (!isGood(key, signingInput, signature)) throw new Error('bad signature');
  }
  return (work.length / (performance.now() - startMs)) * 1000;
}

export type Saturation = { perSecond: number; cpuMicrosPerTransaction: number; seconds: number };

/** As fast as the ledger takes them, a window of them under way. */
export async function saturate(ledger: Ledger, transactions: readonly Uint8Array[]): Promise<Saturation> {
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      const bytes = transactions[next];
      next += 1;
      if (!bytes) return;
      const { code, log } = await ledger.submit(bytes);
      if (code !== 0) throw new Error(log);
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  return {
    perSecond: transactions.length / seconds,
    cpuMicrosPerTransaction: (cpu.user + cpu.system) / transactions.length,
    seconds,
  };
}

export type Latency = { p50Ms: number; p99Ms: number; maxMs: number };

/** Sends at a steady rate whether answers come or not; latency to the answer that the transaction is durable. */
export async function paced(ledger: Ledger, transactions: readonly Uint8Array[], perSecond: number): Promise<Latency> {
  const latencies = new Float64Array(transactions.length);
  let answered = 0;
  let failure: Error | undefined;
  const startMs = performance.now();
  for (let sent = 0; sent < transactions.length; ) {
    const due = Math.min(transactions.length, Math.ceil(((performance.now() - startMs) / 1000) * perSecond));
    for (; sent < due; sent += 1) {
      // From when it was due, so that a stalled sender hides nothing.
      const dueMs = startMs + (sent / perSecond) * 1000;
      ledger.submit(transactions[sent]!).then(
        ({ code, log }) => {
          if (code !== 0) failure = new Error(log);
          latencies[answered] = performance.now() - dueMs;
          answered += 1;
        },
        (error: Error) => {
          failure = error;
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  while (answered < transactions.length && !failure) await new Promise((resolve) => setTimeout(resolve, 1));
  if (failure) throw failure;
  latencies.sort();
  const at = (part: number): number => latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))]!;
  return { p50Ms: round(at(0.5)), p99Ms: round(at(0.99)), maxMs: round(at(1)) };
}

const settleMs = 1_000;

/**
 * Several rounds of `paced` after everything before has settled; the median round by its 99th percentile. A single stall
 * of the disk or the machine decides a round of a few seconds, so the worst round and the disk's own are given beside it.
 */
export async function pacedRounds(rig: Rig, perSecond: number, seconds: number, rounds: number) {
  const measured: Latency[] = [];
  for (let part = 0; part < rounds; part += 1) {
    const transactions = await presign(rig.network, Math.round(perSecond * seconds), `paced ${part}`);
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    measured.push(await paced(rig.ledger, transactions, perSecond));
  }
  measured.sort((left, right) => left.p99Ms - right.p99Ms);
  const median = measured[Math.floor(rounds / 2)]!;
  const disk = await diskLatency(rig.dir, seconds);
  return {
    ...median,
    p99MsOfRounds: measured.map(({ p99Ms }) => Math.round(p99Ms)).join(' '),
    diskP99Ms: disk.p99Ms,
    diskMaxMs: disk.maxMs,
  };
}

const diskWriteBytes = 48 * 1024;
const diskIntervalMs = 10;

/** What the disk alone takes for a block's bytes and their sync, in the same rhythm as blocks under this load. */
async function diskLatency(dir: string, seconds: number): Promise<Latency> {
  const latencies: number[] = [];
  const file = await open(join(dir, 'disk-control'), 'w');
  try {
    const bytes = Buffer.alloc(diskWriteBytes, 1);
    const count = Math.round((seconds * 1000) / diskIntervalMs);
    await file.writeFile(Buffer.alloc(diskWriteBytes * count));
    await file.sync();
    for (let part = 0; part < count; part += 1) {
      const startMs = performance.now();
      await file.write(bytes, 0, bytes.length, part * diskWriteBytes);
      await file.datasync();
      latencies.push(performance.now() - startMs);
      await new Promise((resolve) => setTimeout(resolve, diskIntervalMs));
    }
  } finally {
    await file.close();
  }
  latencies.sort((left, right) => left - right);
  const at = (part: number): number =>
    round(latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))]!);
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

/** Begins to watch; the function it returns says how many cores other programs used since. */
export function machineBusy(): () => number {
  const busyMs = (): number =>
    cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  const before = busyMs();
  const own = process.cpuUsage();
  const startMs = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(own);
    return Math.max(0, (busyMs() - before - (user + system) / 1000) / (performance.now() - startMs));
  };
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export function print(measurement: Measurement): void {
  console.log(JSON.stringify(measurement));
}
