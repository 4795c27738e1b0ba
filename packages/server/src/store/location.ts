import { randomBytes } from 'node:crypto';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { Migration, PinnedView, Store } from './database.ts';
import { dropPostgresStore, openPostgresStore, pinPostgres } from './postgres.ts';
import { openSqliteStore, pinSqlite, removeSqliteStore } from './sqlite.ts';

/** What the manifest of a node's directory says of its stores; without it they are SQLite files in the directory. */
export interface StorePlace {
  kind: 'postgres';
  /** Begins the names of this node's schemas, so that many nodes can use one database. */
  prefix: string;
}

/** Where the stores of one node are. */
export type StoreLocation = { kind: 'sqlite' } | (StorePlace & { url: string });

export const sqliteLocation: StoreLocation = { kind: 'sqlite' };
const prefixBytes = 5;

export function newStorePlace(): StorePlace {
  return { kind: 'postgres', prefix: `salus_${randomBytes(prefixBytes).toString('hex')}` };
}

/**
 * The stores of a directory. Throws `storeElsewhere` where it keeps them in PostgreSQL and no address is given, or the other
 * way round: a node must not begin with empty ones because an option was forgotten.
 */
export function storeLocation(place: StorePlace | undefined, url: string | undefined): StoreLocation {
  if (place === undefined) {
    if (url === undefined) return sqliteLocation;
    throw new NodeFault(NodeErrorCodes.storeElsewhere, 'The directory keeps its rows in SQLite files of its own.');
  }
  if (url !== undefined) return { ...place, url };
  throw new NodeFault(NodeErrorCodes.storeElsewhere, 'The directory keeps its rows in PostgreSQL.');
}

export interface StoreInput {
  location: StoreLocation;
  /** The SQLite file, where it is one. */
  file: string;
  /** The end of the schema's name, where it is PostgreSQL. */
  name: string;
  /** Whose rows these are. */
  owner: string;
  migrations: readonly Migration[];
}

function schemaOf({ prefix }: StorePlace, name: string): string {
  return `${prefix}_${name}`;
}

/** Opens or creates one store of a node. Throws as `openSqliteStore` and `openPostgresStore` do. */
export async function openStore<Tables>({
  location,
  file,
  name,
  owner,
  migrations,
}: StoreInput): Promise<Store<Tables>> {
  if (location.kind === 'sqlite') return openSqliteStore<Tables>({ file, migrations });
  const { url } = location;
  return await openPostgresStore<Tables>({ url, schema: schemaOf(location, name), owner, migrations });
}

/** What a store holds now, as it stays whatever is written afterwards. */
export async function pinStore<Tables>({ location, file, name }: StoreInput): Promise<PinnedView<Tables>> {
  if (location.kind === 'sqlite') return pinSqlite<Tables>(file);
  return await pinPostgres<Tables>(location.url, schemaOf(location, name));
}

/** Removes a store that nobody has open, for good. Fine where there is none. */
export async function removeStore({ location, file, name }: StoreInput): Promise<void> {
  if (location.kind === 'sqlite') removeSqliteStore(file);
  else await dropPostgresStore({ url: location.url, schema: schemaOf(location, name) });
}
