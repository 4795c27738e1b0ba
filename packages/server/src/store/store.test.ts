import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../testing/test-node.ts';
import { openStore, type Store } from './database.ts';
import { organizationMigrations } from './migrations.ts';
import { attemptsMax, Outbox, type OutboxEntry } from './outbox.ts';

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

describe('R-LED-8 outbox', () => {
  const text = (entries: OutboxEntry[]) => entries.map((entry) => Buffer.from(entry.payload).toString());
  const add = (outbox: Outbox, ...payloads: string[]) =>
    store.commit(() => payloads.map((payload) => outbox.add(Buffer.from(payload))));

  test('delivers in order, once each when delivery succeeds', async () => {
    const outbox = new Outbox(store, 'q');
    await add(outbox, 'a', 'b');
    await add(new Outbox(store, 'other'), 'x');
    const sent: string[] = [];
    const send = async (entries: OutboxEntry[]) => void sent.push(...text(entries));
    expect(await outbox.deliver(send, 1)).toBe(2);
    expect(await outbox.deliver(send, 2)).toBe(0);
    expect([sent, outbox.pending()]).toEqual([['a', 'b'], 0]);
  });

  test('an entry that was not written with its cause does not exist', async () => {
    const outbox = new Outbox(store, 'q');
    const work = store.commit(() => {
      outbox.add(Buffer.from('a'));
      throw new Error('cause failed');
    });
    await expect(work).rejects.toThrow('cause failed');
    expect(outbox.pending()).toBe(0);
  });

  test('keeps what failed, waits longer each time, and sets aside what never succeeds', async () => {
    const outbox = new Outbox(store, 'q');
    await add(outbox, 'a');
    const fail = async () => {
      throw new Error('down');
    };
    await expect(outbox.deliver(fail, 0)).rejects.toThrow('down');
    expect(await outbox.deliver(fail, 499)).toBe(0);
    let nowMs = 500;
    for (let n = 1; n < attemptsMax; n += 1, nowMs += 60_000) await outbox.deliver(fail, nowMs).catch(() => undefined);
    expect(await outbox.deliver(fail, nowMs)).toBe(0);
    expect([text(outbox.stuck()), outbox.pending()]).toEqual([['a'], 1]);
  });
});
