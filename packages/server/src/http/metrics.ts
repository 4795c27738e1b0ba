import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds: from what a cached answer takes to what makes people give up. */
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Whoever asks in between gets what was found out last: asking often must not cost much. */
const refreshMsMin = 1_000;

type Refresh = () => void | Promise<void>;

/**
 * Names follow Prometheus: seconds, bytes, `_total` on what only grows. Labels are route patterns, methods, statuses,
 * codes and names of organisations only: nothing that names a person, nothing that somebody wrote.
 */
export interface HttpMetrics {
  registry: Registry;
  requestSeconds: Histogram<'method' | 'route' | 'status'>;
  submitted: Counter<'outcome'>;
  refused: Counter<'code'>;
  problems: Counter<'code'>;
  openStreams: Gauge;
  /** Called before the metrics are given out, for what is measured only then. */
  beforeScrape(refresh: Refresh): void;
  /** Everything in the text format of Prometheus. */
  scrape(): Promise<string>;
}

function scraping(registry: Registry): Pick<HttpMetrics, 'beforeScrape' | 'scrape'> {
  const refreshes: Refresh[] = [];
  let refreshedMs = Number.NEGATIVE_INFINITY;
  let refreshing: Promise<unknown> | undefined;
  const refresh = (): Promise<unknown> => {
    if (performance.now() - refreshedMs < refreshMsMin) return Promise.resolve();
    refreshing ??= Promise.all(refreshes.map(async (one) => one())).finally(() => {
      refreshedMs = performance.now();
      refreshing = undefined;
    });
    return refreshing;
  };
  return {
    beforeScrape: (one) => void refreshes.push(one),
    scrape: async () => {
      await refresh();
      return registry.metrics();
    },
  };
}

export function createMetrics(): HttpMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    requestSeconds: new Histogram({
      name: 'salus_http_request_duration_seconds',
      help: 'Time to answer a request',
      labelNames: ['method', 'route', 'status'],
      buckets: latencyBuckets,
      registers,
    }),
    submitted: new Counter({
      name: 'salus_transactions_submitted_total',
      help: 'Transactions that came in here, by what became of them',
      labelNames: ['outcome'],
      registers,
    }),
    refused: new Counter({
      name: 'salus_transactions_refused_total',
      help: 'Transactions that came in here and reached no block, by number of the error',
      labelNames: ['code'],
      registers,
    }),
    problems: new Counter({
      name: 'salus_http_problems_total',
      help: 'Requests that were refused or failed, by number of the error',
      labelNames: ['code'],
      registers,
    }),
    openStreams: new Gauge({ name: 'salus_event_streams_open', help: 'Open event streams', registers }),
    ...scraping(registry),
  };
}
