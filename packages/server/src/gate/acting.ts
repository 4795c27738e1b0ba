import { consent, type IterableReader, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { isDid } from '@salus/protocol';
import type { Kept } from './kept.ts';

/** What of a record an authority's scope can name. */
export interface ScopedRecord {
  categories: readonly string[];
  labels: readonly string[];
}

/** An authority on the ledger with its unsealed content. */
export interface HeldAuthority {
  entry: identity.AuthorityEntry;
  content: identity.AuthorityContent;
}

interface ActingParts {
  reader: IterableReader;
  kept: Kept;
  patient: Did;
  deceased: boolean;
  majorityMs: number | undefined;
  nowMs: number;
}

/** Authorities of different patients may have the same id: the patient's pseudonym is part of the name here. */
export function authorityName(patient: Did, authority: string): string {
  return `${patient}/${authority}`;
}

/**
 * Who may act for one patient, and how far. The ledger takes what the holder of an authority signs, because it cannot
 * read the scope; what went beyond it does not count here.
 */
export class Acting {
  readonly #parts: ActingParts;
  readonly #known = new Map<string, HeldAuthority | undefined>();

  constructor(parts: ActingParts) {
    this.#parts = parts;
  }

  /** An authority whose content is here and is about this patient and holder. */
  #held(id: string): HeldAuthority | undefined {
    if (this.#known.has(id)) return this.#known.get(id);
    const { reader, kept, patient } = this.#parts;
    const entry = identity.authority(reader, patient, id);
    const content = kept.contents(patient)?.get<identity.AuthorityContent>('authority', authorityName(patient, id));
    const fits = entry !== undefined && content?.patient === patient && content.holder === entry.holder;
    const held = fits ? { entry, content } : undefined;
    this.#known.set(id, held);
    return held;
  }

  #isExcluded({ entry }: HeldAuthority): boolean {
    const { kept, patient, nowMs } = this.#parts;
    return isDid(entry.holder) && kept.has(patient, entry.holder, 'excludedByCourt', nowMs);
  }

  /** When a patient has died, what they themselves gave ends. */
  #isOver({ entry }: HeldAuthority): boolean {
    const { nowMs, deceased } = this.#parts;
    return !identity.isAuthorityActive(entry, nowMs) || (deceased && entry.basis === 'patient');
  }

  /** The authority that a person names, or of those that they hold one in force before the others. */
  of(holder: Did, named: string | undefined): consent.AuthorityFact | undefined {
    const { reader, patient, nowMs } = this.#parts;
    const held = identity
      .authoritiesOf(reader, patient)
      .filter((entry) => entry.holder === holder && (named === undefined || entry.authority === named))
      .flatMap(({ authority }) => this.#held(authority) ?? [])
      .sort((a, b) => Number(this.#isOver(a)) - Number(this.#isOver(b)));
    const [best] = held;
    if (best === undefined) return undefined;
    const fact = consent.authorityFact(best.content, best.entry, nowMs, this.#isExcluded(best));
    return { ...fact, revoked: fact.revoked || this.#isOver(best) };
  }

  /** Whether an authority includes an act about a record, as its scope stood at that time. */
  covers(id: string, action: 'grant' | 'decide', record: ScopedRecord, atMs: number): boolean {
    const held = this.#held(id);
    const { patient, deceased, majorityMs = Number.POSITIVE_INFINITY } = this.#parts;
    if (held === undefined || this.#isExcluded(held)) return false;
    if (held.content.kind === 'parent' && atMs >= majorityMs) return false;
    return identity.authorityCovers(held.content, {
      patient,
      holder: held.content.holder,
      action,
      categories: [...record.categories, ...record.labels],
      blockTimeMs: atMs,
      patientDeceased: deceased,
    });
  }

  /** The same for what must still be in force now. */
  coversNow(id: string, action: 'grant' | 'decide', record: ScopedRecord): boolean {
    const held = this.#held(id);
    if (held === undefined || this.#isOver(held)) return false;
    return this.covers(id, action, record, this.#parts.nowMs);
  }
}
