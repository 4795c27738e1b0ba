import { mkdirSync, writeFileSync } from 'node:fs';
import { FixtureChain, fixtureKey, resign, stateSource } from '../../packages/protocol/src/chain-fixture.ts';
import {
  type AbsenceProof,
  absentVote,
  blockIdOf,
  blockParts,
  buildStateProof,
  type CborValue,
  commitHash,
  concatBytes,
  consensusHash,
  dataHash,
  didOfKey,
  type ExistenceProof,
  encodeBlock,
  encodeCbor,
  encodeCommit,
  encodeCommitmentProof,
  encodeCommitVote,
  encodeExecResult,
  encodeHeader,
  encodeReceipt,
  generateSigningKey,
  headerHash,
  innerHash,
  lightBlockToJson,
  merkleProof,
  merkleRoot,
  proofKeyOf,
  proofValueOf,
  type Receipt,
  resultsHash,
  type SmtProof,
  sha256,
  signerFromJwk,
  signTransaction,
  toBase64url,
  toHex,
  utf8,
  validatorsHash,
  voteSignBytes,
} from '../../packages/protocol/src/index.ts';

/**
 * Writes vectors/proofs.json, headers.json, light.json and receipts/. The other implementations in this folder and the
 * protocol's own tests read them. Transactions carry fresh signatures, so receipts differ from run to run.
 */

const vectors = new URL('../../vectors/', import.meta.url);
const genesisMs = Date.UTC(2026, 0, 1);
const chainName = 'salus-vectors-1';

function write(name: string, value: unknown): void {
  writeFileSync(new URL(name, vectors), `${JSON.stringify(value, null, 2)}\n`);
}

function hashes(values: readonly Uint8Array[]): string[] {
  return values.map(toHex);
}

// Proofs

type ProofCase = { root: string; stateKey: string; proofKey: string; proofValue: string | null; proof: string };

function proofCase(root: Uint8Array, stateKey: string, value: Uint8Array | undefined, proof: SmtProof): ProofCase {
  return {
    root: toHex(root),
    stateKey,
    proofKey: toHex(proofKeyOf(stateKey)),
    proofValue: value ? toHex(proofValueOf(value)) : null,
    proof: toHex(encodeCommitmentProof(proof)),
  };
}

function proofVectors(): unknown {
  const trees: unknown[] = [];
  const accept: ProofCase[] = [];
  const reject: (ProofCase & { reason: string })[] = [];
  for (const count of [1, 2, 3, 7, 30, 200]) {
    const state = new Map(
      Array.from({ length: count }, (_, index) => [`tree${count}/leaf/${index}`, utf8(`stored value ${index}`)]),
    );
    const source = stateSource(state);
    const { root } = source;
    trees.push({
      root: toHex(root),
      leaves: [...state].map(([key, stored]) => ({ stateKey: key, stored: toHex(stored) })),
    });
    const keys = [...state.keys()].slice(0, 12);
    const others = Array.from({ length: 12 }, (_, index) => `tree${count}/absent/${index}`);
    for (const key of keys) accept.push(proofCase(root, key, state.get(key), buildStateProof(source, key)));
    for (const key of others) accept.push(proofCase(root, key, undefined, buildStateProof(source, key)));
    const refuse = (reason: string, key: string, value: Uint8Array | undefined, proof: SmtProof, other = root) =>
      reject.push({ reason, ...proofCase(other, key, value, proof) });
    const present = buildStateProof(source, keys[0]!) as ExistenceProof;
    const stored = state.get(keys[0]!)!;
    refuse('another value', keys[0]!, utf8('another value'), {
      ...present,
      value: proofValueOf(utf8('another value')),
    });
    refuse('another root', keys[0]!, stored, present, innerHash(root, root));
    refuse('value of a key that is not there', others[0]!, stored, { ...present, key: proofKeyOf(others[0]!) });
    for (const [index, sibling] of present.siblings.entries()) {
      const siblings = present.siblings.with(index, sha256(sibling));
      refuse(`sibling ${index} changed`, keys[0]!, stored, { ...present, siblings });
      refuse(`sibling ${index} missing`, keys[0]!, stored, {
        ...present,
        siblings: present.siblings.toSpliced(index, 1),
      });
    }
    refuse('presence as absence', keys[0]!, undefined, {
      kind: 'absence',
      key: proofKeyOf(keys[0]!),
      left: present,
      right: undefined,
    });
    for (const key of others.slice(0, 6)) {
      const absence = buildStateProof(source, key) as AbsenceProof;
      if (absence.left && absence.right) {
        refuse('left neighbour missing', key, undefined, { ...absence, left: undefined });
        refuse('right neighbour missing', key, undefined, { ...absence, right: undefined });
      }
      refuse('neighbours swapped', key, undefined, { ...absence, left: absence.right, right: absence.left });
      refuse('another root', key, undefined, absence, sha256(root));
      const far = keys.map((name) => buildStateProof(source, name) as ExistenceProof);
      for (const left of far.slice(0, 6)) {
        if (absence.left && toHex(left.key) === toHex(absence.left.key)) continue;
        refuse('left is no neighbour', key, undefined, { ...absence, left });
      }
    }
  }
  const lists = [0, 1, 2, 3, 5, 8, 13].map((count) => {
    const leaves = Array.from({ length: count }, (_, index) => utf8(`leaf ${index}`));
    const proofs = leaves.map((_, index) => {
      const { total, leafHash, aunts } = merkleProof(leaves, index);
      return { total, index, leafHash: toHex(leafHash), aunts: hashes(aunts) };
    });
    return { leaves: hashes(leaves), root: toHex(merkleRoot(leaves)), proofs };
  });
  return {
    about: 'State proofs as ICS-23 CommitmentProof under SmtSpec, and RFC 6962 lists as in CometBFT. Bytes are hex.',
    trees,
    accept,
    reject,
    lists,
  };
}

// Headers and light blocks

const founders = ['a', 'b', 'c', 'd'].map((name) => fixtureKey(name, 10));
const successors = [...founders.slice(0, 2), ...['e', 'f', 'g'].map((name, index) => fixtureKey(name, 5 + index))];

function stored(value: CborValue): Uint8Array {
  return concatBytes(sha256(encodeCbor(value)).slice(0, 16), Uint8Array.of(1), encodeCbor(value));
}

async function transaction(note: string, code = 0) {
  const { publicJwk, privateJwk } = await generateSigningKey();
  const bytes = await signTransaction({
    chain: chainName,
    messages: [{ type: 'records/anchor', note }],
    signers: [signerFromJwk(`${didOfKey(publicJwk)}#one`, privateJwk)],
    validUntil: genesisMs + 600_000,
  });
  const events = [{ type: 'records/Anchored', attributes: { note, version: 1 } }];
  return { bytes, code, cost: 900 + note.length, events, outputs: [{ note }] };
}

async function makeChain(): Promise<FixtureChain> {
  const chain = new FixtureChain(chainName, founders, genesisMs, { 'governance/parameters': stored({ v: 1 }) });
  chain.add({ transactions: [await transaction('one')], writes: { 'records/record/1': stored({ note: 'one' }) } });
  const several = [await transaction('two'), await transaction('refused', 4007), await transaction('three')];
  chain.add({ transactions: several, writes: { 'records/record/2': stored({ note: 'two' }) }, absent: [2] });
  chain.add({ nextValidators: successors });
  const large = await transaction('x'.repeat(90_000));
  chain.add({ transactions: [large], writes: { 'records/record/2': stored({ note: 'new' }) }, absent: [4] });
  chain.add({ nextValidators: founders });
  chain.add();
  chain.add({ transactions: [await transaction('last')], writes: { 'records/record/3': stored({ note: 'last' }) } });
  chain.add();
  return chain;
}

function headerVectors(chain: FixtureChain): unknown {
  const blocks = chain.blocks.map(({ block, light, results }) => {
    const { header, commit, validators } = light;
    const { parts } = blockIdOf(block);
    return {
      ...lightBlockToJson(light),
      headerHash: toHex(headerHash(header)),
      headerBytes: toHex(encodeHeader(header)),
      commitHash: toHex(commitHash(commit)),
      commitBytes: toHex(encodeCommit(commit)),
      voteBytes: commit.votes.map((vote) => toHex(encodeCommitVote(vote))),
      signBytes: commit.votes.map((vote) => toHex(voteSignBytes(header.chain, commit, vote))),
      nilSignBytes: toHex(voteSignBytes(header.chain, commit, { flag: 3, time: header.time })),
      validatorsHash: toHex(validatorsHash(validators)),
      transactions: block.transactions.map(toBase64url),
      dataHash: toHex(dataHash(block.transactions.map((bytes) => sha256(bytes)))),
      results: results.map((result) => ({ ...result, data: toHex(result.data) })),
      resultBytes: results.map((result) => toHex(encodeExecResult(result))),
      resultsHash: toHex(resultsHash(results)),
      blockBytesHash: toHex(sha256(encodeBlock(block))),
      parts: { total: parts.total, hash: toHex(parts.hash) },
      partBytes: blockParts(encodeBlock(block)).parts.map(({ bytes }) => bytes.length),
    };
  });
  const consensus = [
    { blockBytesMax: 4_194_304, blockGasMax: -1 },
    { blockBytesMax: 1, blockGasMax: 0 },
    { blockBytesMax: 22_020_096, blockGasMax: 10_000_000 },
  ].map((entry) => ({ ...entry, hash: toHex(consensusHash(entry.blockBytesMax, entry.blockGasMax)) }));
  return { about: 'Blocks in the format of CometBFT 0.38. Bytes are hex, transactions base64url.', blocks, consensus };
}

function lightVectors(chain: FixtureChain): unknown {
  const blocks = chain.blocks.map(({ light }) => lightBlockToJson(light));
  const third = chain.at(3).light;
  const missing = { ...third.commit, votes: third.commit.votes.map((vote, at) => (at < 2 ? vote : absentVote)) };
  const strangers = ['v', 'w', 'x', 'y'].map((name) => fixtureKey(name, 10));
  const late = { ...third, header: { ...third.header, time: chain.at(1).light.header.time } };
  const sorted = third.validators.map((entry) => founders.find((key) => key.publicKey === entry.publicKey)!);
  const reject = [
    { reason: 'half of the power', trusted: 2, block: { ...third, commit: missing } },
    { reason: 'signed by strangers', trusted: 2, block: resign(third, strangers) },
    { reason: 'time not after the block before', trusted: 2, block: resign(late, sorted) },
    { reason: 'not adjacent', trusted: 2, block: chain.at(4).light },
    { reason: 'commit of another block', trusted: 2, block: { ...third, commit: chain.at(4).light.commit } },
    {
      reason: 'validators of another block',
      trusted: 2,
      block: { ...third, validators: chain.at(4).light.validators },
    },
  ].map(({ reason, trusted, block }) => ({ reason, trusted, block: lightBlockToJson(block) }));
  return {
    about: 'One chain with two changes of validators; each block verifies after the one before.',
    anchor: chain.anchor,
    blocks,
    reject,
  };
}

// Receipts

function receiptVectors(chain: FixtureChain): void {
  const dir = new URL('receipts/', vectors);
  mkdirSync(dir, { recursive: true });
  const accept: Record<string, Receipt> = {
    'transaction-and-value': chain.receipt(2, { index: 0, key: 'records/record/2' }),
    'refused-transaction': chain.receipt(2, { index: 1 }),
    'first-block': chain.receipt(1, { index: 0, key: 'records/record/1' }),
    value: chain.receipt(2, { key: 'records/record/1' }),
    absence: chain.receipt(1, { key: 'records/record/2' }),
    'after-two-changes': chain.receipt(7, { index: 0, key: 'records/record/3', trust: [3, 5] }),
  };
  const base = accept['transaction-and-value']!;
  const proven = base.transaction!;
  const other = chain.receipt(2, { index: 2 }).transaction!;
  const voteless = { ...base.signed.commit, votes: base.signed.commit.votes.with(0, absentVote).with(1, absentVote) };
  const reject: Record<string, Receipt> = {
    'swapped-code': { ...base, transaction: { ...proven, result: { ...proven.result, code: 4001 } } },
    'swapped-result': { ...base, transaction: { ...proven, result: other.result, resultProof: other.resultProof } },
    'swapped-outputs': { ...base, transaction: { ...proven, result: { ...proven.result, outputs: [] } } },
    'other-proof': { ...base, transaction: { ...proven, proof: other.proof } },
    'other-transaction': { ...base, transaction: { ...proven, bytes: other.bytes } },
    'other-value': { ...base, state: { ...base.state!, stored: stored({ note: 'forged' }) } },
    'old-state': { ...base, state: chain.receipt(1, { key: 'records/record/2' }).state! },
    'too-few-votes': { ...base, signed: { ...base.signed, commit: voteless } },
    'vote-of-a-stranger': { ...base, signed: resign(base.signed, [fixtureKey('stranger', 10)]) },
    'change-not-announced': chain.receipt(7, { index: 0, trust: [5] }),
  };
  for (const [name, receipt] of Object.entries(accept))
    writeFileSync(new URL(`accept-${name}.receipt`, dir), encodeReceipt(receipt));
  for (const [name, receipt] of Object.entries(reject))
    writeFileSync(new URL(`reject-${name}.receipt`, dir), encodeReceipt(receipt));
  writeFileSync(new URL('anchor.json', dir), `${JSON.stringify(chain.anchor, null, 2)}\n`);
}

const chain = await makeChain();
write('proofs.json', proofVectors());
write('headers.json', headerVectors(chain));
write('light.json', lightVectors(chain));
receiptVectors(chain);
