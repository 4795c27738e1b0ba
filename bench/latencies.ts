/** Median and 99th percentile of times; the value that is held against the limit is the 99th percentile. */
export function latenciesOf(timesMs: readonly number[], limitMs: number) {
  const sorted = [...timesMs].sort((left, right) => left - right);
  const at = (part: number): number => {
    const time = sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    return Number(time.toPrecision(3));
  };
  const [p50Ms, p99Ms] = [at(0.5), at(0.99)];
  return { value: p99Ms, limit: limitMs, ratio: Number((p99Ms / limitMs).toPrecision(3)), p50Ms, p99Ms };
}
