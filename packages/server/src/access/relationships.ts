import type { Did } from '@salus/protocol';
import type { Transaction } from 'kysely';
import { Revisions } from '../gate/revisions.ts';
import type { Migration } from '../store/database.ts';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';

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

/** Kinds of which there are few about a patient: they are read whole, of the others what is about the one who asks. */
const kindsReadWhole: readonly RelationshipKind[] = ['excludedByCourt', 'merged', 'glass'];

export interface Relation {
  other: string;
  kind: string;
  untilMs: number | null;
}

/** Who is in whose care team, and other ties that decide or colour an access. Pseudonyms only. */
export class Relationships {
  readonly revisions = new Revisions();
  readonly #store: OrganizationStore;
  /** Patients about whom something was written in a transaction of somebody else's. */
  readonly #unsettled = new Set<string>();

  constructor(store: OrganizationStore) {
    this.#store = store;
  }

  /** Durable when it resolves; every decision after that knows of it. */
  async set(patient: Did, person: Did, kind: RelationshipKind, untilMs?: number): Promise<void> {
    await this.#change(patient, (tx) => upsert(tx, { patient, other: person, kind, untilMs }));
  }

  /** The same in an open transaction; `settled` when that is durable. */
  async add(
    tx: Transaction<OrganizationTables>,
    patient: string,
    other: string,
    kind: RelationshipKind,
    untilMs?: number,
  ): Promise<void> {
    this.#unsettled.add(patient);
    await upsert(tx, { patient, other, kind, untilMs });
  }

  /** What was added in transactions is durable: decisions that have read without it read again. */
  settled(): void {
    for (const patient of this.#unsettled) this.revisions.changed(patient);
    this.#unsettled.clear();
  }

  async end(patient: Did, person: Did, kind: RelationshipKind): Promise<void> {
    await this.#change(patient, async (tx) => {
      const about = tx.deleteFrom('relationships').where('patient', '=', patient).where('other', '=', person);
      await about.where('kind', '=', kind).execute();
    });
  }

  async #change(patient: Did, write: (tx: Transaction<OrganizationTables>) => Promise<void>): Promise<void> {
    try {
      await this.#store.commit(write);
    } finally {
      this.revisions.changed(patient);
    }
  }

  /** What a decision about these patients and somebody who asks can depend on. */
  async about(patients: readonly Did[], person: Did | undefined): Promise<Map<Did, Relation[]>> {
    const found = new Map(patients.map((patient): [Did, Relation[]] => [patient, []]));
    for (const slice of slicesOf(patients)) {
      const rows = this.#store.read
        .selectFrom('relationships')
        .selectAll()
        .where('patient', 'in', slice)
        .where((is) => {
          const isFew = is('kind', 'in', kindsReadWhole);
          return person === undefined ? isFew : is.or([isFew, is('other', '=', person)]);
        });
      for (const { patient, other, kind, until_ms: untilMs } of await rows.orderBy('other').execute()) {
        found.get(patient as Did)?.push({ other, kind, untilMs });
      }
    }
    return found;
  }
}

async function upsert(
  tx: Transaction<OrganizationTables>,
  { patient, other, kind, untilMs = null }: { patient: string; other: string; kind: string; untilMs?: number | null },
): Promise<void> {
  const query = tx.insertInto('relationships').values({ patient, other, kind, until_ms: untilMs });
  await query.onConflict((at) => at.columns(['patient', 'kind', 'other']).doUpdateSet({ until_ms: untilMs })).execute();
}
