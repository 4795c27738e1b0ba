import { statfsSync } from 'node:fs';
import { Gauge } from 'prom-client';
import type { HttpMetrics } from '../http/metrics.ts';
import type { Organization } from '../orgs/organization.ts';
import { outboxBacklog } from '../store/outbox.ts';
import { gauges } from './gauges.ts';

const diskHelps = {
  free_bytes: 'Room that the node can still use on the disk of its data directory',
  size_bytes: 'Size of that disk',
};

/** A queue may be one of many of its kind, by whom it goes to: only the kind becomes a label. */
function kindOf(queue: string): string {
  return /^[A-Za-z]*/.exec(queue)?.[0] ?? '';
}

export interface MeasuredNode {
  version: string;
  engine: string;
  chain: string;
  dataRoot: string;
  organizations: ReadonlyMap<string, Organization>;
}

/** What the node is, its disk, and what waits to be delivered to others. */
export function measureNode(node: MeasuredNode, metrics: HttpMetrics): void {
  const { version, engine, chain, dataRoot, organizations } = node;
  const registers = [metrics.registry];
  const about = new Gauge({
    name: 'salus_build_info',
    help: 'Version of the node, its engine and its chain; always 1',
    labelNames: ['version', 'engine', 'chain'],
    registers,
  });
  about.set({ version, engine, chain }, 1);
  const disk = gauges(metrics.registry, 'salus_disk', diskHelps);
  const labelNames = ['organization', 'queue'] as const;
  const [pending, stuck] = [
    ['salus_outbox_pending_entries', 'Entries that wait to be delivered'],
    ['salus_outbox_stuck_entries', 'Those of them that failed too often and wait for somebody to look'],
  ].map(([name = '', help = '']) => new Gauge({ name, help, labelNames, registers }));
  metrics.beforeScrape(() => {
    const { bavail, blocks, bsize } = statfsSync(dataRoot);
    disk.free_bytes.set(bavail * bsize);
    disk.size_bytes.set(blocks * bsize);
    for (const gauge of [pending, stuck]) gauge?.reset();
    for (const [organization, { store }] of organizations) {
      for (const one of outboxBacklog(store)) {
        const queue = kindOf(one.queue);
        pending?.inc({ organization, queue }, one.pending);
        stuck?.inc({ organization, queue }, one.stuck);
      }
    }
  });
}
