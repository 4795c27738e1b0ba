import { join } from 'node:path';
import type { Did } from '@salus/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore, type StoreLocation } from '../store/location.ts';
import { organizationMigrations } from '../store/migrations.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { temporaryDirectory, testStores } from '../testing/test-node.ts';
import { PeerInbox } from './peer-inbox.ts';
import { type Delivery, deliveredKeptMax, PeerOutbox } from './peer-outbox.ts';

const peer = `did:salus:${'B'.repeat(27)}` as Did;
const other = `did:salus:${'C'.repeat(27)}` as Did;
const waitMsMax = 60_000;
const seed = Number(process.env.SALUS_SEED ?? 20_261_121);
const rounds = 60;

let directory: ReturnType<typeof temporaryDirectory>;
let store: OrganizationStore;
let receiving: OrganizationStore;
let location: StoreLocation;
let closers: (() => Promise<void>)[];
const open = (name: string): Promise<OrganizationStore> => {
  const file = join(directory.path, `${name}.sqlite`);
  return openStore<OrganizationTables>({ location, file, name, owner: name, migrations: organizationMigrations });
};
beforeEach(async () => {
  directory = temporaryDirectory();
  closers = [];
  location = testStores();
  store = await open('sender');
  receiving = await open('receiver');
});
afterEach(async () => {
  for (const close of closers) await close();
  await store.close();
  await receiving.close();
  directory.remove();
});

const text = (envelope: Uint8Array): string => Buffer.from(envelope).toString();
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + waitMsMax;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function outbox(
  send: (peer: Did, delivery: Delivery) => Promise<number>,
  told: Did[] = [],
  clockMs = Date.now,
): PeerOutbox {
  const made = new PeerOutbox({
    store,
    send,
    clockMs,
    overdue: (member) => void told.push(member),
    onError: (error) => {
      throw error;
    },
  });
  closers.push(() => made.close());
  return made;
}

/** A receiver that keeps what comes and moves its cursor. */
function receiver(): { got: Set<string>; take(peer: Did, delivery: Delivery): Promise<number> } {
  const got = new Set<string>();
  return {
    got,
    take: async (_peer, { envelope, ...place }) => {
      got.add(text(envelope));
      return (await new PeerInbox(receiving).take(other, place)).upTo;
    },
  };
}

describe('R-LED-8 what a sender keeps', () => {
  test('sends in order, forgets nothing over a restart, and waits for nobody else', async () => {
    const sent: string[] = [];
    let isDown = true;
    const send = async (member: Did, { sequence, envelope }: Delivery): Promise<number> => {
      if (member === peer && isDown) throw new Error('down');
      sent.push(text(envelope));
      return sequence;
    };
    const first = outbox(send);
    await first.add(peer, bytes('a'));
    await first.add(other, bytes('x'));
    await first.add(peer, bytes('b'));
    await until(() => sent.length === 1, 'the member that is up');
    await until(async () => (await first.pending(other)) === 0, 'its confirmation');
    expect([sent, await first.pending(peer)]).toEqual([['x'], 2]);
    await first.close();
    isDown = false;
    const second = outbox(send);
    await second.start();
    await until(async () => (await second.pending(peer)) === 0, 'what was left');
    expect(sent).toEqual(['x', 'a', 'b']);
  });

  test('tells once that a member is not reached, and hurries when it moved', async () => {
    const told: Did[] = [];
    let nowMs = 0;
    let isDown = true;
    const made = outbox(
      async (_peer, { sequence }) => {
        nowMs += 20_000;
        if (isDown) throw new Error('down');
        return sequence;
      },
      told,
      () => nowMs,
    );
    await made.add(peer, bytes('a'));
    await until(() => nowMs >= 80_000, 'some attempts');
    isDown = false;
    made.hurry(peer);
    await until(async () => (await made.pending(peer)) === 0, 'the delivery');
    expect(told).toEqual([peer]);
  });

  test('a receiver that says nonsense is asked again after a pause, never without one', async () => {
    for (const answer of [() => 0, () => Number.MAX_SAFE_INTEGER]) {
      let calls = 0;
      const made = outbox(async () => {
        calls += 1;
        return answer();
      });
      await made.add(peer, bytes('a'));
      await until(() => calls >= 2, 'a second attempt');
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(calls).toBeLessThan(10);
      expect(await made.pending(peer)).toBeGreaterThan(0);
      await made.close();
    }
  });

  test('keeps what arrived for a while only', async () => {
    const made = outbox(async (_peer, { sequence }) => sequence);
    for (let n = 0; n < deliveredKeptMax + 20; n += 1) await made.add(peer, bytes(String(n)));
    await until(async () => (await made.pending(peer)) === 0, 'all');
    expect(await store.read.selectFrom('peer_outbox').select('sequence').execute()).toHaveLength(deliveredKeptMax);
  });
});

describe('R-LED-8 both sides', () => {
  test(`whatever is lost, repeated, overtaken or restored: everything arrives (seed ${seed})`, async () => {
    let state = seed | 1;
    const random = (): number => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) / 2 ** 32;
    };
    const { got, take } = receiver();
    const earlier: Delivery[] = [];
    const send = async (member: Did, delivery: Delivery): Promise<number> => {
      earlier.push(delivery);
      const fate = random();
      if (fate < 0.2) throw new Error('lost on the way');
      // A copy of something older comes in between.
      const old = earlier[Math.floor(random() * earlier.length)];
      if (fate < 0.4 && old !== undefined) await take(member, old);
      const upTo = await take(member, delivery);
      if (fate > 0.8) throw new Error('the answer was lost');
      return upTo;
    };
    let made = outbox(send);
    const expected: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      expected.push(`envelope ${round}`);
      await made.add(peer, bytes(`envelope ${round}`));
      if (random() < 0.1) {
        await made.close();
        made = outbox(send);
        await made.start();
      }
      // The receiver is restored from a backup of an earlier time: its cursor and what came since are gone.
      if (random() < 0.05) {
        const row = await receiving.read.selectFrom('peer_inbox').select('up_to').executeTakeFirst();
        const upTo = Math.floor((row?.up_to ?? 0) / 2);
        await receiving.commit((tx) => tx.updateTable('peer_inbox').set({ up_to: upTo }).execute());
        for (const name of [...got].filter((one) => Number(one.split(' ')[1]) >= upTo)) got.delete(name);
        made.hurry(peer);
      }
      made.hurry(peer);
    }
    await made.add(peer, bytes('last'));
    await until(async () => {
      made.hurry(peer);
      return (await made.pending(peer)) === 0;
    }, 'everything');
    expect([...expected, 'last'].filter((one) => !got.has(one))).toEqual([]);
  });

  test('a sender that was restored from a backup begins a new epoch, and what it sends then still counts', async () => {
    const { got, take } = receiver();
    const before = outbox(take);
    for (const name of ['a', 'b', 'c']) await before.add(peer, bytes(name));
    await until(async () => (await before.pending(peer)) === 0, 'three');
    await before.close();
    const epochNow = () => store.read.selectFrom('peer_links').select('epoch').executeTakeFirstOrThrow();
    const { epoch } = await epochNow();
    // As the sender was before it sent b and c.
    await store.commit(async (tx) => {
      await tx.updateTable('peer_links').set({ last: 1, acknowledged: 1 }).execute();
      await tx.deleteFrom('peer_outbox').where('sequence', '>', 1).execute();
    });
    const after = outbox(take);
    await after.add(peer, bytes('d'));
    await until(async () => got.has('d') && (await after.pending(peer)) === 0, 'what came after the restore');
    await after.add(peer, bytes('e'));
    await until(async () => got.has('e') && (await after.pending(peer)) === 0, 'the next one');
    expect((await epochNow()).epoch).not.toBe(epoch);
    expect([...got].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('R-LED-8 what a receiver knows', () => {
  const take = (epoch: string, sequence: number, oldest: number, sender = peer) =>
    new PeerInbox(receiving).take(sender, { epoch, sequence, oldest });

  test('moves one by one, each sender for itself, and again from nothing in a new epoch', async () => {
    expect(await take('e1', 1, 1)).toEqual({ upTo: 1 });
    expect(await take('e1', 3, 1)).toEqual({ upTo: 1 });
    expect(await take('e1', 2, 1)).toEqual({ upTo: 2 });
    expect(await take('e1', 1, 1, other)).toEqual({ upTo: 1 });
    expect(await take('e1', 2, 1)).toEqual({ upTo: 2 });
    expect(await take('e2', 1, 1)).toEqual({ upTo: 1 });
    expect(await new PeerInbox(receiving).upTo(other)).toBe(1);
  });

  test('names what is lost for good, and what is not it does not pass over', async () => {
    await take('e1', 1, 1);
    expect(await take('e1', 9, 5)).toEqual({ upTo: 1 });
    expect(await take('e1', 5, 5)).toEqual({ upTo: 5, gap: { from: 2, to: 4 } });
    expect(await take('e1', 6, 5)).toEqual({ upTo: 6 });
  });
});
