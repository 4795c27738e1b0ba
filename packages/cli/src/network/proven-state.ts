import { type Client, createClient } from '@salus/api';
import type { StateReader } from '@salus/contracts';
import type { CborValue } from '@salus/protocol';
import { provenEntry, type Trust } from '../wallet/proofs.ts';

/** The chain moved on between two reads so often that what was read is of several blocks. */
const triesMax = 3;

class Missing extends Error {
  readonly key: string;
  constructor(key: string) {
    super(key);
    this.key = key;
  }
}

/** What was read, and the blocks after which all of it was proven: one block, unless the chain moved on all the time. */
export type ReadAt<T> = { value: T; height: number; firstHeight: number; timeMs: number };

/** The state of a ledger as its proofs show it, for the contracts' own queries. Every value is proven under the anchor. */
export class ProvenState {
  readonly #client: Client;
  readonly #trust: Trust;

  constructor(baseUrl: string, anchor: string) {
    this.#client = createClient({ baseUrl });
    this.#trust = { anchor };
  }

  /**
   * Asks a query as if the state were here: it is asked again and again, and each time gets further by one key, which is
   * fetched with its proof. `nowMs` is not before the latest block.
   */
  async read<T>(ask: (reader: StateReader, nowMs: number) => T): Promise<ReadAt<T>> {
    for (let tries = 1; ; tries += 1) {
      const found = await this.#readOnce(ask);
      if (found.firstHeight === found.height || tries >= triesMax) return found;
    }
  }

  async #readOnce<T>(ask: (reader: StateReader, nowMs: number) => T): Promise<ReadAt<T>> {
    const known = new Map<string, CborValue | undefined>();
    const reader: StateReader = {
      get: <V>(key: string): V | undefined => {
        if (!known.has(key)) throw new Missing(key);
        return known.get(key) as V | undefined;
      },
    };
    const at = { height: 0, firstHeight: Number.MAX_SAFE_INTEGER, timeMs: 0 };
    for (;;) {
      try {
        return { value: ask(reader, Math.max(at.timeMs, Date.now())), ...at };
      } catch (missing) {
        if (!(missing instanceof Missing)) throw missing;
        const { value, height, timeMs } = await provenEntry(this.#client, this.#trust, missing.key);
        known.set(missing.key, value);
        at.height = Math.max(at.height, height);
        at.firstHeight = Math.min(at.firstHeight, height);
        at.timeMs = Math.max(at.timeMs, timeMs);
      }
    }
  }
}
