import { toBase64url, toHex } from './bytes.ts';
import { addressOf, type BlockId, type Commit, type Header, type Validator, VoteFlag } from './comet.ts';
import { type JsonObject, lightBlockFromJson, readList, readText, timestampText } from './comet-json.ts';
import type { SalusError } from './errors.ts';
import type { JsonValue } from './json.ts';
import type { LightBlock } from './light.ts';
import type { LightEvidence } from './light-evidence.ts';
import { proofError } from './proof-errors.ts';

/**
 * The JSON of CometBFT's RPC (`/commit`, `/validators`, `/broadcast_evidence`): hashes in upper-case hex, keys and
 * signatures in base64, 64-bit numbers as texts. Readers throw `providerBadBlock`; whether a block is genuine is for
 * the light client to say.
 */
const KEY_TYPE = 'tendermint/PubKeyEd25519';
const EVIDENCE_TYPE = 'tendermint/LightClientAttackEvidence';
const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;

const HEADER_HASHES = {
  lastCommitHash: 'last_commit_hash',
  dataHash: 'data_hash',
  validatorsHash: 'validators_hash',
  nextValidatorsHash: 'next_validators_hash',
  consensusHash: 'consensus_hash',
  appHash: 'app_hash',
  lastResultsHash: 'last_results_hash',
  evidenceHash: 'evidence_hash',
  proposerAddress: 'proposer_address',
} as const;
type HashName = keyof typeof HEADER_HASHES;
const HASH_NAMES = Object.keys(HEADER_HASHES) as HashName[];

function objectOf(value: JsonValue | undefined): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw proofError('providerBadBlock');
  return value;
}

/** A number as a text; left out where it is zero. */
function numberOf(value: JsonValue | undefined): number {
  const text = value === undefined ? '0' : String(value);
  if (!NUMBER.test(text)) throw proofError('providerBadBlock');
  return Number(text);
}

function hexOf(value: JsonValue | undefined): string {
  return readText(value).toLowerCase();
}

function base64urlOf(value: JsonValue | undefined): string {
  return readText(value)
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/={1,2}$/, '');
}

function blockIdOf(value: JsonValue | undefined): JsonObject {
  const { hash, parts } = objectOf(value);
  const { total, hash: partsHash } = objectOf(parts);
  return { hash: hexOf(hash), parts: { total: numberOf(total), hash: hexOf(partsHash) } };
}

function headerOf(value: JsonValue | undefined): JsonObject {
  const header = objectOf(value);
  const { block, app } = objectOf(header.version);
  const json: JsonObject = {
    version: { block: numberOf(block), app: numberOf(app) },
    chain: readText(header.chain_id),
    height: numberOf(header.height),
    time: readText(header.time),
    lastBlockId: blockIdOf(header.last_block_id),
  };
  for (const name of HASH_NAMES) json[name] = hexOf(header[HEADER_HASHES[name]]);
  return json;
}

function voteOf(value: JsonValue): JsonObject {
  const vote = objectOf(value);
  const flag = numberOf(vote.block_id_flag);
  if (flag === VoteFlag.absent) return { flag };
  const { validator_address: address, timestamp, signature } = vote;
  return { flag, address: hexOf(address), time: readText(timestamp), signature: base64urlOf(signature) };
}

function validatorOf(value: JsonValue): JsonObject {
  const { pub_key: key, voting_power: power } = objectOf(value);
  const { type, value: publicKey } = objectOf(key);
  if (type !== KEY_TYPE) throw proofError('providerBadBlock');
  return { publicKey: base64urlOf(publicKey), power: numberOf(power) };
}

/** `commit`: the result of `/commit`; `validators`: the lists of every page of `/validators`, joined. */
export function lightBlockFromRpc(commit: JsonValue, validators: readonly JsonValue[]): LightBlock {
  try {
    const { header, commit: votes } = objectOf(objectOf(commit).signed_header);
    const { height, round, block_id: blockId, signatures } = objectOf(votes);
    return lightBlockFromJson({
      header: headerOf(header),
      commit: {
        height: numberOf(height),
        round: numberOf(round),
        blockId: blockIdOf(blockId),
        votes: readList(signatures).map(voteOf),
      },
      validators: validators.map(validatorOf),
    });
  } catch (cause) {
    throw proofError('providerBadBlock', { cause });
  }
}

function upperHex(bytes: Uint8Array): string {
  return toHex(bytes).toUpperCase();
}

function base64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

function blockIdToRpc({ hash, parts }: BlockId): JsonObject {
  return { hash: upperHex(hash), parts: { total: parts.total, hash: upperHex(parts.hash) } };
}

function headerToRpc(header: Header): JsonObject {
  const { version, chain, height, time, lastBlockId } = header;
  const versions: JsonObject = { block: String(version.block) };
  if (version.app !== 0) versions.app = String(version.app);
  const json: JsonObject = {
    version: versions,
    chain_id: chain,
    height: String(height),
    time: timestampText(time),
    last_block_id: blockIdToRpc(lastBlockId),
  };
  for (const name of HASH_NAMES) json[HEADER_HASHES[name]] = upperHex(header[name]);
  return json;
}

function commitToRpc({ height, round, blockId, votes }: Commit): JsonObject {
  const signatures = votes.map(({ flag, address, time, signature }) => ({
    block_id_flag: flag,
    validator_address: upperHex(address),
    timestamp: timestampText(time),
    signature: signature.length > 0 ? base64(signature) : null,
  }));
  return { height: String(height), round, block_id: blockIdToRpc(blockId), signatures };
}

/** Priorities decide who proposes; no hash covers them, and evidence does not need them. */
function validatorToRpc({ publicKey, power }: Validator): JsonObject {
  return {
    address: upperHex(addressOf(publicKey)),
    pub_key: { type: KEY_TYPE, value: base64(publicKey) },
    voting_power: String(power),
    proposer_priority: '0',
  };
}

/** Parameter `evidence` of `/broadcast_evidence`. */
export function evidenceToRpc(evidence: LightEvidence): JsonObject {
  const { conflicting, commonHeight, byzantine, totalPower, time } = evidence;
  const validators = conflicting.validators.map(validatorToRpc);
  return {
    type: EVIDENCE_TYPE,
    value: {
      ConflictingBlock: {
        signed_header: { header: headerToRpc(conflicting.header), commit: commitToRpc(conflicting.commit) },
        validator_set: { validators, proposer: validators[0] ?? null },
      },
      CommonHeight: String(commonHeight),
      ByzantineValidators: byzantine.length > 0 ? byzantine.map(validatorToRpc) : null,
      TotalVotingPower: String(totalPower),
      Timestamp: timestampText(time),
    },
  };
}

const TOO_HIGH = /height \d+ must be less than or equal to/;
const MISSING = /height \d+ is not available/;

/** What CometBFT's words for a failure mean (its light/provider/http): `providerSilent` where they say nothing else. */
export function providerErrorOfRpc(words: string): SalusError {
  if (TOO_HIGH.test(words)) return proofError('providerHeightTooHigh');
  return proofError(MISSING.test(words) ? 'providerBlockMissing' : 'providerSilent');
}
