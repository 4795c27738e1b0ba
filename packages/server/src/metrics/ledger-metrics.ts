import { builtInContracts } from '@salus/contracts';
import { type LedgerMeasurement, ledgerPhases } from '@salus/ledger';
import { Counter, Histogram } from 'prom-client';
import type { HttpMetrics } from '../http/metrics.ts';
import type { LedgerAccess } from '../node/ledger-access.ts';
import { gauges } from './gauges.ts';

const phaseBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
/** Up to the heartbeat of an idle chain, and twice and four times that. */
const intervalBuckets = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 16, 30, 60];
const codesPerContract = 1_000;

const headHelps = {
  height: 'Height of the latest block',
  block_timestamp_seconds: 'Time of the latest block since 1970',
  block_age_seconds: 'Time since the latest block by the local clock',
  ready: 'Whether transactions are taken (1) or not (0)',
};

const measureHelps = {
  waiting_transactions: 'Transactions that were accepted and are in no durable block yet',
  flush_backlog_entries: 'Entries of the log that are not in the store yet',
  flush_lag_seconds: 'For how long the oldest of them has been waiting',
  log_bytes: 'What the log of blocks takes of the disk',
  store_bytes: 'What the store of the state takes of the disk',
  snapshots: 'Snapshots that other members can fetch',
  snapshot_height: 'Height of the newest snapshot',
};

/** Result codes are contract × 1000 + n: one class for each contract, or the label would have hundreds of values. */
const classes = new Map(
  builtInContracts.flatMap(({ name, errors }) =>
    Object.values(errors).map(({ code }) => [Math.floor(code / codesPerContract), name] as const),
  ),
);

function classOf(code: number): string {
  if (code === 0) return 'ok';
  return classes.get(Math.floor(code / codesPerContract)) ?? 'other';
}

function seriesOf({ registry }: HttpMetrics) {
  const registers = [registry];
  const committed = new Counter({
    name: 'salus_ledger_transactions_total',
    help: 'Transactions in blocks since the start: ok, or the contract that rejected them',
    labelNames: ['result'],
    registers,
  });
  for (const result of ['ok', 'other', ...classes.values()]) committed.inc({ result }, 0);
  const phases = new Histogram({
    name: 'salus_ledger_phase_duration_seconds',
    help: 'Time to verify a batch, execute a block, bring it to the disk, and flush what the store lacks',
    labelNames: ['phase'],
    buckets: phaseBuckets,
    registers,
  });
  for (const phase of ledgerPhases) phases.zero({ phase });
  const interval = new Histogram({
    name: 'salus_ledger_block_interval_seconds',
    help: 'Block time from one block to the next',
    buckets: intervalBuckets,
    registers,
  });
  return { committed, phases, interval };
}

/** Measures a ledger whatever its engine; what an engine does not offer has no series. */
export function measureLedger(ledger: LedgerAccess, metrics: HttpMetrics): () => void {
  const { registry } = metrics;
  const head = gauges(registry, 'salus_ledger', headHelps);
  const { committed, phases, interval } = seriesOf(metrics);
  let lastMs = ledger.head().timeMs;
  const stop = ledger.observe?.((measurement: LedgerMeasurement) => {
    if (measurement.kind === 'phase') phases.observe({ phase: measurement.phase }, measurement.seconds);
    if (measurement.kind !== 'block') return;
    for (const code of measurement.codes) committed.inc({ result: classOf(code) });
    interval.observe(Math.max(0, measurement.timeMs - lastMs) / 1000);
    lastMs = measurement.timeMs;
  });
  metrics.beforeScrape(() => {
    const { height, timeMs } = ledger.head();
    head.height.set(height);
    head.block_timestamp_seconds.set(timeMs / 1000);
    head.block_age_seconds.set(Math.max(0, Date.now() - timeMs) / 1000);
    head.ready.set(ledger.problem() === undefined ? 1 : 0);
  });
  const { measures } = ledger;
  if (measures !== undefined) {
    const state = gauges(registry, 'salus_ledger', measureHelps);
    metrics.beforeScrape(() => {
      const now = measures.call(ledger);
      state.waiting_transactions.set(now.waiting);
      state.flush_backlog_entries.set(now.unflushedEntries);
      state.flush_lag_seconds.set(now.unflushedSeconds);
      state.log_bytes.set(now.logBytes);
      state.store_bytes.set(now.storeBytes);
      state.snapshots.set(now.snapshots);
      state.snapshot_height.set(now.snapshotHeight);
    });
  }
  return stop ?? (() => undefined);
}
