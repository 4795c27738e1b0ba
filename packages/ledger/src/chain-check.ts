import {
  type BlockId,
  type Commit,
  commitHash,
  dataHash,
  equalBytes,
  evidenceHashNone,
  type Header,
  headerHash,
  msOfTimestamp,
  sha256,
  type Validator,
  validatorsHash,
  verifyCommit,
} from '@salus/protocol';
import { type ChainTip, resultsHashOf } from './embedded/block-builder.ts';
import { decodeResults, decodeSigned, hashedResult, type ResultJson } from './log/block-codec.ts';
import type { BlockRecord } from './log/record.ts';

export type CheckedBlock = { header: Header; commit: Commit; results: ResultJson[]; hashes: Uint8Array[] };

function sameBlockId(left: BlockId, right: BlockId): boolean {
  const { parts } = left;
  return (
    equalBytes(left.hash, right.hash) && parts.total === right.parts.total && equalBytes(parts.hash, right.parts.hash)
  );
}

/** Walks a chain block by block and says what does not fit to the block before, to its own content or to its votes. */
export class ChainCheck {
  readonly problems: string[] = [];
  blocks = 0;
  transactions = 0;
  readonly #chain: string;
  readonly #validators: readonly Validator[];
  #tip: ChainTip;

  constructor(chain: string, validators: readonly Validator[], genesis: ChainTip) {
    this.#chain = chain;
    this.#validators = validators;
    this.#tip = genesis;
  }

  check(record: BlockRecord): CheckedBlock {
    const { header, commit } = decodeSigned(record.signed);
    const results = decodeResults(record.results);
    const hashes = record.transactions.map((bytes) => sha256(bytes));
    const tip = this.#tip;
    const facts: Record<string, boolean> = {
      height: header.height === tip.height + 1 && record.height === header.height,
      chain: header.chain === this.#chain,
      time: msOfTimestamp(header.time) > tip.timeMs && record.timeMs === msOfTimestamp(header.time),
      'previous block': sameBlockId(header.lastBlockId, tip.blockId),
      'previous votes': equalBytes(header.lastCommitHash, commitHash(tip.commit)),
      transactions: equalBytes(header.dataHash, dataHash(hashes)),
      validators: equalBytes(header.validatorsHash, validatorsHash(this.#validators)),
      'application hash': equalBytes(header.appHash, tip.appHash),
      results: equalBytes(header.lastResultsHash, tip.resultsHash),
      evidence: equalBytes(header.evidenceHash, evidenceHashNone),
      'number of results': results.length === hashes.length,
      'empty block': hashes.length > 0 || equalBytes(record.appHash, tip.appHash),
      votes: this.#isSigned(header, commit),
    };
    for (const [name, fits] of Object.entries(facts)) {
      if (!fits) this.problems.push(`block ${record.height}: ${name} does not fit`);
    }
    this.blocks += 1;
    this.transactions += hashes.length;
    this.#tip = {
      height: header.height,
      timeMs: msOfTimestamp(header.time),
      blockId: commit.blockId,
      commit,
      appHash: record.appHash,
      resultsHash: resultsHashOf(results.map(hashedResult)),
      isUnproven: hashes.length > 0,
    };
    return { header, commit, results, hashes };
  }

  #isSigned(header: Header, commit: Commit): boolean {
    try {
      verifyCommit(this.#chain, this.#validators, header, headerHash(header), commit);
      return true;
    } catch {
      return false;
    }
  }
}
