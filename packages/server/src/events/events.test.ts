import { connect } from 'node:net';
import { type LedgerEvent, routes, type StreamEvent, streamEvents } from '@salus/api';
import type { Transaction } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { publicStreamsMax } from '../http/event-stream.ts';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';
import { startTestNode, type TestNode } from '../testing/test-node.ts';
import { BlockFeed } from './block-feed.ts';
import { type BlockGap, DurableCursor, followBlocks } from './cursors.ts';

let node: TestNode;
beforeEach(async () => {
  node = await startTestNode({ heartbeatMs: 20 });
});
afterEach(async () => {
  await node.stop();
});

const hospital = () => node.node.organizations.get('hospital')!;
const submit = (messages = 1) => hospital().submit(Array.from({ length: messages }, () => ({ type: 'test/ok' })));

interface TakeInput {
  count: number;
  lastEventId?: string;
  query?: Record<string, unknown>;
  meanwhile?: () => Promise<unknown>;
}

/** Reads a stream until it has given so many events. */
async function take({ count, lastEventId, query, meanwhile }: TakeInput): Promise<StreamEvent[]> {
  const controller = new AbortController();
  const stream = streamEvents({ baseUrl: node.node.url }, routes.ledgerEvents, {
    lastEventId,
    query,
    signal: controller.signal,
  });
  const taken: StreamEvent[] = [];
  const first = stream.next();
  // The connection is open once the server counts it; what is committed from then on must arrive.
  while (meanwhile && node.node.app.metrics.openStreams && (await streams()) === 0) await pause(5);
  const work = meanwhile?.();
  for (let next = await first; next.done !== true; next = await stream.next()) {
    taken.push(next.value);
    if (taken.length === count) break;
  }
  await work;
  controller.abort();
  return taken;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const streams = async () => (await node.node.app.metrics.openStreams.get()).values[0]?.value ?? 0;

describe('R-LED-1 events of committed blocks', () => {
  test('arrive as they are committed, each block closed by its notice', async () => {
    const events = await take({ count: 5, meanwhile: async () => [await submit(2), await submit(1)] });
    const head = node.ledger.head().height;
    expect(events.map((one) => [one.id, one.event])).toEqual([
      [`${head - 1}.0`, 'event'],
      [`${head - 1}.1`, 'event'],
      [`${head - 1}.2`, 'block'],
      [`${head}.0`, 'event'],
      [`${head}.1`, 'block'],
    ]);
    const first = JSON.parse(events[0]!.data) as LedgerEvent;
    expect(first).toMatchObject({ type: 'test/Seen', index: 0, attributes: { n: 0, type: 'test/ok' } });
  });

  test('resume at every possible cursor without gap or repetition', async () => {
    for (let n = 0; n < 4; n += 1) await submit(n + 1);
    const total = 5 + 1 + 2 + 3 + 4;
    const all = await take({ count: total, query: { from: 'genesis' } });
    expect(all.at(-1)?.event).toBe('block');
    for (let at = 0; at < all.length - 1; at += 1) {
      const rest = await take({ count: all.length - at - 1, lastEventId: all[at]!.id });
      expect(rest).toEqual(all.slice(at + 1));
      const byQuery = await take({ count: 1, query: { lastEventId: all[at]!.id } });
      expect(byQuery).toEqual([all[at + 1]]);
    }
  });

  test('a stream that was cut under load is continued exactly where it was', async () => {
    const load = (async () => {
      for (let n = 0; n < 60; n += 1) await submit(1 + (n % 3));
    })();
    const seen: StreamEvent[] = await take({ count: 7, query: { from: 'genesis' } });
    while (seen.length < 150) seen.push(...(await take({ count: 13, lastEventId: seen.at(-1)!.id })));
    await load;
    const whole = await take({ count: seen.length, query: { from: 'genesis' } });
    expect(seen).toEqual(whole);
  });

  test.each(['x', '1', '-1.0', '1.0.0', '999999.0', '1e3.0'])('the cursor %s is refused', async (id) => {
    const response = await fetch(`${node.node.url}/api/events`, { headers: { 'last-event-id': id } });
    expect([response.status, ((await response.json()) as { code: number }).code]).toEqual([400, 632]);
  });

  test('a ledger without its first blocks says so, instead of beginning later', async () => {
    while (node.ledger.head().height < 80) await submit();
    const whole = node.ledger.blockEvents.bind(node.ledger);
    node.ledger.blockEvents = async (height) => (height < 7 ? undefined : await whole(height));
    try {
      for (const query of ['from=genesis', 'lastEventId=6.0']) {
        const response = await fetch(`${node.node.url}/api/events?${query}`);
        const { code, detail } = (await response.json()) as { code: number; detail: string };
        expect([response.status, code, detail]).toEqual([400, 632, expect.stringContaining('before 7')]);
      }
      const [first] = await take({ count: 1, lastEventId: '7.0' });
      expect(first?.id).toBe('7.1');
    } finally {
      node.ledger.blockEvents = whole;
    }
  });

  test('heartbeats keep an idle stream open, and stopping the node ends it', async () => {
    const response = await fetch(`${node.node.url}/api/events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes(': still here')) text += (await reader.read()).value;
    expect(text).toMatch(/^retry: \d+\n\n/);
    const ended = (async () => {
      while (!(await reader.read()).done);
    })();
    await node.node.stop();
    await ended;
  });

  test('a client that goes away frees its stream', async () => {
    await take({ count: 1, query: { from: 'genesis' } });
    for (let tries = 0; tries < 6_000 && (await streams()) > 0; tries += 1) await pause(10);
    expect(await streams()).toBe(0);
  });
});

describe('R-LED-5 private notices under a flood', () => {
  test('are still to be had while anybody holds all the public streams there may be', async () => {
    const quiet = await startTestNode({});
    const { port, hostname } = new URL(quiet.node.url);
    const open = () => {
      const socket = connect(Number(port), hostname);
      socket.write('GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n');
      return socket;
    };
    const sockets = Array.from({ length: publicStreamsMax }, open);
    const metric = async () => (await quiet.node.app.metrics.openStreams.get()).values[0]?.value ?? 0;
    for (let tries = 0; tries < 6_000 && (await metric()) < publicStreamsMax; tries += 1) await pause(10);
    expect((await fetch(`${quiet.node.url}/api/events`)).status).toBe(503);
    const { chain } = quiet;
    const token = await quiet.keysOf('hospital').token({ chain, subject: { kind: 'system' }, nowMs: Date.now() });
    const headers = { authorization: `Bearer ${token}` };
    const controller = new AbortController();
    const answer = await fetch(`${quiet.node.url}/org/hospital/notices`, { headers, signal: controller.signal });
    expect(answer.status).toBe(200);
    controller.abort();
    for (const socket of sockets) socket.destroy();
    for (let tries = 0; tries < 6_000 && (await metric()) > 0; tries += 1) await pause(10);
    const again = new AbortController();
    expect((await fetch(`${quiet.node.url}/api/events`, { signal: again.signal })).status).toBe(200);
    again.abort();
    await quiet.stop();
  });
});

describe('R-LED-5 private notices', () => {
  const bearer = async (slug: string, subject: { kind: 'system' } | { kind: 'patient'; id: string }) =>
    await node.keysOf(slug).token({ chain: node.chain, subject, nowMs: Date.now() });

  async function notices(count: number, token: string, lastEventId?: string): Promise<StreamEvent[]> {
    const controller = new AbortController();
    const options = { baseUrl: node.node.url, token: () => token };
    const input = { params: { slug: 'hospital' }, lastEventId, signal: controller.signal };
    const taken: StreamEvent[] = [];
    for await (const event of streamEvents(options, routes.notices, input)) {
      taken.push(event);
      if (taken.length === count) break;
    }
    controller.abort();
    return taken;
  }

  test('reach the staff of the organisation in order, and a client that was away', async () => {
    const board = hospital().notices;
    for (let n = 1; n <= 3; n += 1) {
      await board.emit({ topic: 'organization', type: 'request', data: { n } });
      await board.emit({ topic: 'did:salus:AAAAAAAAAAAAAAAAAAAAAAAAAAA', type: 'request', data: { n } });
    }
    const token = await bearer('hospital', { kind: 'system' });
    const seen = await notices(3, token, '0');
    expect(seen.map((one) => JSON.parse(one.data).data.n)).toEqual([1, 2, 3]);
    expect((await notices(1, token, seen[1]!.id)).map((one) => one.id)).toEqual([seen[2]!.id]);
  });

  test('end when the token expires', async () => {
    const token = await node
      .keysOf('hospital')
      .token({ chain: node.chain, subject: { kind: 'system' }, nowMs: Date.now(), lifeMs: 2_000 });
    const response = await fetch(`${node.node.url}/org/hospital/notices`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await response.text();
    expect(response.status).toBe(200);
  });

  test('are refused to others', async () => {
    const get = async (token: string, slug = 'hospital', headers = {}) => {
      const response = await fetch(`${node.node.url}/org/${slug}/notices`, {
        headers: { authorization: `Bearer ${token}`, ...headers },
      });
      return ((await response.json()) as { code: number }).code;
    };
    expect(await get(await bearer('clinic', { kind: 'system' }))).toBe(626);
    expect(await get(await bearer('hospital', { kind: 'patient', id: 'p1' }))).toBe(626);
    expect(await get(await bearer('hospital', { kind: 'system' }), 'nobody')).toBe(634);
    expect(await get(await bearer('hospital', { kind: 'system' }), 'hospital', { 'last-event-id': '5' })).toBe(632);
  });
});

/** An effect of a block, in a table that is there already. */
const note = (tx: Transaction<OrganizationTables>, topic: string, height: number) =>
  tx.insertInto('notices').values({ topic, type: 'test', time_ms: height, data: '{}' }).execute();
const noted = async (store: OrganizationStore, topic: string) => {
  const rows = await store.read.selectFrom('notices').select('time_ms').where('topic', '=', topic).execute();
  return rows.map((row) => row.time_ms);
};

describe('R-LED-8 followers with a durable cursor', () => {
  test('see every block once, whatever fails in between', async () => {
    const { store } = hospital();
    const follow = async (failAt: number): Promise<void> => {
      const controller = new AbortController();
      await followBlocks({
        feed: node.node.feed,
        store,
        name: 'test',
        signal: controller.signal,
        async handle({ height }, tx) {
          if (height === failAt) throw new Error('no');
          await note(tx, 'seen', height);
          if (height === node.ledger.head().height) controller.abort();
          return true;
        },
      });
    };
    for (let n = 0; n < 100; n += 1) await submit();
    await expect(follow(90)).rejects.toThrow('no');
    await submit();
    await follow(-1);
    const seen = await noted(store, 'seen');
    expect([seen.length, Math.max(...seen)]).toEqual([102, 102]);
    expect(await new DurableCursor(store, 'blocks/test').read()).toBe('102');
  });

  test('look again at blocks without an effect, of which many move the cursor together', async () => {
    const { store } = hospital();
    const cursor = new DurableCursor(store, 'blocks/quiet');
    const follow = async (effectAt: number): Promise<{ first: number | undefined; kept: number[] }> => {
      const controller = new AbortController();
      const kept: Promise<string | undefined>[] = [];
      let first: number | undefined;
      await followBlocks({
        feed: node.node.feed,
        store,
        name: 'quiet',
        signal: controller.signal,
        async handle({ height }, tx) {
          first ??= height;
          if (height === effectAt) await note(tx, 'effects', height);
          return height === effectAt;
        },
        passed(height) {
          kept.push(cursor.read());
          if (height === node.ledger.head().height) controller.abort();
        },
      });
      return { first, kept: (await Promise.all(kept)).map(Number) };
    };
    await submit();
    await store.commit((tx) => cursor.write(tx, String(node.ledger.head().height)));
    const start = node.ledger.head().height;
    await submit();
    expect(await follow(-1)).toEqual({ first: start + 1, kept: [start] });
    const next = node.ledger.head().height + 1;
    await submit();
    const second = await follow(next);
    expect([second.first, second.kept.at(-1)]).toEqual([start + 1, next]);
    await submit();
    expect((await follow(next)).first).toBe(next + 1);
    expect(await noted(store, 'effects')).toEqual([next]);
  });

  test('pass over blocks that are not at hand only where somebody makes up for them, and exactly those', async () => {
    const { store } = hospital();
    const { feed } = node.node;
    while (feed.head() < 120) await submit();
    await store.commit((tx) => new DurableCursor(store, 'blocks/gap').write(tx, '10'));
    // As after a snapshot: nothing before block 77 is here.
    const from77 = new BlockFeed(node.ledger);
    const block = from77.block.bind(from77);
    from77.block = async (height) => (height < 77 ? undefined : await block(height));
    const follow = async (makeUp?: (gap: BlockGap) => Promise<void>): Promise<number[]> => {
      const controller = new AbortController();
      const seen: number[] = [];
      const handle = async ({ height }: { height: number }): Promise<boolean> => {
        seen.push(height);
        if (height === node.ledger.head().height) controller.abort();
        return false;
      };
      const { signal } = controller;
      await followBlocks({ feed: from77, store, name: 'gap', signal, handle, ...(makeUp && { makeUp }) });
      return seen;
    };
    await expect(follow()).rejects.toThrow('block 11 is missing');
    const failing = async (): Promise<void> => {
      throw new Error('no state');
    };
    await expect(follow(failing)).rejects.toThrow('no state');
    const gaps: BlockGap[] = [];
    const seen = await follow(async (gap) => void gaps.push(gap));
    expect(gaps).toEqual([{ from: 11, to: 76 }]);
    expect([seen[0], seen.at(-1), seen.length]).toEqual([77, feed.head(), feed.head() - 76]);
    from77.close();
  });
});
