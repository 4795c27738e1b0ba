import { type Commit, type Header, sha256 } from '@salus/protocol';
import { ledgerError } from './errors.ts';
import { decodeResults, decodeSigned, type ResultJson } from './log/block-codec.ts';
import { decodeRecord } from './log/record.ts';
import { type LogScan, readBlock } from './log/segment.ts';
import type { StateStore } from './state/state-store.ts';

/** What a block did, as it is read back from the log. */
export type BlockContent = {
  height: number;
  timeMs: number;
  /** Root of the state after this block. */
  appHash: Uint8Array;
  transactions: Uint8Array[];
  results: ResultJson[];
  /** Of the transactions, lower-case hex, where they are known without reading the block. */
  hashes?: readonly string[];
};
export type SignedHeader = { header: Header; commit: Commit };
export type Block = BlockContent & SignedHeader;

/** Header and votes of a block that is in the log; `signed` is what the log keeps of them. */
export type SignedSource = (height: number, signed: string) => SignedHeader | Promise<SignedHeader>;
type Logged = BlockContent & { signed: string };

const cacheBlocks = 16;

function remember<T>(cache: Map<number, Promise<T>>, height: number, reading: Promise<T>): Promise<T> {
  const [oldest] = cache.keys();
  if (cache.size >= cacheBlocks && oldest !== undefined) cache.delete(oldest);
  cache.set(height, reading);
  reading.catch(() => cache.delete(height));
  return reading;
}

export class BlockReader {
  readonly #scan: LogScan;
  readonly #state: StateStore;
  readonly #signedSource: SignedSource;
  readonly #contents = new Map<number, Promise<Logged>>();
  readonly #blocks = new Map<number, Promise<Block>>();

  constructor(
    scan: LogScan,
    state: StateStore,
    signedSource: SignedSource = (_height, signed) => decodeSigned(signed),
  ) {
    this.#scan = scan;
    this.#state = state;
    this.#signedSource = signedSource;
  }

  /** A block that was just committed, and that whoever follows the chain asks for at once. */
  note(content: BlockContent, signed: string): void {
    void remember(this.#contents, content.height, Promise.resolve({ ...content, signed }));
  }

  /** Undefined where there is no such block (yet). */
  async block(height: number): Promise<Block | undefined> {
    const cached = this.#blocks.get(height);
    if (cached) return cached;
    const content = this.#content(height);
    return content && remember(this.#blocks, height, this.#withHeader(content));
  }

  async existing(height: number): Promise<Block> {
    const block = await this.block(height);
    if (!block) throw ledgerError('blockNotHere', `height ${height}`);
    return block;
  }

  /** Without header and votes, which may have to come from elsewhere. */
  async content(height: number): Promise<BlockContent | undefined> {
    return this.#content(height);
  }

  async existingContent(height: number): Promise<BlockContent> {
    const content = await this.#content(height);
    if (!content) throw ledgerError('blockNotHere', `height ${height}`);
    return content;
  }

  #content(height: number): Promise<Logged> | undefined {
    const cached = this.#contents.get(height);
    if (cached) return cached;
    const location = this.#state.location(height);
    if (!location) return undefined;
    const reading = readBlock(this.#scan, location, height).then((payload) => {
      const { timeMs, signed, appHash, transactions, results } = decodeRecord(payload);
      return {
        height,
        timeMs,
        signed,
        appHash,
        transactions: [...transactions],
        results: decodeResults(results),
      };
    });
    return remember(this.#contents, height, reading);
  }

  async #withHeader(reading: Promise<Logged>): Promise<Block> {
    const { signed, ...content } = await reading;
    return { ...content, ...(await this.#signedSource(content.height, signed)) };
  }
}

export function transactionHashes(block: Pick<Block, 'transactions'>): Uint8Array[] {
  return block.transactions.map((bytes) => sha256(bytes));
}
