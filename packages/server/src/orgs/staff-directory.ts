import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Migration } from '../store/database.ts';
import type { OrganizationStore } from '../store/tables.ts';

export const staffMigrations: readonly Migration[] = [
  {
    name: '0009-staff',
    sql: `
      CREATE TABLE staff (
        did TEXT PRIMARY KEY,
        sealed BLOB NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
];

/** Longest name of a person, in a token or in the directory. */
export const staffNameCharsMax = 120;
const padChars = 256;

export interface StaffEntry {
  /** The organisation's own name of the person. */
  id: string;
  /** As patients read it in their accounting; for somebody under protection an alias. */
  name?: string;
}

/**
 * The people who work at an organisation, by the DID under which the ledger knows them. The ledger holds roles only; who
 * somebody is stands here, sealed.
 */
export class StaffDirectory {
  readonly #store: OrganizationStore;
  readonly #key: Uint8Array;
  readonly #known = new Map<Did, StaffEntry>();

  private constructor(store: OrganizationStore, vault: Vault) {
    this.#store = store;
    this.#key = vault.ring.purposeKey('staff');
  }

  static async open(store: OrganizationStore, vault: Vault): Promise<StaffDirectory> {
    const directory = new StaffDirectory(store, vault);
    for (const { did, sealed } of await store.read.selectFrom('staff').selectAll().execute()) {
      const text = utf8Text(openColumn(directory.#key, ['staff', 'sealed', did], sealed));
      directory.#known.set(did as Did, JSON.parse(text));
    }
    return directory;
  }

  get(did: Did): StaffEntry | undefined {
    return this.#known.get(did);
  }

  /** Adds a person, or renews what is known; a name that was given stays until another one is. */
  async put(did: Did, { id, name = this.#known.get(did)?.name }: StaffEntry): Promise<void> {
    const entry: StaffEntry = { id, ...(name !== undefined && { name }) };
    const text = JSON.stringify(entry).padEnd(padChars, ' ');
    const sealed = sealColumn(this.#key, ['staff', 'sealed', did], utf8(text));
    await this.#store.commit(async (tx) => {
      const query = tx.insertInto('staff').values({ did, sealed });
      await query.onConflict((conflict) => conflict.column('did').doUpdateSet({ sealed })).execute();
    });
    this.#known.set(did, entry);
  }
}

const directories = new WeakMap<OrganizationStore, Promise<StaffDirectory>>();

/** The one directory of an organisation's store. */
export function staffDirectory(store: OrganizationStore, vault: Vault): Promise<StaffDirectory> {
  const known = directories.get(store);
  if (known !== undefined) return known;
  const opening = StaffDirectory.open(store, vault);
  directories.set(store, opening);
  // A database that did not answer is asked again by the next.
  opening.catch(() => directories.delete(store));
  return opening;
}
