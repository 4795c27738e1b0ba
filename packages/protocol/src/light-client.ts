import { type Anchor, trustAnchor } from './anchor.ts';
import { equalBytes } from './bytes.ts';
import { headerHash } from './comet.ts';
import { checkTrustLevel, type TrustLevel, trustLevelDefault, verifyCommitLight } from './commit.ts';
import { type Handover, refuseConflict, verifyHandover } from './handover.ts';
import {
  clockDriftMsDefault,
  isExpired,
  type LightBlock,
  type TrustedBlock,
  trustBlock,
  trustingPeriodMsDefault,
  verifyAdjacent,
  verifyBackwards,
  verifyStep,
} from './light.ts';
import { compareWithWitness, type DetectorOptions, detectDivergence } from './light-detector.ts';
import { isProofError, isSameBlock, type LightProvider } from './light-provider.ts';
import { isBlockInvalid, step, verifySkipping } from './light-skipping.ts';
import { LightSources } from './light-sources.ts';
import type { LightStore } from './light-store.ts';
import { proofError } from './proof-errors.ts';

/** Three weeks: how long a validator that leaves can still be held to account (CometBFT's evidence age). */
export const unbondingPeriodMsDefault = 1_814_400_000;
/** As CometBFT's light client. */
export const storedBlocksMaxDefault = 1000;

export type LightClientOptions = {
  /** What is trusted to begin with, from somebody who is trusted. */
  anchor: Anchor;
  primary: LightProvider;
  /** At least one, run by others than the primary. */
  witnesses: readonly LightProvider[];
  store: LightStore;
  /** Sequential looks at every header; skipping (default) at as few as are safe. */
  mode?: 'sequential' | 'skipping';
  trustLevel?: TrustLevel;
  trustingPeriodMs?: number;
  unbondingPeriodMs?: number;
  clockDriftMsMax?: number;
  blockLagMsMax?: number;
  /** The lowest are removed above it; 0 keeps all. */
  storedBlocksMax?: number;
  wait?: (ms: number) => Promise<void>;
};

type Settings = Required<Pick<LightClientOptions, 'mode' | 'storedBlocksMax' | 'trustLevel'>> & DetectorOptions;

function settingsOf(options: LightClientOptions): Settings {
  const trustLevel = options.trustLevel ?? trustLevelDefault;
  const trustingPeriodMs = options.trustingPeriodMs ?? trustingPeriodMsDefault;
  const clockDriftMsMax = options.clockDriftMsMax ?? clockDriftMsDefault;
  const unbondingPeriodMs = options.unbondingPeriodMs ?? unbondingPeriodMsDefault;
  checkTrustLevel(trustLevel);
  const isSound = trustingPeriodMs > 0 && trustingPeriodMs < unbondingPeriodMs && clockDriftMsMax >= 0;
  if (!isSound) throw proofError('lightPeriods');
  return {
    mode: options.mode ?? 'skipping',
    storedBlocksMax: options.storedBlocksMax ?? storedBlocksMaxDefault,
    trustLevel,
    trustingPeriodMs,
    clockDriftMsMax,
    blockLagMsMax: options.blockLagMsMax,
    wait: options.wait,
  };
}

/** A chain is handed over once or twice in its life; who names more wants to keep the client busy. */
const handoversMax = 32;

/** A provider without an answer knows of none. */
async function handoversOf(provider: LightProvider): Promise<Handover[]> {
  try {
    return ((await provider.handovers?.()) ?? []).slice(0, handoversMax);
  } catch {
    return [];
  }
}

/**
 * A light client of CometBFT (light.Client) over providers and a store that the caller gives; it has no clock either:
 * whoever asks says what time it is. One question at a time. Errors are numbered; after `LightAttackError` nothing of
 * that block is stored, and the caller should stop and show the evidence.
 */
export class LightClient {
  readonly #anchor: Anchor;
  readonly #store: LightStore;
  readonly #sources: LightSources;
  readonly #settings: Settings;

  private constructor(options: LightClientOptions) {
    this.#anchor = options.anchor;
    this.#store = options.store;
    this.#settings = settingsOf(options);
    this.#sources = new LightSources(options.anchor.chain, options.primary, options.witnesses);
  }

  /** Checks the settings and begins at the anchor, or where the store ended. */
  static async open(options: LightClientOptions, nowMs: number): Promise<LightClient> {
    const client = new LightClient(options);
    const last = await client.#store.last();
    const atAnchor = await client.#store.at(options.anchor.height);
    const { headerHash: anchored } = trustAnchor(options.anchor);
    if (atAnchor && !equalBytes(headerHash(atAnchor.header), anchored)) throw proofError('lightStoreDiffers');
    if (last && last.header.chain !== options.anchor.chain) throw proofError('lightStoreDiffers');
    if (!last || last.header.height < options.anchor.height) await client.#begin({ ...client.#settings, nowMs });
    return client;
  }

  /** The providers as they are now: one that failed was replaced. */
  get sources(): Pick<LightSources, 'primary' | 'witnesses'> {
    return this.#sources;
  }

  /** A block that was verified before. */
  async trusted(height?: number): Promise<LightBlock | undefined> {
    return height === undefined ? await this.#store.last() : await this.#store.at(height);
  }

  /** The block of a height, verified. */
  async verify(height: number, nowMs: number): Promise<LightBlock> {
    const known = await this.#store.at(height);
    if (known) return known;
    return await this.#verifyBlock(await this.#sources.block(height), { ...this.#settings, nowMs });
  }

  /** The latest block, verified; undefined where there is none above what is trusted. */
  async update(nowMs: number): Promise<LightBlock | undefined> {
    const latest = await this.#sources.block();
    const last = await this.#lastTrusted();
    if (latest.header.height <= last.header.height) return undefined;
    return await this.#verifyBlock(latest, { ...this.#settings, nowMs });
  }

  /** Genesis and handovers name a set without a block of their own in the chain: there the first block is taken. */
  async #begin(options: DetectorOptions): Promise<void> {
    const anchor = trustAnchor(this.#anchor);
    const own = await this.#blockOfAnchor();
    const block = own ?? (await this.#firstBlock(anchor, options));
    if (!block) return;
    if (own) {
      const isNamed = equalBytes(headerHash(own.header), anchor.headerHash);
      const isNext = equalBytes(own.header.nextValidatorsHash, anchor.nextValidatorsHash);
      if (!isNamed || !isNext) throw proofError('anchorHeaderDiffers');
      const { header, commit, validators } = own;
      verifyCommitLight(header.chain, validators, header, anchor.headerHash, commit);
    } else {
      verifyAdjacent(anchor, block, options);
      const previous = block.header.lastBlockId.hash;
      if (previous.length > 0 && !equalBytes(previous, anchor.headerHash)) throw proofError('anchorHeaderDiffers');
    }
    await this.#compareFirst(block, options);
    await this.#save(block);
  }

  /**
   * The block after the anchor. Members of a network that a chain was handed over to have none from before: then the last
   * block that the handover carries is what trust begins with, and undefined is given.
   */
  async #firstBlock(anchor: TrustedBlock, options: DetectorOptions): Promise<LightBlock | undefined> {
    try {
      return await this.#sources.block(anchor.height + 1);
    } catch (error) {
      if (!isProofError(error, 'providerBlockMissing')) throw error;
      const later = (await handoversOf(this.#sources.primary)).filter(({ last }) => last.header.height > anchor.height);
      const [first] = later.sort((one, other) => one.next.height - other.next.height);
      if (!first) throw error;
      verifyStep(anchor, first.last, options);
      await this.#save(first.last);
      return undefined;
    }
  }

  async #blockOfAnchor(): Promise<LightBlock | undefined> {
    if (this.#anchor.height === 0) return undefined;
    try {
      return await this.#sources.block(this.#anchor.height);
    } catch (error) {
      if (isProofError(error, 'providerBlockMissing')) return undefined;
      throw error;
    }
  }

  /** A first block has no trace behind it that evidence could rest on: a conflict is for people to solve. */
  async #compareFirst(block: LightBlock, options: DetectorOptions): Promise<void> {
    const { witnesses } = this.#sources;
    const verdicts = await Promise.all(witnesses.map((witness) => compareWithWitness(block, witness, options)));
    if (verdicts.some(({ kind }) => kind === 'conflict')) throw proofError('lightWitnessConflict');
    const bad = verdicts.filter(({ kind }) => kind === 'bad').map(({ witness }) => witness);
    if (bad.length < witnesses.length) this.#sources.removeWitnesses(bad);
  }

  async #lastTrusted(): Promise<LightBlock> {
    const last = await this.#store.last();
    if (!last) throw proofError('lightStoreDiffers');
    return last;
  }

  async #save(block: LightBlock): Promise<void> {
    await this.#store.save(block);
    if (this.#settings.storedBlocksMax > 0) await this.#store.prune(this.#settings.storedBlocksMax);
  }

  /** The verified block: the same header, with votes that verify where it was taken from another source. */
  async #verifyBlock(block: LightBlock, options: DetectorOptions): Promise<LightBlock> {
    const { height } = block.header;
    const first = await this.#store.first();
    if (first && height < first.header.height) {
      await this.#backwards(first, block);
      await this.#save(block);
      return block;
    }
    await this.#crossHandovers(height, options);
    const known = await this.#store.at(height);
    if (known && isSameBlock(known, block)) return known;
    const from = await this.#store.before(height);
    if (!from) throw proofError('lightStoreDiffers');
    const verified = await this.#forwards(from, block, options);
    await this.#save(verified);
    return verified;
  }

  async #forwards(from: LightBlock, block: LightBlock, options: DetectorOptions): Promise<LightBlock> {
    const trace =
      this.#settings.mode === 'sequential'
        ? await this.#sequential(from, block, options)
        : await this.#skipping(from, block, options);
    await detectDivergence(this.#sources, trace, options);
    return trace.at(-1) as LightBlock;
  }

  /** Every header from the trusted one on. A primary that gives a wrong one in between is replaced. */
  async #sequential(from: LightBlock, block: LightBlock, options: DetectorOptions): Promise<LightBlock[]> {
    const { height } = block.header;
    const trace = [from];
    while (trace.length <= height - from.header.height) {
      const nextHeight = from.header.height + trace.length;
      const next = nextHeight === height ? block : await this.#sources.block(nextHeight);
      try {
        step(trace.at(-1) as LightBlock, next, options);
        trace.push(next);
      } catch (error) {
        await this.#replaceFor(block, error);
      }
    }
    return trace;
  }

  async #skipping(from: LightBlock, block: LightBlock, options: DetectorOptions): Promise<LightBlock[]> {
    let target = block;
    for (;;) {
      try {
        return await verifySkipping(this.#sources.primary, from, target, options);
      } catch (error) {
        target = await this.#replaceFor(target, error);
      }
    }
  }

  /** Another primary, if the failed one gave a wrong block on the way and the other one has the same target. */
  async #replaceFor(target: LightBlock, failure: unknown): Promise<LightBlock> {
    if (!isBlockInvalid(failure) || failure.height === target.header.height) throw failure;
    let own: LightBlock;
    try {
      own = await this.#sources.replacePrimary(target.header.height, true);
    } catch {
      throw failure;
    }
    if (!isSameBlock(own, target)) throw failure;
    return own;
  }

  /** Down by the hashes that each header has of the one before. */
  async #backwards(first: LightBlock, block: LightBlock): Promise<void> {
    let trusted = first.header;
    while (trusted.height > block.header.height) {
      const older = await this.#sources.block(trusted.height - 1);
      try {
        verifyBackwards(older.header, trusted);
        trusted = older.header;
      } catch (error) {
        let own: LightBlock;
        try {
          own = await this.#sources.replacePrimary(block.header.height, true);
        } catch {
          throw error;
        }
        if (!isSameBlock(own, block)) throw error;
      }
    }
    if (!equalBytes(headerHash(trusted), headerHash(block.header))) throw proofError('lightBackwards');
  }

  /** Over every handover between what is trusted and the height. */
  async #crossHandovers(height: number, options: DetectorOptions): Promise<void> {
    const handovers = await handoversOf(this.#sources.primary);
    for (const handover of handovers.sort((one, other) => one.next.height - other.next.height)) {
      const last = await this.#lastTrusted();
      const isBetween = last.header.height < handover.next.height && handover.next.height <= height;
      if (isBetween) await this.#cross(last, handover, options);
    }
  }

  async #cross(from: LightBlock, handover: Handover, options: DetectorOptions): Promise<void> {
    if (isExpired(trustBlock(from), options)) throw proofError('lightExpired');
    if (from.header.height < handover.last.header.height) {
      await verifySkipping(this.#sources.primary, from, handover.last, options);
    } else if (!isSameBlock(from, handover.last)) {
      throw proofError('lightStoreDiffers');
    }
    const trusted = verifyHandover(handover);
    for (const witness of this.#sources.witnesses) {
      for (const other of await handoversOf(witness)) this.#compareHandovers(handover, other);
    }
    const first = await this.#sources.block(handover.next.height);
    verifyAdjacent(trusted, first, options);
    await this.#compareFirst(first, options);
    await this.#save(handover.last);
    await this.#save(first);
  }
  /** One that does not verify shows nothing; a witness must not stop the client with it. */
  #compareHandovers(handover: Handover, other: Handover): void {
    try {
      refuseConflict(handover, other);
    } catch (error) {
      if (isProofError(error, 'handoverConflict')) throw error;
    }
  }
}
