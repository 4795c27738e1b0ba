import { join } from 'node:path';
import { utf8Text } from '@salus/protocol';
import { parseSealed, sealedAddress } from '@salus/vault';
import type { Transaction } from 'kysely';
import { RuleFault } from '../http/problems.ts';
import type { Store } from '../store/database.ts';
import { openStore, type StoreInput, type StoreLocation } from '../store/location.ts';
import type { ExchangeTables } from '../store/tables.ts';
import { AccessErrorCodes } from './errors.ts';

/** Envelopes that claim the same commitment: anybody may claim one, so a few are kept and the reader checks each. */
export const envelopesPerCommitmentMax = 64;
/** Of one sender fewer, so that nobody fills the place before the right one comes. */
export const envelopesPerSenderMax = 8;

/**
 * Of one sender so many that no organisation here has opened, within the time after which they no longer count. Who sends what
 * the ledger speaks of is never held up for longer than the ledger is behind: it is opened as its block comes. What nobody
 * opens (a transaction that was refused, a payload for a wallet alone) must not shut an honest sender out for good.
 */
export const unopenedPerSenderMax = 1_000;
export const unopenedCountedMs = 86_400_000;

const migrations = [
  {
    name: '0001-exchange',
    sql: `
      CREATE TABLE sealed (
        commitment TEXT NOT NULL,
        address TEXT NOT NULL,
        envelope BLOB NOT NULL,
        PRIMARY KEY (commitment, address)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    name: '0002-sender',
    sql: "ALTER TABLE sealed ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
  },
  {
    name: '0003-unopened',
    sql: `
      ALTER TABLE sealed ADD COLUMN unopened_since_ms INTEGER;
      CREATE INDEX sealed_unopened ON sealed (sender, unopened_since_ms) WHERE unopened_since_ms IS NOT NULL;
    `,
  },
];

/** No organisation can be called this. */
const exchangeName = '_exchange';

/** Where the envelopes of a node lie. */
export function exchangeStore(location: StoreLocation, dataRoot: string): StoreInput {
  const file = join(dataRoot, 'exchange', 'sealed.sqlite');
  return { location, file, name: exchangeName, owner: 'exchange', migrations };
}

/**
 * Sealed payloads that wait for their parties, found by the commitment that stands on the ledger. The node that keeps
 * them can read none that is not sealed to an organisation of its own.
 */
export class Exchange {
  readonly #store: Store<ExchangeTables>;
  readonly #listeners: (() => void)[] = [];
  readonly #clockMs: () => number;

  private constructor(store: Store<ExchangeTables>, clockMs: () => number) {
    this.#store = store;
    this.#clockMs = clockMs;
  }

  /** Throws as `openStore` does. */
  static async open(location: StoreLocation, dataRoot: string, clockMs: () => number): Promise<Exchange> {
    const input = exchangeStore(location, dataRoot);
    return new Exchange(await openStore<ExchangeTables>(input), clockMs);
  }

  /**
   * Durable when it resolves. Throws the vault's error for what is no envelope, and `exchangeFull` where too much of the
   * sender waits: nothing was kept, and the same is taken later. `sender`: whose token brought it; none is this node itself.
   */
  async put(bytes: Uint8Array, sender = ''): Promise<{ commitment: string; address: string }> {
    const { commitment } = parseSealed(bytes);
    const address = sealedAddress(bytes);
    await this.#store.commit(async (tx) => {
      // At most `envelopesPerCommitmentMax`: they are counted here.
      const kept = await tx
        .selectFrom('sealed')
        .select(['address', 'sender'])
        .where('commitment', '=', commitment)
        .execute();
      if (kept.some((one) => one.address === address) || kept.length >= envelopesPerCommitmentMax) return;
      if (kept.filter((one) => one.sender === sender).length >= envelopesPerSenderMax) return;
      const nowMs = this.#clockMs();
      if (sender !== '' && (await unopened(tx, sender, nowMs)) >= unopenedPerSenderMax) {
        throw new RuleFault(AccessErrorCodes.exchangeFull);
      }
      const row = { commitment, address, envelope: bytes, sender, unopened_since_ms: nowMs };
      await tx.insertInto('sealed').values(row).execute();
    });
    for (const arrived of this.#listeners) arrived();
    return { commitment, address };
  }

  /** An organisation here has opened it: it counts against its sender no longer. */
  async opened(commitment: string, bytes: Uint8Array): Promise<void> {
    const address = sealedAddress(bytes);
    const here = this.#store.read.selectFrom('sealed').select('unopened_since_ms').where('commitment', '=', commitment);
    const row = await here.where('address', '=', address).executeTakeFirst();
    if (row === undefined || row.unopened_since_ms === null) return;
    await this.#store.commit(async (tx) => {
      const query = tx.updateTable('sealed').set({ unopened_since_ms: null }).where('commitment', '=', commitment);
      await query.where('address', '=', address).execute();
    });
  }

  /** Calls back after each envelope that was kept. */
  listen(arrived: () => void): void {
    this.#listeners.push(arrived);
  }

  async get(commitment: string): Promise<Uint8Array[]> {
    const rows = this.#store.read.selectFrom('sealed').select('envelope').where('commitment', '=', commitment);
    return (await rows.orderBy('address').execute()).map(({ envelope }) => envelope);
  }

  /** The envelopes as JSON values, for the answer to a request. */
  async envelopes(commitment: string): Promise<unknown[]> {
    return (await this.get(commitment)).map((bytes) => JSON.parse(utf8Text(bytes)));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

async function unopened(tx: Transaction<ExchangeTables>, sender: string, nowMs: number): Promise<number> {
  const rows = tx.selectFrom('sealed').select(({ fn }) => fn.countAll<number>().as('count'));
  const counted = rows.where('sender', '=', sender).where('unopened_since_ms', '>', nowMs - unopenedCountedMs);
  return (await counted.executeTakeFirstOrThrow()).count;
}
