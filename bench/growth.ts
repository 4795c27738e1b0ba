import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openLedger } from '../packages/ledger/src/index.ts';
import { makeKernel, makeNetwork } from '../packages/ledger/src/testing/fixture.ts';
import { preloadState } from '../packages/ledger/src/testing/preload.ts';
import {
  benchChain,
  type Measurement,
  members,
  openRig,
  paced,
  presign,
  print,
  rawVerifyRate,
  round,
  saturate,
} from './ledger-load.ts';

/** CPU per transaction may grow by less than a third from the smallest to the 1M state. */
const growthLimit = 4 / 3;
const latencyMsLimit = 50;
const startMsLimit = 3_000;
const memoryMiBLimit = 2_048;
const preloadArgument = 'preload';
const sizesDefault = [10_000, 100_000, 1_000_000];

function memoryMiB(): { anonymous: number; mapped: number } {
  const status = readFileSync('/proc/self/status', 'utf8');
  const of = (name: string): number => round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024);
  return { anonymous: of('RssAnon'), mapped: of('RssFile') };
}

/** In a process of its own: what filling the state takes must not count as what working on it takes. */
async function preloadApart(dir: string, size: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [preloadArgument, dir, String(size)]);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`preloading ended with ${code}`);
}

/** Signed durable transactions on states of growing size. */
export async function benchGrowth(options: { sizes?: number[]; transactions?: number } = {}): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  let firstCpu: number | undefined;
  for (const size of options.sizes ?? sizesDefault) {
    const rig = await openRig({ preload: (dir) => preloadApart(dir, size) });
    await rig.ledger.close();
    const startMs = performance.now();
    const { genesis, validatorKey } = rig.network;
    const ledger = await openLedger({ dir: rig.dir, genesis, validatorKey, kernel: makeKernel() });
    const openMs = round(performance.now() - startMs);
    const load = await presign(rig.network, options.transactions ?? 30_000, 'load');
    await saturate(ledger, await presign(rig.network, 6_000, 'warm-up'));
    const raw = rawVerifyRate(rig.network, load, 5_000);
    const { perSecond, cpuMicrosPerTransaction } = await saturate(ledger, load);
    const half = perSecond / 2;
    const latency = await paced(ledger, await presign(rig.network, Math.round(half * 6), 'half'), half);
    firstCpu ??= cpuMicrosPerTransaction;
    const memory = memoryMiB();
    measurements.push({
      name: `CPU per transaction at ${size} state keys`,
      value: round(cpuMicrosPerTransaction),
      unit: 'µs',
      limit: round(firstCpu * growthLimit),
      ratio: round(cpuMicrosPerTransaction / (firstCpu * growthLimit)),
      ...latency,
      latencyMsLimit,
      perSecond: round(perSecond),
      ofRawVerifyRate: round(perSecond / raw),
      rssAnonMiB: memory.anonymous,
      memoryMiBLimit,
      rssMappedMiB: memory.mapped,
    });
    measurements.push({
      name: `start with ${size} state keys`,
      value: openMs,
      unit: 'ms',
      limit: startMsLimit,
      ratio: round(openMs / startMsLimit),
    });
    await ledger.close();
    await rig.close();
    for (const measurement of measurements.splice(0)) print(measurement);
  }
  return measurements;
}

if (process.argv[2] === preloadArgument) {
  await preloadState(process.argv[3] ?? '', makeNetwork(members, benchChain), Number(process.argv[4]));
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = process.argv.slice(2).map(Number);
  await benchGrowth(sizes.length > 0 ? { sizes } : {});
}
