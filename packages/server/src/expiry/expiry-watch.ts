import type { Expiring } from '@salus/api';
import type { StateReader } from '@salus/contracts';
import { Gauge } from 'prom-client';
import type { NodeLog } from '../http/log.ts';
import type { HttpMetrics } from '../http/metrics.ts';
import { certificateExpiries } from './certificates.ts';
import { type Expiry, expiringOf, type KeyHolder, keyExpiries } from './expiry.ts';

const checkIntervalMs = 60 * 60_000;
/** Each of them is told again after this, as long as it holds. */
const repeatMs = 24 * 60 * 60_000;
/** Files and keys are read again after this, or when there is another block. */
const freshMsMax = 10_000;
const dayMs = 86_400_000;

export interface WatchedNode {
  reader: StateReader;
  served: readonly KeyHolder[];
  /** PEM files of certificates that TLS before or in this node uses. */
  certificates: readonly string[];
  log: NodeLog;
  height(): number;
  nowMs(): number;
}

/** Says long before that keys and certificates end: in the status, in metrics, and once a day in the log. */
export class ExpiryWatch {
  readonly #node: WatchedNode;
  readonly #told = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #known: { height: number; readMs: number; expiries: Expiry[] } | undefined;

  /** Throws a NodeFault where a certificate cannot be read: better now than when it has ended. */
  constructor(node: WatchedNode) {
    this.#node = node;
    certificateExpiries(node.certificates);
    this.tell();
    this.#timer = setInterval(() => this.tell(), checkIntervalMs);
    this.#timer.unref();
  }

  /** What ends within the time of warning, or has ended. */
  expiring(): Expiring[] {
    return expiringOf(this.#all(), this.#node.nowMs());
  }

  /** A line for each that this node's operators have to act on, if none was written within a day. */
  tell(): void {
    const { log, served, nowMs } = this.#node;
    const own = new Set(served.map(({ slug }) => slug));
    for (const { kind, organization, purpose, name, expiresMs, level } of this.expiring()) {
      if (organization !== undefined && !own.has(organization)) continue;
      const id = [kind, organization, purpose, name, level].join(' ');
      const now = nowMs();
      if (now - (this.#told.get(id) ?? Number.NEGATIVE_INFINITY) < repeatMs) continue;
      this.#told.set(id, now);
      const days = Math.floor((expiresMs - now) / dayMs);
      const event = level === 'expired' ? `${kind}-expired` : `${kind}-expires`;
      if (organization === undefined) log.warn(event, { name, days });
      else log.warn(event, { organization, purpose: purpose ?? '', name, days });
    }
  }

  measure(metrics: HttpMetrics): void {
    const registers = [metrics.registry];
    const keys = new Gauge({
      name: 'salus_key_expiry_seconds',
      help: 'Time until the last registered key of a purpose ends; negative once it has; no series for what has no end',
      labelNames: ['organization', 'purpose'],
      registers,
    });
    const certificates = new Gauge({
      name: 'salus_certificate_expiry_seconds',
      help: 'Time until a watched TLS certificate ends, in the order in which they were named',
      labelNames: ['certificate'],
      registers,
    });
    metrics.beforeScrape(() => {
      keys.reset();
      certificates.reset();
      const now = this.#node.nowMs();
      let number = 0;
      for (const { kind, organization = '', purpose = '', expiresMs } of this.#all()) {
        const seconds = (expiresMs - now) / 1000;
        if (kind === 'key') keys.set({ organization, purpose }, seconds);
        else {
          number += 1;
          certificates.set({ certificate: String(number) }, seconds);
        }
      }
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #all(): Expiry[] {
    const { reader, served, certificates, log } = this.#node;
    const height = this.#node.height();
    const now = performance.now();
    const known = this.#known;
    if (known && known.height === height && now - known.readMs < freshMsMax) return known.expiries;
    const expiries = keyExpiries(reader, served);
    try {
      expiries.push(...certificateExpiries(certificates));
    } catch {
      // It could be read at the start: somebody is replacing it, or took it away.
      log.warn('certificate-unreadable');
    }
    this.#known = { height, readMs: now, expiries };
    return expiries;
  }
}
