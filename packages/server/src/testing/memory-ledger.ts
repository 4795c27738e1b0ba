import type { Event } from '@salus/api';
import { encodeCbor, parseTransaction, SalusError, sha256, toHex, utf8 } from '@salus/protocol';
import type {
  BlockEvents,
  CommittedBlock,
  CommittedResult,
  CommittedTransaction,
  FindInput,
  LedgerAccess,
} from '../node/ledger-access.ts';

/** Result code of a message `test/reject`. */
export const testRejectCode = 9_001;

function testEvents(types: readonly string[]): Event[] {
  return types.map((type, n) => ({ type: 'test/Seen', attributes: { n, type } }));
}

/**
 * A ledger in memory for tests of what stands above it: takes any well-formed transaction without asking who signed,
 * one block each. `test/reject` is rejected; state key `test/count` counts.
 */
export class MemoryLedger implements LedgerAccess {
  readonly chain: string;
  readonly #blocks: CommittedBlock[] = [];
  readonly #state = new Map<string, Uint8Array>();
  readonly #subscribers = new Set<() => void>();
  #seen = new Set<string>();
  isClosed = false;
  /** Makes the head look old. */
  ageMs = 0;

  constructor(chain: string) {
    this.chain = chain;
    this.addBlock([]);
  }

  addBlock(transactions: Omit<CommittedTransaction, 'height' | 'timeMs'>[]): CommittedBlock {
    const height = this.#blocks.length + 1;
    const timeMs = Date.now();
    const hash = toHex(sha256(utf8(`block ${height}`)));
    const whole = transactions.map((transaction) => ({ ...transaction, height, timeMs }));
    const block = { height, timeMs, hash, appHash: toHex(sha256(utf8(`app ${height}`))), transactions: whole };
    this.#blocks.push(block);
    for (const changed of this.#subscribers) changed();
    return block;
  }

  put(key: string, value: Parameters<typeof encodeCbor>[0]): void {
    this.#state.set(key, new Uint8Array([...new Uint8Array(17), ...encodeCbor(value)]));
  }

  head(): { height: number; timeMs: number; appHash: string } {
    const { height, timeMs, appHash } = this.#blocks.at(-1) as CommittedBlock;
    return { height, timeMs: timeMs - this.ageMs, appHash };
  }

  async submit(bytes: Uint8Array): Promise<CommittedResult> {
    const { hash, chain, payload, sender } = parseTransaction(bytes);
    if (chain !== this.chain) throw new SalusError(17, 'wrong chain');
    const name = toHex(hash);
    if (this.#seen.has(name)) throw new SalusError(1_005, 'replayed');
    this.#seen.add(name);
    const types = payload.messages.map((message) => message.type);
    const isRejected = types.includes('test/reject');
    const result = isRejected
      ? { code: testRejectCode, log: 'testRejected: do not.', events: [], outputs: [] }
      : { code: 0, log: '', events: testEvents(types), outputs: types.map(() => null) };
    this.put('test/count', this.#blocks.length);
    const transaction = { hash: name, index: 0, data: toHex(sha256(utf8(name))), sender, types, bytes, ...result };
    return this.addBlock([transaction]).transactions[0] as CommittedTransaction;
  }

  get(key: string): Uint8Array | undefined {
    return this.#state.get(key);
  }

  *iterate(prefix: string): Iterable<[string, Uint8Array]> {
    for (const key of [...this.#state.keys()].sort()) {
      const value = this.#state.get(key);
      if (key.startsWith(prefix) && value !== undefined) yield [key, value];
    }
  }

  async block(height: number): Promise<CommittedBlock | undefined> {
    return this.#blocks[height - 1];
  }

  async blockEvents(height: number): Promise<BlockEvents | undefined> {
    return this.#blocks[height - 1];
  }

  problem(): string | undefined {
    return undefined;
  }

  #transactions(): CommittedTransaction[] {
    return this.#blocks.flatMap((block) => block.transactions);
  }

  async transaction(hash: string): Promise<CommittedTransaction | undefined> {
    return this.#transactions().find((transaction) => transaction.hash === hash);
  }

  async receipt(hash: string, options: { stateKey?: string }): Promise<Uint8Array> {
    return utf8(JSON.stringify({ format: 'test-receipt', hash, ...options }));
  }

  async stateProof(key: string): Promise<Uint8Array> {
    return utf8(JSON.stringify({ format: 'test-proof', key, present: this.#state.has(key) }));
  }

  async find({ participant, type, after, limit }: FindInput): Promise<CommittedTransaction[]> {
    const isAfter = (one: CommittedTransaction): boolean =>
      after === undefined || one.height > after.height || (one.height === after.height && one.index > after.index);
    return this.#transactions()
      .filter((one) => participant === undefined || one.sender === participant)
      .filter((one) => type === undefined || one.types.includes(type))
      .filter(isAfter)
      .slice(0, limit);
  }

  async anchor(): Promise<Uint8Array> {
    return utf8(JSON.stringify({ format: 'test-anchor', chain: this.chain }));
  }

  subscribe(changed: () => void): () => void {
    this.#subscribers.add(changed);
    return () => void this.#subscribers.delete(changed);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}
