import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Kysely, sql, type Transaction } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory, testStores } from '../testing/test-node.ts';
import type { Migration, Store } from './database.ts';
import { newStorePlace, openStore, type StoreLocation } from './location.ts';
import { forPostgres } from './migrate.ts';
import { organizationMigrations } from './migrations.ts';

interface Tables {
  numbers: { n: number };
}
const layout: readonly Migration[] = [
  ...organizationMigrations,
  { name: '9000-numbers', sql: 'CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT;' },
];

let directory: ReturnType<typeof temporaryDirectory>;
let location: StoreLocation;
let store: Store<Tables>;
const open = (migrations = layout, owner = 'test') =>
  openStore<Tables>({ location, file: join(directory.path, 'node.sqlite'), name: 'test', owner, migrations });
beforeEach(async () => {
  directory = temporaryDirectory();
  location = testStores();
  store = await open();
});
afterEach(async () => {
  await store.close();
  directory.remove();
});

const insert = (n: number) => async (tx: Transaction<Tables>) => {
  const { n: stored } = await tx.insertInto('numbers').values({ n }).returning('n').executeTakeFirstOrThrow();
  return stored;
};
const count = async (db: Kysely<Tables> = store.read) => {
  const { n } = await db
    .selectFrom('numbers')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return n;
};

describe('R-LED-8 an organisation’s store', () => {
  test('groups commits, and one that fails undoes only itself', async () => {
    const work = [insert(1), insert(2), insert(1), insert(3)].map((one) => store.commit(one));
    const settled = await Promise.allSettled(work);
    expect(settled.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(await count()).toBe(3);
  });

  test('work that fails half-way leaves nothing of itself', async () => {
    const half = store.commit(async (tx) => {
      await insert(1)(tx);
      throw new Error('half');
    });
    await expect(Promise.all([half, store.commit(insert(2))])).rejects.toThrow('half');
    expect(await count()).toBe(1);
  });

  test('gives what the work returned, and takes more than one group', async () => {
    const double = (n: number) => async (tx: Transaction<Tables>) => (await insert(n)(tx)) * 2;
    const values = await Promise.all(Array.from({ length: 1_200 }, (_, n) => store.commit(double(n))));
    expect(values[1_199]).toBe(2_398);
    expect(await count()).toBe(1_200);
  });

  test('readers see what is durable and nothing before; work sees what was written before it in its group', async () => {
    const seen = await store.commit(async (tx) => {
      await insert(1)(tx);
      return [await count(tx), await count()];
    });
    expect(seen).toEqual([1, 0]);
    expect(await count()).toBe(1);
  });

  test('close finishes what was asked for, and refuses what comes after', async () => {
    const work = store.commit(insert(7));
    await store.close();
    await work;
    await expect(store.commit(insert(8))).rejects.toThrow();
    store = await open();
    expect(await count()).toBe(1);
  });

  test('bytes, whole numbers and nothing come back as they went in', async () => {
    const organisation = store.read as unknown as Kysely<import('./tables.ts').OrganizationTables>;
    const sealed = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const row = { sequence: 2 ** 52 + 1, patient: 'did:example:ü', hash: null, sealed };
    await store.commit(async (tx) => {
      const all = tx as unknown as typeof organisation;
      await all.insertInto('accesses').values(row).execute();
    });
    const read = await organisation.selectFrom('accesses').selectAll().executeTakeFirstOrThrow();
    expect({ ...read, sealed: new Uint8Array(read.sealed) }).toEqual(row);
  });

  test('tokens are ordered byte by byte', async () => {
    const organisation = store.read as unknown as Kysely<import('./tables.ts').OrganizationTables>;
    const tokens = ['B', 'a', '_', '-', 'Z', 'z', '0', 'é'];
    await store.commit(async (tx) => {
      const all = tx as unknown as typeof organisation;
      await all
        .insertInto('identifiers')
        .values(tokens.map((token) => ({ token, resource: 'r' })))
        .execute();
    });
    const rows = await organisation.selectFrom('identifiers').select('token').orderBy('token').execute();
    expect(rows.map(({ token }) => token)).toEqual(['-', '0', 'B', 'Z', '_', 'a', 'z', 'é']);
  });
});

describe('R-PPL-5 migrations', () => {
  const more = { name: '9999-more', sql: 'CREATE TABLE more (a INTEGER) STRICT;' };
  const reopen = async (migrations: readonly Migration[]) => {
    await store.close();
    store = await open(migrations);
  };

  test('add what is missing and keep what is there', async () => {
    await store.commit(insert(5));
    await reopen([...layout, more]);
    await store.commit(async (tx) => void (await sql`INSERT INTO more VALUES (1)`.execute(tx)));
    expect(await count()).toBe(1);
  });

  test('a store of a newer version, or with a changed step, is refused and left alone', async () => {
    await reopen([...layout, more]);
    await store.close();
    await expect(open(layout)).rejects.toThrow(expect.objectContaining({ code: 710 }));
    const changed = [...layout, { ...more, sql: 'CREATE TABLE other (a INTEGER) STRICT;' }];
    await expect(open(changed)).rejects.toThrow(expect.objectContaining({ code: 710 }));
    store = await open([...layout, more]);
  });

  test('a step that fails leaves nothing of itself', async () => {
    const broken = { name: '9999-broken', sql: 'CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER)' };
    await store.close();
    await expect(open([...layout, broken])).rejects.toThrow();
    store = await open([...layout, { name: '9999-half', sql: 'CREATE TABLE half (a INTEGER)' }]);
    expect(await count()).toBe(0);
  });

  test('every layout says the same in PostgreSQL’s words', () => {
    const words = organizationMigrations.map(({ sql: text }) => forPostgres(text)).join('\n');
    expect(words).not.toMatch(/\bSTRICT\b|ROWID|BLOB|INTEGER|AUTOINCREMENT|TEXT(?! COLLATE)/);
  });
});

describe.runIf(testStores().kind === 'sqlite')('R-LED-8 an embedded store', () => {
  test('syncs every commit to disk', async () => {
    await store.commit(insert(1));
    const { rows } = await sql<{ synchronous: number }>`PRAGMA synchronous`.execute(store.read);
    expect(rows).toEqual([{ synchronous: 2 }]);
    const file = new DatabaseSync(join(directory.path, 'node.sqlite'));
    expect(file.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    file.close();
  });

  test('R-CON-4 its log has its room beforehand, which is no part of what a power cut leaves', async () => {
    const file = join(directory.path, 'node.sqlite');
    const { size } = statSync(`${file}-wal`);
    for (let n = 1; n <= 20; n += 1) await store.commit(insert(n));
    expect(statSync(`${file}-wal`).size).toBe(size);
    const cut = join(directory.path, 'cut.sqlite');
    for (const end of ['', '-wal']) copyFileSync(`${file}${end}`, `${cut}${end}`);
    const left = await openStore<Tables>({ location, file: cut, name: 'test', owner: 'test', migrations: layout });
    expect(await count(left.read)).toBe(20);
    await left.close();
  });
});

describe.runIf(testStores().kind === 'postgres')('R-LED-8 a store in PostgreSQL', () => {
  test('one process writes: a second is refused, and may when the first has ended', async () => {
    await expect(open()).rejects.toThrow(expect.objectContaining({ code: 851 }));
    await store.close();
    store = await open();
  });

  test('one whose end the server is about to see is waited for', async () => {
    const next = open();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await store.close();
    store = await next;
  });

  test('the rows of another organisation are refused', async () => {
    await store.close();
    await expect(open(layout, 'another')).rejects.toThrow(expect.objectContaining({ code: 852 }));
    store = await open();
  });

  test('a lost connection fails what was under way with a numbered error, and the next work goes on', async () => {
    await store.commit(insert(1));
    const cut = store.commit(async (tx) => {
      await insert(2)(tx);
      const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(tx);
      await sql`SELECT pg_terminate_backend(${rows[0]?.pid})`.execute(store.read);
      await insert(3)(tx);
    });
    await expect(cut).rejects.toThrow(expect.objectContaining({ code: 850 }));
    await store.commit(insert(4));
    expect(await count()).toBe(2);
  });

  test('a server that is not there is told as that', async () => {
    const url = 'postgres://nobody@127.0.0.1:9/none';
    const away = openStore({
      location: { ...newStorePlace(), url },
      file: '',
      name: 'x',
      owner: 'x',
      migrations: layout,
    });
    await expect(away).rejects.toThrow(expect.objectContaining({ code: 850 }));
  });
});
