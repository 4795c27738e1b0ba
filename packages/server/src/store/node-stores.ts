import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { exchangeStore } from '../access/exchange.ts';
import {
  type DataDirectory,
  lockDirectory,
  openDirectory,
  syncDirectory,
  writeStorePlace,
} from '../node/data-directory.ts';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import { membersOf, organizationPaths, organizationStore } from '../orgs/organization.ts';
import { type CopiedTable, copyRows, exchangeCopy, organizationCopy } from './copy.ts';
import type { StoreKind } from './database.ts';
import {
  newStorePlace,
  openStore,
  pinStore,
  removeStore,
  type StoreInput,
  type StoreLocation,
  sqliteLocation,
  storeLocation,
} from './location.ts';

/** One of the stores of a node's directory. */
export interface NodeStore {
  input(location: StoreLocation): StoreInput;
  tables: readonly CopiedTable[];
}

/** All of them: one of each organisation that the directory serves, and the exchange. */
export function nodeStores(directory: DataDirectory): NodeStore[] {
  const { chain, organizations } = directory.manifest;
  const members = membersOf(directory);
  const ofOrganizations = organizations.map((slug): NodeStore => {
    const member = members.find((one) => one.slug === slug);
    if (member === undefined) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
    const paths = organizationPaths(directory.root, slug);
    return { input: (location) => organizationStore(member, paths, chain, location), tables: organizationCopy };
  });
  return [...ofOrganizations, { input: (location) => exchangeStore(location, directory.root), tables: exchangeCopy }];
}

/** Copies a store into an empty one; gives the number of rows. The one it comes from is only read. */
export async function copyStore(from: StoreInput, to: StoreInput, tables: readonly CopiedTable[]): Promise<number> {
  // Opening brings the layout up to date, so that both have the same.
  await (await openStore(from)).close();
  const view = await pinStore(from);
  try {
    const target = await openStore(to);
    try {
      return await copyRows(view.read, target, tables);
    } finally {
      await target.close();
    }
  } finally {
    await view.end();
  }
}

export interface MoveReport {
  from: StoreKind;
  to: StoreKind;
  stores: number;
  rows: number;
}

/**
 * Moves the rows of a stopped node from SQLite files into PostgreSQL, or back. Everything is copied and compared before the
 * directory says where it is from now on; what is there no longer is removed afterwards. Cut off at any moment, the directory
 * has its rows in one place, and the same call finishes it. Throws `storeUnavailable`, and a NodeFault of the directory.
 */
export async function moveStores(root: string, to: StoreKind, url: string): Promise<MoveReport> {
  const lock = lockDirectory(openDirectory(root).root);
  try {
    const directory = openDirectory(root);
    const { store: place } = directory.manifest;
    const kind: StoreKind = place === undefined ? 'sqlite' : 'postgres';
    const stores = nodeStores(directory);
    const report = { from: kind, to, stores: stores.length };
    if (kind === to) {
      await removeLeft(stores, to);
      return { ...report, rows: 0 };
    }
    const newPlace = to === 'postgres' ? newStorePlace() : undefined;
    const from = storeLocation(place, place === undefined ? undefined : url);
    const target = storeLocation(newPlace, newPlace === undefined ? undefined : url);
    const rows = await copyAll(stores, from, target);
    for (const { file } of stores.map(({ input }) => input(target))) if (existsSync(file)) syncDirectory(dirname(file));
    writeStorePlace(root, newPlace);
    for (const { input } of stores) await removeStore(input(from));
    return { ...report, rows };
  } finally {
    lock.release();
  }
}

async function copyAll(stores: readonly NodeStore[], from: StoreLocation, to: StoreLocation): Promise<number> {
  let rows = 0;
  try {
    for (const { input, tables } of stores) {
      // A directory's files from before count no longer once its rows are in PostgreSQL.
      await removeStore(input(to));
      rows += await copyStore(input(from), input(to), tables);
    }
  } catch (error) {
    for (const { input } of stores) await removeStore(input(to)).catch(() => undefined);
    throw error;
  }
  return rows;
}

/** Files that a move left which was cut off after it had happened. */
async function removeLeft(stores: readonly NodeStore[], kind: StoreKind): Promise<void> {
  if (kind === 'sqlite') return;
  for (const { input } of stores) if (existsSync(input(sqliteLocation).file)) await removeStore(input(sqliteLocation));
}

/** What is wrong with the stores of a stopped node in PostgreSQL: whether each can be opened and read. */
export async function postgresProblems(directory: DataDirectory, url: string | undefined): Promise<string[]> {
  const location = storeLocation(directory.manifest.store, url);
  const problems: string[] = [];
  for (const { input, tables } of nodeStores(directory)) {
    const store = input(location);
    try {
      const opened = await openStore<Record<string, Record<string, unknown>>>(store);
      try {
        for (const { name } of tables) await opened.read.selectFrom(name).selectAll().limit(1).execute();
      } finally {
        await opened.close();
      }
    } catch (error) {
      const told = error instanceof NodeFault ? `error ${error.code}: ${error.message}` : 'its rows cannot be read';
      problems.push(`${store.name}: store: ${told}`);
    }
  }
  return problems;
}
