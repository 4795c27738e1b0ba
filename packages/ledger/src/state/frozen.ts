import { sortedParts } from './flush.ts';
import type { Unflushed } from './layer.ts';
import type { ReplayIndex } from './replay-index.ts';
import type { PinnedStore, Store } from './store.ts';

/** Changed keys are sorted a part at a time while they are read. */
const sortPartEntries = 1_000;

export type FrozenHead = { height: number; timeMs: number; appHash: Uint8Array };

/**
 * The durable state as of one moment, while blocks go on: a read transaction of the store, and over it what was durable
 * and not yet flushed then. The store may have been in the middle of a flush: whatever it has of that is over it too,
 * with the same values. Must be released, or the store cannot reuse space.
 */
export class FrozenState {
  readonly head: FrozenHead;
  readonly #store: PinnedStore;
  readonly #over = new Map<string, Uint8Array | null>();
  readonly #ids = new Map<number, Iterable<Uint8Array>>();

  constructor(store: Store, layers: readonly Unflushed[], replay: ReplayIndex, head: FrozenHead) {
    this.head = head;
    this.#store = store.pin();
    for (const { writes } of layers) for (const [key, stored] of writes) this.#over.set(key, stored);
    for (const minute of replay.minutes()) this.#ids.set(minute, replay.ids(minute));
  }

  get(key: string): Uint8Array | undefined {
    const stored = this.#over.get(key);
    return stored === undefined ? this.#store.getState(key) : (stored ?? undefined);
  }

  /** Everything, ascending by key. */
  *entries(): Iterable<[key: string, stored: Uint8Array]> {
    const changes = this.#changes();
    let change = changes.next();
    for (const [key, stored] of this.#store.rangeState()) {
      for (; !change.done && change.value[0] < key; change = changes.next()) yield* present(change.value);
      if (!change.done && change.value[0] === key) {
        yield* present(change.value);
        change = changes.next();
      } else yield [key, stored];
    }
    for (; !change.done; change = changes.next()) yield* present(change.value);
  }

  /** Used ids of a minute in order of use; behind them may stand those of later blocks. Once per minute. */
  ids(minute: number): Iterable<Uint8Array> {
    return this.#ids.get(minute) ?? [];
  }

  release(): void {
    this.#store.release();
  }

  *#changes(): Generator<[string, Uint8Array | null], undefined> {
    for (const part of sortedParts([...this.#over.keys()], sortPartEntries)) {
      for (const key of part) yield [key, this.#over.get(key) ?? null];
    }
    return undefined;
  }
}

function* present([key, stored]: [string, Uint8Array | null]): Iterable<[string, Uint8Array]> {
  if (stored) yield [key, stored];
}
