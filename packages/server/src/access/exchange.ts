import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { utf8Text } from '@salus/protocol';
import { parseSealed, sealedAddress } from '@salus/vault';
import { openStore, type Store } from '../store/database.ts';

/** Envelopes that claim the same commitment: anybody may claim one, so a few are kept and the reader checks each. */
export const envelopesPerCommitmentMax = 8;

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
];

/**
 * Sealed payloads that wait for their parties, found by the commitment that stands on the ledger. The node that keeps
 * them can read none that is not sealed to an organisation of its own.
 */
export class Exchange {
  readonly #store: Store;

  constructor(dataRoot: string) {
    const dir = join(dataRoot, 'exchange');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#store = openStore({ file: join(dir, 'sealed.sqlite'), migrations });
  }

  /** Durable when it resolves. Throws the vault's error for what is no envelope. */
  async put(bytes: Uint8Array): Promise<{ commitment: string; address: string }> {
    const { commitment } = parseSealed(bytes);
    const address = sealedAddress(bytes);
    await this.#store.commit(() => {
      const kept = this.#store.get('SELECT count(*) AS n FROM sealed WHERE commitment = ?', commitment);
      if (Number(kept?.n ?? 0) >= envelopesPerCommitmentMax) return;
      this.#store
        .prepare('INSERT OR IGNORE INTO sealed (commitment, address, envelope) VALUES (?, ?, ?)')
        .run(commitment, address, bytes);
    });
    return { commitment, address };
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
