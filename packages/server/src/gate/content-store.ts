import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Transaction } from 'kysely';
import type { Migration } from '../store/database.ts';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { Revisions } from './revisions.ts';

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

const patientsCachedMax = 10_000;

export type ContentKind = 'directive' | 'authority' | 'request' | 'glass';
type SealedRow = Pick<OrganizationTables['sealed_content'], 'kind' | 'id' | 'sealed'>;

/** What is sealed here about one patient, as it stood when it was read; each is opened when it is first asked for. */
export class PatientContents {
  readonly #key: Uint8Array;
  readonly #rows: readonly SealedRow[];
  readonly #opened = new Map<SealedRow, unknown>();

  constructor(key: Uint8Array, rows: readonly SealedRow[]) {
    this.#key = key;
    this.#rows = rows;
  }

  #open<T>(row: SealedRow): T {
    if (!this.#opened.has(row)) this.#opened.set(row, openRow(this.#key, row));
    return this.#opened.get(row) as T;
  }

  get<T>(kind: ContentKind, id: string): T | undefined {
    const row = this.#rows.find((one) => one.kind === kind && one.id === id);
    return row === undefined ? undefined : this.#open<T>(row);
  }

  of<T>(kind: ContentKind): T[] {
    return this.#rows.filter((row) => row.kind === kind).map((row) => this.#open<T>(row));
  }
}

function openRow<T>(key: Uint8Array, { kind, id, sealed }: SealedRow): T {
  return JSON.parse(utf8Text(openColumn(key, ['sealed_content', kind, id], sealed)));
}

/**
 * What patients and courts sealed to this organisation, opened and checked against its commitment on the ledger, and
 * sealed again under the organisation's own key. Kept by patient, because the gate asks by patient.
 */
export class ContentStore {
  readonly revisions = new Revisions();
  readonly #store: OrganizationStore;
  readonly #key: Uint8Array;
  readonly #cache = new Map<Did, PatientContents>();

  constructor(store: OrganizationStore, vault: Vault) {
    this.#store = store;
    this.#key = vault.ring.purposeKey('sealed-content');
  }

  /** Durable when it resolves; every decision after that knows of it. */
  async put(kind: ContentKind, id: string, patient: Did, content: unknown): Promise<void> {
    const sealed = sealColumn(this.#key, ['sealed_content', kind, id], utf8(JSON.stringify(content)));
    try {
      await this.#store.commit(async (tx) => {
        const query = tx.insertInto('sealed_content').values({ kind, id, patient, sealed });
        await query.onConflict((at) => at.columns(['kind', 'id']).doUpdateSet({ patient, sealed })).execute();
      });
    } finally {
      this.revisions.changed(patient);
      this.#cache.delete(patient);
    }
  }

  async get<T>(kind: ContentKind, id: string): Promise<T | undefined> {
    const rows = this.#store.read.selectFrom('sealed_content').select(['kind', 'id', 'sealed']);
    const row = await rows.where('kind', '=', kind).where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : openRow(this.#key, row);
  }

  /** Everything about these patients, those of whom there is nothing included. */
  async about(patients: Iterable<Did>): Promise<Map<Did, PatientContents>> {
    const found = new Map<Did, PatientContents>();
    const wanted = new Map<Did, { revision: number; rows: SealedRow[] }>();
    for (const patient of patients) {
      const known = this.#cache.get(patient);
      if (known !== undefined) found.set(patient, known);
      else wanted.set(patient, { revision: this.revisions.of(patient), rows: [] });
    }
    for (const slice of slicesOf([...wanted.keys()])) {
      const rows = this.#store.read.selectFrom('sealed_content').selectAll().where('patient', 'in', slice);
      for (const { patient, ...row } of await rows.orderBy('kind').orderBy('id').execute()) {
        wanted.get(patient as Did)?.rows.push(row);
      }
    }
    for (const [patient, { revision, rows }] of wanted) {
      const contents = new PatientContents(this.#key, rows);
      found.set(patient, contents);
      // What was read before a write that is done by now may lack it: nobody else is given that.
      if (revision === this.revisions.of(patient)) this.#keep(patient, contents);
    }
    return found;
  }

  #keep(patient: Did, contents: PatientContents): void {
    if (this.#cache.size >= patientsCachedMax) this.#cache.clear();
    this.#cache.set(patient, contents);
  }

  /** The names of what is here about these patients, as `nameOfContent` gives them. */
  async names(tx: Transaction<OrganizationTables>, patients: readonly Did[]): Promise<Set<string>> {
    const names = new Set<string>();
    for (const slice of slicesOf(patients)) {
      const rows = tx.selectFrom('sealed_content').select(['kind', 'id']).where('patient', 'in', slice);
      for (const { kind, id } of await rows.execute()) names.add(nameOfContent(kind, id));
    }
    return names;
  }
}

export function nameOfContent(kind: string, id: string): string {
  return `${kind} ${id}`;
}
