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
import { type ChainTip, genesisTip, resultsHashOf } from './embedded/block-builder.ts';
import { decodeResults, decodeSigned, hashedResult, type ResultJson } from './log/block-codec.ts';
import type { BlockRecord } from './log/record.ts';
import { tipOf } from './recovery.ts';

export type CheckedBlock = { results: ResultJson[]; hashes: Uint8Array[] };

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

  /** Begins behind this block, which a verified header proved when the directory was restored. */
  beginAfter(record: BlockRecord): void {
    const { height, timeMs, appHash, signed } = record;
    const head = { height, timeMs, appHash };
    this.#tip = signed === '' ? { ...genesisTip(timeMs, appHash), height } : tipOf({ last: record, head });
  }

  check(record: BlockRecord): CheckedBlock {
    const results = decodeResults(record.results);
    const hashes = record.transactions.map((bytes) => sha256(bytes));
    const tip = this.#tip;
    const facts: Record<string, boolean> = {
      height: record.height === tip.height + 1,
      time: record.timeMs > tip.timeMs,
      'number of results': results.length === hashes.length,
      'empty block': hashes.length > 0 || equalBytes(record.appHash, tip.appHash),
    };
    // Headers and votes of a consensus of several stand in its own store.
    const signed = record.signed === '' ? undefined : decodeSigned(record.signed);
    if (signed) Object.assign(facts, this.#signedFacts(record, signed, hashes));
    for (const [name, fits] of Object.entries(facts)) {
      if (!fits) this.problems.push(`block ${record.height}: ${name} does not fit`);
    }
    this.blocks += 1;
    this.transactions += hashes.length;
    this.#tip = {
      height: record.height,
      timeMs: record.timeMs,
      blockId: signed?.commit.blockId ?? tip.blockId,
      commit: signed?.commit ?? tip.commit,
      appHash: record.appHash,
      resultsHash: resultsHashOf(results.map(hashedResult)),
      isUnproven: hashes.length > 0,
    };
    return { results, hashes };
  }

  #signedFacts(
    record: BlockRecord,
    { header, commit }: { header: Header; commit: Commit },
    hashes: readonly Uint8Array[],
  ): Record<string, boolean> {
    const tip = this.#tip;
    return {
      'height of the header': record.height === header.height,
      chain: header.chain === this.#chain,
      'time of the header': record.timeMs === msOfTimestamp(header.time),
      'previous block': sameBlockId(header.lastBlockId, tip.blockId),
      'previous votes': equalBytes(header.lastCommitHash, commitHash(tip.commit)),
      transactions: equalBytes(header.dataHash, dataHash(hashes)),
      validators: equalBytes(header.validatorsHash, validatorsHash(this.#validators)),
      'application hash': equalBytes(header.appHash, tip.appHash),
      results: equalBytes(header.lastResultsHash, tip.resultsHash),
      evidence: equalBytes(header.evidenceHash, evidenceHashNone),
      votes: this.#isSigned(header, commit),
    };
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
