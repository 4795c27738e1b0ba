import type { TransactionResult } from '@salus/contracts';
import {
  addressOf,
  appProtocolVersion,
  type BlockId,
  blockIdOf,
  blockProtocolVersion,
  type Commit,
  commitHash,
  consensusHash,
  dataHash,
  ed25519PublicKey,
  evidenceHashNone,
  type Header,
  resultsHash,
  signVote,
  timestampOfMs,
  type Validator,
  validatorsHash,
  zeroBlockId,
} from '@salus/protocol';

/** ADR 1: what `consensus_hash` covers. */
const consensusBlockBytesMax = 4 * 1024 * 1024;
const consensusBlockGasMax = -1;

/** The chain's end, as the next block's header continues it. */
export type ChainTip = {
  height: number;
  timeMs: number;
  blockId: BlockId;
  commit: Commit;
  appHash: Uint8Array;
  resultsHash: Uint8Array;
  /** Whether the last block changed the state or had results: then the next header proves something new. */
  isUnproven: boolean;
};

export type BuiltBlock = { header: Header; commit: Commit };

/** Before the first block: the genesis state's root is the first header's application hash. */
export function genesisTip(timeMs: number, appHash: Uint8Array): ChainTip {
  return {
    height: 0,
    timeMs,
    blockId: zeroBlockId,
    commit: { height: 0, round: 0, blockId: zeroBlockId, votes: [] },
    appHash,
    resultsHash: resultsHash([]),
    isUnproven: true,
  };
}

export function resultsHashOf(results: readonly Pick<TransactionResult, 'code' | 'data' | 'cost'>[]): Uint8Array {
  return resultsHash(results.map(({ code, data, cost }) => ({ code, data, gasWanted: cost, gasUsed: cost })));
}

/** Makes and signs blocks for the one validator of the embedded engine, in CometBFT's format. */
export class BlockBuilder {
  readonly validators: readonly Validator[];
  readonly #chain: string;
  readonly #key: { seed: Uint8Array; publicKey: Uint8Array };
  readonly #address: Uint8Array;
  readonly #validatorsHash: Uint8Array;
  readonly #consensusHash = consensusHash(consensusBlockBytesMax, consensusBlockGasMax);

  constructor(chain: string, seed: Uint8Array, validators: readonly Validator[]) {
    const publicKey = ed25519PublicKey(seed);
    this.#chain = chain;
    this.#key = { seed, publicKey };
    this.#address = addressOf(publicKey);
    this.validators = validators;
    this.#validatorsHash = validatorsHash(validators);
  }

  build(tip: ChainTip, timeMs: number, transactions: Uint8Array[], hashes: Uint8Array[]): BuiltBlock {
    const header: Header = {
      version: { block: blockProtocolVersion, app: appProtocolVersion },
      chain: this.#chain,
      height: tip.height + 1,
      time: timestampOfMs(timeMs),
      lastBlockId: tip.blockId,
      lastCommitHash: commitHash(tip.commit),
      dataHash: dataHash(hashes),
      validatorsHash: this.#validatorsHash,
      nextValidatorsHash: this.#validatorsHash,
      consensusHash: this.#consensusHash,
      appHash: tip.appHash,
      lastResultsHash: tip.resultsHash,
      evidenceHash: evidenceHashNone,
      proposerAddress: this.#address,
    };
    const blockId = blockIdOf({ header, transactions, lastCommit: tip.commit });
    const unsigned = { height: header.height, round: 0, blockId };
    const vote = signVote(this.#chain, unsigned, this.#key, header.time);
    return { header, commit: { ...unsigned, votes: [vote] } };
  }
}
