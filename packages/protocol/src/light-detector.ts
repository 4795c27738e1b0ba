import { compareTimestamps } from './comet.ts';
import { SalusError } from './errors.ts';
import { clockDriftMsDefault, type LightBlock, type LightOptions } from './light.ts';
import { evidenceOf, type LightEvidence } from './light-evidence.ts';
import { fetchBlock, isBenign, isProofError, isSameBlock, type LightProvider } from './light-provider.ts';
import { verifySkipping } from './light-skipping.ts';
import type { LightSources } from './light-sources.ts';
import { ProofErrorCodes, proofError } from './proof-errors.ts';

/**
 * Comparison with the witnesses (CometBFT light/detector.go). Whoever holds old keys can sign another chain; what gives
 * it away is that somebody else shows the true one.
 */
export type DetectorOptions = LightOptions & {
  /** How far an honest witness may lie behind. */
  blockLagMsMax?: number;
  /** Waits for a witness that lies behind; without it the witness is asked again at once. */
  wait?: (ms: number) => Promise<void>;
};

/** As CometBFT's light client. */
export const blockLagMsDefault = 10_000;

/** Two validly signed blocks for one height, with the evidence against who signed either. */
export class LightAttackError extends SalusError {
  readonly evidence: readonly LightEvidence[];

  constructor(evidence: readonly LightEvidence[]) {
    super(ProofErrorCodes.lightAttack, proofError('lightAttack').message);
    this.evidence = evidence;
  }
}

type Verdict =
  | { kind: 'same' | 'silent' | 'bad'; witness: LightProvider }
  | { kind: 'conflict'; witness: LightProvider; block: LightBlock };

/** The witness's block of the height, or its latest one where it has not come so far. */
async function blockOrLatest(witness: LightProvider, height: number): Promise<LightBlock> {
  const latest = await fetchBlock(witness);
  return latest.header.height > height ? await fetchBlock(witness, height) : latest;
}

/**
 * A witness that lies behind conflicts where its latest block is not earlier than the one in question: then that one
 * claims a height that the chain has not come to (a forward lunatic attack).
 */
async function compareLater(block: LightBlock, witness: LightProvider, options: DetectorOptions): Promise<Verdict> {
  const { height, time } = block.header;
  const isLate = (own: LightBlock) => own.header.height !== height && compareTimestamps(own.header.time, time) < 0;
  let own: LightBlock;
  try {
    own = await blockOrLatest(witness, height);
  } catch (error) {
    return { kind: isBenign(error) ? 'silent' : 'bad', witness };
  }
  if (isLate(own)) {
    const driftMs = options.clockDriftMsMax ?? clockDriftMsDefault;
    await options.wait?.(2 * driftMs + (options.blockLagMsMax ?? blockLagMsDefault));
    try {
      own = await blockOrLatest(witness, height);
    } catch {
      return { kind: 'bad', witness };
    }
    if (isLate(own)) return { kind: 'silent', witness };
  }
  return isSameBlock(block, own) ? { kind: 'same', witness } : { kind: 'conflict', witness, block: own };
}

export async function compareWithWitness(
  block: LightBlock,
  witness: LightProvider,
  options: DetectorOptions,
): Promise<Verdict> {
  try {
    const own = await fetchBlock(witness, block.header.height);
    return isSameBlock(block, own) ? { kind: 'same', witness } : { kind: 'conflict', witness, block: own };
  } catch (error) {
    if (isProofError(error, 'providerHeightTooHigh')) return await compareLater(block, witness, options);
    return { kind: isBenign(error) ? 'silent' : 'bad', witness };
  }
}

type Divergence = { sourceTrace: LightBlock[]; traceBlock: LightBlock };

/**
 * Follows a verified trace with the blocks of another source up to `target`, its block that differs, and finds the
 * first block of the trace that the source does not have but verifies another one for. Throws where it verifies none.
 */
async function findDivergence(
  trace: readonly LightBlock[],
  target: LightBlock,
  source: LightProvider,
  options: LightOptions,
): Promise<Divergence> {
  const [root, ...later] = trace as [LightBlock, ...LightBlock[]];
  const targetHeight = target.header.height;
  if (targetHeight < root.header.height) throw proofError('lightHeight');
  const rootOfSource = targetHeight === root.header.height ? target : await fetchBlock(source, root.header.height);
  if (!isSameBlock(root, rootOfSource)) throw proofError('anchorHeaderDiffers');
  let verified = root;
  for (const traceBlock of later) {
    const { height, time } = traceBlock.header;
    if (height > targetHeight) {
      if (compareTimestamps(time, target.header.time) > 0) throw proofError('lightTime');
      return { sourceTrace: await verifySkipping(source, verified, target, options), traceBlock };
    }
    const own = height === targetHeight ? target : await fetchBlock(source, height);
    const sourceTrace = await verifySkipping(source, verified, own, options);
    if (!isSameBlock(own, traceBlock)) return { sourceTrace, traceBlock };
    verified = own;
  }
  throw proofError('evidenceNoConflict');
}

async function report(provider: LightProvider, evidence: LightEvidence): Promise<void> {
  try {
    await provider.reportEvidence(evidence);
  } catch {
    // Whether the provider takes it or not, the client stops and its caller has the evidence.
  }
}

function evidenceFrom({ sourceTrace, traceBlock }: Divergence): LightEvidence {
  const [common] = sourceTrace as [LightBlock];
  return evidenceOf(traceBlock, sourceTrace.at(-1) as LightBlock, common);
}

/** Throws `LightAttackError` where the witness can verify its block; otherwise the witness is at fault. */
async function examine(
  sources: LightSources,
  trace: readonly LightBlock[],
  conflict: { witness: LightProvider; block: LightBlock },
  options: LightOptions,
): Promise<void> {
  const { witness, block } = conflict;
  const { primary } = sources;
  let found: Divergence;
  try {
    found = await findDivergence(trace, block, witness, options);
  } catch {
    return;
  }
  const againstPrimary = evidenceFrom(found);
  await report(witness, againstPrimary);
  // The witness may be the one that lies: the same question the other way round.
  let reverse: Divergence;
  try {
    reverse = await findDivergence(found.sourceTrace, found.traceBlock, primary, options);
  } catch {
    throw new LightAttackError([againstPrimary]);
  }
  const againstWitness = evidenceFrom(reverse);
  await report(primary, againstWitness);
  throw new LightAttackError([againstPrimary, againstWitness]);
}

/**
 * Compares the last block of a verified trace with every witness. Throws `LightAttackError` on a fork,
 * `lightWitnessesMissing` where all were at fault, and `lightUnconfirmed` where none had the same block.
 */
export async function detectDivergence(
  sources: LightSources,
  trace: readonly LightBlock[],
  options: DetectorOptions,
): Promise<void> {
  const last = trace.at(-1) as LightBlock;
  const verdicts = await Promise.all(sources.witnesses.map((witness) => compareWithWitness(last, witness, options)));
  const bad: LightProvider[] = [];
  for (const verdict of verdicts) {
    if (verdict.kind === 'conflict') await examine(sources, trace, verdict, options);
    if (verdict.kind === 'conflict' || verdict.kind === 'bad') bad.push(verdict.witness);
  }
  if (bad.length > 0) sources.removeWitnesses(bad);
  if (!verdicts.some(({ kind }) => kind === 'same')) throw proofError('lightUnconfirmed');
}
