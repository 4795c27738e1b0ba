import { parseTransaction } from '@salus/protocol';
import { decodeResults, type ResultJson } from './log/block-codec.ts';
import type { BlockRecord } from './log/record.ts';
import type { IndexedTransaction } from './state/layer.ts';
import { indexed } from './state-machine.ts';

/** What the index says of a logged block's transactions. */
export function recordedTransactions(record: BlockRecord): IndexedTransaction[] {
  const results = decodeResults(record.results);
  return record.transactions.map((bytes, index) => {
    const { events } = results[index] as ResultJson;
    return indexed(parseTransaction(bytes), { events }, record.height, index);
  });
}
