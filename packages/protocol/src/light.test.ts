import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Anchor, anchorFromJson, anchorOfBlock, parseAnchor } from './anchor.ts';
import { toHex } from './bytes.ts';
import { FixtureChain, fixtureKey } from './chain-fixture.ts';
import { commitHash, headerHash, msOfTimestamp, voteSignBytes } from './comet.ts';
import { lightBlockFromJson } from './comet-json.ts';
import { SalusError } from './errors.ts';
import type { JsonValue } from './json.ts';
import { trustBlock, verifyAdjacent, verifyChain } from './light.ts';
import { ProofErrorCodes, proofErrors } from './proof-errors.ts';
import { verifyReceipt } from './receipt.ts';

type LightVector = { header: JsonValue; commit: JsonValue; validators: JsonValue };
type CometVector = LightVector & { headerHash: string; commitHash: string; signBytes: string[] };
type LightVectors<Block> = {
  anchor: Anchor;
  blocks: Block[];
  reject: { reason: string; trusted: number; block: LightVector }[];
};

const dir = new URL('../../../vectors/', import.meta.url);

function read<Block>(name: string): LightVectors<Block> {
  return JSON.parse(readFileSync(new URL(name, dir), 'utf8'));
}

function lightOf({ header, commit, validators }: LightVector) {
  return lightBlockFromJson({ header, commit, validators });
}

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return error.code;
  }
}

describe('R-LED-1 R-LED-2 light client', () => {
  for (const name of ['light.json', 'light-cometbft.json']) {
    it(`follows vectors/${name} over its changes of validators and refuses its forgeries`, () => {
      const { anchor, blocks, reject } = read<LightVector>(name);
      const lights = blocks.map(lightOf);
      expect(verifyChain(anchor, lights).height).toBe(lights.length);
      for (const [index, light] of lights.slice(1).entries()) {
        const trusted = trustBlock(lights[index]!);
        expect(verifyAdjacent(trusted, light).height).toBe(index + 2);
      }
      for (const { reason, trusted, block } of reject) {
        const code = codeOf(() => verifyAdjacent(trustBlock(lights[trusted - 1]!), lightOf(block)));
        expect(code, reason).toBeGreaterThan(99);
        const whole = [...lights.slice(0, trusted), lightOf(block)];
        if (reason !== 'not adjacent')
          expect(
            codeOf(() => verifyChain(anchor, whole)),
            reason,
          ).toBeGreaterThan(99);
      }
    });
  }

  it("computes the hashes and sign bytes of CometBFT's chain, its nil and absent votes included", () => {
    const { blocks } = read<CometVector>('light-cometbft.json');
    for (const vector of blocks) {
      const { header, commit } = lightOf(vector);
      expect(toHex(headerHash(header))).toBe(vector.headerHash);
      expect(toHex(commitHash(commit))).toBe(vector.commitHash);
      const signBytes = commit.votes.map((vote) => toHex(voteSignBytes(header.chain, commit, vote)));
      // The sign bytes of an absent vote mean nothing, but CometBFT computes them alike.
      expect(signBytes).toEqual(vector.signBytes);
    }
  });

  const keys = ['a', 'b', 'c'].map((name) => fixtureKey(name, 1));
  const chain = new FixtureChain('salus-light', keys, Date.UTC(2026, 0, 1));
  for (let height = 1; height <= 4; height += 1) chain.add(height === 2 ? { nextValidators: keys.slice(0, 2) } : {});
  const light = (height: number) => chain.at(height).light;

  it('minds the clock where there is one', () => {
    const trusted = trustBlock(light(1));
    const timeMs = msOfTimestamp(light(1).header.time);
    expect(codeOf(() => verifyAdjacent(trusted, light(2), { nowMs: timeMs + 1000 }))).toBeUndefined();
    const expired = () => verifyAdjacent(trusted, light(2), { nowMs: timeMs + 5000, trustingPeriodMs: 5000 });
    expect(codeOf(expired)).toBe(ProofErrorCodes.lightExpired);
    const early = () => verifyAdjacent(trusted, light(2), { nowMs: timeMs - 4000, clockDriftMsMax: 5000 });
    expect(codeOf(early)).toBe(ProofErrorCodes.lightFuture);
  });

  it('leaves out blocks of an unchanged set, never the announcement of a change', () => {
    expect(verifyChain(chain.anchor, [light(2), light(4)]).height).toBe(4);
    expect(codeOf(() => verifyChain(chain.anchor, [light(1), light(4)]))).toBe(ProofErrorCodes.validatorsUntrusted);
    expect(codeOf(() => verifyChain(chain.anchor, [light(2), light(1)]))).toBe(ProofErrorCodes.lightHeight);
    expect(codeOf(() => verifyAdjacent(trustBlock(light(2)), light(4)))).toBe(ProofErrorCodes.lightNotAdjacent);
  });

  it('refuses a fork behind the trusted block where there are no witnesses', () => {
    const anchor = { ...anchorOfBlock(light(1), light(2).validators), headerHash: '00'.repeat(32) };
    expect(codeOf(() => verifyChain(anchor, [light(2)]))).toBe(ProofErrorCodes.lightNotAdjacent);
  });

  it('makes anchors of blocks and reads them strictly', () => {
    const anchor = anchorOfBlock(light(2), light(3).validators);
    expect(verifyChain(anchor, [light(3), light(4)]).height).toBe(4);
    expect(parseAnchor(JSON.stringify(anchor))).toEqual(anchor);
    expect(codeOf(() => anchorOfBlock(light(2), light(2).validators))).toBe(ProofErrorCodes.validatorsHashDiffers);
    const changes = [
      { format: 'salus-anchor/2' },
      { headerHash: 'AB' },
      { validators: [] },
      { height: -1 },
      { more: 1 },
    ];
    for (const change of changes) {
      expect(codeOf(() => anchorFromJson({ ...anchor, ...change } as JsonValue))).toBe(ProofErrorCodes.anchorInvalid);
    }
    const others = ['', 'PEM', '{"format":"salus-anchor/1"', '['.repeat(40) + ']'.repeat(40)];
    for (const other of others) expect(codeOf(() => parseAnchor(other))).toBe(ProofErrorCodes.anchorInvalid);
  });
});

describe('R-LED-1 vectors/receipts', () => {
  const anchor = parseAnchor(readFileSync(new URL('receipts/anchor.json', dir)));
  for (const name of readdirSync(new URL('receipts/', dir)).filter((file) => file.endsWith('.receipt'))) {
    it(name, () => {
      const verify = () => verifyReceipt(new Uint8Array(readFileSync(new URL(`receipts/${name}`, dir))), anchor);
      if (name.startsWith('accept-')) expect(verify().chain).toBe(anchor.chain);
      else expect(codeOf(verify)).toBeGreaterThan(99);
    });
  }
});

describe('R-LED-1 proof errors', () => {
  it('have different numbers from 100 to 199 and say what to do', () => {
    const numbers = Object.values(ProofErrorCodes);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.every((number) => number >= 100 && number <= 199)).toBe(true);
    for (const { advice } of proofErrors.values()) expect(advice.length).toBeGreaterThan(20);
  });
});
