import type { Did } from '@salus/protocol';
import { randomId } from '@salus/protocol';
import type { Kysely, Transaction } from 'kysely';
import type { OrganizationStore, OrganizationTables } from '../store/tables.ts';

/** Deliveries that are kept after they arrived, for a receiver that lost them and says so. */
export const deliveredKeptMax = 1_000;
export const retryDelayMsMin = 250;
export const retryDelayMsMax = 60_000;
const doublingsMax = 8;
/** A delivery that waits for longer is something that somebody should hear of. */
const overdueAfterMs = 30_000;

export interface Delivery {
  epoch: string;
  sequence: number;
  /** The first one that is still here. */
  oldest: number;
  envelope: Uint8Array;
}

interface Link {
  epoch: string;
  last: number;
  acknowledged: number;
}

interface OutboxParts {
  store: OrganizationStore;
  /** Gives up to where nothing is missing at the receiver; throws where nobody knows. */
  send(peer: Did, delivery: Delivery): Promise<number>;
  clockMs(): number;
  /** Told once, until something arrives again, that a member has not been reached for a while. */
  overdue(peer: Did): void;
  onError(error: unknown): void;
}

function retryDelayMs(failures: number): number {
  return Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(failures, doublingsMax));
}

/**
 * What one organisation sends to the nodes of others: kept durably and numbered per receiver before anything is sent, sent
 * in order, and again until the receiver says that it has it. A receiver that does not answer holds up nobody else.
 *
 * The receiver's word alone moves the cursor, in both directions: what it lost is sent again. Where it knows of more than
 * was ever sent, this side is the one that forgot (a restored backup): it numbers what it has anew, in a new epoch.
 */
export class PeerOutbox {
  readonly #parts: OutboxParts;
  readonly #abort = new AbortController();
  readonly #running = new Map<Did, Promise<void>>();
  /** Whose deliveries became more while the last one was on its way. */
  readonly #again = new Set<Did>();
  readonly #pauses = new Map<Did, () => void>();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Durable when it resolves; it is sent from then on. */
  async add(peer: Did, envelope: Uint8Array): Promise<void> {
    const { store, clockMs } = this.#parts;
    await store.commit(async (tx) => {
      const { last } = (await linkOf(tx, peer)) ?? (await newLink(tx, peer));
      const sequence = last + 1;
      await tx.updateTable('peer_links').set({ last: sequence }).where('peer', '=', peer).execute();
      await tx.insertInto('peer_outbox').values({ peer, sequence, since_ms: clockMs(), envelope }).execute();
    });
    this.#run(peer);
  }

  /** Goes on with everything that an earlier run of the node left. */
  async start(): Promise<void> {
    const links = await this.#parts.store.read.selectFrom('peer_links').select('peer').execute();
    for (const { peer } of links) this.#run(peer as Did);
  }

  /** Tries a member again at once: its address has changed, or it has been heard of. */
  hurry(peer: Did): void {
    this.#pauses.get(peer)?.();
  }

  /** A member says by itself up to where it has everything; of another epoch it says nothing that counts here. */
  async hear(peer: Did, epoch: string, upTo: number): Promise<void> {
    if ((await linkOf(this.#parts.store.read, peer)) === undefined) return;
    await this.#acknowledge(peer, epoch, upTo);
    this.hurry(peer);
    this.#run(peer);
  }

  /** Deliveries that a member has not confirmed. */
  async pending(peer: Did): Promise<number> {
    const { read } = this.#parts.store;
    const { acknowledged } = (await linkOf(read, peer)) ?? unknownLink;
    const query = read.selectFrom('peer_outbox').where('peer', '=', peer).where('sequence', '>', acknowledged);
    return (await query.select(({ fn }) => fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).n;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    for (const wake of this.#pauses.values()) wake();
    await Promise.all(this.#running.values());
  }

  #run(peer: Did): void {
    if (this.#abort.signal.aborted) return;
    if (this.#running.has(peer)) this.#again.add(peer);
    else this.#running.set(peer, this.#deliverAll(peer));
  }

  async #deliverAll(peer: Did): Promise<void> {
    do {
      this.#again.delete(peer);
      try {
        await this.#deliver(peer);
      } catch (error) {
        // The store does not answer: what waits there is not given up.
        this.#parts.onError(error);
        this.#again.add(peer);
        await this.#pause(peer, retryDelayMsMax);
      }
    } while (this.#again.has(peer) && !this.#abort.signal.aborted);
    this.#running.delete(peer);
  }

  /** The first delivery that the receiver has not confirmed. */
  async #next(peer: Did): Promise<{ delivery: Delivery; sinceMs: number } | undefined> {
    if (this.#abort.signal.aborted) return undefined;
    const { read } = this.#parts.store;
    const link = await linkOf(read, peer);
    if (link === undefined) return undefined;
    const sent = read.selectFrom('peer_outbox').where('peer', '=', peer);
    const row = await sent.selectAll().where('sequence', '>', link.acknowledged).orderBy('sequence').executeTakeFirst();
    if (row === undefined) return undefined;
    const oldest = (await sent.select('sequence').orderBy('sequence').executeTakeFirst())?.sequence ?? row.sequence;
    const { sequence, envelope, since_ms: sinceMs } = row;
    return { delivery: { epoch: link.epoch, sequence, oldest, envelope }, sinceMs };
  }

  async #deliver(peer: Did): Promise<void> {
    let isTold = false;
    let failures = 0;
    for (let next = await this.#next(peer); next !== undefined; next = await this.#next(peer)) {
      try {
        const upTo = await this.#parts.send(peer, next.delivery);
        await this.#acknowledge(peer, next.delivery.epoch, upTo);
        isTold = false;
        if (upTo === next.delivery.sequence) {
          failures = 0;
          continue;
        }
        // Numbers begin anew, or something is sent again: a receiver that always says so is not asked without a pause.
        await this.#pause(peer, retryDelayMs(failures));
        failures += 1;
      } catch {
        // Why a receiver does not answer is its operator's business: this side waits, and says so when it takes long.
        if (!isTold && this.#parts.clockMs() - next.sinceMs >= overdueAfterMs) {
          isTold = true;
          this.#parts.overdue(peer);
        }
        await this.#pause(peer, retryDelayMs(failures));
        failures += 1;
      }
    }
  }

  async #acknowledge(peer: Did, epoch: string, upTo: number): Promise<void> {
    await this.#parts.store.commit(async (tx) => {
      const link = await linkOf(tx, peer);
      if (link === undefined || link.epoch !== epoch) return;
      if (upTo > link.last) {
        await beginAnew(tx, peer, link);
        return;
      }
      await tx.updateTable('peer_links').set({ acknowledged: upTo }).where('peer', '=', peer).execute();
      const arrived = tx.deleteFrom('peer_outbox').where('peer', '=', peer);
      await arrived.where('sequence', '<=', upTo - deliveredKeptMax).execute();
    });
  }

  #pause(peer: Did, delayMs: number): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(peer);
        resolve();
      };
      const timer = setTimeout(wake, delayMs);
      timer.unref();
      this.#pauses.set(peer, wake);
    });
  }
}

const unknownLink = { acknowledged: 0 };

async function linkOf(db: Kysely<OrganizationTables>, peer: Did): Promise<Link | undefined> {
  return await db.selectFrom('peer_links').selectAll().where('peer', '=', peer).executeTakeFirst();
}

async function newLink(tx: Transaction<OrganizationTables>, peer: Did): Promise<Link> {
  const link: Link = { epoch: randomId(), last: 0, acknowledged: 0 };
  await tx
    .insertInto('peer_links')
    .values({ peer, ...link })
    .execute();
  return link;
}

/** Numbers everything that is here from 1 on: which of it the receiver has, it will recognise by the content. */
async function beginAnew(tx: Transaction<OrganizationTables>, peer: Did, { last }: Link): Promise<void> {
  const rows = await tx
    .selectFrom('peer_outbox')
    .select('sequence')
    .where('peer', '=', peer)
    .orderBy('sequence')
    .execute();
  const renumber = async (from: number, to: number): Promise<void> => {
    const query = tx.updateTable('peer_outbox').set({ sequence: to });
    await query.where('peer', '=', peer).where('sequence', '=', from).execute();
  };
  // By way of numbers that none has: a number can stand there once only.
  for (const [index, { sequence }] of rows.entries()) await renumber(sequence, last + 1 + index);
  for (const [index] of rows.entries()) await renumber(last + 1 + index, index + 1);
  const link: Link = { epoch: randomId(), last: rows.length, acknowledged: 0 };
  await tx.updateTable('peer_links').set(link).where('peer', '=', peer).execute();
}

/** How many deliveries to other members have not arrived yet, and since when the oldest of them waits. */
export async function peerBacklog(store: OrganizationStore): Promise<{ pending: number; sinceMs: number | undefined }> {
  const { pending, since } = await store.read
    .selectFrom('peer_outbox')
    .innerJoin('peer_links', 'peer_links.peer', 'peer_outbox.peer')
    .whereRef('sequence', '>', 'acknowledged')
    .select(({ fn }) => [fn.countAll<number>().as('pending'), fn.min('since_ms').as('since')])
    .executeTakeFirstOrThrow();
  return { pending, sinceMs: since ?? undefined };
}
