import { fromBase64url, fromHex, toBase64url, toHex } from './bytes.ts';
import {
  absentVote,
  type BlockId,
  type Commit,
  type CommitVote,
  type Header,
  type Timestamp,
  type Validator,
  VoteFlag,
} from './comet.ts';
import type { JsonValue } from './json.ts';
import type { LightBlock } from './light.ts';
import type { MerkleProof } from './merkle.ts';
import { proofError } from './proof-errors.ts';

/**
 * The JSON of headers, commits and proofs inside receipts. Hashes and addresses are lower-case hex, keys, signatures
 * and tree nodes base64url, times RFC 3339. Every value has one text; readers refuse missing and unknown members with
 * `receiptMembers`.
 */

export type JsonObject = { [member: string]: JsonValue };

const TIME = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{0,8}[1-9]))?Z$/;
const nanoDigits = 9;
/** Length of `YYYY-MM-DDTHH:MM:SS`. */
const secondsTextLength = 19;

/** RFC 3339 in UTC, decimals without zeros at the end. */
export function timestampText(time: Timestamp): string {
  const seconds = new Date(time.seconds * 1000).toISOString().slice(0, secondsTextLength);
  const decimals = String(time.nanos).padStart(nanoDigits, '0').replace(/0+$/, '');
  return decimals === '' ? `${seconds}Z` : `${seconds}.${decimals}Z`;
}

/** Throws `timeInvalid` for everything that `timestampText` does not write. */
export function parseTimestamp(text: string): Timestamp {
  const match = TIME.exec(text);
  const ms = match ? Date.parse(`${match[1]}Z`) : Number.NaN;
  if (!match || Number.isNaN(ms)) throw proofError('timeInvalid');
  const time = { seconds: ms / 1000, nanos: Number((match[2] ?? '').padEnd(nanoDigits, '0')) };
  if (timestampText(time) !== text) throw proofError('timeInvalid');
  return time;
}

/** The object, if it has exactly these members; `optional` ones may be missing. */
export function readObject(
  value: JsonValue | undefined,
  names: readonly string[],
  optional: readonly string[] = [],
): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw proofError('receiptMembers');
  const present = Object.keys(value);
  const complete = names.every((name) => Object.hasOwn(value, name));
  if (!complete || !present.every((name) => names.includes(name) || optional.includes(name))) {
    throw proofError('receiptMembers');
  }
  return value;
}

export function readText(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw proofError('receiptMembers');
  return value;
}

/** A non-negative integer. */
export function readInteger(value: JsonValue | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw proofError('receiptMembers');
  return value;
}

export function readList(value: JsonValue | undefined): JsonValue[] {
  if (!Array.isArray(value)) throw proofError('receiptMembers');
  return value;
}

export function readBytes(value: JsonValue | undefined): Uint8Array {
  return fromBase64url(readText(value));
}

export function readHex(value: JsonValue | undefined): Uint8Array {
  return fromHex(readText(value));
}

function blockIdToJson(id: BlockId): JsonObject {
  return { hash: toHex(id.hash), parts: { total: id.parts.total, hash: toHex(id.parts.hash) } };
}

function blockIdFromJson(value: JsonValue | undefined): BlockId {
  const id = readObject(value, ['hash', 'parts']);
  const parts = readObject(id.parts, ['total', 'hash']);
  return { hash: readHex(id.hash), parts: { total: readInteger(parts.total), hash: readHex(parts.hash) } };
}

const HEADER_HASHES = [
  'lastCommitHash',
  'dataHash',
  'validatorsHash',
  'nextValidatorsHash',
  'consensusHash',
  'appHash',
  'lastResultsHash',
  'evidenceHash',
  'proposerAddress',
] as const;
const HEADER_MEMBERS = ['version', 'chain', 'height', 'time', 'lastBlockId', ...HEADER_HASHES];

export function headerToJson(header: Header): JsonObject {
  const json: JsonObject = {
    version: { block: header.version.block, app: header.version.app },
    chain: header.chain,
    height: header.height,
    time: timestampText(header.time),
    lastBlockId: blockIdToJson(header.lastBlockId),
  };
  for (const name of HEADER_HASHES) json[name] = toHex(header[name]);
  return json;
}

export function headerFromJson(value: JsonValue | undefined): Header {
  const json = readObject(value, HEADER_MEMBERS);
  const version = readObject(json.version, ['block', 'app']);
  return {
    version: { block: readInteger(version.block), app: readInteger(version.app) },
    chain: readText(json.chain),
    height: readInteger(json.height),
    time: parseTimestamp(readText(json.time)),
    lastBlockId: blockIdFromJson(json.lastBlockId),
    lastCommitHash: readHex(json.lastCommitHash),
    dataHash: readHex(json.dataHash),
    validatorsHash: readHex(json.validatorsHash),
    nextValidatorsHash: readHex(json.nextValidatorsHash),
    consensusHash: readHex(json.consensusHash),
    appHash: readHex(json.appHash),
    lastResultsHash: readHex(json.lastResultsHash),
    evidenceHash: readHex(json.evidenceHash),
    proposerAddress: readHex(json.proposerAddress),
  };
}

function voteToJson(vote: CommitVote): JsonObject {
  if (vote.flag === VoteFlag.absent) return { flag: vote.flag };
  return {
    flag: vote.flag,
    address: toHex(vote.address),
    time: timestampText(vote.time),
    signature: toBase64url(vote.signature),
  };
}

function voteFromJson(value: JsonValue): CommitVote {
  const { flag } = readObject(value, ['flag'], ['address', 'time', 'signature']);
  if (flag === VoteFlag.absent) {
    readObject(value, ['flag']);
    return absentVote;
  }
  if (flag !== VoteFlag.commit && flag !== VoteFlag.nil) throw proofError('commitInvalid');
  const vote = readObject(value, ['flag', 'address', 'time', 'signature']);
  return {
    flag,
    address: readHex(vote.address),
    time: parseTimestamp(readText(vote.time)),
    signature: readBytes(vote.signature),
  };
}

export function commitToJson(commit: Commit): JsonObject {
  const { height, round, blockId, votes } = commit;
  return { height, round, blockId: blockIdToJson(blockId), votes: votes.map(voteToJson) };
}

function commitFromJson(value: JsonValue | undefined): Commit {
  const json = readObject(value, ['height', 'round', 'blockId', 'votes']);
  return {
    height: readInteger(json.height),
    round: readInteger(json.round),
    blockId: blockIdFromJson(json.blockId),
    votes: readList(json.votes).map(voteFromJson),
  };
}

export function validatorToJson(validator: Validator): { publicKey: string; power: number } {
  return { publicKey: toBase64url(validator.publicKey), power: validator.power };
}

export function validatorFromJson(value: JsonValue): Validator {
  const json = readObject(value, ['publicKey', 'power']);
  return { publicKey: readBytes(json.publicKey), power: readInteger(json.power) };
}

export function lightBlockToJson(block: LightBlock): JsonObject {
  return {
    header: headerToJson(block.header),
    commit: commitToJson(block.commit),
    validators: block.validators.map(validatorToJson),
  };
}

export function lightBlockFromJson(value: JsonValue | undefined): LightBlock {
  const json = readObject(value, ['header', 'commit', 'validators']);
  return {
    header: headerFromJson(json.header),
    commit: commitFromJson(json.commit),
    validators: readList(json.validators).map(validatorFromJson),
  };
}

export function merkleProofToJson(proof: MerkleProof): JsonObject {
  const { total, index, leafHash, aunts } = proof;
  return { total, index, leafHash: toBase64url(leafHash), aunts: aunts.map(toBase64url) };
}

export function merkleProofFromJson(value: JsonValue | undefined): MerkleProof {
  const json = readObject(value, ['total', 'index', 'leafHash', 'aunts']);
  return {
    total: readInteger(json.total),
    index: readInteger(json.index),
    leafHash: readBytes(json.leafHash),
    aunts: readList(json.aunts).map(readBytes),
  };
}
