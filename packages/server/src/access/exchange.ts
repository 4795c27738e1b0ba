import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { utf8Text } from '@salus/protocol';
import { parseSealed, sealedAddress } from '@salus/vault';
import { openStore, type Store } from '../store/database.ts';

/** Envelopes that claim the same commitment: anybody may claim one, so a few are kept and the reader checks each. */
export const envelopesPerCommitmentMax = 64;
/** Of one sender fewer, so that nobody fills the place before the right one comes. */
export const envelopesPerSenderMax = 8;

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
];

/**
 * Sealed payloads that wait for their parties, found by the commitment that stands on the ledger. The node that keeps
 * them can read none that is not sealed to an organisation of its own.
 */
export class Exchange {
  readonly #store: Store;
  readonly #listeners: (() => void)[] = [];

  constructor(dataRoot: string) {
    const dir = join(dataRoot, 'exchange');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#store = openStore({ file: join(dir, 'sealed.sqlite'), migrations });
  }

  /** Durable when it resolves. Throws the vault's error for what is no envelope. `sender`: whose token brought it. */
  async put(bytes: Uint8Array, sender = ''): Promise<{ commitment: string; address: string }> {
    const { commitment } = parseSealed(bytes);
    const address = sealedAddress(bytes);
    await this.#store.commit(() => {
      const sql = 'SELECT count(*) AS n, coalesce(sum(sender = ?), 0) AS own FROM sealed WHERE commitment = ?';
      const kept = this.#store.get(sql, sender, commitment);
      const isFull = Number(kept?.n ?? 0) >= envelopesPerCommitmentMax;
      if (isFull || Number(kept?.own ?? 0) >= envelopesPerSenderMax) return;
      this.#store
        .prepare('INSERT OR IGNORE INTO sealed (commitment, address, envelope, sender) VALUES (?, ?, ?, ?)')
        .run(commitment, address, bytes, sender);
    });
    for (const arrived of this.#listeners) arrived();
    return { commitment, address };
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
