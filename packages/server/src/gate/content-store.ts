import type { consent } from '@salus/contracts';
import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Migration, Row, Store } from '../store/database.ts';

export const contentMigrations: readonly Migration[] = [
  {
    name: '0004-sealed-content',
    sql: `
      CREATE TABLE sealed_content (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        patient TEXT NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (kind, id)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX sealed_content_by_patient ON sealed_content (patient, kind);
    `,
  },
];

export type ContentKind = 'directive' | 'authority' | 'request' | 'glass';

/**
 * What patients and courts sealed to this organisation, opened and checked against its commitment on the ledger, and
 * sealed again under the organisation's own key. Kept by patient, because the gate asks by patient.
 */
export class ContentStore {
  readonly #store: Store;
  readonly #key: Uint8Array;
  readonly #cache = new Map<string, unknown[]>();

  constructor(store: Store, vault: Vault) {
    this.#store = store;
    this.#key = vault.ring.purposeKey('sealed-content');
  }

  async put(kind: ContentKind, id: string, patient: Did, content: unknown): Promise<void> {
    const sealed = sealColumn(this.#key, ['sealed_content', kind, id], utf8(JSON.stringify(content)));
    await this.#store.commit(() => {
      this.#store
        .prepare('INSERT OR REPLACE INTO sealed_content (kind, id, patient, sealed) VALUES (?, ?, ?, ?)')
        .run(kind, id, patient, sealed);
    });
    this.#cache.delete(`${kind} ${patient}`);
  }

  get<T>(kind: ContentKind, id: string): T | undefined {
    const row = this.#store.get('SELECT * FROM sealed_content WHERE kind = ? AND id = ?', kind, id);
    return row === undefined ? undefined : this.#open<T>(row);
  }

  #open<T>(row: Row): T {
    const place = ['sealed_content', String(row.kind), String(row.id)];
    return JSON.parse(utf8Text(openColumn(this.#key, place, row.sealed as Uint8Array)));
  }

  /** Everything of a kind about one patient. */
  of<T>(kind: ContentKind, patient: Did): T[] {
    const name = `${kind} ${patient}`;
    const known = this.#cache.get(name);
    if (known !== undefined) return known as T[];
    const rows = this.#store.all('SELECT * FROM sealed_content WHERE patient = ? AND kind = ?', patient, kind);
    const contents = rows.map((row) => this.#open<T>(row));
    if (this.#cache.size >= patientsCachedMax) this.#cache.clear();
    this.#cache.set(name, contents);
    return contents;
  }

  directives(patient: Did): consent.DirectiveContent[] {
    return this.of<consent.DirectiveContent>('directive', patient);
  }
}

const patientsCachedMax = 10_000;
