import { createSecretKey, type KeyObject } from 'node:crypto';
import { type Did, randomBytes, toBase64url, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn } from '@salus/vault';
import type { Row, Store } from '../store/database.ts';
import type { IndexTokens } from './index-tokens.ts';

const didBytes = 20;
const padBytes = 512;

/** The direct identifiers of a patient: sealed at rest, searched in memory. */
export interface Demographics {
  /** FHIR id at this organisation. */
  id: string;
  names: string[];
  birthDate?: string;
  gender?: string;
  identifiers: { system: string; value: string }[];
  deceased: boolean;
}

export interface KnownPatient extends Demographics {
  /** Pseudonym on the ledger, for this organisation only. */
  did: Did;
  /** False until the ledger knows the pseudonym. */
  registered: boolean;
}

/** The patients of one organisation: their pseudonyms and the one place that knows their names. */
export class PatientDirectory {
  readonly #store: Store;
  readonly #key: KeyObject;
  readonly #tokens: IndexTokens;
  readonly #byId = new Map<string, KnownPatient>();
  readonly #byDid = new Map<Did, KnownPatient>();
  readonly #unregistered = new Set<string>();

  constructor(store: Store, key: Uint8Array, tokens: IndexTokens) {
    this.#store = store;
    this.#key = createSecretKey(key);
    this.#tokens = tokens;
    for (const row of store.all('SELECT * FROM patients')) this.#remember(this.#open(row));
  }

  #open(row: Row): KnownPatient {
    const place = ['patients', 'sealed', String(row.token)];
    const demographics: Demographics = JSON.parse(utf8Text(openColumn(this.#key, place, row.sealed as Uint8Array)));
    return { ...demographics, did: String(row.did) as Did, registered: row.registered === 1 };
  }

  #remember(patient: KnownPatient): void {
    this.#byId.set(patient.id, patient);
    this.#byDid.set(patient.did, patient);
    if (patient.registered) this.#unregistered.delete(patient.id);
    else this.#unregistered.add(patient.id);
  }

  byId(id: string): KnownPatient | undefined {
    return this.#byId.get(id);
  }

  byDid(did: Did): KnownPatient | undefined {
    return this.#byDid.get(did);
  }

  all(): Iterable<KnownPatient> {
    return this.#byId.values();
  }

  /** Adds patients, or renews what is known of them. A new one gets a random pseudonym. */
  async put(patients: readonly Demographics[]): Promise<KnownPatient[]> {
    const known = patients.map((demographics): KnownPatient => {
      const before = this.#byId.get(demographics.id);
      return {
        ...demographics,
        did: before?.did ?? `did:salus:${toBase64url(randomBytes(didBytes))}`,
        registered: before?.registered ?? false,
      };
    });
    await this.#store.commit(() => {
      for (const patient of known) this.#write(patient);
    });
    // What was registered while this was written stays so.
    for (const patient of known) {
      patient.registered ||= this.#byId.get(patient.id)?.registered === true;
      this.#remember(patient);
    }
    return known;
  }

  #write(patient: KnownPatient): void {
    const { did, registered, ...demographics } = patient;
    const token = this.#tokens.patient(patient.id);
    const text = JSON.stringify(demographics);
    const padded = text.padEnd(text.length + (padBytes - (utf8(text).length % padBytes)), ' ');
    const sealed = sealColumn(this.#key, ['patients', 'sealed', token], utf8(padded));
    this.#store
      .prepare(
        `INSERT INTO patients (token, did, sealed, registered) VALUES (?, ?, ?, ?)
         ON CONFLICT (token) DO UPDATE SET sealed = excluded.sealed`,
      )
      .run(token, did, sealed, registered ? 1 : 0);
  }

  unregistered(): KnownPatient[] {
    return [...this.#unregistered].flatMap((id) => this.#byId.get(id) ?? []);
  }

  hasUnregistered(): boolean {
    return this.#unregistered.size > 0;
  }

  async registered(dids: readonly Did[]): Promise<void> {
    await this.#store.commit(() => {
      for (const did of dids) this.#store.prepare('UPDATE patients SET registered = 1 WHERE did = ?').run(did);
    });
    for (const did of dids) {
      const patient = this.#byDid.get(did);
      if (patient === undefined) continue;
      patient.registered = true;
      this.#unregistered.delete(patient.id);
    }
  }
}
