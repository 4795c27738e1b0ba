import { equalBytes, fromBase64url, fromHex, toHex } from './bytes.ts';
import {
  checkValidators,
  headerHash,
  msOfTimestamp,
  sortValidators,
  timestampOfMs,
  type Validator,
  validatorsHash,
} from './comet.ts';
import { readInteger, readList, readObject, readText, validatorFromJson, validatorToJson } from './comet-json.ts';
import { type JsonValue, parseJsonStrict } from './json.ts';
import type { LightBlock, TrustedBlock } from './light.ts';
import { proofError } from './proof-errors.ts';

/**
 * `salus-anchor/1`: what a holder of receipts trusts to begin with. It names one block and the validators that sign
 * the blocks after it. An anchor proves what lies at its height or above, so the one of genesis proves everything.
 */
export type Anchor = {
  format: 'salus-anchor/1';
  chain: string;
  /** Height of the trusted block; that of the first block less one for the anchor of genesis. */
  height: number;
  /** Hash of that block's header, for genesis that of the genesis document: 64 hex digits. */
  headerHash: string;
  /** Block time, milliseconds since 1970. */
  timeMs: number;
  /** The validators of block `height` + 1, in the order of the set; `publicKey` is base64url. */
  validators: { publicKey: string; power: number }[];
};

export const anchorFormat = 'salus-anchor/1';
const anchorBytesMax = 1024 * 1024;
const anchorDepthMax = 4;
const hashHexLength = 64;

/** The anchor that proves the whole of a chain. `validators` may be in any order. */
export function genesisAnchor(genesis: {
  chain: string;
  timeMs: number;
  genesisHash: Uint8Array;
  validators: readonly Validator[];
  firstHeight?: number;
}): Anchor {
  return {
    format: anchorFormat,
    chain: genesis.chain,
    height: (genesis.firstHeight ?? 1) - 1,
    headerHash: toHex(genesis.genesisHash),
    timeMs: genesis.timeMs,
    validators: sortValidators(genesis.validators).map(validatorToJson),
  };
}

/** The anchor at a verified block; throws `validatorsHashDiffers` where the next validators are not those it names. */
export function anchorOfBlock(block: LightBlock, nextValidators: readonly Validator[]): Anchor {
  const { header } = block;
  if (!equalBytes(validatorsHash(nextValidators), header.nextValidatorsHash)) throw proofError('validatorsHashDiffers');
  return {
    format: anchorFormat,
    chain: header.chain,
    height: header.height,
    headerHash: toHex(headerHash(header)),
    timeMs: msOfTimestamp(header.time),
    validators: nextValidators.map(validatorToJson),
  };
}

/** The anchor of a parsed JSON value; throws `anchorInvalid`. */
export function anchorFromJson(value: JsonValue): Anchor {
  try {
    const json = readObject(value, ['format', 'chain', 'height', 'headerHash', 'timeMs', 'validators']);
    const headerHashText = readText(json.headerHash);
    const validators = readList(json.validators).map(validatorFromJson);
    if (json.format !== anchorFormat || headerHashText.length !== hashHexLength) throw proofError('anchorInvalid');
    fromHex(headerHashText);
    checkValidators(validators);
    return {
      format: anchorFormat,
      chain: readText(json.chain),
      height: readInteger(json.height),
      headerHash: headerHashText,
      timeMs: readInteger(json.timeMs),
      validators: validators.map(validatorToJson),
    };
  } catch (cause) {
    throw proofError('anchorInvalid', { cause });
  }
}

/** The anchor of a file; white space is free. Throws `anchorInvalid`, also for what is no JSON: another file was named. */
export function parseAnchor(file: Uint8Array | string): Anchor {
  let json: JsonValue;
  try {
    json = parseJsonStrict(file, { bytesMax: anchorBytesMax, depthMax: anchorDepthMax });
  } catch (cause) {
    throw proofError('anchorInvalid', { cause });
  }
  return anchorFromJson(json);
}

/** What light verification starts from; throws `anchorInvalid`. */
export function trustAnchor(anchor: Anchor): TrustedBlock {
  const { chain, height, headerHash: hash, timeMs } = anchorFromJson(anchor);
  const validators = anchor.validators.map(({ publicKey, power }) => ({ publicKey: fromBase64url(publicKey), power }));
  return {
    chain,
    height,
    headerHash: fromHex(hash),
    time: timestampOfMs(timeMs),
    nextValidatorsHash: validatorsHash(validators),
    validators,
    start: {},
  };
}
