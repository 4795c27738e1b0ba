import { type Did, utf8, utf8Text } from '@salus/protocol';
import { openColumn, sealColumn, type Vault } from '@salus/vault';
import type { Migration, Store } from '../store/database.ts';

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
  readonly #store: Store;
  readonly #key: Uint8Array;
  readonly #known = new Map<Did, StaffEntry>();

  constructor(store: Store, vault: Vault) {
    this.#store = store;
    this.#key = vault.ring.purposeKey('staff');
    for (const { did, sealed } of store.all('SELECT * FROM staff')) {
      const text = utf8Text(openColumn(this.#key, ['staff', 'sealed', String(did)], sealed as Uint8Array));
      this.#known.set(String(did) as Did, JSON.parse(text));
    }
  }

  get(did: Did): StaffEntry | undefined {
    return this.#known.get(did);
  }

  /** Adds a person, or renews what is known; a name that was given stays until another one is. */
  async put(did: Did, { id, name = this.#known.get(did)?.name }: StaffEntry): Promise<void> {
    const entry: StaffEntry = { id, ...(name !== undefined && { name }) };
    const text = JSON.stringify(entry).padEnd(padChars, ' ');
    const sealed = sealColumn(this.#key, ['staff', 'sealed', did], utf8(text));
    await this.#store.commit(() => {
      this.#store.prepare('INSERT OR REPLACE INTO staff (did, sealed) VALUES (?, ?)').run(did, sealed);
    });
    this.#known.set(did, entry);
  }
}

const directories = new WeakMap<Store, StaffDirectory>();

/** The one directory of an organisation's store. */
export function staffDirectory(store: Store, vault: Vault): StaffDirectory {
  const known = directories.get(store) ?? new StaffDirectory(store, vault);
  directories.set(store, known);
  return known;
}
