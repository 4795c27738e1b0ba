import type { ReplayId } from '@salus/contracts';
import { toBase64url } from '@salus/protocol';
import { ByteReader, ByteWriter } from './bytes.ts';

/**
 * One block as the log keeps it, for good: the log is the block store. `writes` and `replayIds` are the redo of
 * execution (absolute values: doing them twice changes nothing).
 */
export type BlockRecord = {
  height: number;
  timeMs: number;
  /** Header and commit; see block-codec.ts. */
  signed: string;
  /** Root of the state after this block; the next header says the same. */
  appHash: Uint8Array;
  transactions: readonly Uint8Array[];
  /** JSON: [{code, log, cost, events, outputs, data}], one per transaction. */
  results: string;
  writes: ReadonlyMap<string, Uint8Array | undefined>;
  replayIds: readonly ReplayId[];
};

const hashBytes = 32;
const REMOVED = 0xffff_ffff;

export function encodeRecord(record: BlockRecord): Uint8Array {
  let bytes = 1024 + record.results.length;
  for (const transaction of record.transactions) bytes += transaction.length + 4;
  const writer = new ByteWriter(2 * bytes);
  writer.u64(record.height);
  writer.u64(record.timeMs);
  writer.text(record.signed);
  writer.raw(record.appHash);
  writer.u32(record.transactions.length);
  for (const transaction of record.transactions) writer.bytes(transaction);
  writer.text(record.results);
  writer.u32(record.writes.size);
  for (const [key, stored] of record.writes) {
    writer.text(key);
    if (stored === undefined) writer.u32(REMOVED);
    else writer.bytes(stored);
  }
  writer.u32(record.replayIds.length);
  for (const { minute, bytes: id } of record.replayIds) {
    writer.u32(minute);
    writer.raw(id);
  }
  return writer.view();
}

/** Throws RangeError on bytes that are no record. Byte arrays are views on `bytes`. */
export function decodeRecord(bytes: Uint8Array): BlockRecord {
  const reader = new ByteReader(bytes);
  const height = reader.u64();
  const timeMs = reader.u64();
  const signed = reader.text();
  const appHash = reader.raw(hashBytes);
  const transactions = Array.from({ length: reader.u32() }, () => reader.bytes());
  const results = reader.text();
  const writes = new Map<string, Uint8Array | undefined>();
  for (let left = reader.u32(); left > 0; left -= 1) writes.set(reader.text(), readWrite(reader));
  const replayIds = Array.from({ length: reader.u32() }, () => {
    const minute = reader.u32();
    const id = reader.raw(hashBytes);
    return { minute, id: toBase64url(id), bytes: id };
  });
  if (reader.rest !== 0) throw new RangeError('record is longer than it says');
  return { height, timeMs, signed, appHash, transactions, results, writes, replayIds };
}

function readWrite(reader: ByteReader): Uint8Array | undefined {
  const length = reader.u32();
  return length === REMOVED ? undefined : reader.raw(length);
}
