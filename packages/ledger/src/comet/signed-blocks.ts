import {
  checkValidators,
  type JsonValue,
  type LightBlock,
  lightBlockFromJson,
  SalusError,
  sortValidators,
  type Validator,
  VoteFlag,
  verifyLightBlock,
} from '@salus/protocol';
import { CometErrorCodes, cometError } from './errors.ts';
import { signedBlocksCached, signedBlockWaitMsMax, validatorsPerPage } from './limits.ts';
import type { CometRpc } from './rpc.ts';

/** CometBFT's JSON: hashes and addresses upper-case hex, keys and signatures base64, 64-bit numbers as text. */
type CometBlockId = { hash: string; parts: { total: number; hash: string } };
type CometVote = {
  block_id_flag: number;
  validator_address: string;
  timestamp: string;
  signature: string | null;
};
type CometSignedHeader = {
  header: Record<string, string> & { version: { block: string; app?: string }; last_block_id: CometBlockId };
  commit: { height: string; round: number; block_id: CometBlockId; signatures: CometVote[] };
};
type CometValidators = {
  total: string;
  validators: { pub_key: { type: string; value: string }; voting_power: string }[];
};

const retryMs = 50;
const HEADER_HASHES = {
  lastCommitHash: 'last_commit_hash',
  dataHash: 'data_hash',
  validatorsHash: 'validators_hash',
  nextValidatorsHash: 'next_validators_hash',
  consensusHash: 'consensus_hash',
  appHash: 'app_hash',
  lastResultsHash: 'last_results_hash',
  evidenceHash: 'evidence_hash',
  proposerAddress: 'proposer_address',
} as const;

function blockIdJson({ hash, parts }: CometBlockId): JsonValue {
  return { hash: hash.toLowerCase(), parts: { total: parts.total, hash: parts.hash.toLowerCase() } };
}

function base64url(text: string): string {
  return Buffer.from(text, 'base64').toString('base64url');
}

function voteJson({ block_id_flag: flag, validator_address: address, timestamp, signature }: CometVote): JsonValue {
  if (flag === VoteFlag.absent) return { flag };
  return { flag, address: address.toLowerCase(), time: timestamp, signature: base64url(signature ?? '') };
}

/** The same in the JSON that receipts have, which is read strictly. */
function signedJson({ header, commit }: CometSignedHeader): { header: JsonValue; commit: JsonValue } {
  const json: Record<string, JsonValue> = {
    version: { block: Number(header.version.block), app: Number(header.version.app ?? 0) },
    chain: header.chain_id ?? '',
    height: Number(header.height),
    time: header.time ?? '',
    lastBlockId: blockIdJson(header.last_block_id),
  };
  for (const [ours, theirs] of Object.entries(HEADER_HASHES)) json[ours] = (header[theirs] ?? '').toLowerCase();
  const votes = commit.signatures.map(voteJson);
  const blockId = blockIdJson(commit.block_id);
  return { header: json, commit: { height: Number(commit.height), round: commit.round, blockId, votes } };
}

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
      const { signed_header: signed } = answer as { signed_header: CometSignedHeader };
      const json = validators.map(({ publicKey, power }) => ({
        publicKey: Buffer.from(publicKey).toString('base64url'),
        power,
      }));
      const block = lightBlockFromJson({ ...signedJson(signed), validators: json });
      verifyLightBlock(block);
      if (block.header.chain !== this.#chain || block.header.height !== height) throw new Error('another block');
      return block;
    } catch (cause) {
      throw cometError('consensusAnswerInvalid', `block ${height}`, { cause });
    }
  }

  async #validators(height: number): Promise<Validator[]> {
    const validators: Validator[] = [];
    for (let page = 1; ; page += 1) {
      const params = { height: String(height), page: String(page), per_page: String(validatorsPerPage) };
      const answer = (await this.#rpc.call('validators', params)) as CometValidators;
      for (const { pub_key: key, voting_power: power } of answer.validators) {
        validators.push({ publicKey: new Uint8Array(Buffer.from(key.value, 'base64')), power: Number(power) });
      }
      if (validators.length >= Number(answer.total) || answer.validators.length === 0) break;
    }
    const sorted = sortValidators(validators);
    checkValidators(sorted);
    return sorted;
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
