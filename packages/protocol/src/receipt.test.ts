import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Anchor, anchorOfBlock, parseAnchor } from './anchor.ts';
import { concatBytes, toHex, utf8, utf8Text } from './bytes.ts';
import { type CborValue, encodeCbor } from './cbor.ts';
import { FixtureChain, type FixtureTransaction, fixtureKey, resign } from './chain-fixture.ts';
import { absentVote, timestampOfMs } from './comet.ts';
import { SalusError } from './errors.ts';
import { didOfKey, generateSigningKey, signerFromJwk } from './keys.ts';
import { ProofErrorCodes, type ProofErrorName } from './proof-errors.ts';
import { encodeReceipt, parseReceipt, type Receipt, type ReceiptReport, verifyReceipt } from './receipt.ts';
import { signTransaction } from './transaction.ts';

const genesisMs = Date.UTC(2026, 0, 1);
const chainName = 'salus-test-1';
const keys = ['a', 'b', 'c', 'd'].map((name) => fixtureKey(name, 10));
const stranger = fixtureKey('stranger', 10);

async function transaction(note: string, chain = chainName, code = 0): Promise<FixtureTransaction> {
  const { publicJwk, privateJwk } = await generateSigningKey();
  const kid = `${didOfKey(publicJwk)}#one`;
  const bytes = await signTransaction({
    chain,
    messages: [{ type: 'records/anchor', note }],
    signers: [signerFromJwk(kid, privateJwk)],
    validUntil: genesisMs + 600_000,
  });
  const events = [{ type: 'records/Anchored', attributes: { note, count: 3 } }];
  return { bytes, code, cost: 1200, events, outputs: [{ note, list: [1, 'é', null] }] };
}

function stored(value: CborValue): Uint8Array {
  return concatBytes(new Uint8Array(16).fill(7), Uint8Array.of(1), encodeCbor(value));
}

const key = 'records/record/one';
let chain: FixtureChain;
let other: FixtureChain;
let anchor: Anchor;
let receipt: Receipt;
let file: Uint8Array;

beforeAll(async () => {
  chain = new FixtureChain(chainName, keys, genesisMs, { 'governance/parameters': stored({ v: 1 }) });
  chain.add({ transactions: [await transaction('first')], writes: { 'records/record/zero': stored('zero') } });
  const transactions = [
    await transaction('one'),
    await transaction('two', chainName, 4007),
    await transaction('three'),
  ];
  chain.add({
    transactions,
    writes: { [key]: stored({ status: 'current' }), 'records/count': stored(1) },
    absent: [2],
  });
  chain.add({
    absent: [1],
    writes: { [key]: stored({ status: 'withdrawn' }) },
    transactions: [await transaction('4')],
  });
  for (let height = 4; height <= 6; height += 1) chain.add();
  other = new FixtureChain('salus-test-2', keys, genesisMs, { 'governance/parameters': stored({ v: 1 }) });
  other.add({ transactions: [await transaction('one', 'salus-test-2')] });
  other.add();
  anchor = chain.anchor;
  receipt = chain.receipt(2, { index: 1, key });
  file = encodeReceipt(receipt);
});

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof SalusError)) throw error;
    return error.code;
  }
}

function expectRefused(forged: Receipt, name: ProofErrorName, options = {}): void {
  expect(codeOf(() => verifyReceipt(encodeReceipt(forged), anchor, options))).toBe(ProofErrorCodes[name]);
}

describe('R-LED-1 verifyReceipt accepts what the validators signed', () => {
  it('a transaction, its result and a value', () => {
    const report: ReceiptReport = verifyReceipt(file, anchor, { minHeight: 2, asOfMs: genesisMs + 3000 });
    expect(report).toMatchObject({ chain: chainName, height: 2, timeMs: genesisMs + 3000 });
    expect(report.transaction).toMatchObject({ index: 1, timeMs: genesisMs + 2000 });
    expect(report.transaction?.payload.messages).toEqual([{ type: 'records/anchor', note: 'two' }]);
    expect(report.result).toMatchObject({
      code: 4007,
      gasUsed: 1200,
      outputs: [{ note: 'two', list: [1, 'é', null] }],
    });
    expect(report.state).toMatchObject({ key, present: true, version: 1, value: { status: 'current' } });
  });

  it('every transaction of a block, a value alone and an absence alone', () => {
    for (const index of [0, 1, 2]) {
      const report = verifyReceipt(encodeReceipt(chain.receipt(2, { index })), anchor);
      expect(report.transaction?.index).toBe(index);
      expect(report.state).toBeUndefined();
    }
    const present = verifyReceipt(encodeReceipt(chain.receipt(1, { key: 'records/record/zero' })), anchor);
    expect(present).toMatchObject({ height: 1, state: { present: true, value: 'zero' } });
    expect(present.transaction).toBeUndefined();
    const absent = verifyReceipt(encodeReceipt(chain.receipt(1, { key })), anchor);
    expect(absent.state).toEqual({ key, present: false });
  });

  it('a value of a later version, undecoded', () => {
    const later = concatBytes(new Uint8Array(16), Uint8Array.of(2), utf8('not CBOR'));
    const future = new FixtureChain(chainName, keys, genesisMs, { [key]: later });
    for (const height of [1, 2]) future.add({ writes: { [`a/${height}`]: stored(height) } });
    const report = verifyReceipt(encodeReceipt(future.receipt(1, { key })), future.anchor);
    expect(report.state).toEqual({ key, present: true, stored: later, version: 2 });
  });

  it('a receipt at or above a later anchor, not one below it', () => {
    const later = anchorOfBlock(chain.at(3).light, chain.at(4).light.validators);
    expect(verifyReceipt(file, later).height).toBe(2);
    expect(parseAnchor(JSON.stringify(later, null, 2))).toEqual(later);
    const tooNew = anchorOfBlock(chain.at(4).light, chain.at(5).light.validators);
    expect(codeOf(() => verifyReceipt(file, tooNew))).toBe(ProofErrorCodes.anchorTooNew);
    const fork = { ...later, headerHash: toHex(new Uint8Array(32).fill(1)) };
    expect(codeOf(() => verifyReceipt(file, fork))).toBe(ProofErrorCodes.anchorHeaderDiffers);
  });
});

describe('R-LED-1 verifyReceipt refuses every change of a file', () => {
  it('random bytes changed, removed, inserted (1,000 of each kind of receipt)', () => {
    const files = [file, encodeReceipt(chain.receipt(1, { key })), encodeReceipt(chain.receipt(2, { index: 0 }))];
    for (const original of files) {
      const change = fc.record({
        kind: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'insert', 'flip'),
        at: fc.nat(original.length - 1),
        byte: fc.nat(255),
      });
      fc.assert(
        fc.property(change, ({ kind, at, byte }) => {
          const head = original.slice(0, at);
          const old = original[at] as number;
          const tail = original.slice(at + 1);
          const flipped = old ^ (1 << (byte & 7));
          const middle = { replace: [byte], remove: [], insert: [byte, old], flip: [flipped] }[kind] as number[];
          fc.pre(!(kind === 'replace' && byte === old));
          const changed = concatBytes(head, Uint8Array.from(middle), tail);
          expect(codeOf(() => verifyReceipt(changed, anchor))).toBeGreaterThan(0);
        }),
        { numRuns: 1000 },
      );
    }
  });

  it('other writings of the same JSON, and truncation', () => {
    const text = utf8Text(file);
    const texts = [
      `${text}\n`,
      ` ${text}`,
      JSON.stringify(JSON.parse(text), null, 1),
      text.replace('"code":4007', '"code":4007.0'),
      text.replace('"format"', '"\\u0066ormat"'),
      text.replace('"code":4007', '"code":0,"code":4007'),
      `\ufeff${text}`,
      text.slice(0, -1),
      text.replace('"format":', '"extra":1,"format":'),
    ];
    for (const changed of texts) expect(codeOf(() => verifyReceipt(utf8(changed), anchor))).toBeGreaterThan(0);
  });
});

describe('R-LED-1 verifyReceipt refuses well-formed forgeries', () => {
  const forgeTransaction = (change: Partial<NonNullable<Receipt['transaction']>>): Receipt => ({
    ...receipt,
    transaction: { ...receipt.transaction!, ...change },
  });

  it('a swapped result', () => {
    const first = chain.receipt(2, { index: 0 }).transaction!;
    const result = receipt.transaction!.result;
    expectRefused(forgeTransaction({ result: { ...result, code: 0 } }), 'receiptResultProof');
    expectRefused(forgeTransaction({ result: { ...result, gasUsed: 1 } }), 'receiptResultProof');
    expectRefused(forgeTransaction({ result: { ...result, outputs: [] } }), 'receiptResultData');
    expectRefused(forgeTransaction({ result: first.result, resultProof: first.resultProof }), 'receiptResultPosition');
    const samePlace = { ...first.resultProof, index: 1 };
    expectRefused(forgeTransaction({ result: first.result, resultProof: samePlace }), 'receiptResultProof');
  });

  it("another transaction's proof, another transaction, another block's header", () => {
    const first = chain.receipt(2, { index: 0 }).transaction!;
    const early = chain.receipt(1, { index: 0 }).transaction!;
    expectRefused(forgeTransaction({ proof: first.proof }), 'receiptTransactionProof');
    expectRefused(forgeTransaction({ bytes: first.bytes }), 'receiptTransactionProof');
    expectRefused(forgeTransaction({ header: early.header }), 'receiptHeaderLink');
    expectRefused({ ...receipt, transaction: early }, 'receiptHeaderLink');
    const header = { ...receipt.transaction!.header, dataHash: early.header.dataHash };
    expectRefused(forgeTransaction({ header, bytes: early.bytes, proof: early.proof }), 'receiptHeaderLink');
  });

  it('another chain, whole or in parts', () => {
    const foreign = other.receipt(1, { index: 0 });
    expectRefused(foreign, 'chainOther');
    expect(verifyReceipt(encodeReceipt(foreign), other.anchor).chain).toBe('salus-test-2');
    expectRefused({ ...receipt, signed: foreign.signed }, 'chainOther');
    const renamed = { ...foreign.signed, header: { ...foreign.signed.header, chain: chainName } };
    expectRefused({ ...foreign, signed: renamed }, 'commitOtherBlock');
  });

  it('signatures: by a non-validator, duplicated, moved, too few, for another block', () => {
    const { signed } = receipt;
    const { commit } = signed;
    const withVotes = (votes: typeof commit.votes): Receipt => ({
      ...receipt,
      signed: { ...signed, commit: { ...commit, votes } },
    });
    const sorted = chain.at(3).light.validators.map((entry) => keys.find((own) => own.publicKey === entry.publicKey)!);
    const byStranger = resign(signed, [stranger, ...sorted.slice(1)]);
    expectRefused({ ...receipt, signed: byStranger }, 'commitSignatureForeign');
    const [one, absent, three, four] = commit.votes as [never, never, never, never];
    expectRefused(withVotes([one, one, three, four]), 'commitSignatureForeign');
    expectRefused(withVotes([one, absent, one, four]), 'commitSignatureForeign');
    expectRefused(withVotes([one, absent, three, four, one]), 'commitSignatureCount');
    expectRefused(withVotes([one, absent, absentVote as never, four]), 'commitPowerMissing');
    const withAddress = {
      ...(three as object),
      address: (byStranger.commit.votes[0] as { address: Uint8Array }).address,
    };
    expectRefused(withVotes([one, absent, withAddress as never, four]), 'commitSignatureForeign');
    const later = chain.at(4).light.commit;
    expectRefused({ ...receipt, signed: { ...signed, commit: later } }, 'commitOtherBlock');
    const relabelled = { ...later, height: 3, blockId: commit.blockId };
    expectRefused({ ...receipt, signed: { ...signed, commit: relabelled } }, 'commitSignatureInvalid');
  });

  it('a validator set of its own, or other powers', () => {
    const { signed } = receipt;
    const powers = signed.validators.map((entry, index) => ({ ...entry, power: index === 0 ? 50 : 10 }));
    expectRefused({ ...receipt, signed: { ...signed, validators: powers } }, 'validatorsHashDiffers');
    const pretender = new FixtureChain(chainName, [stranger], genesisMs, { [key]: stored('forged') });
    for (const height of [1, 2]) pretender.add({ writes: { [`a/${height}`]: stored(height) } });
    expectRefused(pretender.receipt(1, { key }), 'validatorsUntrusted');
  });

  it('state: another value, presence as absence, an old state as the present one', () => {
    const state = receipt.state!;
    expectRefused({ ...receipt, state: { ...state, stored: stored({ status: 'never' }) } }, 'receiptStateValue');
    expectRefused({ ...receipt, state: { ...state, stored: undefined } }, 'receiptStateValue');
    expectRefused({ ...receipt, state: { ...state, key: 'records/count' } }, 'receiptStateProof');
    const absence = chain.receipt(1, { key }).state!;
    expectRefused({ ...receipt, state: absence }, 'receiptStateProof');
    expectRefused({ ...receipt, state: chain.receipt(3, { key }).state! }, 'receiptStateProof');
    expectRefused(receipt, 'receiptTooOldHeight', { minHeight: 3 });
    expectRefused(receipt, 'receiptTooOldTime', { asOfMs: genesisMs + 3001 });
    expect(verifyReceipt(encodeReceipt(chain.receipt(3, { key })), anchor, { minHeight: 3 }).state?.value).toEqual({
      status: 'withdrawn',
    });
  });

  it('a header that was changed, even where one validator signs it anew', () => {
    const header = { ...receipt.signed.header, time: timestampOfMs(genesisMs + 9000) };
    expectRefused({ ...receipt, signed: { ...receipt.signed, header } }, 'commitOtherBlock');
    const resigned = resign({ ...receipt.signed, header }, [keys[0]!]);
    expect(codeOf(() => verifyReceipt(encodeReceipt({ ...receipt, signed: resigned }), anchor))).toBeGreaterThan(119);
    expectRefused({ signed: receipt.signed, trust: [] }, 'receiptEmpty');
  });
});

describe('R-LED-1 verifyReceipt over changes of the validators', () => {
  const news = ['e', 'f', 'g', 'h'].map((name) => fixtureKey(name, 7));
  let moved: FixtureChain;

  beforeAll(async () => {
    moved = new FixtureChain(chainName, keys, genesisMs, { [key]: stored(0) });
    moved.add();
    moved.add({ nextValidators: [...keys.slice(0, 2), ...news] });
    moved.add();
    moved.add({ nextValidators: news });
    moved.add({ transactions: [await transaction('late')], writes: { [key]: stored(1) } });
    moved.add();
  });

  it('is led there by the light blocks that announce them, and not without', () => {
    const check = (trust: number[]) => () =>
      verifyReceipt(encodeReceipt(moved.receipt(5, { index: 0, key, trust })), moved.anchor);
    expect(check([2, 4])()).toMatchObject({ height: 5, state: { value: 1 } });
    expect(check([1, 2, 3, 4, 5])()).toMatchObject({ height: 5 });
    expect(codeOf(check([]))).toBe(ProofErrorCodes.validatorsUntrusted);
    expect(codeOf(check([2]))).toBe(ProofErrorCodes.validatorsUntrusted);
    expect(codeOf(check([4]))).toBe(ProofErrorCodes.validatorsUntrusted);
    expect(codeOf(check([4, 2]))).toBe(ProofErrorCodes.validatorsUntrusted);
    expect(codeOf(check([2, 2, 4]))).toBe(ProofErrorCodes.lightHeight);
  });

  it('refuses every change of a byte there too', () => {
    const original = encodeReceipt(moved.receipt(5, { index: 0, key, trust: [2, 4] }));
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = original.slice();
        changed[at] = (changed[at] as number) ^ mask;
        expect(codeOf(() => verifyReceipt(changed, moved.anchor))).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('R-LED-1 verifyReceipt form', () => {
  it('reads back what it wrote', () => {
    expect(encodeReceipt(parseReceipt(file))).toEqual(file);
  });
});
