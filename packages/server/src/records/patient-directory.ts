import { createSecretKey, type KeyObject } from 'node:crypto';
import { type Did, randomBytes, toBase64url, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn } from '@salus/vault';
import type { Selectable, Transaction } from 'kysely';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import type { IndexTokens } from './index-tokens.ts';

const didBytes = 20;
const padBytes = 512;
const patientColumns = 4;

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

type PatientRow = Selectable<OrganizationTables['patients']>;

/** Adds or renews rows, and gives the pseudonyms that stand in them, by token. */
async function write(
  tx: Transaction<OrganizationTables>,
  rows: readonly PatientRow[],
): Promise<ReadonlyMap<string, string>> {
  const pseudonyms = new Map<string, string>();
  for (const slice of slicesOf(rows, patientColumns)) {
    const written = await tx
      .insertInto('patients')
      .values(slice)
      .onConflict((conflict) => conflict.column('token').doUpdateSet(({ ref }) => ({ sealed: ref('excluded.sealed') })))
      .returning(['token', 'did'])
      .execute();
    for (const { token, did } of written) pseudonyms.set(token, did);
  }
  return pseudonyms;
}

/** The patients of one organisation: their pseudonyms and the one place that knows their names. */
export class PatientDirectory {
  readonly #store: OrganizationStore;
  readonly #key: KeyObject;
  readonly #tokens: IndexTokens;
  readonly #byId = new Map<string, KnownPatient>();
  readonly #byDid = new Map<Did, KnownPatient>();
  readonly #unregistered = new Set<string>();

  private constructor(store: OrganizationStore, key: Uint8Array, tokens: IndexTokens) {
    this.#store = store;
    this.#key = createSecretKey(key);
    this.#tokens = tokens;
  }

  static async open(store: OrganizationStore, key: Uint8Array, tokens: IndexTokens): Promise<PatientDirectory> {
    const directory = new PatientDirectory(store, key, tokens);
    const rows = await store.read.selectFrom('patients').selectAll().execute();
    for (const row of rows) directory.#remember(directory.#open(row));
    return directory;
  }

  #open({ token, did, sealed, registered }: PatientRow): KnownPatient {
    const demographics: Demographics = JSON.parse(
      utf8Text(openColumn(this.#key, ['patients', 'sealed', token], sealed)),
    );
    return { ...demographics, did: did as Did, registered: registered === 1 };
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
    const rows = this.#rows(known);
    const pseudonyms = await this.#store.commit((tx) => write(tx, rows));
    for (const patient of known) {
      // Somebody else may have added the same patient at the same moment: the pseudonym of whoever came first counts.
      patient.did = (pseudonyms.get(this.#tokens.patient(patient.id)) ?? patient.did) as Did;
      // What was registered while this was written stays so.
      patient.registered ||= this.#byId.get(patient.id)?.registered === true;
      this.#remember(patient);
    }
    return known;
  }

  /** One row for each patient, the last that is said of them. */
  #rows(patients: readonly KnownPatient[]): PatientRow[] {
    const last = new Map(patients.map((patient) => [patient.id, patient]));
    return [...last.values()].map(({ did, registered, ...demographics }) => {
      const token = this.#tokens.patient(demographics.id);
      const text = JSON.stringify(demographics);
      const padded = text.padEnd(text.length + (padBytes - (utf8(text).length % padBytes)), ' ');
      const sealed = sealColumn(this.#key, ['patients', 'sealed', token], utf8(padded));
      return { token, did, sealed, registered: registered ? 1 : 0 };
    });
  }

  unregistered(): KnownPatient[] {
    return [...this.#unregistered].flatMap((id) => this.#byId.get(id) ?? []);
  }

  hasUnregistered(): boolean {
    return this.#unregistered.size > 0;
  }

  async registered(dids: readonly Did[]): Promise<void> {
    await this.#store.commit(async (tx) => {
      for (const slice of slicesOf(dids)) {
        await tx.updateTable('patients').set({ registered: 1 }).where('did', 'in', slice).execute();
      }
    });
    for (const did of dids) {
      const patient = this.#byDid.get(did);
      if (patient === undefined) continue;
      patient.registered = true;
      this.#unregistered.delete(patient.id);
    }
  }
}
