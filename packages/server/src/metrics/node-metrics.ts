import { statfsSync } from 'node:fs';
import { Gauge } from 'prom-client';
import type { HttpMetrics } from '../http/metrics.ts';
import type { Organization } from '../orgs/organization.ts';
import { peerBacklog } from '../peers/peer-outbox.ts';
import { gauges } from './gauges.ts';

const diskHelps = {
  free_bytes: 'Room that the node can still use on the disk of its data directory',
  size_bytes: 'Size of that disk',
};

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
  const labelNames = ['organization'] as const;
  const pending = new Gauge({
    name: 'salus_outbox_pending_entries',
    help: 'Deliveries to other members that they have not confirmed',
    labelNames,
    registers,
  });
  const oldest = new Gauge({
    name: 'salus_outbox_oldest_age_seconds',
    help: 'For how long the oldest of them has been waiting',
    labelNames,
    registers,
  });
  const up = new Gauge({
    name: 'salus_store_up',
    help: 'Whether the store of the organisation answers',
    labelNames,
    registers,
  });
  metrics.beforeScrape(async () => {
    const { bavail, blocks, bsize } = statfsSync(dataRoot);
    disk.free_bytes.set(bavail * bsize);
    disk.size_bytes.set(blocks * bsize);
    for (const [organization, { store }] of organizations) {
      const backlog = await peerBacklog(store).catch(() => undefined);
      up.set({ organization }, backlog === undefined ? 0 : 1);
      if (backlog === undefined) continue;
      pending.set({ organization }, backlog.pending);
      const sinceMs = backlog.sinceMs ?? Date.now();
      oldest.set({ organization }, Math.max(0, Date.now() - sinceMs) / 1000);
    }
  });
}
