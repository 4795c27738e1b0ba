import type { StateReader } from '@salus/contracts';
import { canonicalJson, commit, utf8, verifyCommitment } from '@salus/protocol';
import type { LogHead, SyncedLog } from '@salus/vault';
import type { Organization } from '../orgs/organization.ts';
import type { Migration } from '../store/database.ts';

export const logHeadMigrations: readonly Migration[] = [
  {
    name: '0011-log-heads',
    sql: `
      CREATE TABLE log_heads (
        sequence INTEGER PRIMARY KEY,
        hash TEXT NOT NULL,
        digest TEXT NOT NULL,
        salt TEXT NOT NULL
      ) STRICT;
    `,
  },
];

/**
 * How often the head of the log goes onto the ledger, by the clock and not by what happened: an onlooker learns that
 * somebody asked for something within this time, which may have been for what is not here.
 */
export const logAnchorIntervalMs = 10 * 60_000;
const headsShown = 100;
const headFormat = 'salus-log-head/1';

export interface AnchoredHead extends LogHead {
  digest: string;
  salt: string;
}

interface LogAnchorParts {
  organization: Organization;
  reader: StateReader;
  log: SyncedLog;
  onError(error: unknown): void;
}

function headBytes(organization: string, { sequence, hash }: LogHead): Uint8Array {
  return utf8(canonicalJson({ format: headFormat, organization, sequence, hash }));
}

/**
 * Stamps the head of the synced log on the ledger. The log holds refusals and attempts too, which have no entry of their
 * own there: whoever is shown the log later can tell that nothing was taken out of it or changed since.
 */
export class LogAnchor {
  readonly #parts: LogAnchorParts;
  #timer: NodeJS.Timeout | undefined;
  #tail: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: LogAnchorParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#closed) return;
    const delayMs = logAnchorIntervalMs - (Date.now() % logAnchorIntervalMs);
    this.#timer = setTimeout(() => {
      this.anchor()
        .catch(this.#parts.onError)
        .finally(() => this.start());
    }, delayMs);
    this.#timer.unref();
  }

  /** Resolves when the present head stands on the ledger, and every earlier one that a crash or an outage left out. */
  anchor(): Promise<void> {
    const done = this.#tail.then(() => this.#anchor());
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #anchor(): Promise<void> {
    if (this.#closed) return;
    const { organization, log } = this.#parts;
    const head = log.head();
    const [latest] = await this.heads(1);
    if (head.sequence > (latest?.sequence ?? 0)) {
      const { commitment, salt } = commit(headBytes(organization.profile.did, head));
      // What opens the digest is kept before the ledger has it: a stamp that nobody can open proves nothing.
      const row = { sequence: head.sequence, hash: head.hash, digest: commitment, salt };
      await organization.store.commit((tx) => tx.insertInto('log_heads').values(row).execute());
    }
    for (const { digest } of (await this.heads()).reverse()) {
      if (this.stampedMs(digest) === undefined) await organization.execute([{ type: 'kernel/stamp', digest }]);
    }
  }

  /** Heads that were kept for the ledger, the newest first. */
  async heads(limit = headsShown): Promise<AnchoredHead[]> {
    const rows = this.#parts.organization.store.read.selectFrom('log_heads').selectAll();
    return await rows.orderBy('sequence', 'desc').limit(limit).execute();
  }

  /** When the ledger took it. */
  stampedMs(digest: string): number | undefined {
    const { organization, reader } = this.#parts;
    return reader.get<{ timeMs: number }>(`kernel/stamp/${organization.profile.did}/${digest}`)?.timeMs;
  }

  /** Whether the ledger holds it and it fits what is kept here. */
  stands({ sequence, hash, digest, salt }: AnchoredHead): boolean {
    const bytes = headBytes(this.#parts.organization.profile.did, { sequence, hash });
    return this.stampedMs(digest) !== undefined && verifyCommitment({ commitment: digest, salt }, bytes);
  }

  /** What of the log does not fit the heads on the ledger; nothing where it is whole. */
  async problems(): Promise<string[]> {
    const { log } = this.#parts;
    const found = new Map<number, string>();
    try {
      await log.verify();
      for await (const { head } of log.readBatches(0)) found.set(head.sequence, head.hash);
    } catch {
      return ['the log cannot be read to its end: entries are damaged or missing'];
    }
    return (await this.heads(Number.MAX_SAFE_INTEGER)).flatMap((head) => {
      if (!this.stands(head)) return [`the head at entry ${head.sequence} does not stand on the ledger`];
      return found.get(head.sequence) === head.hash ? [] : [`the log was altered at or before entry ${head.sequence}`];
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#tail;
  }
}
