import { SalusError } from './errors.ts';
import { type LightBlock, type LightOptions, trustBlock, verifyStep } from './light.ts';
import { fetchBlock, isProofError, type LightProvider } from './light-provider.ts';
import { ProofErrorCodes, type ProofErrorName } from './proof-errors.ts';

/** Where between two blocks the next is tried: CometBFT's 9/16, which finds the middle of what was asked before. */
const pivotNumerator = 9;
const pivotDenominator = 16;

/** A step that failed, with the block that it failed at. */
export class StepError extends SalusError {
  readonly height: number;

  constructor(cause: SalusError, height: number) {
    super(cause.code, cause.message, { cause });
    this.height = height;
  }
}

/** Refusals that say nothing about the block itself (CometBFT: not ErrInvalidHeader). */
const NOT_OF_THE_BLOCK: readonly ProofErrorName[] = [
  'lightExpired',
  'lightTrustMissing',
  'validatorsUntrusted',
  'trustedVoteInvalid',
  'commitSignatureTwice',
  'lightNotAdjacent',
];

/** Whether the block is at fault, and with it the provider that gave it. */
export function isBlockInvalid(error: unknown): error is StepError {
  return error instanceof StepError && !NOT_OF_THE_BLOCK.some((name) => ProofErrorCodes[name] === error.code);
}

/** As `verifyStep`; failures name the height. */
export function step(trusted: LightBlock, block: LightBlock, options: LightOptions): void {
  try {
    verifyStep(trustBlock(trusted), block, options);
  } catch (error) {
    throw error instanceof SalusError ? new StepError(error, block.header.height) : error;
  }
}

/**
 * Skipping verification by bisection (CometBFT light.Client.verifySkipping): the widest step that enough of the trusted
 * power signed, and blocks in between where it did not. Returns every block that was verified, the trusted one first.
 */
export async function verifySkipping(
  source: LightProvider,
  trusted: LightBlock,
  target: LightBlock,
  options: LightOptions,
): Promise<LightBlock[]> {
  const trace = [trusted];
  let verified = trusted;
  let pending = [target];
  let depth = 0;
  for (;;) {
    const candidate = pending[depth] as LightBlock;
    try {
      step(verified, candidate, options);
    } catch (error) {
      if (!isProofError(error, 'lightTrustMissing')) throw error;
      if (depth === pending.length - 1) pending.push(await fetchBlock(source, pivotHeight(verified, candidate)));
      depth += 1;
      continue;
    }
    trace.push(candidate);
    if (depth === 0) return trace;
    verified = candidate;
    pending = pending.slice(0, depth);
    depth = 0;
  }
}

function pivotHeight(verified: LightBlock, candidate: LightBlock): number {
  const low = verified.header.height;
  return low + Math.floor(((candidate.header.height - low) * pivotNumerator) / pivotDenominator);
}
