import { equalBytes, toHex } from './bytes.ts';
import {
  addressBytes,
  addressOf,
  type Commit,
  type CommitVote,
  compareTimestamps,
  type Header,
  isBlockId,
  isIntegerFrom,
  isTimestamp,
  totalPower,
  type Validator,
  VoteFlag,
  voteSignBytes,
  zeroTime,
} from './comet.ts';
import { ed25519SignatureBytes, verifyEd25519 } from './ed25519.ts';
import { type ProofErrorName, proofError } from './proof-errors.ts';

/**
 * What the votes of a commit prove (CometBFT types/validation.go). Receipts take `verifyCommit`, which looks at every
 * signature, so that no byte of a receipt can be changed; the light client takes the other two, which stop at enough
 * power as CometBFT's own does and so have its verdicts.
 */

/** The part of a trusted set's power that must have signed a later block: from 1/3 to 1. */
export type TrustLevel = { numerator: number; denominator: number };

/** More than a third: at least one correct validator. */
export const trustLevelDefault: TrustLevel = { numerator: 1, denominator: 3 };

/** Throws `lightTrustLevel` (CometBFT light.ValidateTrustLevel). */
export function checkTrustLevel({ numerator, denominator }: TrustLevel): void {
  const sound = isIntegerFrom(numerator, 1) && isIntegerFrom(denominator, 1) && numerator <= denominator;
  if (!sound || 3n * BigInt(numerator) < BigInt(denominator)) throw proofError('lightTrustLevel');
}

/** Whether `power` is more than the fraction of the total. BigInt: a multiple may lie beyond the exact numbers. */
export function isMoreThan({ numerator, denominator }: TrustLevel, power: number, total: number): boolean {
  return BigInt(denominator) * BigInt(power) > BigInt(numerator) * BigInt(total);
}

export const twoThirds: TrustLevel = { numerator: 2, denominator: 3 };

/** CometBFT types.CommitSig.ValidateBasic. */
function isVote(vote: CommitVote): boolean {
  if (vote.flag === VoteFlag.absent) {
    return vote.address.length === 0 && vote.signature.length === 0 && compareTimestamps(vote.time, zeroTime) === 0;
  }
  return (
    (vote.flag === VoteFlag.commit || vote.flag === VoteFlag.nil) &&
    vote.address.length === addressBytes &&
    vote.signature.length > 0 &&
    vote.signature.length <= ed25519SignatureBytes &&
    isTimestamp(vote.time)
  );
}

/** The form of a commit, no signature looked at. Throws `commitInvalid` (CometBFT types.Commit.ValidateBasic). */
export function checkCommit(commit: Commit): void {
  const sound = isIntegerFrom(commit.round, 0) && isBlockId(commit.blockId) && commit.votes.every(isVote);
  if (!sound) throw proofError('commitInvalid');
}

/** The commit is of this block and has a vote for each of these validators. */
function checkBelongs(validators: readonly Validator[], height: number, blockHash: Uint8Array, commit: Commit): void {
  checkCommit(commit);
  if (commit.height !== height || !equalBytes(commit.blockId.hash, blockHash)) throw proofError('commitOtherBlock');
  if (commit.votes.length !== validators.length) throw proofError('commitSignatureCount');
}

/** From here on CometBFT counts the power before it looks at signatures, all at once; a single one it looks at first. */
const batchVotesMin = 2;

type Cast = { vote: CommitVote; publicKey: Uint8Array };

function checkSignatures(chain: string, commit: Commit, votes: readonly Cast[], failure: ProofErrorName): void {
  for (const { vote, publicKey } of votes) {
    if (!verifyEd25519(publicKey, voteSignBytes(chain, commit, vote), vote.signature)) throw proofError(failure);
  }
}

/** The validator that stands where the vote stands; throws `commitSignatureForeign`. */
function validatorAt(validators: readonly Validator[], index: number, vote: CommitVote): Validator {
  const validator = validators[index];
  if (!validator || !equalBytes(vote.address, addressOf(validator.publicKey))) {
    throw proofError('commitSignatureForeign');
  }
  return validator;
}

/**
 * Proves that validators with more than two thirds of the power signed the block. Every signature is checked, also
 * those beyond two thirds and those for no block, so that nothing in a commit can be changed (CometBFT
 * types.VerifyCommit). Throws a numbered error; `validators` must have passed `checkValidators`.
 */
export function verifyCommit(
  chain: string,
  validators: readonly Validator[],
  header: Pick<Header, 'height'>,
  blockHash: Uint8Array,
  commit: Commit,
): void {
  checkBelongs(validators, header.height, blockHash, commit);
  let signedPower = 0;
  for (const [index, vote] of commit.votes.entries()) {
    if (vote.flag === VoteFlag.absent) continue;
    const { publicKey, power } = validatorAt(validators, index, vote);
    checkSignatures(chain, commit, [{ vote, publicKey }], 'commitSignatureInvalid');
    if (vote.flag === VoteFlag.commit) signedPower += power;
  }
  if (!isMoreThan(twoThirds, signedPower, totalPower(validators))) throw proofError('commitPowerMissing');
}

/**
 * Proves the same by as many votes for the block as it takes; the others are not looked at, votes for no block never
 * (CometBFT types.VerifyCommitLight). `every`: all votes for the block are looked at, as evidence demands. Throws a
 * numbered error.
 */
export function verifyCommitLight(
  chain: string,
  validators: readonly Validator[],
  header: Pick<Header, 'height'>,
  blockHash: Uint8Array,
  commit: Commit,
  every = false,
): void {
  checkBelongs(validators, header.height, blockHash, commit);
  const total = totalPower(validators);
  const taken: Cast[] = [];
  let signedPower = 0;
  for (const [index, vote] of commit.votes.entries()) {
    if (vote.flag !== VoteFlag.commit) continue;
    const { publicKey, power } = validatorAt(validators, index, vote);
    taken.push({ vote, publicKey });
    signedPower += power;
    if (!every && isMoreThan(twoThirds, signedPower, total)) break;
  }
  if (!isMoreThan(twoThirds, signedPower, total)) throw proofError('commitPowerMissing');
  checkSignatures(chain, commit, taken, 'commitSignatureInvalid');
}

/**
 * Proves that more than `level` of a trusted set's power signed the commit of a later block, whose own validators may
 * be others: votes are found by address (CometBFT types.VerifyCommitLightTrusting). Throws `lightTrustMissing` where it
 * is less, which a block in between may help; `commitSignatureTwice` and `trustedVoteInvalid` are final.
 */
export function verifyCommitTrusting(
  chain: string,
  trusted: readonly Validator[],
  commit: Commit,
  level: TrustLevel,
  every = false,
): void {
  const byAddress = new Map(trusted.map((validator) => [toHex(addressOf(validator.publicKey)), validator]));
  const total = totalPower(trusted);
  const taken: Cast[] = [];
  const seen = new Set<Validator>();
  let signedPower = 0;
  for (const vote of commit.votes) {
    if (vote.flag !== VoteFlag.commit) continue;
    const validator = byAddress.get(toHex(vote.address));
    if (!validator) continue;
    if (seen.has(validator)) throw proofError('commitSignatureTwice');
    seen.add(validator);
    taken.push({ vote, publicKey: validator.publicKey });
    if (commit.votes.length < batchVotesMin) checkSignatures(chain, commit, taken, 'trustedVoteInvalid');
    signedPower += validator.power;
    if (!every && isMoreThan(level, signedPower, total)) break;
  }
  if (!isMoreThan(level, signedPower, total)) throw proofError('lightTrustMissing');
  checkSignatures(chain, commit, taken, 'trustedVoteInvalid');
}
