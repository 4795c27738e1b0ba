import { type Anchor, trustAnchor } from './anchor.ts';
import { equalBytes } from './bytes.ts';
import {
  type Commit,
  checkHeader,
  checkValidators,
  compareTimestamps,
  type Header,
  headerHash,
  type Timestamp,
  timestampAfterMs,
  timestampOfMs,
  type Validator,
  validatorsHash,
} from './comet.ts';
import {
  checkCommit,
  type TrustLevel,
  trustLevelDefault,
  verifyCommit,
  verifyCommitLight,
  verifyCommitTrusting,
} from './commit.ts';
import { type Handover, isHandover, verifyHandover } from './handover.ts';
import { proofError } from './proof-errors.ts';

/**
 * The steps of light client verification (CometBFT specification, "Light Client Verification"), without a network:
 * from what is trusted to another block. Receipts are proven by `verifyChain`, which follows every announced change of
 * the validators and checks every signature; the light client (light-client.ts) takes the single steps.
 */

/** A header with the votes for it and the validators that cast them: all that a light client needs of a block. */
export type LightBlock = { header: Header; commit: Commit; validators: Validator[] };

/** What of a trusted block counts for the next step. */
export type TrustedBlock = {
  chain: string;
  height: number;
  headerHash: Uint8Array;
  time: Timestamp;
  /** Hash of the set that signs the blocks that follow. */
  nextValidatorsHash: Uint8Array;
  /** The set that a skip counts on: that of the trusted block, or of the next one where trust begins at an anchor. */
  validators: readonly Validator[];
  /** Set where the next block is the first of a chain, which follows no block: after genesis and handovers. */
  start?: { appHash?: Uint8Array };
};

/** Clock of the verifier; without `nowMs` the age of what is trusted does not count, as for receipts kept for years. */
export type LightOptions = {
  nowMs?: number;
  /** How long validators of a trusted block can be held to account. */
  trustingPeriodMs?: number;
  /** How far a block's time may lie ahead of this clock. */
  clockDriftMsMax?: number;
  /** How much of the trusted power a skip takes. */
  trustLevel?: TrustLevel;
};

/** Two weeks: below the time that a validator's exit takes. */
export const trustingPeriodMsDefault = 1_209_600_000;
/** As CometBFT's light client. */
export const clockDriftMsDefault = 10_000;

type CommitCheck = typeof verifyCommit;

/** A light block that agrees with itself; no signature is looked at (CometBFT types.LightBlock.ValidateBasic). */
export function checkLightBlock(block: LightBlock): Uint8Array {
  const { header, commit, validators } = block;
  checkHeader(header);
  checkValidators(validators);
  checkCommit(commit);
  if (!equalBytes(validatorsHash(validators), header.validatorsHash)) throw proofError('validatorsHashDiffers');
  const hash = headerHash(header);
  if (commit.height !== header.height || !equalBytes(commit.blockId.hash, hash)) throw proofError('commitOtherBlock');
  return hash;
}

/**
 * A light block that agrees with itself, and that more than two thirds of its own validators' power signed. Whether
 * these validators are to be trusted is not looked at. Returns the header's hash.
 */
export function verifyLightBlock(block: LightBlock): Uint8Array {
  const { header, commit, validators } = block;
  const hash = checkLightBlock(block);
  verifyCommit(header.chain, validators, header, hash, commit);
  return hash;
}

/** What a verified block lets one trust. */
export function trustBlock(
  { header, validators }: Pick<LightBlock, 'header' | 'validators'>,
  hash: Uint8Array = headerHash(header),
): TrustedBlock {
  const { chain, height, time, nextValidatorsHash } = header;
  return { chain, height, headerHash: hash, time, nextValidatorsHash, validators };
}

/** Whether what is trusted is too old to lead anywhere (CometBFT light.HeaderExpired). */
export function isExpired(trusted: Pick<TrustedBlock, 'time'>, options: LightOptions): boolean {
  if (options.nowMs === undefined) return false;
  const end = timestampAfterMs(trusted.time, options.trustingPeriodMs ?? trustingPeriodMsDefault);
  return compareTimestamps(end, timestampOfMs(options.nowMs)) <= 0;
}

function checkClock(trusted: TrustedBlock, options: LightOptions): void {
  if (isExpired(trusted, options)) throw proofError('lightExpired');
}

/** `sameTimeAllowed`: CometBFT gives the first block the time of genesis. */
function checkLater(trusted: TrustedBlock, block: LightBlock, options: LightOptions, sameTimeAllowed: boolean): void {
  const { header } = block;
  if (header.chain !== trusted.chain) throw proofError('chainOther');
  if (header.height <= trusted.height) throw proofError('lightHeight');
  const later = compareTimestamps(header.time, trusted.time);
  if (later < 0 || (later === 0 && !sameTimeAllowed)) throw proofError('lightTime');
  if (options.nowMs === undefined) return;
  const latest = timestampOfMs(options.nowMs + (options.clockDriftMsMax ?? clockDriftMsDefault));
  if (compareTimestamps(header.time, latest) >= 0) throw proofError('lightFuture');
}

/** The first block of a chain follows no block, and has the state and the time that were handed over. */
function checkFirst(trusted: TrustedBlock, header: Header): void {
  if (header.height !== trusted.height + 1 || !trusted.start) return;
  const { appHash } = trusted.start;
  if (!appHash) return;
  // CometBFT state.validateBlock: the first block has the time of genesis.
  const isTime = compareTimestamps(header.time, trusted.time) === 0;
  const isFirst = header.lastBlockId.hash.length === 0 && equalBytes(appHash, header.appHash);
  if (!isTime || !isFirst) throw proofError('lightFirstBlock');
}

/**
 * The link to the trusted block where it is the one before. CometBFT's light client does not look at it; a receipt has
 * no witnesses that would show a fork, so its blocks must follow one another wherever they are neighbours.
 */
function checkLink(trusted: TrustedBlock, header: Header): void {
  if (header.height !== trusted.height + 1) return;
  const previous = header.lastBlockId.hash;
  if (trusted.start && previous.length === 0) return;
  if (!equalBytes(previous, trusted.headerHash)) throw proofError('lightNotAdjacent');
}

/** One step upwards under the set that the trusted block names. */
function verifyUnderNext(
  trusted: TrustedBlock,
  block: LightBlock,
  options: LightOptions,
  check: CommitCheck,
): TrustedBlock {
  const { header, commit, validators } = block;
  checkClock(trusted, options);
  const hash = checkLightBlock(block);
  checkLater(trusted, block, options, trusted.start !== undefined);
  if (!equalBytes(header.validatorsHash, trusted.nextValidatorsHash)) throw proofError('validatorsUntrusted');
  checkFirst(trusted, header);
  check(header.chain, validators, header, hash, commit);
  return trustBlock(block, hash);
}

/** CometBFT's VerifyAdjacent: `block` directly follows `trusted`. Throws a numbered error. */
export function verifyAdjacent(trusted: TrustedBlock, block: LightBlock, options: LightOptions = {}): TrustedBlock {
  if (block.header.height !== trusted.height + 1) throw proofError('lightNotAdjacent');
  return verifyUnderNext(trusted, block, options, verifyCommitLight);
}

/**
 * CometBFT's VerifyNonAdjacent: skips to a later block that more than the trust level of the trusted power signed, and
 * two thirds of its own. Throws a numbered error: `lightTrustMissing` where a block in between may help.
 */
export function verifyNonAdjacent(trusted: TrustedBlock, block: LightBlock, options: LightOptions = {}): TrustedBlock {
  const { header, commit, validators } = block;
  if (header.height === trusted.height + 1) throw proofError('lightNotAdjacent');
  checkClock(trusted, options);
  const hash = checkLightBlock(block);
  checkLater(trusted, block, options, false);
  verifyCommitTrusting(trusted.chain, trusted.validators, commit, options.trustLevel ?? trustLevelDefault);
  verifyCommitLight(header.chain, validators, header, hash, commit);
  return trustBlock(block, hash);
}

/** CometBFT's Verify: adjacent or not. */
export function verifyStep(trusted: TrustedBlock, block: LightBlock, options: LightOptions = {}): TrustedBlock {
  const isNext = block.header.height === trusted.height + 1;
  return isNext ? verifyAdjacent(trusted, block, options) : verifyNonAdjacent(trusted, block, options);
}

/** CometBFT's VerifyBackwards: `older` is the header that the trusted one follows. Throws a numbered error. */
export function verifyBackwards(older: Header, trusted: Header): void {
  checkHeader(older);
  if (older.chain !== trusted.chain) throw proofError('chainOther');
  if (compareTimestamps(older.time, trusted.time) >= 0) throw proofError('lightTime');
  if (!equalBytes(headerHash(older), trusted.lastBlockId.hash)) throw proofError('lightBackwards');
}

/** A block of the trusted height itself: trusted if it is that block, whoever signed it. */
function verifySame(trusted: TrustedBlock, block: LightBlock): TrustedBlock {
  if (block.header.chain !== trusted.chain) throw proofError('chainOther');
  if (!equalBytes(headerHash(block.header), trusted.headerHash)) throw proofError('anchorHeaderDiffers');
  verifyLightBlock(block);
  return trusted;
}

/** A block as `verifyChain` takes it: the anchor's own, or a later one. */
function verifyInChain(
  trusted: TrustedBlock,
  block: LightBlock,
  isFirst: boolean,
  options: LightOptions,
): TrustedBlock {
  if (block.header.chain !== trusted.chain) throw proofError('chainOther');
  if (isFirst && block.header.height < trusted.height) throw proofError('anchorTooNew');
  if (isFirst && block.header.height === trusted.height) return verifySame(trusted, block);
  const verified = verifyUnderNext(trusted, block, options, verifyCommit);
  checkLink(trusted, block.header);
  return verified;
}

/** Trust in a handover's last block, and from there in what its validators handed the chain over to. */
export function stepOverHandover(
  trusted: TrustedBlock,
  handover: Handover,
  isFirst: boolean,
  options: LightOptions = {},
): TrustedBlock {
  const { last } = handover;
  const isSame = last.header.height === trusted.height && equalBytes(headerHash(last.header), trusted.headerHash);
  if (isSame) verifySame(trusted, last);
  else verifyInChain(trusted, last, isFirst, options);
  return verifyHandover(handover);
}

/**
 * From an anchor over light blocks and handovers in ascending order, each under the set that the one before names.
 * Returns what may be trusted then. Throws a numbered error.
 */
export function verifyChain(
  anchor: Anchor,
  steps: readonly (LightBlock | Handover)[],
  options: LightOptions = {},
): TrustedBlock {
  let trusted = trustAnchor(anchor);
  for (const [index, step] of steps.entries()) {
    const isFirst = index === 0;
    trusted = isHandover(step)
      ? stepOverHandover(trusted, step, isFirst, options)
      : verifyInChain(trusted, step, isFirst, options);
  }
  return trusted;
}
