import { type JsonValue, type LightBlock, lightBlockFromRpc, SalusError, verifyLightBlock } from '@salus/protocol';
import { CometErrorCodes, cometError } from './errors.ts';
import { signedBlocksCached, signedBlockWaitMsMax, validatorsPerPage } from './limits.ts';
import type { CometRpc } from './rpc.ts';

const retryMs = 50;

/**
 * Headers, votes and validator sets from CometBFT's block store. Everything is verified before it is used: a receipt
 * that this member gives out verifies, or is not given out.
 */
export class SignedBlocks {
  readonly #rpc: CometRpc;
  readonly #chain: string;
  readonly #cache = new Map<number, Promise<LightBlock>>();

  constructor(rpc: CometRpc, chain: string) {
    this.#rpc = rpc;
    this.#chain = chain;
  }

  /** The block of a height that this member has committed; waits while CometBFT is being restarted. */
  block(height: number): Promise<LightBlock> {
    const cached = this.#cache.get(height);
    if (cached) return cached;
    const reading = this.#patiently(() => this.#read(height));
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= signedBlocksCached && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(height, reading);
    reading.catch(() => this.#cache.delete(height));
    return reading;
  }

  async #read(height: number): Promise<LightBlock> {
    const [answer, validators] = await Promise.all([
      this.#rpc.call('commit', { height: String(height) }),
      this.#validators(height),
    ]);
    try {
      const block = lightBlockFromRpc(answer as JsonValue, validators);
      verifyLightBlock(block);
      if (block.header.chain !== this.#chain || block.header.height !== height) throw new Error('another block');
      return block;
    } catch (cause) {
      throw cometError('consensusAnswerInvalid', `block ${height}`, { cause });
    }
  }

  /** As CometBFT writes them, of all pages. */
  async #validators(height: number): Promise<JsonValue[]> {
    const validators: JsonValue[] = [];
    for (let page = 1; ; page += 1) {
      const params = { height: String(height), page: String(page), per_page: String(validatorsPerPage) };
      const answer = (await this.#rpc.call('validators', params)) as { total: string; validators: JsonValue[] };
      validators.push(...answer.validators);
      if (validators.length >= Number(answer.total) || answer.validators.length === 0) return validators;
    }
  }

  async #patiently<T>(read: () => Promise<T>): Promise<T> {
    const until = performance.now() + signedBlockWaitMsMax;
    for (;;) {
      try {
        return await read();
      } catch (error) {
        const waits: readonly number[] = [CometErrorCodes.consensusUnreachable, CometErrorCodes.consensusRefused];
        const isPassing = error instanceof SalusError && waits.includes(error.code);
        if (!isPassing || performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }
}
