import { createHash } from 'node:crypto';
import { type Kysely, type QueryExecutorProvider, type RawBuilder, sql } from 'kysely';
import { NodeErrorCodes, NodeFault } from '../node/errors.ts';
import type { Store, StoreKind } from './database.ts';

/** Values in one statement at the most: both databases take more. */
const valuesMax = 10_000;
/** Rows in memory at once; those that hold whole envelopes are large. */
const pageRowsDefault = 500;
const pageRowsOfEnvelopes = 4;

/** A table as it is copied: in the order of its primary key. */
export interface CopiedTable {
  name: string;
  key: readonly string[];
  /** Its key is numbered by the database. */
  isNumbered?: true;
  hasEnvelopes?: true;
}

/** Every table of an organisation's store; what refers to another stands after it. */
export const organizationCopy: readonly CopiedTable[] = [
  { name: 'notices', key: ['seq'], isNumbered: true },
  { name: 'cursors', key: ['name'] },
  { name: 'patients', key: ['token'] },
  { name: 'versions', key: ['seq'], isNumbered: true },
  { name: 'resources', key: ['token'] },
  { name: 'unanchored', key: ['seq'], isNumbered: true },
  { name: 'identifiers', key: ['token'] },
  { name: 'sealed_content', key: ['kind', 'id'] },
  { name: 'relationships', key: ['patient', 'kind', 'other'] },
  { name: 'linking_codes', key: ['digest'] },
  { name: 'accesses', key: ['sequence'] },
  { name: 'inbox', key: ['seq'], isNumbered: true },
  { name: 'staff', key: ['did'] },
  { name: 'log_heads', key: ['sequence'] },
  { name: 'peer_links', key: ['peer'] },
  { name: 'peer_outbox', key: ['peer', 'sequence'], hasEnvelopes: true },
  { name: 'peer_inbox', key: ['peer'] },
];

export const exchangeCopy: readonly CopiedTable[] = [
  { name: 'sealed', key: ['commitment', 'address'], hasEnvelopes: true },
];

type Row = Record<string, unknown>;
/** Copying knows tables by name, whatever they hold. */
type Any = QueryExecutorProvider;

function keyOf({ key }: CopiedTable): RawBuilder<unknown> {
  return sql.join(key.map((column) => sql.ref(column)));
}

/** All rows in the order of the key, a page at a time. */
async function* pages(db: Any, table: CopiedTable): AsyncGenerator<Row[]> {
  const limit = table.hasEnvelopes ? pageRowsOfEnvelopes : pageRowsDefault;
  let after = sql``;
  for (;;) {
    const query = sql<Row>`SELECT * FROM ${sql.table(table.name)} ${after} ORDER BY ${keyOf(table)} LIMIT ${sql.lit(limit)}`;
    const { rows } = await query.execute(db);
    const last = rows.at(-1);
    if (last !== undefined) yield rows;
    if (last === undefined || rows.length < limit) return;
    after = sql`WHERE (${keyOf(table)}) > (${sql.join(table.key.map((column) => last[column]))})`;
  }
}

/** The same for the same rows, whichever database they come from. */
function digester(): { add(rows: readonly Row[]): void; digest(): string } {
  const hash = createHash('sha256');
  const plain = (value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
  return {
    add(rows) {
      for (const row of rows) {
        const columns = Object.keys(row).sort();
        hash.update(JSON.stringify(columns.map((column) => [column, plain(row[column])])));
      }
    },
    digest: () => hash.digest('hex'),
  };
}

async function insert(tx: Any, { name }: CopiedTable, rows: readonly Row[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {});
  const rowsMax = Math.max(1, Math.floor(valuesMax / columns.length));
  for (let start = 0; start < rows.length; start += rowsMax) {
    const values = rows
      .slice(start, start + rowsMax)
      .map((row) => sql`(${sql.join(columns.map((column) => row[column]))})`);
    const into = sql.join(columns.map((column) => sql.ref(column)));
    await sql`INSERT INTO ${sql.table(name)} (${into}) VALUES ${sql.join(values)}`.execute(tx);
  }
}

async function digestOf(db: Any, table: CopiedTable): Promise<string> {
  const digest = digester();
  for await (const rows of pages(db, table)) digest.add(rows);
  return digest.digest();
}

async function isEmpty(db: Any, { name }: CopiedTable): Promise<boolean> {
  const { rows } = await sql`SELECT 1 FROM ${sql.table(name)} LIMIT 1`.execute(db);
  return rows.length === 0;
}

/** The next number comes after those that were copied. SQLite sees to that by itself. */
async function goOnNumbering(tx: Any, { name, key: [column = ''] }: CopiedTable): Promise<void> {
  const last = sql`(SELECT coalesce(max(${sql.ref(column)}), 0) FROM ${sql.table(name)})`;
  await sql`SELECT setval(pg_get_serial_sequence(${name}, ${column}), ${last} + 1, false)`.execute(tx);
}

async function copyTable(from: Any, tx: Any, kind: StoreKind, table: CopiedTable): Promise<number> {
  if (!(await isEmpty(tx, table))) throw new NodeFault(NodeErrorCodes.storeTargetTaken);
  const digest = digester();
  let copied = 0;
  for await (const rows of pages(from, table)) {
    digest.add(rows);
    await insert(tx, table, rows);
    copied += rows.length;
  }
  if (table.isNumbered === true && kind === 'postgres') await goOnNumbering(tx, table);
  if ((await digestOf(tx, table)) !== digest.digest()) throw new Error(`the copy of ${table.name} differs`);
  return copied;
}

/**
 * Copies all rows of a view into an empty store, compares both, and answers with how many there were: all or nothing. Throws
 * `storeTargetTaken` where there are rows already.
 */
export async function copyRows<Tables>(
  from: Kysely<Tables>,
  to: Store<Tables>,
  tables: readonly CopiedTable[],
): Promise<number> {
  return await to.commit(async (tx) => {
    let copied = 0;
    for (const table of tables) copied += await copyTable(from, tx, to.kind, table);
    return copied;
  });
}
