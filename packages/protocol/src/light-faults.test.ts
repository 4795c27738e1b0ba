import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Anchor, anchorFromJson } from './anchor.ts';
import { fromHex, toBase64url, utf8, utf8Text } from './bytes.ts';
import { headerFromJson, lightBlockFromJson, readList } from './comet-json.ts';
import { checkTrustLevel } from './commit.ts';
import { signEd25519 } from './ed25519.ts';
import { SalusError } from './errors.ts';
import { encodeHandover, handoverFromJson, handoverSignBytes, parseHandover, refuseConflict } from './handover.ts';
import { canonicalJson, type JsonValue } from './json.ts';
import { type LightOptions, trustBlock, verifyBackwards, verifyChain, verifyStep } from './light.ts';
import { evidenceFromJson, verifyEvidence } from './light-evidence.ts';
import { ProofErrorCodes, type ProofErrorName } from './proof-errors.ts';
import { verifyReceipt } from './receipt.ts';

type Fault = { reason: string; check: string; code: number | null; options: LightOptions } & Record<string, JsonValue>;
type HandoverVectors = {
  anchor: Anchor;
  handover: JsonValue;
  signer: { seed: string; publicKey: string };
  signBytes: string;
  receipts: { reason: string; code: number | null; receipt: JsonValue }[];
};

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8'));
}

const { cases } = read<{ cases: Fault[] }>('light-faults.json');
const handovers = read<HandoverVectors>('light-handover.json');

const checks: Record<string, (given: Fault) => unknown> = {
  chain: ({ anchor, steps }) => {
    const read = readList(steps).map((step) =>
      Object.hasOwn(step as object, 'format') ? handoverFromJson(step) : lightBlockFromJson(step),
    );
    return verifyChain(anchorFromJson(anchor as JsonValue), read);
  },
  step: ({ trusted, block, options }) => {
    if (options.trustLevel) checkTrustLevel(options.trustLevel);
    return verifyStep(trustBlock(lightBlockFromJson(trusted)), lightBlockFromJson(block), options);
  },
  backwards: ({ older, trusted }) => verifyBackwards(headerFromJson(older), headerFromJson(trusted)),
  conflict: ({ one, other }) => refuseConflict(handoverFromJson(one), handoverFromJson(other)),
  evidence: ({ evidence, common, trusted }) =>
    verifyEvidence(evidenceFromJson(evidence), lightBlockFromJson(common), lightBlockFromJson(trusted)),
};

function codeOf(run: () => unknown): number | null {
  try {
    run();
    return null;
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return error.code;
  }
}

/** Said of forms of files, of providers and of settings, which have no block: handover.test.ts, light-client.test.ts. */
const WITHOUT_BLOCK: readonly ProofErrorName[] = ['lightPeriods', 'handoverTooLarge', 'timeInvalid'];

describe('R-LED-1 R-LED-2 R-LED-3 vectors/light-faults.json', () => {
  it.each(cases)('$check: $reason ($code)', (given) => {
    expect(codeOf(() => checks[given.check]?.(given))).toBe(given.code);
  });

  it('has every number of light blocks, handovers and evidence', () => {
    const covered = new Set(cases.map(({ code }) => code));
    const isOfLight = (code: number) => (code >= 120 && code <= 149) || (code >= 164 && code <= 173) || code >= 190;
    const missing = Object.entries(ProofErrorCodes)
      .filter(
        ([name, code]) => isOfLight(code) && !WITHOUT_BLOCK.includes(name as ProofErrorName) && !covered.has(code),
      )
      .map(([name]) => name);
    expect(missing).toEqual([]);
  });
});

describe('R-PPL-5 R-LED-1 vectors/light-handover.json', () => {
  const handover = handoverFromJson(handovers.handover);

  it('says what is signed, and has that signature', () => {
    const signBytes = handoverSignBytes(handover.last.header, handover.next);
    expect(utf8Text(signBytes)).toBe(handovers.signBytes);
    const signature = toBase64url(signEd25519(fromHex(handovers.signer.seed), signBytes));
    expect([signature]).toEqual((handovers.handover as { signatures: string[] }).signatures);
    expect(parseHandover(encodeHandover(handover))).toEqual(handover);
  });

  it.each(handovers.receipts)('a receipt $reason ($code)', ({ receipt, code }) => {
    expect(codeOf(() => verifyReceipt(utf8(canonicalJson(receipt)), handovers.anchor))).toBe(code);
  });
});
