import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Migration, Row, Store } from '../store/database.ts';
import type { LoggedDisclosure } from './disclosure.ts';

export const accountingMigrations: readonly Migration[] = [
  {
    name: '0007-accounting',
    sql: `
      CREATE TABLE accesses (
        sequence INTEGER PRIMARY KEY,
        patient TEXT NOT NULL,
        hash TEXT,
        sealed BLOB NOT NULL
      ) STRICT;
      CREATE INDEX accesses_by_patient ON accesses (patient, sequence);
    `,
  },
];

export interface AccountedDisclosure extends LoggedDisclosure {
  /** The transaction that holds its commitment, where it is known. */
  hash?: string;
}

/** Disclosures by patient, built from the synced log; sealed like everything else. */
export class AccountingIndex {
  readonly #store: Store;
  readonly #key: Uint8Array;
  readonly #placed = new Map<string, string>();

  constructor(store: Store, vault: Vault) {
    this.#store = store;
    this.#key = vault.ring.purposeKey('accounting');
  }

  /** Remembers the transaction of a release until its log entry is indexed. */
  placed(disclosure: string, hash: string): void {
    this.#placed.set(disclosure, hash);
  }

  async add(
    entries: readonly { entry: LoggedDisclosure; sequence: number; hash: string | undefined }[],
  ): Promise<void> {
    await this.#store.commit(() => {
      for (const { entry, sequence, hash } of entries) this.#write(entry, sequence, hash);
    });
    for (const { entry } of entries) this.#placed.delete(entry.disclosure.id);
  }

  #write(entry: LoggedDisclosure, sequence: number, batchHash: string | undefined): void {
    const sealed = sealColumn(this.#key, ['accesses', 'sealed', String(sequence)], utf8(JSON.stringify(entry)));
    const placed = entry.path === 'ledger' ? this.#placed.get(entry.disclosure.id) : undefined;
    const hash = entry.path === 'batch' ? batchHash : placed;
    this.#store
      .prepare('INSERT OR REPLACE INTO accesses (sequence, patient, hash, sealed) VALUES (?, ?, ?, ?)')
      .run(sequence, entry.disclosure.patient, hash ?? null, sealed);
  }

  /** Everything about one patient, newest first. */
  of(patient: Did): AccountedDisclosure[] {
    const rows = this.#store.all('SELECT * FROM accesses WHERE patient = ? ORDER BY sequence DESC', patient);
    return rows.map((row) => this.#open(row));
  }

  /** Everything about everybody, newest first, from below a place in the log. */
  latest(before: number, limit: number): { sequence: number; entry: AccountedDisclosure }[] {
    const rows = this.#store.all(
      'SELECT * FROM accesses WHERE sequence < ? ORDER BY sequence DESC LIMIT ?',
      before,
      limit,
    );
    return rows.map((row) => ({ sequence: Number(row.sequence), entry: this.#open(row) }));
  }

  #open(row: Row): AccountedDisclosure {
    const place = ['accesses', 'sealed', String(row.sequence)];
    const entry: LoggedDisclosure = JSON.parse(utf8Text(openColumn(this.#key, place, row.sealed as Uint8Array)));
    return row.hash === null ? entry : { ...entry, hash: String(row.hash) };
  }
}
