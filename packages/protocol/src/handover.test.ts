import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes, toHex, utf8, utf8Text } from './bytes.ts';
import { type CborValue, encodeCbor } from './cbor.ts';
import { FixtureChain, type FixtureKey, fixtureKey, resign } from './chain-fixture.ts';
import { headerHash, sortValidators, timestampOfMs, validatorsHash, zeroBlockId } from './comet.ts';
import { signEd25519 } from './ed25519.ts';
import { SalusError } from './errors.ts';
import {
  anchorOfHandover,
  draftHandover,
  encodeHandover,
  type Handover,
  handoverSignBytes,
  parseHandover,
  refuseConflict,
  signHandover,
  verifyHandover,
} from './handover.ts';
import { type LightBlock, verifyChain } from './light.ts';
import { ProofErrorCodes, type ProofErrorName } from './proof-errors.ts';
import { encodeReceipt, type Receipt, verifyReceipt } from './receipt.ts';

const chainName = 'salus-grows';
const genesisMs = Date.UTC(2026, 0, 1);
const handoverMs = genesisMs + 60_000;
const founder = fixtureKey('embedded', 1);
const members = ['a', 'b', 'c', 'd'].map((name, index) => fixtureKey(name, 10 + index));
const key = 'records/record/one';

function stored(value: CborValue): Uint8Array {
  return concatBytes(new Uint8Array(16).fill(7), Uint8Array.of(1), encodeCbor(value));
}

/** An embedded chain of three blocks, the last of them empty, and the network that goes on with its state. */
function growing() {
  const embedded = new FixtureChain(chainName, [founder], genesisMs, { 'governance/parameters': stored(1) });
  embedded.add({ writes: { [key]: stored('before') } });
  embedded.add({ writes: { 'records/count': stored(1) } });
  embedded.add();
  const last = embedded.at(3);
  const draft = draftHandover(last.light, { timeMs: handoverMs, validators: members });
  const handover = signHandover(draft, founder);
  const network = new FixtureChain(chainName, members, handoverMs, Object.fromEntries(last.state), 4);
  network.add({ writes: { [key]: stored('after') } });
  network.add();
  network.add({ nextValidators: members.slice(0, 3) });
  network.add({ writes: { [key]: stored('later') } });
  network.add();
  return { embedded, draft, handover, network };
}

const { embedded, draft, handover, network } = growing();
const lightAt = (height: number): LightBlock => (height > 3 ? network : embedded).at(height).light;

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return error.code;
  }
}

function expectRefused(run: () => unknown, name: ProofErrorName): void {
  expect(codeOf(run), name).toBe(ProofErrorCodes[name]);
}

/** Signed anew after a change of what is signed. */
function forged(change: Partial<Handover['next']>, by: FixtureKey = founder, last = handover.last): Handover {
  const next = { ...handover.next, ...change };
  return { ...handover, last, next, signatures: [signEd25519(by.seed, handoverSignBytes(last.header, next))] };
}

describe('R-PPL-5 R-LED-1 a handover refuses', () => {
  it('what the old validators did not sign', () => {
    expectRefused(() => verifyHandover(draft), 'handoverPowerMissing');
    expectRefused(() => verifyHandover(forged({}, members[0]!)), 'handoverSignatureInvalid');
    expectRefused(() => verifyHandover({ ...handover, signatures: [] }), 'handoverSignatureCount');
    expectRefused(() => signHandover(draft, members[0]!), 'handoverSignatureCount');
    const timed = { ...handover, next: { ...handover.next, timeMs: handoverMs + 1 } };
    expectRefused(() => verifyHandover(timed), 'handoverSignatureInvalid');
    const others = { ...handover.last, validators: sortValidators([members[0]!]) };
    expectRefused(() => verifyHandover(forged({}, members[0]!, others)), 'validatorsHashDiffers');
    const vote = { ...handover, signatures: [handover.last.commit.votes[0]!.signature] };
    expectRefused(() => verifyHandover(vote), 'handoverSignatureInvalid');
  });

  it('two thirds of several validators, and takes more', () => {
    const old = new FixtureChain(chainName, members, genesisMs, { [key]: stored(1) });
    const signed = (count: number) =>
      members
        .slice(0, count)
        .reduce(signHandover, draftHandover(old.add().light, { timeMs: handoverMs, validators: [founder] }));
    expectRefused(() => verifyHandover(signed(2)), 'handoverPowerMissing');
    expect(verifyHandover(signed(4)).validators).toHaveLength(1);
    // 11 + 12 + 13 of 46; 10 + 11 + 12 of 46 also is more than two thirds.
    expect(verifyHandover(signed(3)).validators).toHaveLength(1);
  });

  it('another state, height, or an earlier time than the last block, though signed', () => {
    expectRefused(() => verifyHandover(forged({ appHash: new Uint8Array(32) })), 'handoverRoot');
    expectRefused(() => verifyHandover(forged({ height: 5 })), 'handoverHeight');
    expectRefused(() => verifyHandover(forged({ timeMs: genesisMs })), 'handoverTime');
    expectRefused(() => verifyHandover(forged({ validators: [] })), 'validatorsInvalid');
    const unsorted = sortValidators(handover.next.validators).reverse();
    expectRefused(() => verifyHandover(forged({ validators: unsorted })), 'validatorsInvalid');
  });

  it('a last block with transactions or a change of validators: its header would not name the state or the signers', () => {
    const busy = new FixtureChain(chainName, [founder], genesisMs);
    const transaction = { bytes: utf8('transaction'), code: 0, cost: 1, events: [], outputs: [] };
    const next = { timeMs: handoverMs, validators: members };
    expectRefused(() => draftHandover(busy.add({ transactions: [transaction] }).light, next), 'handoverLastBlock');
    expectRefused(() => draftHandover(busy.add({ nextValidators: members }).light, next), 'handoverLastBlock');
  });

  it('every change of a byte', () => {
    const bytes = encodeHandover(handover);
    const verify = (changed: Uint8Array) => verifyChain(embedded.anchor, [parseHandover(changed)]);
    expect(verify(bytes).height).toBe(3);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = bytes.slice();
        changed[at] = (changed[at] as number) ^ mask;
        expect(codeOf(() => verify(changed))).toBeGreaterThan(0);
      }),
      { numRuns: 1000, seed: 1 },
    );
    expectRefused(() => parseHandover(utf8(` ${utf8Text(bytes)}`)), 'handoverForm');
    expectRefused(() => parseHandover(new Uint8Array(3 * 1024 * 1024)), 'handoverTooLarge');
  });
});

describe('R-PPL-5 R-LED-1 a handover leads', () => {
  it('from the old anchor to blocks of the new chain, and nothing else does', () => {
    expect(verifyChain(embedded.anchor, [lightAt(2), handover, lightAt(4), lightAt(5)]).height).toBe(5);
    expect(verifyChain(embedded.anchor, [handover.last, handover, lightAt(5)]).height).toBe(5);
    expect(verifyChain(embedded.anchor, [handover, lightAt(6), lightAt(7)]).height).toBe(7);
    expectRefused(() => verifyChain(embedded.anchor, [lightAt(4)]), 'validatorsUntrusted');
    expectRefused(() => verifyChain(embedded.anchor, [handover, lightAt(7)]), 'validatorsUntrusted');
    const elsewhere = new FixtureChain(chainName, [fixtureKey('other', 1)], genesisMs).anchor;
    expectRefused(() => verifyChain(elsewhere, [handover]), 'validatorsUntrusted');
    expectRefused(() => verifyChain({ ...embedded.anchor, chain: 'salus-other' }, [handover]), 'chainOther');
    const later = { ...embedded.anchor, height: 4 };
    expectRefused(() => verifyChain(later, [handover]), 'anchorTooNew');
  });

  it('to no first block with another state, time or predecessor, though the new validators sign it', () => {
    const first = lightAt(4);
    const keys = sortValidators(members) as FixtureKey[];
    const changed = (change: Partial<LightBlock['header']>) =>
      resign({ ...first, header: { ...first.header, ...change } }, keys);
    for (const change of [
      { appHash: new Uint8Array(32) },
      { time: timestampOfMs(handoverMs + 1) },
      { lastBlockId: { ...zeroBlockId, hash: headerHash(handover.last.header) } },
    ]) {
      expectRefused(() => verifyChain(embedded.anchor, [handover, changed(change)]), 'lightFirstBlock');
    }
    // Where nothing was handed over, a block without predecessor follows nothing.
    const orphan = resign({ ...lightAt(5), header: { ...lightAt(5).header, lastBlockId: zeroBlockId } }, keys);
    expectRefused(() => verifyChain(embedded.anchor, [handover, first, orphan]), 'lightNotAdjacent');
  });

  it('to an anchor of the new chain', () => {
    const anchor = anchorOfHandover(handover);
    expect(anchor).toMatchObject({
      height: 3,
      timeMs: handoverMs,
      headerHash: toHex(headerHash(handover.last.header)),
    });
    expect(verifyChain(anchor, [lightAt(4), lightAt(5)]).height).toBe(5);
    expect(equalBytes(verifyHandover(handover).nextValidatorsHash, validatorsHash(sortValidators(members)))).toBe(true);
  });

  it('receipts of both engines to one and the same verdict, under the anchor from before', () => {
    const before = embedded.receipt(1, { key });
    const after = network.receipt(4, { key });
    const later = network.receipt(7, { key });
    const verify = (receipt: typeof before, trust: typeof before.trust, anchor = embedded.anchor) =>
      verifyReceipt(encodeReceipt({ ...receipt, trust }), anchor).state?.value;
    expect(verify(before, [])).toBe('before');
    expect(verify(after, [handover])).toBe('after');
    expect(verify(later, [handover, lightAt(6)])).toBe('later');
    expect(verify(after, [], anchorOfHandover(handover))).toBe('after');
    expectRefused(() => verify(after, []), 'validatorsUntrusted');
    expectRefused(() => verify(later, [handover]), 'validatorsUntrusted');
    expectRefused(() => verify(after, [draft]), 'handoverPowerMissing');
    expectRefused(() => verify(before, [handover]), 'lightHeight');
  });

  it('receipts that do not carry it, where the verifier holds it', () => {
    const verify = (height: number, trust: Receipt['trust'], handovers: Handover[], anchor = embedded.anchor) => {
      const receipt = (height > 3 ? network : embedded).receipt(height, { key });
      return verifyReceipt(encodeReceipt({ ...receipt, trust }), anchor, { handovers }).state?.value;
    };
    expect(verify(1, [], [handover])).toBe('before');
    expect(verify(4, [], [handover])).toBe('after');
    expect(verify(4, [handover], [handover])).toBe('after');
    expect(verify(7, [lightAt(2), lightAt(6)], [handover])).toBe('later');
    expect(verify(4, [], [handover], anchorOfHandover(handover))).toBe('after');
    expectRefused(() => verify(4, [], [draft]), 'handoverPowerMissing');
  });

  it('once: two of them for one height convict whoever signed both', () => {
    const other = signHandover(
      draftHandover(handover.last, { timeMs: handoverMs, validators: [members[0]!] }),
      founder,
    );
    expect(codeOf(() => refuseConflict(handover, handover))).toBeUndefined();
    expectRefused(() => refuseConflict(handover, other), 'handoverConflict');
    expectRefused(() => refuseConflict(handover, { ...other, signatures: [undefined] }), 'handoverPowerMissing');
  });
});
