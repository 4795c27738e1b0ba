/** What strict parsing costs on texts of full size that were made to take a careless parser long. */
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseJsonStrict } from '@salus/protocol';
import { hostileTexts } from '../packages/protocol/src/arbitraries.ts';
import { latenciesOf } from './latencies.ts';
import { type Measurement, print } from './ledger-load.ts';

const bytesMax = 1024 * 1024;
const depthMax = 16;
const limitMs = 1_000;
const rounds = 5;

function timed(run: () => unknown): number {
  const startMs = performance.now();
  try {
    run();
  } catch {
    // A refusal is an answer like another.
  }
  return performance.now() - startMs;
}

export function benchParsing(): Measurement[] {
  return hostileTexts(bytesMax).map(({ text }, index) => {
    const times = Array.from({ length: rounds }, () => timed(() => parseJsonStrict(text, { bytesMax, depthMax })));
    return { name: `hostile text ${index + 1}`, unit: 'ms', ...latenciesOf(times, limitMs), bytes: text.length };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const measurement of benchParsing()) print(measurement);
}
