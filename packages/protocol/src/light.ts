import { type Anchor, trustAnchor } from './anchor.ts';
import { equalBytes } from './bytes.ts';
import {
  type Commit,
  checkHeader,
  checkValidators,
  compareTimestamps,
  type Header,
  headerHash,
  msOfTimestamp,
  type Timestamp,
  type Validator,
  validatorsHash,
  verifyCommit,
} from './comet.ts';
import { proofError } from './proof-errors.ts';

/**
 * Light client verification (CometBFT specification, "Light Client Verification"): from a block that is trusted to a
 * later one, by the validator set that the trusted one names for what follows. Blocks under an unchanged set may be
 * left out; a change of the set needs the block that announces it. Light blocks carry the whole set, so that
 * skipping over changes (a third of the trusted power signs) can be added without another format.
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
};

/** Clock of the verifier; without `nowMs` the age of what is trusted does not count, as for receipts kept for years. */
export type LightOptions = {
  nowMs?: number;
  /** How long validators of a trusted block can be held to account. */
  trustingPeriodMs?: number;
  /** How far a block's time may lie ahead of this clock. */
  clockDriftMsMax?: number;
};

/** Two weeks: below the time that a validator's exit takes. */
export const trustingPeriodMsDefault = 1_209_600_000;
/** As CometBFT's light client. */
export const clockDriftMsDefault = 10_000;

/**
 * A light block that agrees with itself: its validators are those of its header, and more than two thirds of their
 * power signed it. Whether these validators are to be trusted is not looked at. Returns the header's hash.
 */
export function verifyLightBlock(block: LightBlock): Uint8Array {
  const { header, commit, validators } = block;
  checkHeader(header);
  checkValidators(validators);
  if (!equalBytes(validatorsHash(validators), header.validatorsHash)) throw proofError('validatorsHashDiffers');
  const hash = headerHash(header);
  verifyCommit(header.chain, validators, header, hash, commit);
  return hash;
}

/** What a verified block lets one trust. */
export function trustBlock(header: Header): TrustedBlock {
  const { chain, height, time, nextValidatorsHash } = header;
  return { chain, height, headerHash: headerHash(header), time, nextValidatorsHash };
}

function checkClock(trusted: TrustedBlock, block: LightBlock, options: LightOptions): void {
  if (options.nowMs === undefined) return;
  const trustingPeriodMs = options.trustingPeriodMs ?? trustingPeriodMsDefault;
  const clockDriftMsMax = options.clockDriftMsMax ?? clockDriftMsDefault;
  if (msOfTimestamp(trusted.time) + trustingPeriodMs <= options.nowMs) throw proofError('lightExpired');
  if (msOfTimestamp(block.header.time) >= options.nowMs + clockDriftMsMax) throw proofError('lightFuture');
}

/** A block of the trusted height itself: trusted if it is that block, whoever signed it. */
function verifySame(trusted: TrustedBlock, block: LightBlock): TrustedBlock {
  if (!equalBytes(headerHash(block.header), trusted.headerHash)) throw proofError('anchorHeaderDiffers');
  verifyLightBlock(block);
  return trusted;
}

/**
 * One step upwards under the set that the trusted block names. `sameTimeAllowed`: CometBFT gives the first block the
 * time of genesis. Throws a numbered error.
 */
function verifyLater(
  trusted: TrustedBlock,
  block: LightBlock,
  options: LightOptions,
  sameTimeAllowed: boolean,
): TrustedBlock {
  const { header } = block;
  if (header.chain !== trusted.chain) throw proofError('chainOther');
  if (header.height <= trusted.height) throw proofError('lightHeight');
  const later = compareTimestamps(header.time, trusted.time);
  if (later < 0 || (later === 0 && !sameTimeAllowed)) throw proofError('lightTime');
  checkClock(trusted, block, options);
  if (!equalBytes(header.validatorsHash, trusted.nextValidatorsHash)) throw proofError('validatorsUntrusted');
  // The first block of a chain follows no block.
  const previous = header.lastBlockId.hash;
  const isNext = header.height === trusted.height + 1;
  if (isNext && previous.length > 0 && !equalBytes(previous, trusted.headerHash)) throw proofError('lightNotAdjacent');
  verifyLightBlock(block);
  return trustBlock(header);
}

/** CometBFT's VerifyAdjacent: `block` directly follows `trusted`. Throws a numbered error. */
export function verifyAdjacent(trusted: TrustedBlock, block: LightBlock, options: LightOptions = {}): TrustedBlock {
  if (block.header.height !== trusted.height + 1) throw proofError('lightNotAdjacent');
  return verifyLater(trusted, block, options, false);
}

/**
 * From an anchor over light blocks in ascending order, each under the set that the one before names. Returns what may
 * be trusted then. Throws a numbered error.
 */
export function verifyChain(anchor: Anchor, blocks: readonly LightBlock[], options: LightOptions = {}): TrustedBlock {
  let trusted = trustAnchor(anchor);
  for (const [index, block] of blocks.entries()) {
    const atAnchor = index === 0;
    if (block.header.chain !== trusted.chain) throw proofError('chainOther');
    if (atAnchor && block.header.height < trusted.height) throw proofError('anchorTooNew');
    const isSame = atAnchor && block.header.height === trusted.height;
    trusted = isSame ? verifySame(trusted, block) : verifyLater(trusted, block, options, atAnchor);
  }
  return trusted;
}
