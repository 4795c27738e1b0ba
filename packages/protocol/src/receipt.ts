import type { Anchor } from './anchor.ts';
import { equalBytes, sha256, toBase64url, toHex, utf8, utf8Text } from './bytes.ts';
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import { checkHeader, compareTimestamps, encodeExecResult, type Header, headerHash, msOfTimestamp } from './comet.ts';
import {
  headerFromJson,
  headerToJson,
  type JsonObject,
  lightBlockFromJson,
  lightBlockToJson,
  merkleProofFromJson,
  merkleProofToJson,
  readBytes,
  readHex,
  readInteger,
  readList,
  readObject,
  readText,
} from './comet-json.ts';
import { type Handover, handoverFromJson, handoverToJson, isHandover } from './handover.ts';
import { decodeCommitmentProof, encodeCommitmentProof } from './ics23.ts';
import { canonicalJson, type JsonValue, parseJsonStrict } from './json.ts';
import type { Did } from './keys.ts';
import { type LightBlock, verifyChain } from './light.ts';
import { type MerkleProof, merkleProof, verifyMerkleProof } from './merkle.ts';
import { type ProofErrorName, proofError } from './proof-errors.ts';
import {
  buildStateProof,
  proofKeyOf,
  proofValueOf,
  type SmtProof,
  type SmtSource,
  verifyMembership,
  verifyNonMembership,
} from './smt.ts';
import { type ParsedTransaction, type Payload, parseTransaction } from './transaction.ts';

/**
 * Receipts `salus-receipt/1` (ADR 1): one file that proves, offline and against a trust anchor, that the validators
 * took a transaction into block H with a certain result, that the state after block H has a certain value or none
 * under a key, or both. Result and state of block H stand in the header of block H+1, and that header names the one of
 * H by hash; so the votes for H+1 prove it all.
 *
 * What is not proven by a receipt: that the transaction's own signatures are those of the participants named. Their
 * keys stand in the state of that time; the validators checked them before they took the transaction, and that is
 * what a receipt proves.
 */

export type ReceiptEvent = { type: string; attributes: { [name: string]: string | number } };

/** `data` is the SHA-256 of the deterministic CBOR of [events, outputs]. */
export type ReceiptResult = {
  code: number;
  data: Uint8Array;
  gasWanted: number;
  gasUsed: number;
  events: ReceiptEvent[];
  outputs: JsonValue[];
};

export type ReceiptTransaction = {
  bytes: Uint8Array;
  /** Header of the block that holds the transaction: the one before the signed one. */
  header: Header;
  proof: MerkleProof;
  result: ReceiptResult;
  resultProof: MerkleProof;
};

/** `stored` is the stored value (salt, version, CBOR); undefined where the proof shows that there is none. */
export type ReceiptState = { key: string; stored: Uint8Array | undefined; proof: SmtProof };

/** What leads from one validator set to the next. */
export type TrustStep = LightBlock | Handover;

export type Receipt = {
  /** Block H+1, whose votes prove everything. */
  signed: LightBlock;
  transaction?: ReceiptTransaction;
  state?: ReceiptState;
  /** Light blocks from the anchor's height on that announce changes of the validators, and handovers; ascending. */
  trust: TrustStep[];
};

export type ReceiptOptions = {
  /** Least height H. */
  minHeight?: number;
  /** The time of block H+1 must not be before it. */
  asOfMs?: number;
  /** Those that the verifier holds: a receipt from after one then verifies under an anchor from before it. */
  handovers?: readonly Handover[];
};

export type ReceiptReport = {
  chain: string;
  /** Height H: everything that is proven holds after this block. */
  height: number;
  /** Time of block H+1, in which the validators confirmed it; milliseconds since 1970. */
  timeMs: number;
  transaction?: {
    /** The transaction's name: 64 hex digits. */
    hash: string;
    /** Place in the block, as its maker states it (`verifyMerkleProof` says what of it is proven). */
    index: number;
    /** Time of block H. */
    timeMs: number;
    sender: Did;
    signers: Did[];
    payload: Payload;
  };
  result?: {
    code: number;
    data: string;
    gasWanted: number;
    gasUsed: number;
    events: ReceiptEvent[];
    outputs: JsonValue[];
  };
  /** `version` and `value` are what `stored` holds behind its salt; a later version's value is left undecoded. */
  state?: { key: string; present: boolean; stored?: Uint8Array; version?: number; value?: CborValue };
};

export const receiptFormat = 'salus-receipt/1';
export const receiptBytesMax = 16 * 1024 * 1024;
/** Outputs may be as deep as payloads; the receipt around them takes four levels. */
const receiptDepthMax = 24;
const saltBytes = 16;
/** The one version of stored values whose content is known to be CBOR. */
const storedVersion = 1;
const STATE_KEY = /^[A-Za-z0-9_.:~-]+(?:\/[A-Za-z0-9_.:~-]+)*$/;
const stateKeyLengthMax = 200;

/** What the ledger knows of block H and of the state after it. */
export type ReceiptParts = {
  signed: LightBlock;
  trust?: TrustStep[];
  transaction?: {
    header: Header;
    index: number;
    bytes: Uint8Array;
    /** SHA-256 of every transaction of the block, in order. */
    transactionHashes: readonly Uint8Array[];
    /** Result of every transaction of the block, in order. */
    results: readonly { code: number; data: Uint8Array; gasWanted: number; gasUsed: number }[];
    events: ReceiptEvent[];
    outputs: JsonValue[];
  };
  state?: { source: SmtSource; key: string; stored: Uint8Array | undefined };
};

/** `data` of a result. */
export function resultData(events: readonly ReceiptEvent[], outputs: readonly JsonValue[]): Uint8Array {
  return sha256(encodeCbor([events, outputs] as CborValue));
}

/** Throws `merkleIndex` where the block has no transaction at the index. */
export function buildReceipt(parts: ReceiptParts): Receipt {
  const receipt: Receipt = { signed: parts.signed, trust: parts.trust ?? [] };
  if (parts.transaction) {
    const { header, index, bytes, transactionHashes, results, events, outputs } = parts.transaction;
    const result = results[index];
    if (!result) throw proofError('merkleIndex');
    const { code, data, gasWanted, gasUsed } = result;
    receipt.transaction = {
      bytes,
      header,
      proof: merkleProof(transactionHashes, index),
      result: { code, data, gasWanted, gasUsed, events, outputs },
      resultProof: merkleProof(results.map(encodeExecResult), index),
    };
  }
  if (parts.state) {
    const { source, key, stored } = parts.state;
    receipt.state = { key, stored, proof: buildStateProof(source, key) };
  }
  return receipt;
}

function transactionToJson(transaction: ReceiptTransaction): JsonObject {
  const { bytes, header, proof, result, resultProof } = transaction;
  return {
    bytes: toBase64url(bytes),
    header: headerToJson(header),
    proof: merkleProofToJson(proof),
    result: { ...result, data: toHex(result.data) },
    resultProof: merkleProofToJson(resultProof),
  };
}

function stateToJson(state: ReceiptState): JsonObject {
  return {
    key: state.key,
    stored: state.stored ? toBase64url(state.stored) : null,
    proof: toBase64url(encodeCommitmentProof(state.proof)),
  };
}

/** The file's bytes: canonical JSON. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  const json: JsonObject = {
    format: receiptFormat,
    signed: lightBlockToJson(receipt.signed),
    trust: receipt.trust.map((step) => (isHandover(step) ? handoverToJson(step) : lightBlockToJson(step))),
  };
  if (receipt.transaction) json.transaction = transactionToJson(receipt.transaction);
  if (receipt.state) json.state = stateToJson(receipt.state);
  return utf8(canonicalJson(json));
}

function eventFromJson(value: JsonValue): ReceiptEvent {
  const json = readObject(value, ['type', 'attributes']);
  const attributes = json.attributes;
  if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes)) {
    throw proofError('receiptMembers');
  }
  for (const attribute of Object.values(attributes)) {
    if (typeof attribute !== 'string' && typeof attribute !== 'number') throw proofError('receiptMembers');
  }
  return { type: readText(json.type), attributes: attributes as ReceiptEvent['attributes'] };
}

function resultFromJson(value: JsonValue | undefined): ReceiptResult {
  const json = readObject(value, ['code', 'data', 'gasWanted', 'gasUsed', 'events', 'outputs']);
  return {
    code: readInteger(json.code),
    data: readHex(json.data),
    gasWanted: readInteger(json.gasWanted),
    gasUsed: readInteger(json.gasUsed),
    events: readList(json.events).map(eventFromJson),
    outputs: readList(json.outputs),
  };
}

function transactionFromJson(value: JsonValue): ReceiptTransaction {
  const json = readObject(value, ['bytes', 'header', 'proof', 'result', 'resultProof']);
  return {
    bytes: readBytes(json.bytes),
    header: headerFromJson(json.header),
    proof: merkleProofFromJson(json.proof),
    result: resultFromJson(json.result),
    resultProof: merkleProofFromJson(json.resultProof),
  };
}

function stateFromJson(value: JsonValue): ReceiptState {
  const json = readObject(value, ['key', 'stored', 'proof']);
  const key = readText(json.key);
  if (key.length > stateKeyLengthMax || !STATE_KEY.test(key)) throw proofError('receiptMembers');
  const stored = json.stored === null ? undefined : readBytes(json.stored);
  return { key, stored, proof: decodeCommitmentProof(readBytes(json.proof)) };
}

function stepFromJson(value: JsonValue): TrustStep {
  const isFormatted = typeof value === 'object' && value !== null && 'format' in value;
  return isFormatted ? handoverFromJson(value) : lightBlockFromJson(value);
}

/** The receipt of a file, its form checked and nothing else. Throws a SalusError. */
export function parseReceipt(bytes: Uint8Array): Receipt {
  if (bytes.length > receiptBytesMax) throw proofError('receiptTooLarge');
  const value = parseJsonStrict(bytes, { bytesMax: receiptBytesMax, depthMax: receiptDepthMax });
  if (canonicalJson(value) !== utf8Text(bytes)) throw proofError('receiptNotCanonical');
  const json = readObject(value, ['format', 'signed', 'trust'], ['transaction', 'state']);
  if (json.format !== receiptFormat) throw proofError('receiptMembers');
  const receipt: Receipt = {
    signed: lightBlockFromJson(json.signed),
    trust: readList(json.trust).map(stepFromJson),
  };
  if (json.transaction !== undefined) receipt.transaction = transactionFromJson(json.transaction);
  if (json.state !== undefined) receipt.state = stateFromJson(json.state);
  if (!receipt.transaction && !receipt.state) throw proofError('receiptEmpty');
  return receipt;
}

function ensure(condition: boolean, name: ProofErrorName): void {
  if (!condition) throw proofError(name);
}

/** Block H is the one that the signed header follows. */
function verifyHeaderLink(header: Header, signed: Header): void {
  checkHeader(header);
  ensure(header.chain === signed.chain, 'chainOther');
  ensure(header.height === signed.height - 1, 'receiptHeaderLink');
  ensure(compareTimestamps(header.time, signed.time) < 0, 'lightTime');
  ensure(equalBytes(headerHash(header), signed.lastBlockId.hash), 'receiptHeaderLink');
}

function verifyTransaction(transaction: ReceiptTransaction, signed: Header): ParsedTransaction {
  const { bytes, header, proof, result, resultProof } = transaction;
  verifyHeaderLink(header, signed);
  ensure(verifyMerkleProof(header.dataHash, sha256(bytes), proof), 'receiptTransactionProof');
  const samePlace = proof.index === resultProof.index && proof.total === resultProof.total;
  ensure(samePlace, 'receiptResultPosition');
  ensure(verifyMerkleProof(signed.lastResultsHash, encodeExecResult(result), resultProof), 'receiptResultProof');
  ensure(equalBytes(resultData(result.events, result.outputs), result.data), 'receiptResultData');
  const parsed = parseTransaction(bytes);
  ensure(parsed.chain === signed.chain, 'receiptTransactionChain');
  return parsed;
}

function verifyState(state: ReceiptState, signed: Header): NonNullable<ReceiptReport['state']> {
  const { key, stored, proof } = state;
  const proofKey = proofKeyOf(key);
  if (proof.kind === 'absence') {
    ensure(stored === undefined, 'receiptStateValue');
    ensure(verifyNonMembership(signed.appHash, proof, proofKey), 'receiptStateProof');
    return { key, present: false };
  }
  if (!stored || !equalBytes(proofValueOf(stored), proof.value)) throw proofError('receiptStateValue');
  ensure(verifyMembership(signed.appHash, proof, proofKey, proof.value), 'receiptStateProof');
  const version = stored[saltBytes];
  if (version === undefined) throw proofError('receiptStateValue');
  const report = { key, present: true, stored, version };
  return version === storedVersion ? { ...report, value: decodeCbor(stored.subarray(saltBytes + 1)) } : report;
}

/** The steps to the signed block, with the verifier's own handovers where the receipt does not carry them. */
function stepsOf(anchor: Anchor, { trust, signed }: Receipt, handovers: readonly Handover[] = []): TrustStep[] {
  const steps: TrustStep[] = [...trust, signed];
  const carried = new Set(trust.filter(isHandover).map((handover) => handover.next.height));
  for (const handover of handovers) {
    const { height } = handover.next;
    if (carried.has(height) || height <= anchor.height || height > signed.header.height) continue;
    const place = steps.findIndex((step) => !isHandover(step) && step.header.height >= height);
    steps.splice(place, 0, handover);
  }
  return steps;
}

/**
 * What a receipt file proves to somebody who trusts the anchor, without a network. Throws a SalusError with a number
 * from `ProofErrorCodes` or `ProtocolErrorCodes` for a file that proves nothing, and never returns a partial report.
 */
export function verifyReceipt(bytes: Uint8Array, anchor: Anchor, options: ReceiptOptions = {}): ReceiptReport {
  const receipt = parseReceipt(bytes);
  const { header } = receipt.signed;
  verifyChain(anchor, stepsOf(anchor, receipt, options.handovers));
  const report: ReceiptReport = {
    chain: header.chain,
    height: header.height - 1,
    timeMs: msOfTimestamp(header.time),
  };
  if (receipt.transaction) {
    const parsed = verifyTransaction(receipt.transaction, header);
    report.transaction = {
      hash: toHex(parsed.hash),
      index: receipt.transaction.proof.index,
      timeMs: msOfTimestamp(receipt.transaction.header.time),
      sender: parsed.sender,
      signers: parsed.signatures.map((signature) => signature.did),
      payload: parsed.payload,
    };
    report.result = { ...receipt.transaction.result, data: toHex(receipt.transaction.result.data) };
  }
  if (receipt.state) report.state = verifyState(receipt.state, header);
  ensure(options.minHeight === undefined || report.height >= options.minHeight, 'receiptTooOldHeight');
  ensure(options.asOfMs === undefined || report.timeMs >= options.asOfMs, 'receiptTooOldTime');
  return report;
}
