import { asciiBytes, compareBytes, sha256 } from './bytes.ts';
import { ed25519PublicKeyBytes, signEd25519 } from './ed25519.ts';
import { merkleRoot } from './merkle.ts';
import { proofError } from './proof-errors.ts';
import { WireWriter } from './wire.ts';

/**
 * Headers, commits and validator sets of CometBFT 0.38 and their hashes (CometBFT specification, "Data structures" and
 * "Encoding"; the messages are those of proto/tendermint/types). Heights and powers are integers up to 2^53−1.
 */

export const blockProtocolVersion = 11;
export const appProtocolVersion = 1;
export const addressBytes = 20;
export const validatorsMax = 1000;
const hashBytes = 32;
/** Chain names are ASCII, as in transactions; CometBFT allows 50 characters. */
const CHAIN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$/;
/** CometBFT's MaxTotalVotingPower is 2^60; Salus keeps to exact numbers. */
const totalPowerMax = Number.MAX_SAFE_INTEGER;
const nanosPerMs = 1_000_000;
const nanosMax = 999_999_999;
/** The time that Go's zero value stands for: 0001-01-01T00:00:00Z. CometBFT gives it to absent votes. */
const zeroTimeSeconds = -62_135_596_800;

/** Seconds and nanoseconds since 1970. */
export type Timestamp = { seconds: number; nanos: number };

export type PartSetHeader = { total: number; hash: Uint8Array };
/** The zero block id (before the first block) has empty hashes and no parts. */
export type BlockId = { hash: Uint8Array; parts: PartSetHeader };

/** Hashes are 32 bytes; `appHash` any length; `lastBlockId` and the `last…Hash`es may be empty in the first block. */
export type Header = {
  version: { block: number; app: number };
  chain: string;
  height: number;
  time: Timestamp;
  lastBlockId: BlockId;
  lastCommitHash: Uint8Array;
  dataHash: Uint8Array;
  validatorsHash: Uint8Array;
  nextValidatorsHash: Uint8Array;
  consensusHash: Uint8Array;
  /** Root of the state after the previous block. */
  appHash: Uint8Array;
  /** `resultsHash` of the previous block. */
  lastResultsHash: Uint8Array;
  evidenceHash: Uint8Array;
  proposerAddress: Uint8Array;
};

/** `publicKey` is an Ed25519 key of 32 bytes. */
export type Validator = { publicKey: Uint8Array; power: number };

/** BlockIDFlag of a vote: not received, for the block, for no block. */
export const VoteFlag = { absent: 1, commit: 2, nil: 3 } as const;
export type VoteFlag = (typeof VoteFlag)[keyof typeof VoteFlag];

/** One validator's vote; of an absent one address and signature are empty and the time is `zeroTime`. */
export type CommitVote = { flag: VoteFlag; address: Uint8Array; time: Timestamp; signature: Uint8Array };

/** Votes stand in the order of the validator set. */
export type Commit = { height: number; round: number; blockId: BlockId; votes: CommitVote[] };

/** What of an execution result is hashed: ExecTxResult without its non-deterministic fields. */
export type ExecResult = { code: number; data: Uint8Array; gasWanted: number; gasUsed: number };

export const zeroTime: Timestamp = { seconds: zeroTimeSeconds, nanos: 0 };
export const zeroBlockId: BlockId = { hash: new Uint8Array(0), parts: { total: 0, hash: new Uint8Array(0) } };
export const absentVote: CommitVote = {
  flag: VoteFlag.absent,
  address: new Uint8Array(0),
  time: zeroTime,
  signature: new Uint8Array(0),
};

export function timestampOfMs(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * nanosPerMs };
}

/** Whole milliseconds since 1970, rounded down. */
export function msOfTimestamp(time: Timestamp): number {
  return time.seconds * 1000 + Math.floor(time.nanos / nanosPerMs);
}

/** The time `ms` later. */
export function timestampAfterMs(time: Timestamp, ms: number): Timestamp {
  const later = timestampOfMs(ms);
  const nanos = time.nanos + later.nanos;
  const carry = nanos > nanosMax ? 1 : 0;
  return { seconds: time.seconds + later.seconds + carry, nanos: nanos - carry * (nanosMax + 1) };
}

export function compareTimestamps(left: Timestamp, right: Timestamp): number {
  return left.seconds - right.seconds || left.nanos - right.nanos;
}

/** First 20 bytes of the SHA-256 of the public key. */
export function addressOf(publicKey: Uint8Array): Uint8Array {
  return sha256(publicKey).slice(0, addressBytes);
}

/** google.protobuf.Timestamp. */
export function encodeTimestamp(time: Timestamp): Uint8Array {
  return new WireWriter().int(1, time.seconds).int(2, time.nanos).finish();
}

function encodePartSetHeader(parts: PartSetHeader): Uint8Array {
  return new WireWriter().int(1, parts.total).bytes(2, parts.hash).finish();
}

/** tendermint.types.BlockID; CanonicalBlockID has the same fields. */
export function encodeBlockId(id: BlockId): Uint8Array {
  return new WireWriter().bytes(1, id.hash).message(2, encodePartSetHeader(id.parts)).finish();
}

function encodeVersion(version: Header['version']): Uint8Array {
  return new WireWriter().int(1, version.block).int(2, version.app).finish();
}

/** tendermint.types.Header. */
export function encodeHeader(header: Header): Uint8Array {
  return new WireWriter()
    .message(1, encodeVersion(header.version))
    .bytes(2, asciiBytes(header.chain))
    .int(3, header.height)
    .message(4, encodeTimestamp(header.time))
    .message(5, encodeBlockId(header.lastBlockId))
    .bytes(6, header.lastCommitHash)
    .bytes(7, header.dataHash)
    .bytes(8, header.validatorsHash)
    .bytes(9, header.nextValidatorsHash)
    .bytes(10, header.consensusHash)
    .bytes(11, header.appHash)
    .bytes(12, header.lastResultsHash)
    .bytes(13, header.evidenceHash)
    .bytes(14, header.proposerAddress)
    .finish();
}

/** google.protobuf.BytesValue and StringValue; nothing where empty (CometBFT's cdcEncode). */
function bytesValue(bytes: Uint8Array): Uint8Array {
  return new WireWriter().bytes(1, bytes).finish();
}

/** The block's name: Merkle root of the header's fields, each encoded by itself (CometBFT types.Header.Hash). */
export function headerHash(header: Header): Uint8Array {
  return merkleRoot([
    encodeVersion(header.version),
    bytesValue(asciiBytes(header.chain)),
    new WireWriter().int(1, header.height).finish(),
    encodeTimestamp(header.time),
    encodeBlockId(header.lastBlockId),
    bytesValue(header.lastCommitHash),
    bytesValue(header.dataHash),
    bytesValue(header.validatorsHash),
    bytesValue(header.nextValidatorsHash),
    bytesValue(header.consensusHash),
    bytesValue(header.appHash),
    bytesValue(header.lastResultsHash),
    bytesValue(header.evidenceHash),
    bytesValue(header.proposerAddress),
  ]);
}

/** The order of a validator set: power descending, then address ascending (ValidatorsByVotingPower). */
export function sortValidators(validators: readonly Validator[]): Validator[] {
  return validators
    .map((validator) => ({ validator, address: addressOf(validator.publicKey) }))
    .sort((one, other) => other.validator.power - one.validator.power || compareBytes(one.address, other.address))
    .map((entry) => entry.validator);
}

/** tendermint.crypto.PublicKey. */
function encodePublicKey(publicKey: Uint8Array): Uint8Array {
  return new WireWriter().message(1, publicKey).finish();
}

/** Merkle root of SimpleValidator messages, in the order of the set. */
export function validatorsHash(validators: readonly Validator[]): Uint8Array {
  return merkleRoot(
    validators.map((validator) =>
      new WireWriter().message(1, encodePublicKey(validator.publicKey)).int(2, validator.power).finish(),
    ),
  );
}

export function totalPower(validators: readonly Validator[]): number {
  return validators.reduce((sum, validator) => sum + validator.power, 0);
}

/** tendermint.types.CommitSig. */
export function encodeCommitVote(vote: CommitVote): Uint8Array {
  return new WireWriter()
    .int(1, vote.flag)
    .bytes(2, vote.address)
    .message(3, encodeTimestamp(vote.time))
    .bytes(4, vote.signature)
    .finish();
}

/** tendermint.types.Commit. */
export function encodeCommit(commit: Commit): Uint8Array {
  const writer = new WireWriter().int(1, commit.height).int(2, commit.round).message(3, encodeBlockId(commit.blockId));
  for (const vote of commit.votes) writer.message(4, encodeCommitVote(vote));
  return writer.finish();
}

/** `lastCommitHash` of the next header; of the empty commit before the first block that of the empty list. */
export function commitHash(commit: Commit): Uint8Array {
  return merkleRoot(commit.votes.map(encodeCommitVote));
}

const PRECOMMIT = 2;

/**
 * What a validator signs: CanonicalVote of its precommit, behind its length (CometBFT types.VoteSignBytes). A vote for
 * no block names none.
 */
export function voteSignBytes(chain: string, commit: Omit<Commit, 'votes'>, vote: Pick<CommitVote, 'flag' | 'time'>) {
  const writer = new WireWriter().int(1, PRECOMMIT).sfixed64(2, commit.height).sfixed64(3, commit.round);
  if (vote.flag === VoteFlag.commit) writer.message(4, encodeBlockId(commit.blockId));
  writer.message(5, encodeTimestamp(vote.time)).bytes(6, asciiBytes(chain));
  return new WireWriter().delimited(writer.finish()).finish();
}

/** A validator's vote for the block, signed with its 32-byte seed. */
export function signVote(
  chain: string,
  commit: Omit<Commit, 'votes'>,
  key: { seed: Uint8Array; publicKey: Uint8Array },
  time: Timestamp,
): CommitVote {
  const flag = VoteFlag.commit;
  const signature = signEd25519(key.seed, voteSignBytes(chain, commit, { flag, time }));
  return { flag, address: addressOf(key.publicKey), time, signature };
}

/** `dataHash`: the leaves are the SHA-256 hashes of the transactions (CometBFT types.Txs.Hash). */
export function dataHash(transactionHashes: readonly Uint8Array[]): Uint8Array {
  return merkleRoot(transactionHashes);
}

/** Leaf of the results' tree: abci.ExecTxResult with code, data, gas_wanted and gas_used alone. */
export function encodeExecResult(result: ExecResult): Uint8Array {
  return new WireWriter()
    .int(1, result.code)
    .bytes(2, result.data)
    .int(5, result.gasWanted)
    .int(6, result.gasUsed)
    .finish();
}

/** `lastResultsHash` of the next header. */
export function resultsHash(results: readonly ExecResult[]): Uint8Array {
  return merkleRoot(results.map(encodeExecResult));
}

/** `consensusHash`: SHA-256 of HashedParams. A gas limit of −1 means none. */
export function consensusHash(blockBytesMax: number, blockGasMax: number): Uint8Array {
  return sha256(new WireWriter().int(1, blockBytesMax).int(2, blockGasMax).finish());
}

/** Whether it is an exact integer, and `least` or more. */
export function isIntegerFrom(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

function isHashOrEmpty(bytes: Uint8Array): boolean {
  return bytes.length === 0 || bytes.length === hashBytes;
}

export function isBlockId(id: BlockId): boolean {
  return isHashOrEmpty(id.hash) && isHashOrEmpty(id.parts.hash) && isIntegerFrom(id.parts.total, 0);
}

export function isTimestamp(time: Timestamp): boolean {
  return isIntegerFrom(time.seconds, zeroTimeSeconds) && isIntegerFrom(time.nanos, 0) && time.nanos <= nanosMax;
}

/** Throws `headerInvalid` (CometBFT types.Header.ValidateBasic). */
export function checkHeader(header: Header): void {
  const hashes = [header.lastCommitHash, header.dataHash, header.consensusHash, header.lastResultsHash];
  const sound =
    header.version.block === blockProtocolVersion &&
    isIntegerFrom(header.version.app, 0) &&
    CHAIN.test(header.chain) &&
    isIntegerFrom(header.height, 1) &&
    isTimestamp(header.time) &&
    isBlockId(header.lastBlockId) &&
    hashes.every(isHashOrEmpty) &&
    isHashOrEmpty(header.evidenceHash) &&
    header.validatorsHash.length === hashBytes &&
    header.nextValidatorsHash.length === hashBytes &&
    header.proposerAddress.length === addressBytes;
  if (!sound) throw proofError('headerInvalid');
}

/** Throws `validatorsInvalid`. */
export function checkValidators(validators: readonly Validator[]): void {
  if (validators.length === 0 || validators.length > validatorsMax) throw proofError('validatorsInvalid');
  const sorted = sortValidators(validators);
  const seen = new Set<string>();
  for (const [index, validator] of validators.entries()) {
    const sound = validator.publicKey.length === ed25519PublicKeyBytes && isIntegerFrom(validator.power, 1);
    const name = validator.publicKey.join();
    if (!sound || sorted[index] !== validator || seen.has(name)) throw proofError('validatorsInvalid');
    seen.add(name);
  }
  if (totalPower(validators) > totalPowerMax) throw proofError('validatorsInvalid');
}
