import { fromBinary } from '@bufbuild/protobuf';
import type { AbciRequest } from './connection.ts';
import { cometError } from './errors.ts';
import { CheckTxType, RequestSchema } from './generated/tendermint/abci/types_pb.ts';

/** Tags of protobuf's wire format: field number × 8 + wire type (2: length-delimited, 0: varint). */
const CHECK_TX = (8 << 3) | 2;
const TX = (1 << 3) | 2;
const TYPE = (2 << 3) | 0;
const MORE = 0x80;
const LOW_BITS = 0x7f;
const bitsPerByte = 7;
const lengthBytesMax = 4;

/** Where a length-delimited field's bytes begin and end; undefined unless all of them are there. */
function delimited(bytes: Uint8Array, at: number): { start: number; end: number } | undefined {
  let length = 0;
  for (let index = 0; index < lengthBytesMax; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    length |= (byte & LOW_BITS) << (bitsPerByte * index);
    if (byte >= MORE) continue;
    const start = at + index + 1;
    return start + length <= bytes.length ? { start, end: start + length } : undefined;
  }
  return undefined;
}

/** A check as CometBFT writes it; undefined for whatever looks otherwise. */
function checkTxOf(message: Uint8Array): AbciRequest | undefined {
  if (message[0] !== CHECK_TX) return undefined;
  const inner = delimited(message, 1);
  if (inner?.end !== message.length || message[inner.start] !== TX) return undefined;
  const tx = delimited(message, inner.start + 1);
  if (!tx) return undefined;
  const isRecheck = message[tx.end] === TYPE && message[tx.end + 1] === CheckTxType.RECHECK;
  if (tx.end + (isRecheck ? 2 : 0) !== message.length) return undefined;
  const type = isRecheck ? CheckTxType.RECHECK : CheckTxType.NEW;
  const value = { $typeName: 'tendermint.abci.RequestCheckTx' as const, tx: message.subarray(tx.start, tx.end), type };
  return { case: 'checkTx', value };
}

/**
 * One message of CometBFT. Nearly all are checks, each transaction again after every block that it waits for: reading
 * them by reflection would cost as much as checking them. Throws `abciFrameInvalid` or protobuf's own errors.
 */
export function readRequest(message: Uint8Array): AbciRequest {
  const check = checkTxOf(message);
  if (check) return check;
  const { value } = fromBinary(RequestSchema, message);
  if (value.case === undefined) throw cometError('abciFrameInvalid', 'a request of no known kind');
  return value;
}
