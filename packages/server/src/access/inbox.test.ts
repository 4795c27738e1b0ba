import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlockFeed } from '../events/block-feed.ts';
import { RecordErrorCodes } from '../records/errors.ts';
import { openStore } from '../store/location.ts';
import { organizationMigrations } from '../store/migrations.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { MemoryLedger } from '../testing/memory-ledger.ts';
import { temporaryDirectory, testStores } from '../testing/test-node.ts';
import { Inbox, type InboxEvent } from './inbox.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let store: OrganizationStore;
let ledger: MemoryLedger;
let feed: BlockFeed;
let nowMs: number;
let here: Set<string>;
let taken: string[];
let missed: string[];
let errors: unknown[];
const open: Inbox[] = [];

beforeEach(async () => {
  directory = temporaryDirectory();
  const file = join(directory.path, 'node.sqlite');
  store = await openStore<OrganizationTables>({
    ...{ location: testStores(), file, name: 'test', owner: 'test', migrations: organizationMigrations },
  });
  ledger = new MemoryLedger('test');
  feed = new BlockFeed(ledger);
  nowMs = 1_000_000;
  [here, taken, missed, errors] = [new Set(), [], [], []];
});
afterEach(async () => {
  feed.close();
  for (const one of open.splice(0)) await one.close();
  await store.close();
  directory.remove();
});

const nameOf = ({ attributes }: InboxEvent): string => String(attributes.name);

function start(): Inbox {
  const inbox = new Inbox({
    ...{ store, feed, name: 'test', clockMs: () => nowMs },
    handle: async () => 'work',
    async take(event) {
      if (nameOf(event).startsWith('poison')) throw new Error('cannot be taken');
      if (!here.has(nameOf(event))) return false;
      taken.push(nameOf(event));
      return true;
    },
    missing: async (event) => void missed.push(nameOf(event)),
    onError: (error) => void errors.push(error),
  });
  inbox.start();
  open.push(inbox);
  return inbox;
}

function block(...names: string[]): void {
  const events = names.map((name) => ({ type: 'test/Seen', attributes: { name } }));
  const rest = { index: 0, code: 0, log: '', data: '', outputs: [], sender: '', types: [], bytes: new Uint8Array() };
  ledger.addBlock([{ ...rest, hash: names.join(), events }]);
}

describe('R-LED-8 R-CON-1 what of the ledger cannot be read yet', () => {
  it('waits over a restart, and is taken in when it comes', async () => {
    const first = start();
    block('late', 'early');
    here.add('early');
    await first.ready();
    expect([taken, (await first.waiting()).events]).toEqual([['early'], 1]);
    for (let n = 0; n < 30; n += 1) {
      nowMs += 60_000;
      first.arrived();
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    await open.pop()?.close();
    here.add('late');
    const second = start();
    await expect.poll(() => second.waiting()).toEqual({ events: 0 });
    expect([missed, taken]).toEqual([['late'], ['early', 'late']]);
  });

  it('holds up nobody, though it cannot be taken at all', async () => {
    const inbox = start();
    here.add('good');
    block('poison', 'good');
    await inbox.ready();
    expect([taken, errors.length]).toEqual([['good'], 1]);
    block('poison-2', 'good');
    await inbox.ready();
    expect(taken).toEqual(['good', 'good']);
  });

  it('after a store that could not be written for a while, everything is taken in once', async () => {
    const inbox = start();
    await inbox.ready();
    const { commit } = store;
    store.commit = () => Promise.reject(new Error('disk full'));
    here.add('a').add('b');
    block('a');
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    store.commit = commit;
    block('b');
    await expect.poll(() => taken).toEqual(['a', 'b']);
  });

  it('nothing is decided on what is old: a question waits, and is then refused', { timeout: 60_000 }, async () => {
    const inbox = start();
    await inbox.ready();
    store.commit = () => Promise.reject(new Error('disk full'));
    block('a');
    await expect(inbox.ready()).rejects.toMatchObject({ code: RecordErrorCodes.recordsUnavailable });
  });
});
