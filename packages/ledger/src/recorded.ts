import { type ParsedTransaction, parseTransaction, sha256, toHex } from '@salus/protocol';
import { decodeResults, type ResultJson } from './log/block-codec.ts';
import type { BlockRecord } from './log/record.ts';
import type { IndexedTransaction } from './state/layer.ts';
import { indexed } from './state-machine.ts';

/** What the index says of a logged block's transactions. */
export function recordedTransactions(record: BlockRecord): IndexedTransaction[] {
  const results = decodeResults(record.results);
  return record.transactions.map((bytes, index) => {
    const tx = parsed(bytes);
    if (!tx) return { hash: toHex(sha256(bytes)), height: record.height, index, participants: [], types: [] };
    const { events } = results[index] as ResultJson;
    return indexed(tx, { events }, record.height, index);
  });
}

/** A consensus of several decides on blocks; should it decide on one with what is no transaction, the block stands. */
function parsed(bytes: Uint8Array): ParsedTransaction | undefined {
  try {
    return parseTransaction(bytes);
  } catch {
    return undefined;
  }
}
