import { utf8 } from './bytes.ts';
import { lightBlockFromJson, lightBlockToJson, readList, readObject } from './comet-json.ts';
import { canonicalJson, parseJsonStrict } from './json.ts';
import type { LightBlock } from './light.ts';
import { proofError } from './proof-errors.ts';

/** Where a light client keeps the blocks that it has verified. It is believed: nobody else may write to it. */
export interface LightStore {
  save(block: LightBlock): Promise<void>;
  at(height: number): Promise<LightBlock | undefined>;
  /** The highest block below the height. */
  before(height: number): Promise<LightBlock | undefined>;
  first(): Promise<LightBlock | undefined>;
  last(): Promise<LightBlock | undefined>;
  /** Removes the lowest blocks until no more than `count` are left. */
  prune(count: number): Promise<void>;
}

const storeFormat = 'salus-light-store/1';
/** A thousand blocks of a hundred validators. */
export const lightStoreBytesMax = 64 * 1024 * 1024;
const storeDepthMax = 8;

/** A store in memory, which can be written to a file and read again. */
export class MemoryLightStore implements LightStore {
  readonly #blocks = new Map<number, LightBlock>();

  constructor(blocks: readonly LightBlock[] = []) {
    for (const block of blocks) this.#blocks.set(block.header.height, block);
  }

  get heights(): number[] {
    return [...this.#blocks.keys()].sort((one, other) => one - other);
  }

  async save(block: LightBlock): Promise<void> {
    this.#blocks.set(block.header.height, block);
  }

  async at(height: number): Promise<LightBlock | undefined> {
    return this.#blocks.get(height);
  }

  async before(height: number): Promise<LightBlock | undefined> {
    return this.#blocks.get(this.heights.findLast((own) => own < height) ?? -1);
  }

  async first(): Promise<LightBlock | undefined> {
    return this.#blocks.get(this.heights[0] ?? -1);
  }

  async last(): Promise<LightBlock | undefined> {
    return this.#blocks.get(this.heights.at(-1) ?? -1);
  }

  async prune(count: number): Promise<void> {
    for (const height of this.heights.slice(0, Math.max(0, this.#blocks.size - count))) this.#blocks.delete(height);
  }

  /** Canonical JSON. */
  encode(): Uint8Array {
    const blocks = this.heights.map((height) => lightBlockToJson(this.#blocks.get(height) as LightBlock));
    return utf8(canonicalJson({ format: storeFormat, blocks }));
  }

  /** Throws `lightStoreForm`. What it holds is believed. */
  static decode(bytes: Uint8Array): MemoryLightStore {
    try {
      const value = parseJsonStrict(bytes, { bytesMax: lightStoreBytesMax, depthMax: storeDepthMax });
      const json = readObject(value, ['format', 'blocks']);
      if (json.format !== storeFormat) throw proofError('lightStoreForm');
      return new MemoryLightStore(readList(json.blocks).map(lightBlockFromJson));
    } catch (cause) {
      throw proofError('lightStoreForm', { cause });
    }
  }
}
