import type { ConsensusReport } from '@salus/ledger';
import { Counter } from 'prom-client';
import type { HttpMetrics } from '../http/metrics.ts';
import type { LedgerAccess } from '../node/ledger-access.ts';
import { gauges } from './gauges.ts';

/** Shorter than what Prometheus waits for all of the metrics. */
const answerMsMax = 2_000;

const helps = {
  up: 'Whether CometBFT answers (1) or not (0); the series below are of its last answer',
  height: 'Height that is being decided',
  round: 'Round of votes on that height; above 0 a proposer was missing or its proposal was refused',
  peers: 'Other members that CometBFT is connected to',
  catching_up: 'Whether it fetches blocks that the others have (1) or votes on new ones (0)',
  validator: 'Whether this member is a validator (1) or not (0)',
  validator_power: 'Voting power of this member',
  mempool_transactions: 'Transactions that wait for a block',
  mempool_bytes: 'Their length',
  validators: 'Validators of the block before the latest',
  validators_power: 'Voting power of all of them',
  missing_validators: 'Those of them that did not sign it',
  missing_validators_power: 'Voting power of those',
};

async function answerOf(consensus: () => Promise<ConsensusReport>): Promise<ConsensusReport | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), answerMsMax);
  });
  try {
    return await Promise.race([consensus(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Measures the consensus among several members; an engine that has none has no series. */
export function measureConsensus(ledger: LedgerAccess, metrics: HttpMetrics): () => void {
  const { consensus } = ledger;
  if (consensus === undefined) return () => undefined;
  const series = gauges(metrics.registry, 'salus_consensus', helps);
  const evidence = new Counter({
    name: 'salus_consensus_evidence_total',
    help: 'Proofs of misbehaving validators in blocks since the start',
    registers: [metrics.registry],
  });
  metrics.beforeScrape(async () => {
    const now = await answerOf(() => consensus.call(ledger));
    series.up.set(now === undefined ? 0 : 1);
    if (now === undefined) return;
    series.height.set(now.height);
    series.round.set(now.round);
    series.peers.set(now.peers);
    series.catching_up.set(now.isCatchingUp ? 1 : 0);
    series.validator.set(now.power > 0 ? 1 : 0);
    series.validator_power.set(now.power);
    series.mempool_transactions.set(now.mempoolTransactions);
    series.mempool_bytes.set(now.mempoolBytes);
  });
  const stop = ledger.observe?.((measurement) => {
    if (measurement.kind === 'evidence') evidence.inc(measurement.count);
    if (measurement.kind !== 'votes') return;
    series.validators.set(measurement.validators);
    series.validators_power.set(measurement.power);
    series.missing_validators.set(measurement.missing);
    series.missing_validators_power.set(measurement.missingPower);
  });
  return stop ?? (() => undefined);
}
