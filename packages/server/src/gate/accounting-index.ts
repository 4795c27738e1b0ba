import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Migration } from '../store/database.ts';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
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

type AccessRow = OrganizationTables['accesses'];
const valuesPerRow = 4;

/** Disclosures by patient, built from the synced log; sealed like everything else. */
export class AccountingIndex {
  readonly #store: OrganizationStore;
  readonly #key: Uint8Array;
  readonly #placed = new Map<string, string>();

  constructor(store: OrganizationStore, vault: Vault) {
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
    await this.#store.commit(async (tx) => {
      const rows = new Map(entries.map(({ entry, sequence, hash }) => [sequence, this.#row(entry, sequence, hash)]));
      for (const slice of slicesOf([...rows.values()], valuesPerRow)) {
        const query = tx.insertInto('accesses').values(slice);
        await query
          .onConflict((at) =>
            at.column('sequence').doUpdateSet(({ ref }) => ({
              patient: ref('excluded.patient'),
              hash: ref('excluded.hash'),
              sealed: ref('excluded.sealed'),
            })),
          )
          .execute();
      }
    });
    for (const { entry } of entries) this.#placed.delete(entry.disclosure.id);
  }

  #row(entry: LoggedDisclosure, sequence: number, batchHash: string | undefined): AccessRow {
    const sealed = sealColumn(this.#key, ['accesses', 'sealed', String(sequence)], utf8(JSON.stringify(entry)));
    const placed = entry.path === 'ledger' ? this.#placed.get(entry.disclosure.id) : undefined;
    const hash = entry.path === 'batch' ? batchHash : placed;
    return { sequence, patient: entry.disclosure.patient, hash: hash ?? null, sealed };
  }

  /** Everything about one patient, newest first. */
  async of(patient: Did): Promise<AccountedDisclosure[]> {
    const rows = this.#store.read.selectFrom('accesses').selectAll().where('patient', '=', patient);
    return (await rows.orderBy('sequence', 'desc').execute()).map((row) => this.#open(row));
  }

  /** Everything about everybody, newest first, from below a place in the log. */
  async latest(before: number, limit: number): Promise<{ sequence: number; entry: AccountedDisclosure }[]> {
    const rows = this.#store.read.selectFrom('accesses').selectAll().where('sequence', '<', before);
    const latest = await rows.orderBy('sequence', 'desc').limit(limit).execute();
    return latest.map((row) => ({ sequence: row.sequence, entry: this.#open(row) }));
  }

  #open({ sequence, hash, sealed }: AccessRow): AccountedDisclosure {
    const place = ['accesses', 'sealed', String(sequence)];
    const entry: LoggedDisclosure = JSON.parse(utf8Text(openColumn(this.#key, place, sealed)));
    return hash === null ? entry : { ...entry, hash };
  }
}
