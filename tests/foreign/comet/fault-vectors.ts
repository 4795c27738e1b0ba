import { writeFileSync } from 'node:fs';
import { FixtureChain, type FixtureKey, fixtureKey, resign } from '../../../packages/protocol/src/chain-fixture.ts';
import {
  type Anchor,
  absentVote,
  addressOf,
  anchorOfBlock,
  anchorOfHandover,
  type CborValue,
  concatBytes,
  draftHandover,
  encodeCbor,
  encodeReceipt,
  evidenceToJson,
  type Handover,
  handoverSignBytes,
  handoverToJson,
  headerHash,
  headerToJson,
  type JsonValue,
  type LightBlock,
  type LightEvidence,
  lightBlockToJson,
  msOfTimestamp,
  ProofErrorCodes,
  type ProofErrorName,
  type Receipt,
  sha256,
  signEd25519,
  signHandover,
  timestampOfMs,
  toHex,
  utf8,
  utf8Text,
  zeroBlockId,
} from '../../../packages/protocol/src/index.ts';
import { evidenceOf } from '../../../packages/protocol/src/light-evidence.ts';

/**
 * Writes vectors/light-faults.json, one case or more for each number that light blocks, handovers and evidence are
 * refused with, and vectors/light-handover.json. Every signature is Ed25519, so they are the same in every run.
 */
const vectors = new URL('../../../vectors/', import.meta.url);
const chainName = 'salus-faults';
const genesisMs = Date.UTC(2026, 0, 1);
const handoverMs = genesisMs + 60_000;
const periodMs = 86_400_000;
const founder = fixtureKey('embedded', 1);
const members = ['a', 'b', 'c', 'd'].map((name, index) => fixtureKey(name, 10 + index));
const successors = ['e', 'f', 'g'].map((name) => fixtureKey(name, 5));
const key = 'records/record/one';

function stored(value: CborValue): Uint8Array {
  return concatBytes(sha256(encodeCbor(value)).slice(0, 16), Uint8Array.of(1), encodeCbor(value));
}

function write(name: string, value: unknown): void {
  writeFileSync(new URL(name, vectors), `${JSON.stringify(value)}\n`);
}

const embedded = new FixtureChain(chainName, [founder], genesisMs, { 'governance/parameters': stored(1) });
embedded.add({ writes: { [key]: stored('before') } });
embedded.add({ writes: { 'records/count': stored(1) } });
embedded.add();
const handover = signHandover(
  draftHandover(embedded.at(3).light, { timeMs: handoverMs, validators: members }),
  founder,
);
const network = new FixtureChain(chainName, members, handoverMs, Object.fromEntries(embedded.at(3).state), 4);
network.add({ writes: { [key]: stored('after') } });
network.add();
network.add({ nextValidators: successors });
network.add({ writes: { [key]: stored('later') } });
network.add();
network.add();
const at = (height: number): LightBlock => (height > 3 ? network : embedded).at(height).light;

/** The keys of a block's validators, in the order of the set. */
function keysOf(block: LightBlock): FixtureKey[] {
  const known = [founder, ...members, ...successors];
  return block.validators.map(
    (own) => known.find((one) => toHex(one.publicKey) === toHex(own.publicKey)) as FixtureKey,
  );
}

function changed(block: LightBlock, header: Partial<LightBlock['header']>, by = keysOf(block)): LightBlock {
  return resign({ ...block, header: { ...block.header, ...header } }, by);
}

function withVotes(block: LightBlock, change: (votes: LightBlock['commit']['votes']) => LightBlock['commit']['votes']) {
  return { ...block, commit: { ...block.commit, votes: change(block.commit.votes) } };
}

type Case = { reason: string; check: string; code: number | null; [argument: string]: unknown };
const cases: Case[] = [];

function add(name: ProofErrorName | null, reason: string, check: string, given: Record<string, unknown>): void {
  cases.push({ reason, check, code: name === null ? null : ProofErrorCodes[name], ...given });
}

const stepJson = (step: LightBlock | Handover): JsonValue =>
  'format' in step ? handoverToJson(step) : lightBlockToJson(step);

function chain(
  name: ProofErrorName | null,
  reason: string,
  steps: (LightBlock | Handover)[],
  anchor: Anchor = embedded.anchor,
) {
  add(name, reason, 'chain', { anchor, steps: steps.map(stepJson) });
}

const usual = {
  nowMs: handoverMs + 60_000,
  trustingPeriodMs: periodMs,
  clockDriftMsMax: 10_000,
  trustLevel: { numerator: 1, denominator: 3 },
};
function step(name: ProofErrorName | null, reason: string, trusted: LightBlock, block: LightBlock, options = {}) {
  const json = { trusted: lightBlockToJson(trusted), block: lightBlockToJson(block) };
  add(name, reason, 'step', { ...json, options: { ...usual, ...options } });
}

function backwards(name: ProofErrorName | null, reason: string, older: LightBlock, trusted: LightBlock) {
  add(name, reason, 'backwards', { older: headerToJson(older.header), trusted: headerToJson(trusted.header) });
}

// Blocks and votes

step(null, 'the next block', at(4), at(5));
step(null, 'a later block', at(4), at(6));
step('headerInvalid', 'another block version', at(4), changed(at(5), { version: { block: 10, app: 1 } }));
step('headerInvalid', 'a hash of 31 bytes', at(4), changed(at(5), { dataHash: new Uint8Array(31) }));
step(
  'commitInvalid',
  'an address of 19 bytes',
  at(4),
  withVotes(at(5), (votes) => votes.with(0, { ...votes[0]!, address: votes[0]!.address.slice(1) })),
);
step(
  'commitInvalid',
  'a vote without signature',
  at(4),
  withVotes(at(5), (votes) => votes.with(0, { ...votes[0]!, signature: new Uint8Array(0) })),
);
step('validatorsInvalid', 'no validators', at(4), { ...at(5), validators: [] });
step('validatorsInvalid', 'validators in another order', at(4), {
  ...at(5),
  validators: [...at(5).validators].reverse(),
});
step('validatorsInvalid', 'a validator twice', at(4), {
  ...at(5),
  validators: [at(5).validators[0]!, at(5).validators[0]!],
});
step('commitOtherBlock', 'votes for another block', at(4), { ...at(5), commit: at(6).commit });
step(
  'commitSignatureCount',
  'a vote too many',
  at(4),
  withVotes(at(5), (votes) => [...votes, absentVote]),
);
step(
  'commitSignatureForeign',
  'votes exchanged',
  at(4),
  withVotes(at(5), (votes) => [votes[1]!, votes[0]!, ...votes.slice(2)]),
);
step(
  'commitSignatureInvalid',
  'a signature of another block',
  at(4),
  withVotes(at(5), (votes) => votes.with(0, { ...votes[0]!, signature: at(6).commit.votes[0]!.signature })),
);
step(
  'commitPowerMissing',
  'half of the votes absent',
  at(4),
  withVotes(at(5), (votes) => votes.with(0, absentVote).with(1, absentVote)),
);
step(
  'commitPowerMissing',
  'half of the votes for no block',
  at(4),
  withVotes(at(5), (votes) => votes.map((vote, index) => (index < 2 ? { ...vote, flag: 3 } : vote))),
);
step('validatorsHashDiffers', 'the validators of another block', at(4), { ...at(5), validators: at(7).validators });
step('chainOther', 'another chain', at(4), changed(at(5), { chain: 'salus-other' }));
step('lightHeight', 'a block below', at(6), changed(at(5), { time: timestampOfMs(handoverMs + 9000) }));
step('lightTime', 'not later', at(4), changed(at(5), { time: at(4).header.time }));
step(
  null,
  'another predecessor: for witnesses to show',
  at(4),
  changed(at(5), { lastBlockId: at(6).header.lastBlockId }),
);
const unannounced = { ...at(7), commit: { ...at(7).commit, height: 5 } };
step(
  'validatorsUntrusted',
  'validators that nobody announced',
  at(4),
  changed(unannounced, { height: 5, lastBlockId: at(5).header.lastBlockId, time: at(5).header.time }),
);
step('lightTrustMissing', 'a skip over a change of all validators', at(4), at(8));
step(
  'lightTrustMissing',
  'a skip with less than the trust level',
  at(4),
  withVotes(at(6), (votes) => votes.with(0, absentVote)),
  {
    trustLevel: { numerator: 3, denominator: 4 },
  },
);
step(
  'trustedVoteInvalid',
  'a skip with a forged vote',
  at(4),
  withVotes(at(6), (votes) => votes.with(0, { ...votes[0]!, signature: new Uint8Array(64) })),
);
step(
  'commitSignatureTwice',
  'a skip with a vote doubled',
  at(4),
  withVotes(at(6), (votes) => votes.with(1, votes[0]!)),
  {
    trustLevel: { numerator: 1, denominator: 1 },
  },
);
const trustedMs = msOfTimestamp(at(4).header.time);
step('lightExpired', 'at the very end of trust', at(4), at(5), { nowMs: trustedMs + periodMs });
step(null, 'a millisecond before the end of trust', at(4), at(5), { nowMs: trustedMs + periodMs - 1 });
const laterMs = msOfTimestamp(at(5).header.time);
step('lightFuture', 'as far ahead as the drift', at(4), at(5), { nowMs: laterMs - 10_000 });
step(null, 'a millisecond less ahead', at(4), at(5), { nowMs: laterMs - 9999 });
step('lightTrustLevel', 'a trust level below a third', at(4), at(6), { trustLevel: { numerator: 1, denominator: 4 } });

backwards(null, 'the block before', at(4), at(5));
backwards('lightBackwards', 'some other block', at(4), at(6));
backwards('lightTime', 'not earlier', changed(at(4), { time: at(5).header.time }), at(5));
backwards('chainOther', 'another chain', changed(at(4), { chain: 'salus-other' }), at(5));

// Anchors and handovers

const anchor5 = anchorOfBlock(at(5), at(6).validators);
chain(null, 'over handover and change', [handover, at(4), at(6), at(7), at(9)]);
chain(null, 'from the anchor of the handover', [at(4), at(5)], anchorOfHandover(handover));
chain(
  'anchorHeaderDiffers',
  'another block at the anchor',
  [changed(at(5), { dataHash: new Uint8Array(32) })],
  anchor5,
);
chain('anchorTooNew', 'below the anchor', [at(4)], anchor5);
chain('anchorInvalid', 'an anchor without validators', [at(4)], { ...anchor5, validators: [] });
chain('chainOther', 'another chain', [handover, changed(at(4), { chain: 'salus-other' })]);
chain('commitPowerMissing', 'half of the votes absent', [
  handover,
  withVotes(at(5), (votes) => votes.with(0, absentVote).with(1, absentVote)),
]);
chain('validatorsUntrusted', 'without the handover', [at(4)]);
chain('validatorsUntrusted', 'without the change', [handover, at(9)]);
chain('commitSignatureInvalid', 'a vote for no block that nobody cast: receipts look at every one', [
  handover,
  withVotes(at(5), (votes) => votes.with(3, { ...votes[3]!, flag: 3 })),
]);
chain('lightNotAdjacent', 'another predecessor', [
  handover,
  at(4),
  changed(at(5), { lastBlockId: at(6).header.lastBlockId }),
]);
chain('lightNotAdjacent', 'no predecessor', [handover, at(4), changed(at(5), { lastBlockId: zeroBlockId })]);
chain('lightFirstBlock', 'another state in the first block', [
  handover,
  changed(at(4), { appHash: new Uint8Array(32) }),
]);
chain('lightFirstBlock', 'another time in the first block', [
  handover,
  changed(at(4), { time: timestampOfMs(handoverMs + 1) }),
]);
chain('lightFirstBlock', 'a predecessor of the first block', [
  handover,
  changed(at(4), { lastBlockId: { ...zeroBlockId, hash: headerHash(at(3).header) } }),
]);

function signed(next: Partial<Handover['next']>, last = handover.last, by = founder): Handover {
  const whole = { ...handover.next, ...next };
  return { ...handover, last, next: whole, signatures: [signEd25519(by.seed, handoverSignBytes(last.header, whole))] };
}

function lone(header: Partial<LightBlock['header']>): LightBlock {
  return changed(at(3), header, [founder]);
}

chain('handoverLastBlock', 'a last block with transactions', [
  signed({}, lone({ dataHash: sha256(utf8('transaction')) })),
]);
chain('handoverLastBlock', 'a last block that announces a change', [
  signed({}, lone({ nextValidatorsHash: at(4).header.validatorsHash })),
]);
chain('handoverRoot', 'another state', [signed({ appHash: new Uint8Array(32) })]);
chain('handoverHeight', 'a height left out', [signed({ height: 5 })]);
chain('handoverTime', 'before the last block', [signed({ timeMs: genesisMs })]);
chain('validatorsInvalid', 'to nobody', [signed({ validators: [] })]);
chain('handoverSignatureCount', 'two signatures of one validator', [
  { ...handover, signatures: [handover.signatures[0], handover.signatures[0]] },
]);
chain('handoverSignatureInvalid', 'signed by a successor', [signed({}, handover.last, members[0]!)]);
chain('handoverSignatureInvalid', "the last block's vote as signature", [
  { ...handover, signatures: [handover.last.commit.votes[0]!.signature] },
]);
chain('handoverPowerMissing', 'unsigned', [{ ...handover, signatures: [undefined] }]);
add('handoverForm', 'another format', 'chain', {
  anchor: embedded.anchor,
  steps: [{ ...(handoverToJson(handover) as object), format: 'salus-handover/2' }],
});
const other = signHandover(draftHandover(at(3), { timeMs: handoverMs, validators: [members[0]!] }), founder);
add('handoverConflict', 'two handovers by the same validator', 'conflict', {
  one: handoverToJson(handover),
  other: handoverToJson(other),
});
add(null, 'the same handover', 'conflict', { one: handoverToJson(handover), other: handoverToJson(handover) });

// Evidence

function evidence(
  name: ProofErrorName | null,
  reason: string,
  given: LightEvidence,
  common: LightBlock,
  trusted: LightBlock,
) {
  const blocks = { common: lightBlockToJson(common), trusted: lightBlockToJson(trusted) };
  add(name, reason, 'evidence', { evidence: evidenceToJson(given), ...blocks });
}

const twice = changed(at(5), { dataHash: new Uint8Array(32) });
const again = { ...twice, commit: { ...twice.commit, round: 1 } };
const forgotten = resign(again, keysOf(at(5)));
const lunatic = changed(at(6), { appHash: new Uint8Array(32) });
const equivocation = evidenceOf(twice, at(5), at(4));
const ofLunatic = evidenceOf(lunatic, at(6), at(4));
evidence(null, 'equivocation', equivocation, at(5), at(5));
evidence(null, 'amnesia', evidenceOf(forgotten, at(5), at(4)), at(5), at(5));
evidence(null, 'lunatic', ofLunatic, at(4), at(6));
const elsewhere = changed(at(6), { chain: 'salus-other', appHash: new Uint8Array(32) });
evidence('chainOther', 'what was signed for another chain', evidenceOf(elsewhere, at(6), at(4)), at(4), at(6));
evidence('evidenceHeight', 'another common block', ofLunatic, at(5), at(6));
evidence(
  'evidenceHeight',
  'a time that is not that of the common block',
  { ...ofLunatic, time: at(5).header.time },
  at(4),
  at(6),
);
evidence('evidencePower', 'another power', { ...ofLunatic, totalPower: 1 }, at(4), at(6));
evidence('evidenceNoConflict', 'the trusted block itself', { ...equivocation, conflicting: at(5) }, at(5), at(5));
evidence(
  'evidenceDerived',
  'another state at the common height',
  { ...ofLunatic, commonHeight: 6, time: at(6).header.time },
  at(6),
  at(6),
);
evidence(
  'evidenceByzantine',
  'a guilty one left out',
  { ...equivocation, byzantine: equivocation.byzantine.slice(1) },
  at(5),
  at(5),
);
evidence('evidenceByzantine', 'another kind', { ...equivocation, kind: 'amnesia' }, at(5), at(5));
evidence(
  'lightTrustMissing',
  'signed by too few of the common validators',
  { ...ofLunatic, conflicting: at(8) },
  at(4),
  at(6),
);
add('evidenceForm', 'no kind that there is', 'evidence', {
  evidence: { ...(evidenceToJson(equivocation) as object), kind: 'mistake' },
  common: lightBlockToJson(at(5)),
  trusted: lightBlockToJson(at(5)),
});

const about = 'Light blocks, handovers and evidence with the number that refuses them; null: accepted.';
write('light-faults.json', { about, cases });

// Receipts of both engines under one anchor

function receipt(height: number, trust: Receipt['trust']): Receipt {
  const source = height > 3 ? network : embedded;
  return { ...source.receipt(height, { key }), trust };
}

const usurped = {
  ...handover,
  signatures: [signEd25519(members[0]!.seed, handoverSignBytes(at(3).header, handover.next))],
};
const receipts: [ProofErrorName | null, string, Receipt][] = [
  [null, 'before the handover, by one validator', receipt(1, [])],
  [null, 'after it, by many', receipt(4, [handover])],
  [null, 'after it and a change of all validators', receipt(7, [handover, at(6)])],
  ['validatorsUntrusted', 'after it, and it is missing', receipt(4, [])],
  ['validatorsUntrusted', 'the change is missing', receipt(7, [handover])],
  ['handoverSignatureInvalid', 'the new validators hand the chain to themselves', receipt(4, [usurped])],
  ['handoverPowerMissing', 'nobody signed it', receipt(4, [{ ...handover, signatures: [undefined] }])],
  ['lightHeight', 'a handover that comes after the receipt', receipt(1, [handover])],
];
write('light-handover.json', {
  about: 'A handover, what is signed of it, and receipts under the anchor from before it; null: accepted.',
  anchor: embedded.anchor,
  handover: handoverToJson(handover),
  signer: {
    seed: toHex(founder.seed),
    publicKey: toHex(founder.publicKey),
    address: toHex(addressOf(founder.publicKey)),
  },
  signBytes: utf8Text(handoverSignBytes(at(3).header, handover.next)),
  receipts: receipts.map(([name, reason, one]) => ({
    reason,
    code: name === null ? null : ProofErrorCodes[name],
    receipt: JSON.parse(utf8Text(encodeReceipt(one))),
  })),
});
