import type { Did } from '@salus/protocol';
import type { Relation, RelationshipKind, Relationships } from '../access/relationships.ts';
import { recordError } from '../records/errors.ts';
import type { ContentStore, PatientContents } from './content-store.ts';

/** Looks at the store before a decision is given up as not possible now: each but the first follows upon a write. */
const roundsMax = 100;

interface KeptParts {
  contents: ContentStore;
  relationships: Relationships;
}

interface Gathered {
  contents: PatientContents;
  relations: readonly Relation[];
  /** As they were before the read began. */
  revisions: readonly [contents: number, relationships: number];
}

/** What an organisation's store holds about some patients, read ahead of a decision. */
export class Kept {
  readonly #parts: KeptParts;
  readonly #person: Did | undefined;
  readonly #patients = new Map<Did, Gathered>();
  readonly #missing = new Set<Did>();

  constructor(parts: KeptParts, person: Did | undefined) {
    this.#parts = parts;
    this.#person = person;
  }

  /** Reads what is missing, and anew what was written since. */
  async gather(patients: Iterable<Did>): Promise<void> {
    const wanted = [...new Set(patients)];
    if (wanted.length === 0) return;
    const revisions = wanted.map((patient) => this.#revisions(patient));
    const [contents, relations] = await Promise.all([
      this.#parts.contents.about(wanted),
      this.#parts.relationships.about(wanted, this.#person),
    ]);
    for (const [position, patient] of wanted.entries()) {
      const about = { contents: contents.get(patient), relations: relations.get(patient) };
      const before = revisions[position];
      if (about.contents === undefined || about.relations === undefined || before === undefined) continue;
      this.#patients.set(patient, { contents: about.contents, relations: about.relations, revisions: before });
    }
  }

  #revisions(patient: Did): readonly [number, number] {
    const { contents, relationships } = this.#parts;
    return [contents.revisions.of(patient), relationships.revisions.of(patient)];
  }

  /** Patients about whom something was written since it was read. */
  stale(): Did[] {
    return [...this.#patients].flatMap(
      ([
        patient,
        {
          revisions: [contents, relationships],
        },
      ]) => {
        const [newContents, newRelationships] = this.#revisions(patient);
        return newContents === contents && newRelationships === relationships ? [] : [patient];
      },
    );
  }

  /** Patients who were asked for and are not gathered yet. */
  takeMissing(): Did[] {
    const missing = [...this.#missing];
    this.#missing.clear();
    return missing;
  }

  #about(patient: Did): Gathered | undefined {
    const gathered = this.#patients.get(patient);
    if (gathered === undefined) this.#missing.add(patient);
    return gathered;
  }

  contents(patient: Did): PatientContents | undefined {
    return this.#about(patient)?.contents;
  }

  others(patient: Did, kind: RelationshipKind): string[] {
    const relations = this.#about(patient)?.relations ?? [];
    return relations.filter((relation) => relation.kind === kind).map(({ other }) => other);
  }

  /** Whether it holds; of care teams and personal ties only those of the person who asks are gathered. */
  has(patient: Did, other: Did | undefined, kind: RelationshipKind, nowMs: number): boolean {
    const relations = this.#about(patient)?.relations ?? [];
    const found = relations.find((relation) => relation.kind === kind && relation.other === other);
    return found !== undefined && (found.untilMs === null || found.untilMs > nowMs);
  }
}

/**
 * Decides on what is kept and on the ledger as both stand at one moment: the one at which `decide` runs. Everything that
 * has to be waited for is read before; at the moment itself it is checked that none of it was written meanwhile, and the
 * ledger, the clock and the memory are read while nothing else can run. So whatever was revoked, excluded or ended
 * before the call, and all that was so by that moment, counts. Where `decide` asks for somebody who was not
 * gathered (two pseudonyms were merged meanwhile), what it gave is thrown away, and it runs again. Throws
 * `recordsUnavailable`, and decides nothing, where others write faster than can be read.
 *
 * `person`: who asks. `decide` waits for nothing, and has no effect.
 */
export async function decideOnKept<T>(
  parts: KeptParts,
  patients: Iterable<Did>,
  person: Did | undefined,
  decide: (kept: Kept) => T,
): Promise<T> {
  const kept = new Kept(parts, person);
  let wanted: Iterable<Did> = patients;
  for (let round = 0; round < roundsMax; round += 1) {
    await kept.gather(wanted);
    const stale = kept.stale();
    if (stale.length === 0) {
      const decision = decide(kept);
      const missing = kept.takeMissing();
      if (missing.length === 0) return decision;
      wanted = missing;
    } else {
      wanted = stale;
    }
  }
  throw recordError('recordsUnavailable');
}
