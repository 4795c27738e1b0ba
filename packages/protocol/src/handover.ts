import { type Anchor, anchorFormat } from './anchor.ts';
import { concatBytes, equalBytes, sha256, toBase64url, toHex, utf8, utf8Text } from './bytes.ts';
import {
  checkValidators,
  compareTimestamps,
  dataHash,
  type Header,
  headerHash,
  isIntegerFrom,
  sortValidators,
  timestampOfMs,
  totalPower,
  type Validator,
  validatorsHash,
} from './comet.ts';
import {
  type JsonObject,
  lightBlockFromJson,
  lightBlockToJson,
  readBytes,
  readHex,
  readInteger,
  readList,
  readObject,
  validatorFromJson,
  validatorToJson,
} from './comet-json.ts';
import { isMoreThan, twoThirds } from './commit.ts';
import { signEd25519, verifyEd25519 } from './ed25519.ts';
import { canonicalJson, type JsonValue, parseJsonStrict } from './json.ts';
import type { LightBlock, TrustedBlock } from './light.ts';
import { proofError } from './proof-errors.ts';

/**
 * `salus-handover/1`: the validators of a chain hand it over to other validators who begin a new chain of blocks with
 * the same name, the same state and the next height. So an embedded chain becomes a network of many (architecture,
 * "Growing from embedded to CometBFT"), and who trusted the one can follow into the other without a new anchor.
 *
 * The last block has no transactions and announces no change of validators. So its header itself says which state is
 * handed over and who may do so, and a handover cannot claim another.
 */
export type Handover = {
  format: 'salus-handover/1';
  /** The last block of the old validators. */
  last: LightBlock;
  /** The first block of the new ones. */
  next: HandoverNext;
  /** One place for each validator of `last`, in the order of the set; undefined where one did not sign. */
  signatures: (Uint8Array | undefined)[];
};

export type HandoverNext = {
  /** The height after `last`: CometBFT's `initial_height`. */
  height: number;
  /** CometBFT's `genesis_time`, which is the time of the first block; not before that of `last`. */
  timeMs: number;
  /** State root to begin with: that of `last`. */
  appHash: Uint8Array;
  /** In the order of the set. */
  validators: Validator[];
};

export const handoverFormat = 'salus-handover/1';
export const handoverBytesMax = 2 * 1024 * 1024;
const handoverDepthMax = 8;
/** A consensus vote begins with its length and 0x08: no bytes are both. */
const signaturePrefix = 'salus-handover-v1\0';

export function isHandover(step: LightBlock | Handover): step is Handover {
  return 'format' in step;
}

function nextToJson(next: HandoverNext): JsonObject {
  const { height, timeMs, appHash, validators } = next;
  return { height, timeMs, appHash: toHex(appHash), validators: validators.map(validatorToJson) };
}

function nextFromJson(value: JsonValue | undefined): HandoverNext {
  const json = readObject(value, ['height', 'timeMs', 'appHash', 'validators']);
  return {
    height: readInteger(json.height),
    timeMs: readInteger(json.timeMs),
    appHash: readHex(json.appHash),
    validators: readList(json.validators).map(validatorFromJson),
  };
}

/** What each old validator signs: a prefix that belongs to handovers alone, and canonical JSON (RFC 8785). */
export function handoverSignBytes(last: Header, next: HandoverNext): Uint8Array {
  const statement = {
    chain: last.chain,
    format: handoverFormat,
    last: { headerHash: toHex(headerHash(last)), height: last.height },
    next: nextToJson(next),
  };
  return concatBytes(utf8(signaturePrefix), utf8(canonicalJson(statement)));
}

/** The handover's name: two with different names and the same height are a betrayal. */
export function handoverHash(handover: Handover): Uint8Array {
  return sha256(handoverSignBytes(handover.last.header, handover.next));
}

/** Everything but signatures and votes. Throws a numbered error. */
function checkHandover({ last, next, signatures }: Handover): void {
  const { header } = last;
  const isQuiet = equalBytes(header.dataHash, dataHash([]));
  if (!isQuiet || !equalBytes(header.validatorsHash, header.nextValidatorsHash)) throw proofError('handoverLastBlock');
  if (!equalBytes(header.appHash, next.appHash)) throw proofError('handoverRoot');
  if (next.height !== header.height + 1) throw proofError('handoverHeight');
  const isTime = isIntegerFrom(next.timeMs, 0);
  if (!isTime || compareTimestamps(timestampOfMs(next.timeMs), header.time) < 0) throw proofError('handoverTime');
  checkValidators(next.validators);
  checkValidators(last.validators);
  if (!equalBytes(validatorsHash(last.validators), header.validatorsHash)) throw proofError('validatorsHashDiffers');
  if (signatures.length !== last.validators.length) throw proofError('handoverSignatureCount');
}

/** An unsigned handover; the state is that of `last`. `validators` may be in any order. Throws a numbered error. */
export function draftHandover(last: LightBlock, next: { timeMs: number; validators: readonly Validator[] }): Handover {
  const { height, appHash } = last.header;
  const validators = sortValidators(next.validators).map(({ publicKey, power }) => ({ publicKey, power }));
  const handover: Handover = {
    format: handoverFormat,
    last,
    next: { height: height + 1, timeMs: next.timeMs, appHash, validators },
    signatures: last.validators.map(() => undefined),
  };
  checkHandover(handover);
  return handover;
}

/** The handover with one validator's signature more; `seed` is its 32-byte private key. Throws `handoverSignatureCount`. */
export function signHandover(handover: Handover, key: { seed: Uint8Array; publicKey: Uint8Array }): Handover {
  const place = handover.last.validators.findIndex(({ publicKey }) => equalBytes(publicKey, key.publicKey));
  if (place < 0) throw proofError('handoverSignatureCount');
  const signature = signEd25519(key.seed, handoverSignBytes(handover.last.header, handover.next));
  return { ...handover, signatures: handover.signatures.with(place, signature) };
}

/**
 * What a handover lets one trust, by somebody who trusts its last block already. Every signature in it must verify, and
 * together they must have more than two thirds of the power. Throws a numbered error.
 */
export function verifyHandover(handover: Handover): TrustedBlock {
  checkHandover(handover);
  const { last, next, signatures } = handover;
  const signBytes = handoverSignBytes(last.header, next);
  let signedPower = 0;
  for (const [index, validator] of last.validators.entries()) {
    const signature = signatures[index];
    if (!signature) continue;
    if (!verifyEd25519(validator.publicKey, signBytes, signature)) throw proofError('handoverSignatureInvalid');
    signedPower += validator.power;
  }
  if (!isMoreThan(twoThirds, signedPower, totalPower(last.validators))) throw proofError('handoverPowerMissing');
  return {
    chain: last.header.chain,
    height: last.header.height,
    headerHash: headerHash(last.header),
    time: timestampOfMs(next.timeMs),
    nextValidatorsHash: validatorsHash(next.validators),
    validators: next.validators,
    start: { appHash: next.appHash },
  };
}

/** The anchor of the new chain, for somebody who trusts the old one. Throws a numbered error. */
export function anchorOfHandover(handover: Handover): Anchor {
  const { chain, height, headerHash: hash } = verifyHandover(handover);
  const { timeMs, validators } = handover.next;
  return {
    format: anchorFormat,
    chain,
    height,
    headerHash: toHex(hash),
    timeMs,
    validators: validators.map(validatorToJson),
  };
}

/**
 * Throws `handoverConflict` where the same validators hand the chain over at the same height to different validators,
 * states or times: whoever signed both did so against the rules, and the two documents prove it.
 */
export function refuseConflict(one: Handover, other: Handover): void {
  const [header, others] = [one.last.header, other.last.header];
  const isSamePlace = header.chain === others.chain && one.next.height === other.next.height;
  const isBySame = equalBytes(header.validatorsHash, others.validatorsHash);
  if (!isSamePlace || !isBySame || equalBytes(handoverHash(one), handoverHash(other))) return;
  verifyHandover(one);
  verifyHandover(other);
  throw proofError('handoverConflict');
}

export function handoverToJson(handover: Handover): JsonObject {
  const { format, last, next, signatures } = handover;
  return {
    format,
    last: lightBlockToJson(last),
    next: nextToJson(next),
    signatures: signatures.map((signature) => (signature ? toBase64url(signature) : null)),
  };
}

export function handoverFromJson(value: JsonValue | undefined): Handover {
  const json = readObject(value, ['format', 'last', 'next', 'signatures']);
  if (json.format !== handoverFormat) throw proofError('handoverForm');
  return {
    format: handoverFormat,
    last: lightBlockFromJson(json.last),
    next: nextFromJson(json.next),
    signatures: readList(json.signatures).map((entry) => (entry === null ? undefined : readBytes(entry))),
  };
}

/** The file's bytes: canonical JSON. */
export function encodeHandover(handover: Handover): Uint8Array {
  return utf8(canonicalJson(handoverToJson(handover)));
}

/** The handover of a file, its form checked and nothing else. Throws a SalusError. */
export function parseHandover(bytes: Uint8Array): Handover {
  if (bytes.length > handoverBytesMax) throw proofError('handoverTooLarge');
  const value = parseJsonStrict(bytes, { bytesMax: handoverBytesMax, depthMax: handoverDepthMax });
  if (canonicalJson(value) !== utf8Text(bytes)) throw proofError('handoverForm');
  return handoverFromJson(value);
}
