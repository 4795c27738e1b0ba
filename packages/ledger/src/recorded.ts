import { parseTransaction } from '@salus/protocol';
import { LedgerErrorCodes } from './errors.ts';
import { decodeResults, type ResultJson } from './log/block-codec.ts';
import type { BlockRecord } from './log/record.ts';
import type { IndexedTransaction } from './state/layer.ts';
import { indexed } from './state-machine.ts';

/** What the index says of a logged block's transactions; of what did not run it says nothing. */
export function recordedTransactions(record: BlockRecord): IndexedTransaction[] {
  const results = decodeResults(record.results);
  return record.transactions.flatMap((bytes, index) => {
    const { code, events } = results[index] as ResultJson;
    if (code === LedgerErrorCodes.transactionUnfit) return [];
    return [indexed(parseTransaction(bytes), { events }, record.height, index)];
  });
}
