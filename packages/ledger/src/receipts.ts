import {
  buildReceipt,
  encodeReceipt,
  fromHex,
  type LightBlock,
  type ReceiptState,
  type TrustStep,
  type Validator,
} from '@salus/protocol';
import { type BlockReader, type SignedHeader, transactionHashes } from './block-reader.ts';
import type { ResultJson } from './log/block-codec.ts';
import type { Place } from './state/layer.ts';

function hashedResultOf({ code, data, cost }: ResultJson) {
  return { code, data: fromHex(data), gasWanted: cost, gasUsed: cost };
}

export function lightBlock({ header, commit }: SignedHeader, validators: readonly Validator[]): LightBlock {
  return { header, commit, validators: [...validators] };
}

/**
 * Receipt of a transaction; `state` is proven under the same header as its result. `trust`: the handovers and the
 * blocks that announce another set of validators, from the anchor to there.
 */
export async function transactionReceipt(
  blocks: BlockReader,
  validators: readonly Validator[],
  place: Place,
  state: ReceiptState | undefined,
  trust: readonly TrustStep[] = [],
): Promise<Uint8Array> {
  const block = await blocks.existing(place.height);
  const proving = await blocks.existing(place.height + 1);
  const result = block.results[place.index] as ResultJson;
  const receipt = buildReceipt({
    signed: lightBlock(proving, validators),
    trust: [...trust],
    transaction: {
      header: block.header,
      index: place.index,
      bytes: block.transactions[place.index] as Uint8Array,
      transactionHashes: transactionHashes(block),
      results: block.results.map(hashedResultOf),
      events: result.events,
      outputs: result.outputs,
    },
  });
  return encodeReceipt(state ? { ...receipt, state } : receipt);
}

/** Receipt of the state alone, under the header of the block that proves it. */
export function stateReceipt(
  proving: SignedHeader,
  validators: readonly Validator[],
  state: ReceiptState,
  trust: readonly TrustStep[] = [],
): Uint8Array {
  return encodeReceipt({ signed: lightBlock(proving, validators), trust: [...trust], state });
}
