import { ApiErrorCodes, routes } from '@salus/api';
import type { Requester } from '../../auth/requester.ts';
import type { BlockFeed } from '../../events/block-feed.ts';
import { type NoticeBoard, organizationTopic } from '../../events/notices.ts';
import type { Position } from '../../node/ledger-access.ts';
import { type EventStream, type EventStreams, lastEventId } from '../event-stream.ts';
import type { Mounter } from '../mount.ts';
import { ApiFault } from '../problems.ts';

/** Blocks that a stream passes on before it lets other work of the process go first. */
const blocksPerTurn = 32;

export interface EventDependencies {
  feed: BlockFeed;
  streams: EventStreams;
  noticeBoard(slug: string): { did: string; board: NoticeBoard } | undefined;
}

function parsePosition(text: string): Position {
  const match = /^(\d{1,15})\.(\d{1,9})$/.exec(text);
  if (match === null) throw new ApiFault(ApiErrorCodes.cursorInvalid);
  return { height: Number(match[1]), index: Number(match[2]) };
}

/** Sends everything after `seen`, block by block, until the stream ends. */
async function sendBlocks(stream: EventStream, feed: BlockFeed, seen: Position): Promise<void> {
  let { height, index } = seen;
  for (let turn = 1; !stream.signal.aborted; turn += 1) {
    if (height > feed.head()) await feed.above(height - 1, stream.signal);
    const block = stream.signal.aborted ? undefined : await feed.block(height);
    if (block !== undefined) {
      for (const event of block.events.slice(index)) {
        await stream.send({ id: `${height}.${event.index}`, event: 'event', data: event });
      }
      const end = block.events.length;
      const { timeMs, transactions } = block;
      // The block's own notice has the place after its last event.
      if (index <= end) {
        await stream.send({
          id: `${height}.${end}`,
          event: 'block',
          data: { height, timeMs, transactions, events: end },
        });
      }
    } else if (!stream.signal.aborted && height > 0) return;
    height += 1;
    index = 0;
    if (turn % blocksPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The first place that the client has not seen. */
function startOf(cursor: string | undefined, from: string | undefined, head: number): Position {
  if (cursor === undefined) return from === 'genesis' ? { height: 1, index: 0 } : { height: head + 1, index: 0 };
  const seen = parsePosition(cursor);
  if (seen.height > head) throw new ApiFault(ApiErrorCodes.cursorInvalid);
  return { height: seen.height, index: seen.index + 1 };
}

/** A ledger that began with a snapshot has no block before it: who wants those must not take what follows for all. */
async function refuseGap(feed: BlockFeed, { height }: Position): Promise<void> {
  if (height > feed.head() || (await feed.block(height)) !== undefined) return;
  const first = await feed.firstAbove(height);
  const detail = `Blocks before ${first ?? feed.head() + 1} are not here: ask another member for them.`;
  throw new ApiFault(ApiErrorCodes.cursorInvalid, { detail });
}

async function sendNotices(stream: EventStream, board: NoticeBoard, topic: string, seen: number): Promise<void> {
  let seq = seen;
  while (!stream.signal.aborted) {
    const { wakes } = board;
    const notices = await board.after(topic, seq);
    for (const notice of notices) {
      await stream.send({ id: String(notice.seq), event: notice.type, data: notice });
      seq = notice.seq;
    }
    if (notices.length === 0) await board.more(stream.signal, wakes);
  }
}

/** Staff follow the organisation's notices, a wallet its own; somebody else's patient or staff member none. */
function topicOf(requester: Requester, organization: { did: string }): string {
  if (requester.kind === 'wallet') return requester.did;
  if (requester.organization.did === organization.did && requester.subject.kind !== 'patient') return organizationTopic;
  throw new ApiFault(ApiErrorCodes.tokenNotAllowed);
}

function noticeStart(cursor: string | undefined, latest: number): number {
  if (cursor === undefined) return latest;
  if (!/^\d{1,15}$/.test(cursor) || Number(cursor) > latest) throw new ApiFault(ApiErrorCodes.cursorInvalid);
  return Number(cursor);
}

export function mountEvents({ mount }: Mounter, { feed, streams, noticeBoard }: EventDependencies): void {
  mount(routes.ledgerEvents, async ({ request, reply, query }) => {
    const start = startOf(lastEventId(request, query), query.from, feed.head());
    await refuseGap(feed, start);
    return streams.serve(request, reply, (stream) => sendBlocks(stream, feed, start));
  });

  mount(routes.notices, async ({ request, reply, params, query, requester }) => {
    const organization = noticeBoard(params.slug);
    if (organization === undefined) throw new ApiFault(ApiErrorCodes.organizationUnknown);
    const topic = topicOf(requester, organization);
    const { board } = organization;
    const start = noticeStart(lastEventId(request, query), await board.latest());
    const produce = (stream: EventStream): Promise<void> => sendNotices(stream, board, topic, start);
    return streams.serve(request, reply, produce, requester.expiresMs);
  });
}
