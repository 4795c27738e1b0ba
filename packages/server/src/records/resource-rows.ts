import type { Kysely, Transaction } from 'kysely';
import { slicesOf } from '../store/slices.ts';
import type { OrganizationTables } from '../store/tables.ts';

type Db = Kysely<OrganizationTables>;

/** A version as it lies in the index. */
export interface SealedRow {
  record: string;
  version: number;
  blob: string;
  meta: Uint8Array;
  erased: number;
}

/** What is known of a resource without opening its row. */
export interface ResourceRow extends SealedRow {
  token: string;
  patient: string | null;
  source: string;
}

/** Everything that one stored version adds: tokens and ciphertext alone. */
export interface NewRow {
  token: string;
  record: string;
  patient: string | null;
  type: string;
  version: number;
  source: string;
  blob: string;
  meta: Uint8Array;
  /** Tokens of its business identifiers. */
  identifiers: string[];
}

const sealedColumns = ['v.record', 'v.version', 'v.blob', 'v.meta', 'r.erased'] as const;
const versionColumns = 4;
const resourceColumns = 7;
const unanchoredColumns = 2;
const identifierColumns = 2;

/** The current versions of resources. */
export function currentRows(db: Db) {
  return db.selectFrom('resources as r').innerJoin('versions as v', 'v.seq', 'r.current').select(sealedColumns);
}

/** All versions of one resource, the newest first. */
export async function versionRows(db: Db, record: string): Promise<SealedRow[]> {
  return await db
    .selectFrom('versions as v')
    .innerJoin('resources as r', 'r.record', 'v.record')
    .select(sealedColumns)
    .where('v.record', '=', record)
    .orderBy('v.version', 'desc')
    .execute();
}

/** The current versions of these, by their tokens; what is not here is missing. */
export async function rowsByToken(db: Db, tokens: readonly string[]): Promise<Map<string, ResourceRow>> {
  const found = new Map<string, ResourceRow>();
  for (const slice of slicesOf([...new Set(tokens)])) {
    const rows = await currentRows(db)
      .select(['r.token', 'r.patient', 'r.source'])
      .where('r.token', 'in', slice)
      .execute();
    for (const row of rows) found.set(row.token, row);
  }
  return found;
}

/** Whose identifiers these are, by the identifiers' tokens. */
export async function rowsByIdentifier(db: Db, tokens: readonly string[]): Promise<Map<string, SealedRow>> {
  const found = new Map<string, SealedRow>();
  for (const slice of slicesOf([...new Set(tokens)])) {
    const rows = await currentRows(db)
      .innerJoin('identifiers as i', 'i.resource', 'r.token')
      .select('i.token')
      .where('i.token', 'in', slice)
      .execute();
    for (const { token, ...row } of rows) found.set(token, row);
  }
  return found;
}

function nameOf({ record, version }: { record: string; version: number }): string {
  return `${record}/${version}`;
}

/** Writes versions in the order given: of several of one resource the last is the current one. */
export async function writeRows(tx: Transaction<OrganizationTables>, rows: readonly NewRow[]): Promise<void> {
  const seqs = new Map<string, number>();
  for (const slice of slicesOf(rows, versionColumns)) {
    const written = await tx
      .insertInto('versions')
      .values(slice.map(({ record, version, blob, meta }) => ({ record, version, blob, meta })))
      .returning(['seq', 'record', 'version'])
      .execute();
    for (const row of written) seqs.set(nameOf(row), row.seq);
  }
  await writeCurrent(tx, rows, seqs);
  // The ledger counts records by patient; what belongs to nobody is protected by the vault alone.
  for (const slice of slicesOf(
    rows.filter(({ patient }) => patient !== null),
    unanchoredColumns,
  )) {
    const waiting = slice.map(({ record, version }) => ({ record, version }));
    await tx.insertInto('unanchored').values(waiting).execute();
  }
  await writeIdentifiers(tx, rows);
}

async function writeCurrent(
  tx: Transaction<OrganizationTables>,
  rows: readonly NewRow[],
  seqs: ReadonlyMap<string, number>,
): Promise<void> {
  const last = [...new Map(rows.map((row) => [row.token, row])).values()];
  for (const slice of slicesOf(last, resourceColumns)) {
    const current = slice.map((row) => {
      const { token, record, patient, type, version, source } = row;
      const seq = seqs.get(nameOf(row));
      if (seq === undefined) throw new Error('a version that was written has no number');
      return { token, record, patient, type, version, source, current: seq };
    });
    await tx
      .insertInto('resources')
      .values(current)
      .onConflict((conflict) =>
        conflict.column('token').doUpdateSet(({ ref }) => ({
          version: ref('excluded.version'),
          source: ref('excluded.source'),
          current: ref('excluded.current'),
        })),
      )
      .execute();
  }
}

async function writeIdentifiers(tx: Transaction<OrganizationTables>, rows: readonly NewRow[]): Promise<void> {
  const owners = new Map<string, string>();
  for (const { token, identifiers } of rows) for (const identifier of identifiers) owners.set(identifier, token);
  const named = [...owners].map(([token, resource]) => ({ token, resource }));
  for (const slice of slicesOf(named, identifierColumns)) {
    await tx
      .insertInto('identifiers')
      .values(slice)
      .onConflict((conflict) =>
        conflict.column('token').doUpdateSet(({ ref }) => ({ resource: ref('excluded.resource') })),
      )
      .execute();
  }
}
