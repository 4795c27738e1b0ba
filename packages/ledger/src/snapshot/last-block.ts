import { commitHash, dataHash, equalBytes, type Header, headerHash, sha256 } from '@salus/protocol';
import { resultsHashOf } from '../embedded/block-builder.ts';
import { ledgerError } from '../errors.ts';
import { decodeResults, decodeSigned, hashedResult } from '../log/block-codec.ts';
import { type BlockRecord, decodeRecord } from '../log/record.ts';
import type { Manifest, TrustedState } from './manifest.ts';

/**
 * The record with which the log of a restored directory begins. The header of the next block proves header, votes,
 * transactions and results of the last one; without it nothing does, and the record only holds the place.
 */
export function lastRecord(
  { height, timeMs, appHash }: Manifest,
  { header }: TrustedState,
  bytes: Uint8Array | undefined,
): BlockRecord {
  const place = { height, timeMs, appHash, writes: new Map(), replayIds: [] };
  if (!header || !bytes) return { ...place, signed: '', transactions: [], results: '[]' };
  let fits: boolean;
  let record: BlockRecord;
  try {
    record = decodeRecord(bytes);
    fits = record.height === height && record.timeMs === timeMs && isProven(record, header);
  } catch (cause) {
    throw ledgerError('snapshotInvalid', 'its last block', { cause });
  }
  if (!fits || !equalBytes(record.appHash, appHash)) throw ledgerError('snapshotInvalid', 'its last block');
  const { signed, transactions, results } = record;
  return { ...place, signed, transactions, results };
}

function isProven(record: BlockRecord, next: Header): boolean {
  const { header, commit } = decodeSigned(record.signed);
  const results = decodeResults(record.results);
  const hashes = record.transactions.map((transaction) => sha256(transaction));
  return (
    equalBytes(headerHash(header), next.lastBlockId.hash) &&
    equalBytes(commitHash(commit), next.lastCommitHash) &&
    equalBytes(dataHash(hashes), header.dataHash) &&
    equalBytes(resultsHashOf(results.map(hashedResult)), next.lastResultsHash)
  );
}
