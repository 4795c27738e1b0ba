import { equalBytes } from './bytes.ts';
import { headerHash } from './comet.ts';
import { SalusError } from './errors.ts';
import type { Handover } from './handover.ts';
import { checkLightBlock, type LightBlock } from './light.ts';
import type { LightEvidence } from './light-evidence.ts';
import { ProofErrorCodes, type ProofErrorName, proofError } from './proof-errors.ts';

/**
 * Where light blocks come from: a node's RPC, a file, a test. It is not believed. A provider throws
 * `providerBlockMissing`, `providerSilent` or `providerHeightTooHigh` (`proofError`) where it has no answer, which may
 * be nobody's fault; every other error counts against it.
 */
export interface LightProvider {
  readonly chain: string;
  /** The block of this height; without one the latest. */
  lightBlock(height?: number): Promise<LightBlock>;
  /** The chain's handovers, where it knows of any. */
  handovers?(): Promise<Handover[]>;
  /** Takes evidence against another provider, to bring it before the validators. */
  reportEvidence(evidence: LightEvidence): Promise<void>;
}

const BENIGN: readonly number[] = [
  ProofErrorCodes.providerBlockMissing,
  ProofErrorCodes.providerSilent,
  ProofErrorCodes.providerHeightTooHigh,
];

export function isProofError(error: unknown, ...names: readonly ProofErrorName[]): error is SalusError {
  return error instanceof SalusError && names.some((name) => ProofErrorCodes[name] === error.code);
}

/** Whether a provider merely has no answer. */
export function isBenign(error: unknown): boolean {
  return error instanceof SalusError && BENIGN.includes(error.code);
}

/** Whether a block was asked for and is this one. */
export function isSameBlock(one: LightBlock, other: LightBlock): boolean {
  return equalBytes(headerHash(one.header), headerHash(other.header));
}

/** A provider's block if it agrees with itself and with the question; throws `providerBadBlock` otherwise. */
export async function fetchBlock(provider: LightProvider, height?: number): Promise<LightBlock> {
  const block = await provider.lightBlock(height);
  try {
    checkLightBlock(block);
  } catch (cause) {
    throw proofError('providerBadBlock', { cause });
  }
  const isAsked = height === undefined || block.header.height === height;
  if (!isAsked || block.header.chain !== provider.chain) throw proofError('providerBadBlock');
  return block;
}
