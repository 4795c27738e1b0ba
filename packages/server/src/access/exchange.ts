import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { utf8Text } from '@salus/protocol';
import { parseSealed, sealedAddress } from '@salus/vault';
import { RuleFault } from '../http/problems.ts';
import { openStore, type Store } from '../store/database.ts';
import { AccessErrorCodes } from './errors.ts';

/** Envelopes that claim the same commitment: anybody may claim one, so a few are kept and the reader checks each. */
export const envelopesPerCommitmentMax = 64;
/** Of one sender fewer, so that nobody fills the place before the right one comes. */
export const envelopesPerSenderMax = 8;

/**
 * Of one sender so many that no organisation here has opened, within the time after which they no longer count. Who sends what
 * the ledger speaks of is never held up for longer than the ledger is behind: it is opened as its block comes. What nobody
 * opens (a transaction that was refused, a payload for a wallet alone) must not shut an honest sender out for good.
 */
export const unopenedPerSenderMax = 1_000;
export const unopenedCountedMs = 86_400_000;

const migrations = [
  {
    name: '0001-exchange',
    sql: `
      CREATE TABLE sealed (
        commitment TEXT NOT NULL,
        address TEXT NOT NULL,
        envelope BLOB NOT NULL,
        PRIMARY KEY (commitment, address)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    name: '0002-sender',
    sql: "ALTER TABLE sealed ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
  },
  {
    name: '0003-unopened',
    sql: `
      ALTER TABLE sealed ADD COLUMN unopened_since_ms INTEGER;
      CREATE INDEX sealed_unopened ON sealed (sender, unopened_since_ms) WHERE unopened_since_ms IS NOT NULL;
    `,
  },
];

/**
 * Sealed payloads that wait for their parties, found by the commitment that stands on the ledger. The node that keeps
 * them can read none that is not sealed to an organisation of its own.
 */
export class Exchange {
  readonly #store: Store;
  readonly #listeners: (() => void)[] = [];

  readonly #clockMs: () => number;

  constructor(dataRoot: string, clockMs: () => number) {
    this.#clockMs = clockMs;
    const dir = join(dataRoot, 'exchange');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#store = openStore({ file: join(dir, 'sealed.sqlite'), migrations });
  }

  /**
   * Durable when it resolves. Throws the vault's error for what is no envelope, and `exchangeFull` where too much of the
   * sender waits: nothing was kept, and the same is taken later. `sender`: whose token brought it; none is this node itself.
   */
  async put(bytes: Uint8Array, sender = ''): Promise<{ commitment: string; address: string }> {
    const { commitment } = parseSealed(bytes);
    const address = sealedAddress(bytes);
    await this.#store.commit(() => {
      const isHere = 'SELECT 1 FROM sealed WHERE commitment = ? AND address = ?';
      if (this.#store.get(isHere, commitment, address) !== undefined) return;
      const sql = 'SELECT count(*) AS n, coalesce(sum(sender = ?), 0) AS own FROM sealed WHERE commitment = ?';
      const kept = this.#store.get(sql, sender, commitment);
      const isFull = Number(kept?.n ?? 0) >= envelopesPerCommitmentMax;
      if (isFull || Number(kept?.own ?? 0) >= envelopesPerSenderMax) return;
      const nowMs = this.#clockMs();
      if (sender !== '' && this.#unopened(sender, nowMs) >= unopenedPerSenderMax) {
        throw new RuleFault(AccessErrorCodes.exchangeFull);
      }
      this.#store
        .prepare('INSERT INTO sealed (commitment, address, envelope, sender, unopened_since_ms) VALUES (?, ?, ?, ?, ?)')
        .run(commitment, address, bytes, sender, nowMs);
    });
    for (const arrived of this.#listeners) arrived();
    return { commitment, address };
  }

  #unopened(sender: string, nowMs: number): number {
    const sql = 'SELECT count(*) AS n FROM sealed WHERE sender = ? AND unopened_since_ms > ?';
    return Number(this.#store.get(sql, sender, nowMs - unopenedCountedMs)?.n ?? 0);
  }

  /** An organisation here has opened it: it counts against its sender no longer. */
  async opened(commitment: string, bytes: Uint8Array): Promise<void> {
    const place = [commitment, sealedAddress(bytes)];
    const at = 'WHERE commitment = ? AND address = ? AND unopened_since_ms IS NOT NULL';
    if (this.#store.get(`SELECT 1 FROM sealed ${at}`, ...place) === undefined) return;
    await this.#store.commit(() => {
      this.#store.prepare(`UPDATE sealed SET unopened_since_ms = NULL ${at}`).run(...place);
    });
  }

  /** Calls back after each envelope that was kept. */
  listen(arrived: () => void): void {
    this.#listeners.push(arrived);
  }

  get(commitment: string): Uint8Array[] {
    const rows = this.#store.all('SELECT envelope FROM sealed WHERE commitment = ?', commitment);
    return rows.map((row) => row.envelope as Uint8Array);
  }

  /** The envelopes as JSON values, for the answer to a request. */
  envelopes(commitment: string): unknown[] {
    return this.get(commitment).map((bytes) => JSON.parse(utf8Text(bytes)));
  }

  close(): void {
    this.#store.close();
  }
}
