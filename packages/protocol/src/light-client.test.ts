import { describe, expect, it } from 'vitest';
import { type Anchor, anchorOfBlock } from './anchor.ts';
import { FixtureChain, type FixtureKey, fixtureKey, resign } from './chain-fixture.ts';
import { sortValidators } from './comet.ts';
import { SalusError } from './errors.ts';
import { anchorOfHandover, draftHandover, type Handover, signHandover } from './handover.ts';
import type { LightBlock } from './light.ts';
import { LightClient, type LightClientOptions } from './light-client.ts';
import { LightAttackError } from './light-detector.ts';
import { evidenceFromJson, evidenceToJson, type LightEvidence, verifyEvidence } from './light-evidence.ts';
import type { LightProvider } from './light-provider.ts';
import { MemoryLightStore } from './light-store.ts';
import { ProofErrorCodes, type ProofErrorName, proofError } from './proof-errors.ts';

const chainName = 'salus-light-client';
const genesisMs = Date.UTC(2026, 0, 1);
const handoverMs = genesisMs + 60_000;
const nowMs = handoverMs + 60_000;
const founder = fixtureKey('embedded', 1);
const members = ['a', 'b', 'c', 'd'].map((name, index) => fixtureKey(name, 10 + index));
const successors = ['e', 'f', 'g'].map((name) => fixtureKey(name, 5));

/** Three embedded blocks, a handover, and a network of twelve more whose validators change wholly at height 8. */
function growing(by: FixtureKey = founder, to: FixtureKey[] = members) {
  const embedded = new FixtureChain(chainName, [by], genesisMs);
  for (let height = 1; height <= 3; height += 1) embedded.add();
  const draft = draftHandover(embedded.at(3).light, { timeMs: handoverMs, validators: to });
  const handover = signHandover(draft, by);
  const network = new FixtureChain(chainName, to, handoverMs, {}, 4);
  for (let height = 4; height <= 15; height += 1) network.add(height === 7 ? { nextValidators: successors } : {});
  return { embedded, handover, network };
}

const { embedded, handover, network } = growing();
const lightAt = (height: number): LightBlock => (height > 3 ? network : embedded).at(height).light;
const every = Array.from({ length: 15 }, (_, index) => lightAt(index + 1));

type Source = LightProvider & { asked: number[]; reports: LightEvidence[]; blocks: Map<number, LightBlock> };

function source(blocks: readonly LightBlock[], handovers?: Handover[], chain = chainName): Source {
  const byHeight = new Map(blocks.map((block) => [block.header.height, block]));
  const asked: number[] = [];
  const reports: LightEvidence[] = [];
  return {
    chain,
    asked,
    reports,
    blocks: byHeight,
    async lightBlock(height) {
      const latest = Math.max(...byHeight.keys());
      asked.push(height ?? latest);
      if ((height ?? 0) > latest) throw proofError('providerHeightTooHigh');
      const block = byHeight.get(height ?? latest);
      if (!block) throw proofError('providerBlockMissing');
      return block;
    },
    ...(handovers && { handovers: async () => handovers }),
    async reportEvidence(evidence) {
      reports.push(evidence);
    },
  };
}

const honest = () => source(every, [handover]);

function open(options: Partial<LightClientOptions> = {}): Promise<LightClient> {
  const defaults = { anchor: embedded.anchor, primary: honest(), witnesses: [honest()], store: new MemoryLightStore() };
  return LightClient.open({ ...defaults, ...options }, nowMs);
}

async function codeOf(run: () => Promise<unknown>): Promise<number | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return error.code;
  }
}

async function expectRefused(run: () => Promise<unknown>, name: ProofErrorName): Promise<void> {
  expect(await codeOf(run), name).toBe(ProofErrorCodes[name]);
}

/** The blocks from a height on, signed anew with another data hash by the same validators. */
function forked(from: number): LightBlock[] {
  return every.map((block) => {
    if (block.header.height < from) return block;
    const known = [...members, ...successors, founder];
    const keys = sortValidators(block.validators).map(
      (own) => known.find((key) => key.publicKey.join() === own.publicKey.join()) as FixtureKey,
    );
    return resign({ ...block, header: { ...block.header, dataHash: new Uint8Array(32) } }, keys);
  });
}

describe('R-LED-2 R-LED-3 LightClient refuses', () => {
  it('settings that are not safe', async () => {
    await expectRefused(() => open({ trustLevel: { numerator: 1, denominator: 4 } }), 'lightTrustLevel');
    await expectRefused(() => open({ trustLevel: { numerator: 4, denominator: 3 } }), 'lightTrustLevel');
    await expectRefused(() => open({ trustLevel: { numerator: 0, denominator: 0 } }), 'lightTrustLevel');
    await expectRefused(() => open({ trustLevel: { numerator: 0.5, denominator: 1 } }), 'lightTrustLevel');
    await expectRefused(() => open({ trustingPeriodMs: 1000, unbondingPeriodMs: 1000 }), 'lightPeriods');
    await expectRefused(() => open({ trustingPeriodMs: 0 }), 'lightPeriods');
    await expectRefused(() => open({ clockDriftMsMax: -1 }), 'lightPeriods');
    await expectRefused(() => open({ witnesses: [] }), 'lightWitnessesMissing');
    await expectRefused(() => open({ witnesses: [source(every, [], 'salus-other')] }), 'chainOther');
  });

  it('an anchor that is not of the chain, and a store of another one', async () => {
    const anchor = anchorOfBlock(lightAt(5), lightAt(6).validators);
    await expectRefused(() => open({ anchor: { ...anchor, headerHash: '00'.repeat(32) } }), 'anchorHeaderDiffers');
    const pruned = { primary: source(every.slice(5)), witnesses: [source(every.slice(5))] };
    expect(await codeOf(() => open({ anchor, ...pruned }))).toBeUndefined();
    const otherHash = { anchor: { ...anchor, headerHash: '00'.repeat(32) }, ...pruned };
    await expectRefused(() => open(otherHash), 'anchorHeaderDiffers');
    const strangers: Anchor = { ...anchor, validators: embedded.anchor.validators };
    await expectRefused(() => open({ anchor: strangers }), 'anchorHeaderDiffers');
    const stranger = new FixtureChain(chainName, [fixtureKey('stranger', 1)], genesisMs).anchor;
    await expectRefused(() => open({ anchor: stranger }), 'validatorsUntrusted');
    const store = new MemoryLightStore([forked(5)[4]!]);
    await expectRefused(() => open({ anchor, store }), 'lightStoreDiffers');
    const other = new FixtureChain('salus-other', [founder], genesisMs).add().light;
    await expectRefused(() => open({ store: new MemoryLightStore([other]) }), 'lightStoreDiffers');
    expect(await codeOf(async () => MemoryLightStore.decode(new Uint8Array([123])))).toBe(189);
  });

  it('a witness with another block where trust begins', async () => {
    const anchor = anchorOfBlock(lightAt(5), lightAt(6).validators);
    await expectRefused(() => open({ anchor, witnesses: [source(forked(5))] }), 'lightWitnessConflict');
  });

  it('trust that has expired, and begins again with a newer anchor', async () => {
    const late = { trustingPeriodMs: 60_000, unbondingPeriodMs: 120_000 };
    await expectRefused(() => open(late), 'lightExpired');
    const anchor = anchorOfBlock(lightAt(5), lightAt(6).validators);
    const client = await open({ ...late, anchor });
    expect((await client.verify(9, handoverMs + 5000)).header.height).toBe(9);
    await expectRefused(() => client.verify(12, nowMs + 60_000), 'lightExpired');
    // Downwards it takes no signatures, only hashes.
    expect((await client.verify(4, nowMs + 60_000)).header.height).toBe(4);
  });

  it('sources without the blocks from before a handover, unless the handover leads from the anchor', async () => {
    const later = (handovers?: Handover[]) => source(every.slice(3), handovers);
    const begin = (named?: Handover[]) => open({ primary: later(named), witnesses: [later(named)] });
    await expectRefused(() => begin(), 'providerBlockMissing');
    const stranger = growing(fixtureKey('stranger', 1));
    await expectRefused(() => begin([stranger.handover]), 'lightTrustMissing');
    const client = await begin([handover]);
    expect((await client.trusted())?.header.height).toBe(3);
    expect((await client.verify(9, nowMs)).header.height).toBe(9);
  });

  it('a height that nobody has, and blocks that nobody confirms', async () => {
    const client = await open();
    await expectRefused(() => client.verify(16, nowMs), 'providerHeightTooHigh');
    const alone = await open({ witnesses: [source(every.slice(0, 4), [handover])] });
    const waited: number[] = [];
    await expectRefused(() => alone.verify(9, nowMs), 'lightUnconfirmed');
    const patient = await open({
      witnesses: [source(every.slice(0, 4), [handover])],
      clockDriftMsMax: 3,
      blockLagMsMax: 4,
      wait: async (ms) => void waited.push(ms),
    });
    await expectRefused(() => patient.verify(9, nowMs), 'lightUnconfirmed');
    expect(waited).toEqual([10]);
  });

  it('bad blocks of a source: it is left out', async () => {
    const bad = honest();
    bad.blocks.set(9, { ...lightAt(9), validators: members });
    const client = await open({ primary: bad, witnesses: [honest(), honest()] });
    expect((await client.verify(9, nowMs)).header.height).toBe(9);
    expect(client.sources.primary).not.toBe(bad);
    expect(client.sources.witnesses).toHaveLength(1);
    const wrongHeight = honest();
    wrongHeight.blocks.set(9, lightAt(10));
    const other = await open({ primary: wrongHeight, witnesses: [honest(), honest()] });
    expect((await other.verify(9, nowMs)).header.height).toBe(9);
    const lonely = await open({ primary: honest(), witnesses: [wrongHeight] });
    await expectRefused(() => lonely.verify(9, nowMs), 'lightWitnessesMissing');
  });

  it('a target whose way was wrong, where the next source has another target', async () => {
    const forger = source(forked(6), [handover]);
    const { commit } = lightAt(5);
    const votes = commit.votes.map((vote) => ({ ...vote, signature: new Uint8Array(64) }));
    forger.blocks.set(5, { ...lightAt(5), commit: { ...commit, votes } });
    const options = { primary: forger, witnesses: [honest(), honest()], mode: 'sequential' } as const;
    await expectRefused(async () => (await open(options)).verify(7, nowMs), 'commitSignatureInvalid');
  });

  it('a fork, with evidence that convicts', async () => {
    const primary = source(forked(6), [handover]);
    const witness = honest();
    const client = await open({ primary, witnesses: [witness] });
    const error = await client.verify(7, nowMs).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LightAttackError);
    const { code, evidence } = error as LightAttackError;
    expect(code).toBe(ProofErrorCodes.lightAttack);
    expect(evidence.map(({ kind }) => kind)).toEqual(['equivocation', 'equivocation']);
    expect(witness.reports).toEqual([evidence[0]]);
    expect(primary.reports).toEqual([evidence[1]]);
    const first = evidence[0]!;
    expect(first.byzantine).toHaveLength(4);
    expect(evidenceFromJson(evidenceToJson(first))).toEqual(first);
    verifyEvidence(first, lightAt(7), lightAt(7));
    expect(await client.trusted(7)).toBeUndefined();
    const wrong: [Partial<LightEvidence>, LightBlock, ProofErrorName][] = [
      [{ commonHeight: 8 }, lightAt(8), 'evidenceHeight'],
      [{ commonHeight: 6 }, lightAt(7), 'evidenceHeight'],
      [{ time: lightAt(6).header.time }, lightAt(7), 'evidenceHeight'],
      [{ totalPower: 1 }, lightAt(7), 'evidencePower'],
      [{ conflicting: lightAt(7) }, lightAt(7), 'evidenceNoConflict'],
      [{ byzantine: first.byzantine.slice(1) }, lightAt(7), 'evidenceByzantine'],
      [{ kind: 'amnesia' }, lightAt(7), 'evidenceByzantine'],
    ];
    for (const [change, common, name] of wrong) {
      await expectRefused(async () => verifyEvidence({ ...first, ...change }, common, lightAt(7)), name);
    }
    await expectRefused(async () => verifyEvidence(first, lightAt(7), lightAt(12)), 'evidenceDerived');
    const lie = { ...evidenceToJson(first), kind: 'mistake' };
    await expectRefused(async () => evidenceFromJson(lie), 'evidenceForm');
  });

  it('two handovers, and a network that was handed over by nobody', async () => {
    const twice = growing(founder, [...members].reverse().slice(1));
    const witness = source([...every.slice(0, 3), ...twice.network.blocks.map(({ light }) => light)], [twice.handover]);
    const client = await open({ witnesses: [witness] });
    await expectRefused(() => client.verify(9, nowMs), 'handoverConflict');
    const unsigned = { ...twice.handover, signatures: [undefined] };
    const noisy = await open({ witnesses: [source(every, [unsigned])] });
    expect((await noisy.verify(9, nowMs)).header.height).toBe(9);
    const without = await open({ primary: source(every), witnesses: [source(every)] });
    await expectRefused(() => without.verify(4, nowMs), 'validatorsUntrusted');
    const usurper = growing(fixtureKey('usurper', 1));
    const blocks = [...every.slice(0, 3), ...usurper.network.blocks.map(({ light }) => light)];
    const usurped = await open({ primary: source(blocks, [usurper.handover]), witnesses: [source(blocks)] });
    expect(await codeOf(() => usurped.verify(9, nowMs))).toBeGreaterThan(99);
  });
});

describe('R-LED-2 R-LED-3 R-PPL-5 LightClient follows', () => {
  it.each(['skipping', 'sequential'] as const)('genesis, handover and a change of all validators: %s', async (mode) => {
    const store = new MemoryLightStore();
    const client = await open({ mode, store });
    expect((await client.verify(15, nowMs)).header.height).toBe(15);
    expect(store.heights).toEqual([1, 3, 4, 15]);
    expect((await client.verify(10, nowMs)).header.height).toBe(10);
    expect((await client.trusted())?.header.height).toBe(15);
  });

  it('the latest block, and nothing where there is none above', async () => {
    const client = await open();
    expect((await client.update(nowMs))?.header.height).toBe(15);
    expect(await client.update(nowMs)).toBeUndefined();
  });

  it('as few blocks as are safe: two for a set that stays, more for one that is replaced', async () => {
    const anchor = anchorOfBlock(lightAt(4), lightAt(5).validators);
    const primary = honest();
    const client = await open({ anchor, primary });
    await client.verify(7, nowMs);
    expect(primary.asked).toEqual([4, 7]);
    await client.verify(15, nowMs);
    expect(primary.asked.length).toBeLessThan(15);
    expect(primary.asked).toContain(8);
    const whole = honest();
    const sequential = await open({ anchor, primary: whole, mode: 'sequential' });
    await sequential.verify(15, nowMs);
    expect(new Set(whole.asked).size).toBe(12);
  });

  it('an anchor behind the handover, whose own block the network does not have', async () => {
    const young = () => source(every.slice(3), [handover]);
    const client = await open({ anchor: anchorOfHandover(handover), primary: young(), witnesses: [young()] });
    expect((await client.verify(12, nowMs)).header.height).toBe(12);
    await expectRefused(() => client.verify(3, nowMs), 'providerBlockMissing');
  });

  it('down by hashes, and not to a block that another one follows', async () => {
    const anchor = anchorOfBlock(lightAt(12), lightAt(13).validators);
    const client = await open({ anchor });
    expect((await client.verify(9, nowMs)).header.height).toBe(9);
    const forger = source([...forked(6).slice(0, 8), ...every.slice(8)]);
    const fooled = await open({ anchor, primary: forger, witnesses: [source([...every.slice(8)])] });
    await expectRefused(() => fooled.verify(7, nowMs), 'lightBackwards');
  });

  it('what it stored, in a file too, and keeps no more than asked for', async () => {
    const store = new MemoryLightStore();
    const client = await open({ store, storedBlocksMax: 3 });
    for (const height of [6, 9, 12, 15]) await client.verify(height, nowMs);
    expect(store.heights).toEqual([9, 12, 15]);
    const restored = MemoryLightStore.decode(store.encode());
    expect(restored.heights).toEqual([9, 12, 15]);
    const primary = honest();
    const again = await open({ store: restored, primary });
    expect((await again.verify(12, nowMs)).header.height).toBe(12);
    expect(primary.asked).toEqual([]);
  });
});
