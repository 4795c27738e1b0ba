import { readFileSync } from 'node:fs';
import { ics23, tendermintSpec, verifyExistence } from '@confio/ics23';
import { decodeCommitmentProof, fromHex, SalusError, verifyMembership, verifyNonMembership } from '@salus/protocol';
import { describe, expect, it } from 'vitest';

type ProofCase = { root: string; proofKey: string; proofValue: string | null; proof: string; reason?: string };

const vectors: { accept: ProofCase[]; reject: ProofCase[] } = JSON.parse(
  readFileSync(new URL('../vectors/proofs.json', import.meta.url), 'utf8'),
);

const { SHA256 } = ics23.HashOp;
/** ICS-23's SmtSpec, which this library does not export in its current form. */
const smtSpec: ics23.IProofSpec = {
  leafSpec: {
    prefix: Uint8Array.of(0),
    hash: SHA256,
    prehashKey: SHA256,
    prehashValue: SHA256,
    length: ics23.LengthOp.NO_PREFIX,
  },
  innerSpec: { ...tendermintSpec.innerSpec, emptyChild: new Uint8Array(32) },
  maxDepth: 256,
};

function independentlyPresent({ root, proofKey, proofValue, proof }: ProofCase): boolean {
  const { exist } = ics23.CommitmentProof.decode(fromHex(proof));
  if (!exist || proofValue === null) return false;
  try {
    verifyExistence(exist, smtSpec, fromHex(root), fromHex(proofKey), fromHex(proofValue));
    return true;
  } catch {
    return false;
  }
}

function provenByUs({ root, proofKey, proofValue, proof: bytes }: ProofCase): boolean {
  try {
    const proof = decodeCommitmentProof(fromHex(bytes));
    if (proof.kind === 'absence') return verifyNonMembership(fromHex(root), proof, fromHex(proofKey));
    return verifyMembership(fromHex(root), proof, fromHex(proofKey), fromHex(proofValue ?? ''));
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return false;
  }
}

describe('R-LED-1 vectors/proofs.json', () => {
  it('are accepted and refused by @salus/protocol as marked', () => {
    expect(vectors.accept.filter((entry) => !provenByUs(entry))).toEqual([]);
    expect(vectors.reject.filter(provenByUs).map((entry) => entry.reason)).toEqual([]);
  });

  // Absence is checked by the reference implementation in Go (tests/foreign/ics23): this library does not know empty
  // subtrees.
  it('prove presence to an independent ICS-23 implementation, and nothing where we refuse', () => {
    const present = vectors.accept.filter((entry) => entry.proofValue !== null);
    expect(present.length).toBeGreaterThan(30);
    expect(present.filter((entry) => !independentlyPresent(entry))).toEqual([]);
    expect(vectors.reject.filter(independentlyPresent)).toEqual([]);
  });
});
