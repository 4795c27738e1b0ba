import { readFileSync } from 'node:fs';
import { createClient } from '@salus/api';
import { signTransaction } from '@salus/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEmbeddedLedger } from '../node/embedded-ledger.ts';
import type { LedgerAccess } from '../node/ledger-access.ts';
import { nodeParts } from '../node/parts.ts';
import { startTestNode, type TestNode } from '../testing/test-node.ts';

const report = {
  height: 12,
  round: 1,
  step: 3,
  peers: 3,
  power: 10,
  isCatchingUp: false,
  mempoolTransactions: 7,
  mempoolBytes: 3_500,
};
const refreshMs = 1_100;
const validForMs = 60_000;

let answers = true;
let tell: Parameters<NonNullable<LedgerAccess['observe']>>[0] = () => undefined;
let node: TestNode;

/** The embedded ledger with a consensus beside it, of which the test says what it answers. */
function withConsensus(ledger: LedgerAccess): LedgerAccess {
  const observe = ledger.observe?.bind(ledger);
  return Object.assign(ledger, {
    consensus: async () => {
      if (!answers) throw new Error('nobody answers');
      return report;
    },
    observe: (listener: typeof tell) => {
      const before = tell;
      tell = (measurement) => {
        before(measurement);
        listener(measurement);
      };
      return observe?.(listener) ?? (() => undefined);
    },
  });
}

beforeAll(async () => {
  node = await startTestNode({
    openLedger: async (directory, clock) => withConsensus(await openEmbeddedLedger(directory, clock)),
    parts: nodeParts,
  });
});
afterAll(() => node.stop());

/** Series by name with labels, as the text has them. */
async function scrape(): Promise<Map<string, number>> {
  await new Promise((resolve) => setTimeout(resolve, refreshMs));
  const text = await createClient({ baseUrl: node.node.url }).metrics();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

async function submit(message: { type: string; [member: string]: string }): Promise<void> {
  const { keysOf, chain } = node;
  const signers = [keysOf('hospital').signer()];
  const body = await signTransaction({ chain, messages: [message], signers, validUntil: Date.now() + validForMs });
  await createClient({ baseUrl: node.node.url })
    .submitTransaction({ body })
    .catch(() => undefined);
}

describe('metrics of a node', () => {
  test('R-PPL-5 count what became of transactions, by class and by number, and time every phase', async () => {
    const before = await scrape();
    await submit({ type: 'kernel/stamp', digest: 'A'.repeat(43) });
    await submit({ type: 'identity/endParticipant', participant: 'nobody' });
    await submit({ type: 'governance/nothing' });
    const after = await scrape();
    const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(grown('salus_ledger_transactions_total{result="ok"}')).toBe(1);
    const refusals = [...after.keys()].filter((name) => name.startsWith('salus_transactions_refused_total{code="'));
    expect(refusals.length).toBeGreaterThan(0);
    expect([...after.keys()].some((name) => name.startsWith('salus_http_problems_total{code="'))).toBe(true);
    for (const phase of ['verify', 'execute', 'commit']) {
      expect(grown(`salus_ledger_phase_duration_seconds_count{phase="${phase}"}`), phase).toBeGreaterThan(0);
    }
    expect(grown('salus_ledger_block_interval_seconds_count')).toBeGreaterThan(0);
    expect(after.get('salus_ledger_height')).toBe(node.node.ledger.head().height);
    expect(after.get('salus_ledger_log_bytes')).toBeGreaterThan(0);
    expect(after.get('salus_ledger_store_bytes')).toBeGreaterThan(0);
    expect(after.get('salus_disk_free_bytes')).toBeGreaterThan(0);
    expect(after.get('salus_ledger_ready')).toBe(1);
    expect(after.get('nodejs_eventloop_lag_seconds')).toBeGreaterThanOrEqual(0);
  });

  test('say what the consensus says of itself, who did not sign, and that it does not answer', async () => {
    answers = true;
    tell({ kind: 'votes', validators: 4, power: 40, missing: 1, missingPower: 10 });
    tell({ kind: 'evidence', count: 1 });
    const one = await scrape();
    const series = (name: string): number | undefined => one.get(`salus_consensus_${name}`);
    expect([series('up'), series('height'), series('round'), series('peers')]).toEqual([1, 12, 1, 3]);
    expect([series('validator'), series('validator_power'), series('catching_up')]).toEqual([1, 10, 0]);
    expect([series('mempool_transactions'), series('mempool_bytes')]).toEqual([7, 3_500]);
    expect([series('validators'), series('missing_validators'), series('missing_validators_power')]).toEqual([
      4, 1, 10,
    ]);
    expect(series('evidence_total')).toBe(1);
    answers = false;
    expect((await scrape()).get('salus_consensus_up')).toBe(0);
    answers = true;
  });

  test('tell how much waits for other members and for how long, not for which', async () => {
    const store = node.node.organizations.get('hospital')!.store;
    const waitingMs = 3_600_000;
    await store.commit(async (tx) => {
      const peers = ['did:salus:one', 'did:salus:two'];
      const links = peers.map((peer) => ({ peer, epoch: 'epoch', last: 2, acknowledged: 1 }));
      await tx.insertInto('peer_links').values(links).execute();
      const waiting = (peer: string, sequence: number) => {
        return { peer, sequence, since_ms: Math.round(Date.now() - waitingMs / sequence), envelope: Buffer.from('x') };
      };
      const rows = peers.flatMap((peer) => [1, 2].map((sequence) => waiting(peer, sequence)));
      await tx.insertInto('peer_outbox').values(rows).execute();
    });
    const after = await scrape();
    expect(after.get('salus_outbox_pending_entries{organization="hospital"}')).toBe(2);
    const age = after.get('salus_outbox_oldest_age_seconds{organization="hospital"}') ?? 0;
    expect(age).toBeGreaterThanOrEqual(waitingMs / 2 / 1000);
    expect(age).toBeLessThan(waitingMs / 1000);
    expect(after.get('salus_outbox_pending_entries{organization="clinic"}')).toBe(0);
    expect([...after.keys()].filter((name) => name.includes('did:'))).toEqual([]);
  });

  test('are those that the alerts of the operating documents name', async () => {
    const page = readFileSync(new URL('../../../../docs/operating/monitoring.md', import.meta.url), 'utf8');
    const named = new Set(page.match(/\b(?:salus|nodejs|process)_[a-z0-9_]*[a-z0-9]\b/g));
    expect(named.size).toBeGreaterThan(20);
    const text = await createClient({ baseUrl: node.node.url }).metrics();
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
    const isKnown = (name: string): boolean => known.has(name.replace(/_count$/, ''));
    expect([...named].filter((name) => !isKnown(name) && name !== 'salus_consensus')).toEqual([]);
  });
});
