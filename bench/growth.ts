import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openLedger } from '../packages/ledger/src/index.ts';
import { makeKernel } from '../packages/ledger/src/testing/fixture.ts';
import { preloadState } from '../packages/ledger/src/testing/preload.ts';
import { type Measurement, openRig, paced, presign, print, rawVerifyRate, round, saturate } from './ledger-load.ts';

/** CPU per transaction may grow by less than a third from the smallest to the 1M state. */
const growthLimit = 4 / 3;
const latencyMsLimit = 50;
const startMsLimit = 3_000;
const sizesDefault = [10_000, 100_000, 1_000_000];

function memoryMiB(): { anonymous: number; mapped: number } {
  const status = readFileSync('/proc/self/status', 'utf8');
  const of = (name: string): number => round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024);
  return { anonymous: of('RssAnon'), mapped: of('RssFile') };
}

/** Signed durable transactions on states of growing size. */
export async function benchGrowth(options: { sizes?: number[]; transactions?: number } = {}): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  let firstCpu: number | undefined;
  for (const size of options.sizes ?? sizesDefault) {
    const rig = await openRig({ preload: (dir, network) => preloadState(dir, network, size) });
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = process.argv.slice(2).map(Number);
  await benchGrowth(sizes.length > 0 ? { sizes } : {});
}
