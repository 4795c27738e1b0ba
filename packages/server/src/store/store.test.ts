import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../testing/test-node.ts';
import { openStore, type Store } from './database.ts';
import { organizationMigrations } from './migrations.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let file: string;
let store: Store;
beforeEach(() => {
  directory = temporaryDirectory();
  file = join(directory.path, 'node.sqlite');
  store = openStore({ file, migrations: organizationMigrations });
  store.db.exec('CREATE TABLE numbers (n INTEGER PRIMARY KEY)');
});
afterEach(() => {
  store.close();
  directory.remove();
});

const insert = (n: number) => () => Number(store.prepare('INSERT INTO numbers (n) VALUES (?)').run(n).lastInsertRowid);
const count = () => store.get('SELECT count(*) AS n FROM numbers')?.n;

describe('R-LED-8 an organisation’s store', () => {
  test('syncs every commit to disk', () => {
    expect(store.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(store.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
  });

  test('groups commits, and one that fails undoes only itself', async () => {
    const work = [insert(1), insert(2), insert(1), insert(3)].map((one) => store.commit(one));
    const settled = await Promise.allSettled(work);
    expect(settled.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(count()).toBe(3);
  });

  test('gives what the work returned, and takes more than one group', async () => {
    const values = await Promise.all(Array.from({ length: 2_000 }, (_, n) => store.commit(() => insert(n)() * 2)));
    expect(values[1_999]).toBe(3_998);
    expect(count()).toBe(2_000);
  });

  test('transact undoes everything on a fault', () => {
    expect(() => store.transact(() => insert(1)() + insert(1)())).toThrow();
    expect(count()).toBe(0);
  });

  test('close finishes what was asked for', async () => {
    const work = store.commit(insert(7));
    store.close();
    await work;
    store = openStore({ file, migrations: organizationMigrations });
    expect(count()).toBe(1);
  });
});

describe('R-PPL-5 migrations', () => {
  const reopen = (migrations: typeof organizationMigrations) => {
    store.close();
    store = openStore({ file, migrations });
  };

  test('add what is missing and keep what is there', async () => {
    await store.commit(insert(5));
    reopen([...organizationMigrations, { name: '9999-more', sql: 'CREATE TABLE more (a INTEGER)' }]);
    store.db.exec('INSERT INTO more VALUES (1)');
    expect(count()).toBe(1);
  });

  test('a store of a newer version, or with a changed step, is refused and left alone', () => {
    reopen([...organizationMigrations, { name: '9999-more', sql: 'CREATE TABLE more (a INTEGER)' }]);
    store.close();
    const open = (migrations: typeof organizationMigrations) => () => openStore({ file, migrations });
    expect(open(organizationMigrations)).toThrow(expect.objectContaining({ code: 710 }));
    expect(open([{ name: '9999-more', sql: 'CREATE TABLE other (a INTEGER)' }])).toThrow();
  });

  test('a step that fails leaves nothing of itself', () => {
    const broken = { name: '9999-broken', sql: 'CREATE TABLE half (a INTEGER); CREATE TABLE half (a INTEGER)' };
    expect(() => reopen([...organizationMigrations, broken])).toThrow();
    store = openStore({ file, migrations: organizationMigrations });
    expect(store.get("SELECT name FROM sqlite_master WHERE name = 'half'")).toBeUndefined();
  });
});
