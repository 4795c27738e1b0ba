import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds: from what a cached answer takes to what makes people give up. */
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Labels are route patterns, methods and statuses only: nothing that names anybody. */
export interface HttpMetrics {
  registry: Registry;
  requestSeconds: Histogram<'method' | 'route' | 'status'>;
  submitted: Counter<'outcome'>;
  openStreams: Gauge;
  height: Gauge;
  blockTimeMs: Gauge;
}

export function createMetrics(): HttpMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    requestSeconds: new Histogram({
      name: 'salus_http_request_seconds',
      help: 'Time to answer a request',
      labelNames: ['method', 'route', 'status'],
      buckets: latencyBuckets,
      registers,
    }),
    submitted: new Counter({
      name: 'salus_transactions_submitted_total',
      help: 'Transactions that came in, by what became of them',
      labelNames: ['outcome'],
      registers,
    }),
    openStreams: new Gauge({ name: 'salus_event_streams_open', help: 'Open event streams', registers }),
    height: new Gauge({ name: 'salus_ledger_height', help: 'Height of the latest block', registers }),
    blockTimeMs: new Gauge({ name: 'salus_ledger_block_time_ms', help: 'Time of the latest block', registers }),
  };
}
