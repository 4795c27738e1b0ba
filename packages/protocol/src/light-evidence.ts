import { concatBytes, equalBytes, sha256, toHex } from './bytes.ts';
import {
  addressOf,
  compareTimestamps,
  type Header,
  headerHash,
  isIntegerFrom,
  sortValidators,
  type Timestamp,
  totalPower,
  type Validator,
  VoteFlag,
} from './comet.ts';
import {
  type JsonObject,
  lightBlockFromJson,
  lightBlockToJson,
  parseTimestamp,
  readInteger,
  readList,
  readObject,
  readText,
  timestampText,
  validatorFromJson,
  validatorToJson,
} from './comet-json.ts';
import { trustLevelDefault, verifyCommitLight, verifyCommitTrusting } from './commit.ts';
import type { JsonValue } from './json.ts';
import { checkLightBlock, type LightBlock } from './light.ts';
import { proofError } from './proof-errors.ts';

/**
 * Evidence of an attack on a light client (CometBFT types.LightClientAttackEvidence): a validly signed block that
 * conflicts with the chain. *Lunatic*: its state, sets or results were never computed. *Equivocation*: the same round
 * was signed twice. *Amnesia*: another round, which shows the attack but not who broke the rules.
 */
export type LightEvidence = {
  kind: 'lunatic' | 'equivocation' | 'amnesia';
  conflicting: LightBlock;
  /** The last height at which both sides had the same block; for equivocation and amnesia that of the conflict. */
  commonHeight: number;
  /** Who can be shown to have signed wrongly, in the order of a set. */
  byzantine: Validator[];
  /** Power of the validators of the common block. */
  totalPower: number;
  /** Time of the common block. */
  time: Timestamp;
};

/** What an honest execution determines; time, data and proposer may differ between two proposals. */
const DERIVED = ['validatorsHash', 'nextValidatorsHash', 'consensusHash', 'appHash', 'lastResultsHash'] as const;
const COMMON_HASH_BYTES = 31;

function isDerived(conflicting: Header, trusted: Header): boolean {
  return DERIVED.every((name) => equalBytes(conflicting[name], trusted[name]));
}

function attackKind(conflicting: LightBlock, trusted: LightBlock): LightEvidence['kind'] {
  if (!isDerived(conflicting.header, trusted.header)) return 'lunatic';
  return conflicting.commit.round === trusted.commit.round ? 'equivocation' : 'amnesia';
}

function validatorOf(validators: readonly Validator[], address: Uint8Array): Validator | undefined {
  return validators.find(({ publicKey }) => equalBytes(addressOf(publicKey), address));
}

/** CometBFT GetByzantineValidators. */
function byzantineOf(conflicting: LightBlock, trusted: LightBlock, common: readonly Validator[]): Validator[] {
  const kind = attackKind(conflicting, trusted);
  if (kind === 'amnesia') return [];
  const signed = conflicting.commit.votes.filter((vote, index) => {
    if (vote.flag !== VoteFlag.commit) return false;
    return kind === 'lunatic' || trusted.commit.votes[index]?.flag === VoteFlag.commit;
  });
  const set = kind === 'lunatic' ? common : conflicting.validators;
  const found = signed.map(({ address }) => validatorOf(set, address)).filter((entry) => entry !== undefined);
  return sortValidators(found);
}

/** Evidence against whoever signed `conflicting`, by somebody who takes `trusted` for the chain's block. */
export function evidenceOf(conflicting: LightBlock, trusted: LightBlock, common: LightBlock): LightEvidence {
  const kind = attackKind(conflicting, trusted);
  const ground = kind === 'lunatic' ? common : trusted;
  return {
    kind,
    conflicting,
    commonHeight: ground.header.height,
    byzantine: byzantineOf(conflicting, trusted, common.validators),
    totalPower: totalPower(ground.validators),
    time: ground.header.time,
  };
}

/** A signed integer as Go's binary.PutVarint writes it: zigzag. */
function zigzagVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = 2n * BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

/** CometBFT's name for the evidence, which ignores who voted. */
export function evidenceHash(evidence: LightEvidence): Uint8Array {
  const hash = headerHash(evidence.conflicting.header).subarray(0, COMMON_HASH_BYTES);
  return sha256(concatBytes(hash, Uint8Array.of(0), zigzagVarint(evidence.commonHeight)));
}

function checkConflict(conflicting: Header, trusted: Header): void {
  const isAhead = conflicting.height > trusted.height;
  if (isAhead && compareTimestamps(conflicting.time, trusted.time) > 0) throw proofError('evidenceNoConflict');
  if (equalBytes(headerHash(conflicting), headerHash(trusted))) throw proofError('evidenceNoConflict');
}

function isSameSet(one: readonly Validator[], other: readonly Validator[]): boolean {
  const names = (set: readonly Validator[]) => set.map(({ publicKey, power }) => `${toHex(publicKey)} ${power}`).join();
  return names(one) === names(other);
}

/**
 * Whether evidence convicts, by one's own blocks: `common` at its common height, `trusted` at the height of the
 * conflicting block (or the latest, where the conflicting one claims a height to come). CometBFT
 * evidence.VerifyLightClientAttack. Throws a numbered error.
 */
export function verifyEvidence(evidence: LightEvidence, common: LightBlock, trusted: LightBlock): void {
  const { conflicting, commonHeight } = evidence;
  const hash = checkLightBlock(conflicting);
  const { header, commit, validators } = conflicting;
  if (header.chain !== trusted.header.chain) throw proofError('chainOther');
  const isHeight = isIntegerFrom(commonHeight, 1) && commonHeight <= header.height;
  const isTime = compareTimestamps(evidence.time, common.header.time) === 0;
  if (!isHeight || commonHeight !== common.header.height || !isTime) throw proofError('evidenceHeight');
  if (commonHeight !== header.height) {
    verifyCommitTrusting(header.chain, common.validators, commit, trustLevelDefault, true);
  } else if (!isDerived(header, trusted.header)) {
    throw proofError('evidenceDerived');
  }
  verifyCommitLight(header.chain, validators, header, hash, commit, true);
  if (evidence.totalPower !== totalPower(common.validators)) throw proofError('evidencePower');
  checkConflict(header, trusted.header);
  const byzantine = byzantineOf(conflicting, trusted, common.validators);
  if (!isSameSet(byzantine, evidence.byzantine)) throw proofError('evidenceByzantine');
  if (evidence.kind !== attackKind(conflicting, trusted)) throw proofError('evidenceByzantine');
}

export function evidenceToJson(evidence: LightEvidence): JsonObject {
  const { kind, conflicting, commonHeight, byzantine, totalPower: power, time } = evidence;
  return {
    kind,
    conflicting: lightBlockToJson(conflicting),
    commonHeight,
    byzantine: byzantine.map(validatorToJson),
    totalPower: power,
    time: timestampText(time),
  };
}

/** Throws a SalusError. */
export function evidenceFromJson(value: JsonValue | undefined): LightEvidence {
  const json = readObject(value, ['kind', 'conflicting', 'commonHeight', 'byzantine', 'totalPower', 'time']);
  const { kind } = json;
  if (kind !== 'lunatic' && kind !== 'equivocation' && kind !== 'amnesia') throw proofError('evidenceForm');
  return {
    kind,
    conflicting: lightBlockFromJson(json.conflicting),
    commonHeight: readInteger(json.commonHeight),
    byzantine: readList(json.byzantine).map(validatorFromJson),
    totalPower: readInteger(json.totalPower),
    time: parseTimestamp(readText(json.time)),
  };
}
