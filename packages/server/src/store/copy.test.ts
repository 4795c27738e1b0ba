import { join } from 'node:path';
import fc from 'fast-check';
import { type Kysely, sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { temporaryDirectory, testStores } from '../testing/test-node.ts';
import { copyRows, organizationCopy } from './copy.ts';
import { openStore, pinStore, type StoreLocation, sqliteLocation } from './location.ts';
import { organizationMigrations } from './migrations.ts';
import type { OrganizationStore, OrganizationTables } from './tables.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let opened: OrganizationStore[];
beforeEach(() => {
  directory = temporaryDirectory();
  opened = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
  directory.remove();
});

const inputOf = (location: StoreLocation, place: number) => {
  const name = `s${place}`;
  const file = join(directory.path, `${name}.sqlite`);
  return { location, file, name, owner: 'test', migrations: organizationMigrations };
};

async function open(location: StoreLocation = testStores()): Promise<OrganizationStore> {
  const store = await openStore<OrganizationTables>(inputOf(location, opened.length));
  opened.push(store);
  return store;
}

const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replaceAll('\0', ''));
const whole = fc.nat();
const bytes = fc.uint8Array({ maxLength: 300 });
const list = <Columns extends Record<string, fc.Arbitrary<unknown>>>(
  columns: Columns,
  key: (row: Record<keyof Columns, unknown>) => unknown = (row) => row,
) =>
  fc.uniqueArray(fc.record(columns), { maxLength: 20, selector: (row) => key(row as Record<keyof Columns, unknown>) });

const contents = fc.record({
  notices: list({ topic: text, type: text, time_ms: whole, data: text }),
  accesses: list({ sequence: whole, patient: text, hash: fc.option(text), sealed: bytes }, (row) => row.sequence),
  peer_outbox: list(
    { peer: text, sequence: whole, since_ms: whole, envelope: bytes },
    (row) => `${row.sequence} ${row.peer}`,
  ),
});

async function fill(store: OrganizationStore, rows: Record<string, readonly object[]>): Promise<void> {
  await store.commit(async (tx) => {
    const any = tx as unknown as Kysely<Record<string, object>>;
    for (const [table, some] of Object.entries(rows)) {
      if (some.length > 0) await any.insertInto(table).values(some).execute();
    }
  });
}

async function all(store: OrganizationStore): Promise<unknown> {
  const tables = organizationCopy.map(async ({ name, key }) => {
    const any = store.read as unknown as Kysely<Record<string, Record<string, unknown>>>;
    const query = key.reduce((ordered, column) => ordered.orderBy(column), any.selectFrom(name).selectAll());
    const rows = await query.execute();
    const plain = (value: unknown) => (value instanceof Uint8Array ? [...value] : value);
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plain(value)])));
  });
  return await Promise.all(tables);
}

test('R-LED-8 rows are the same after a move there and back, and numbering goes on', async () => {
  await fc.assert(
    fc.asyncProperty(contents, async (rows) => {
      const [files, there, back] = [await open(sqliteLocation), await open(), await open(sqliteLocation)];
      await fill(files, rows as unknown as Record<string, object[]>);
      const copied = await copyRows(files.read, there, organizationCopy);
      expect(copied).toBe(Object.values(rows).flat().length);
      expect(await copyRows(there.read, back, organizationCopy)).toBe(copied);
      const before = await all(files);
      expect([await all(there), await all(back)]).toEqual([before, before]);
      await fill(there, { notices: [{ topic: 't', type: 'next', time_ms: 1, data: '{}' }] });
      const next = await there.read.selectFrom('notices').select('seq').where('type', '=', 'next').execute();
      expect(next.at(-1)?.seq).toBe(rows.notices.length + 1);
    }),
    { numRuns: 8 },
  );
});

test('R-LED-8 rows are never copied over others', async () => {
  const [from, to] = [await open(sqliteLocation), await open()];
  await fill(from, { staff: [{ did: 'a', sealed: Buffer.from('x') }] });
  await fill(to, { peer_inbox: [{ peer: 'p', epoch: 'e', up_to: 1 }] });
  await expect(copyRows(from.read, to, organizationCopy)).rejects.toThrow(expect.objectContaining({ code: 854 }));
  expect(await to.read.selectFrom('staff').selectAll().execute()).toEqual([]);
});

test('R-LED-8 a view stays as it was, and a held store changes nothing until it is released', async () => {
  const location = testStores();
  const store = await open(location);
  const add = (name: string) =>
    store.commit((tx) => tx.insertInto('cursors').values({ name, position: '1' }).execute());
  const names = async (db = store.read) =>
    (await db.selectFrom('cursors').select('name').execute()).map(({ name }) => name);
  await add('a');
  const held = await store.hold();
  const later = add('b');
  const view = await pinStore<OrganizationTables>(inputOf(location, 0));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([await names(view.read), await names()]).toEqual([['a'], ['a']]);
  held.release();
  await later;
  expect([await names(view.read), await names()]).toEqual([['a'], ['a', 'b']]);
  await view.end();
  await add('d');
});

test('every table of the layout is copied', async () => {
  const { rows } = await sql<{ name: string }>`SELECT name FROM sqlite_schema
    WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'migrations'`.execute(
    (await open(sqliteLocation)).read,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(organizationCopy.map(({ name }) => name).sort());
});
