import type { Did } from '@salus/protocol';
import type { Migration, Store } from '../store/database.ts';

export const relationshipMigrations: readonly Migration[] = [
  {
    name: '0005-relationships',
    sql: `
      CREATE TABLE relationships (
        patient TEXT NOT NULL,
        other TEXT NOT NULL,
        kind TEXT NOT NULL,
        until_ms INTEGER,
        PRIMARY KEY (patient, kind, other)
      ) STRICT, WITHOUT ROWID;
    `,
  },
];

/** `merged` and `glass` follow the ledger: pseudonyms merged with a patient's, and emergencies about the patient. */
export type RelationshipKind = 'careTeam' | 'personalTie' | 'excludedByCourt' | 'merged' | 'glass';

/** Who is in whose care team, and other ties that decide or colour an access. Pseudonyms only. */
export class Relationships {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async set(patient: Did, person: Did, kind: RelationshipKind, untilMs?: number): Promise<void> {
    await this.#store.commit(() => this.add(patient, person, kind, untilMs));
  }

  /** The same inside a transaction that is open already. */
  add(patient: string, other: string, kind: RelationshipKind, untilMs?: number): void {
    this.#store
      .prepare('INSERT OR REPLACE INTO relationships (patient, other, kind, until_ms) VALUES (?, ?, ?, ?)')
      .run(patient, other, kind, untilMs ?? null);
  }

  of(patient: Did, kind: RelationshipKind): string[] {
    const rows = this.#store.all('SELECT other FROM relationships WHERE patient = ? AND kind = ?', patient, kind);
    return rows.map((row) => String(row.other));
  }

  async end(patient: Did, person: Did, kind: RelationshipKind): Promise<void> {
    await this.#store.commit(() => {
      this.#store
        .prepare('DELETE FROM relationships WHERE patient = ? AND other = ? AND kind = ?')
        .run(patient, person, kind);
    });
  }

  has(patient: Did, person: Did | undefined, kind: RelationshipKind, nowMs: number): boolean {
    if (person === undefined) return false;
    const row = this.#store.get(
      'SELECT until_ms FROM relationships WHERE patient = ? AND other = ? AND kind = ?',
      patient,
      person,
      kind,
    );
    return row !== undefined && (row.until_ms === null || Number(row.until_ms) > nowMs);
  }
}
