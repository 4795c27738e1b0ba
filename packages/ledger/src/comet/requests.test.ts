import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckTxType, RequestSchema } from './generated/tendermint/abci/types_pb.ts';
import { readRequest } from './requests.ts';

function read(message: Uint8Array, reader: (message: Uint8Array) => unknown): unknown {
  try {
    return reader(message);
  } catch {
    return 'refused';
  }
}

function byReflection(message: Uint8Array): unknown {
  const { value } = fromBinary(RequestSchema, message);
  if (value.case === undefined) throw new Error('unknown');
  return value;
}

const checks = fc
  .record({ tx: fc.uint8Array({ maxLength: 300 }), type: fc.constantFrom(CheckTxType.NEW, CheckTxType.RECHECK) })
  .map((value) => toBinary(RequestSchema, create(RequestSchema, { value: { case: 'checkTx', value } })));

describe('R-LED-2 requests of CometBFT', () => {
  it('checks read as by reflection', () => {
    fc.assert(
      fc.property(checks, (message) => {
        expect(readRequest(message)).toEqual(byReflection(message));
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  it('whatever one byte of a check becomes, it reads as by reflection or is refused alike', () => {
    fc.assert(
      fc.property(checks, fc.nat(), fc.nat(255), (message, place, byte) => {
        const changed = message.slice();
        changed[place % changed.length] = byte;
        expect(read(changed, readRequest)).toEqual(read(changed, byReflection));
      }),
      { seed: 5, numRuns: 2_000 },
    );
  });

  it('other requests and bytes of no form too', () => {
    const flush = toBinary(RequestSchema, create(RequestSchema, { value: { case: 'flush', value: {} } }));
    expect(readRequest(flush).case).toBe('flush');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(read(bytes, readRequest)).toEqual(read(bytes, byReflection));
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});
