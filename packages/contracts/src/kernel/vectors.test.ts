import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  fromHex,
  type JsonValue,
  type Message,
  type ParsedTransaction,
  parseKid,
  sha256,
  toHex,
  utf8,
} from '@salus/protocol';
import { describe, expect, it } from 'vitest';
import { governanceContract, jurisdictionUsa } from '../governance/index.ts';
import { authorityExpiryStepMs } from '../identity/authority-handlers.ts';
import { identityContract } from '../identity/index.ts';
import { type GenesisDocument, genesisHash } from './genesis.ts';
import { kernelContract } from './index.ts';
import { Kernel } from './kernel.ts';
import { ReplayTable } from './replay.ts';
import {
  dayMs,
  type RunOptions,
  TestLedger,
  type TestParticipant,
  testChain,
  testDid,
  testDigest,
  testGenesis,
  testId,
  testKey,
  testMembers,
  testParticipant,
} from './test-kit.ts';

/**
 * Vectors for other implementations: a genesis document, then transactions one per block, each with the context it
 * was executed in and everything that must come out, down to the stored bytes. UPDATE_VECTORS=1 writes them anew
 * (then format them); a change of what stands there is a change of consensus.
 */
type Step = {
  name: string;
  chain: string;
  height: number;
  blockTimeMs: number;
  transactionHash: string;
  kids: string[];
  keysUsed: string[];
  payload: { v: 1; id: string; validUntil: number; messages: Message[] };
  expected: {
    code: number;
    error: string;
    cost: number;
    data: string;
    outputs: JsonValue[];
    writes: Record<string, string>;
  };
};
type GenesisCase = { name: string; changes: Record<string, JsonValue>; isAccepted: boolean };
type VectorFile = {
  format: 'salus-contract-vectors/1';
  genesis: GenesisDocument;
  genesisHash: string;
  genesisState: Record<string, string>;
  genesisCases: GenesisCase[];
  steps: Step[];
};

const contracts = [kernelContract, identityContract, governanceContract];
const { hospital, clinic, payer, regulator, patients } = testMembers();
/** A removed key. */
const REMOVED = 'removed';

/** The directory of vectors at the root of the repository. */
const pathOf = (name: string) => fileURLToPath(new URL(`../../../../vectors/contracts/${name}.json`, import.meta.url));

class Recorder {
  readonly ledger = new TestLedger(contracts);
  readonly steps: Step[] = [];
  #sequence = 0;

  step(name: string, messages: JsonValue[], signers: TestParticipant[], options: RunOptions = {}): void {
    this.#sequence += 1;
    const parsed = this.ledger.transaction(messages, signers, { id: testId(`vector ${this.#sequence}`), ...options });
    const tx = { ...parsed, hash: sha256(utf8(`transaction ${this.#sequence} of the vectors`)) };
    const keysUsed = options.keysUsed ?? this.ledger.keysUsed(tx);
    const before = new Map(this.ledger.state);
    const [result] = this.ledger.runBlock([{ tx, keysUsed }]);
    const { code, cost, data, outputs } = result!;
    const error = code === 0 ? '' : (this.ledger.kernel.error(code)?.name ?? '');
    this.steps.push({
      name,
      chain: tx.chain,
      height: this.ledger.height,
      blockTimeMs: this.ledger.timeMs,
      transactionHash: toHex(tx.hash),
      kids: tx.signatures.map(({ kid }) => kid),
      keysUsed,
      payload: tx.payload,
      expected: { code, error, cost, data: toHex(data), outputs, writes: difference(before, this.ledger.state) },
    });
  }
}

function difference(before: Map<string, Uint8Array>, after: Map<string, Uint8Array>): Record<string, string> {
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changed = keys.filter((key) => hexOf(before.get(key)) !== hexOf(after.get(key)));
  return Object.fromEntries(changed.map((key) => [key, hexOf(after.get(key))]));
}

function hexOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? REMOVED : toHex(bytes);
}

const stamp = (label: string): JsonValue => ({ type: 'kernel/stamp', digest: testDigest(label) });

function kernelSteps(recorder: Recorder): void {
  const { ledger } = recorder;
  recorder.step('a stamp', [stamp('a')], [hospital]);
  recorder.step('the same digest by another sender', [stamp('a')], [clinic]);
  recorder.step('the same digest again', [stamp('a')], [hospital]);
  recorder.step('two stamps', [stamp('b'), stamp('c')], [hospital]);
  recorder.step('all or nothing', [stamp('d'), stamp('b')], [hospital]);
  recorder.step('an id used before', [stamp('e')], [hospital], { id: testId('vector 1') });
  recorder.step('the same id by another sender', [stamp('e')], [clinic], { id: testId('vector 1') });
  recorder.step('another chain', [stamp('f')], [hospital], { chain: 'salus-other' });
  recorder.step('valid until block time', [stamp('f')], [hospital], { validUntil: ledger.timeMs + 1_000 });
  recorder.step('valid for one millisecond', [stamp('f')], [hospital], { validUntil: ledger.timeMs + 1_001 });
  recorder.step('valid for ten minutes', [stamp('g')], [hospital], { validUntil: ledger.timeMs + 601_000 });
  recorder.step('valid for too long', [stamp('h')], [hospital], { validUntil: ledger.timeMs + 601_001 });
  recorder.step('an unknown message', [{ type: 'kernel/other' }], [hospital]);
  recorder.step('an additional member', [{ ...(stamp('h') as object), note: 1 } as JsonValue], [hospital]);
  recorder.step('a digest with unused bits', [{ type: 'kernel/stamp', digest: 'B'.repeat(43) }], [hospital]);
  recorder.step('an unknown signer', [stamp('h')], [testParticipant('stranger')]);
  recorder.step('an encryption key', [stamp('h')], [hospital], { keyNames: { [hospital.did]: 'encrypt' } });
  recorder.step('verified with another key', [stamp('h')], [hospital], { keysUsed: [clinic.thumbprint] });
  ledger.advance(700_000);
  recorder.step('removes the buckets that have passed', [stamp('i')], [hospital]);
}

function identitySteps(recorder: Recorder): void {
  const { ledger } = recorder;
  const ann = testParticipant('ann', testDid('ann'));
  const doctor = testParticipant('doctor');
  const practice = testParticipant('practice');
  const thief = testParticipant('thief', ann.did);
  const expiresMs = (Math.floor(ledger.timeMs / authorityExpiryStepMs) + 12) * authorityExpiryStepMs;
  const bind = { type: 'identity/bindPatient', patient: ann.did, keys: ann.keys };
  const authority = {
    patient: ann.did,
    authority: testId('a'),
    holder: doctor.did,
    commitment: testDigest('c'),
    expiresMs,
  };
  const roles = ['doctor'];
  const join = {
    did: practice.did,
    name: 'Practice',
    slug: 'practice',
    role: 'clinic',
    endpoint: '',
    keys: practice.keys,
  };
  const licence = { practitioner: doctor.did, profession: 'doctor', status: 'active', untilMs: ledger.timeMs + dayMs };
  const second = testKey('ann second', 'second');
  recorder.step('a patient before the wallet', [{ type: 'identity/registerPatient', did: ann.did }], [hospital]);
  recorder.step('a wallet without custodian', [bind], [ann]);
  recorder.step('a custodian without wallet', [bind], [hospital]);
  recorder.step('another custodian', [bind], [clinic, ann]);
  recorder.step('the wallet is bound', [bind], [hospital, ann]);
  recorder.step('the wallet signs', [stamp('x')], [ann]);
  recorder.step('a second wallet', [{ ...bind, keys: thief.keys.slice(0, 1) }], [hospital, thief]);
  recorder.step(
    'a practitioner',
    [{ type: 'identity/registerPractitioner', did: doctor.did, roles, keys: doctor.keys }],
    [hospital],
  );
  recorder.step('a licence by a hospital', [{ type: 'identity/setLicence', ...licence }], [hospital]);
  recorder.step('a licence by a regulator', [{ type: 'identity/setLicence', ...licence }], [regulator]);
  recorder.step('an organisation', [{ type: 'identity/registerOrganisation', ...join }], [regulator, practice]);
  recorder.step(
    'the custodian adds a key',
    [{ type: 'identity/addKey', participant: ann.did, key: second }],
    [hospital],
  );
  recorder.step('the patient adds a key', [{ type: 'identity/addKey', participant: ann.did, key: second }], [ann]);
  const revoke = { type: 'identity/revokeKey', participant: ann.did, name: 'sign', reason: 'stolen' };
  recorder.step('the first key is revoked', [revoke], [ann], { keyNames: { [ann.did]: 'second' } });
  recorder.step('the revoked key signs', [stamp('y')], [ann], { keysUsed: [ann.thumbprint] });
  recorder.step('an authority', [{ type: 'identity/grantAuthority', ...authority }], [ann], {
    keyNames: { [ann.did]: 'second' },
  });
  recorder.step(
    'attested by a stranger',
    [{ type: 'identity/attestAuthority', ...authority, authority: testId('b') }],
    [clinic],
  );
  recorder.step(
    'renounced by the holder',
    [{ type: 'identity/revokeAuthority', patient: ann.did, authority: testId('a') }],
    [doctor],
  );
  const tag = testId('tag');
  const other = testDid('bob');
  recorder.step('a second patient', [{ type: 'identity/registerPatient', did: other }], [hospital]);
  recorder.step('an identifier', [{ type: 'identity/bindIdentifier', patient: ann.did, tag }], [hospital]);
  recorder.step(
    'the identifier of another: a case',
    [{ type: 'identity/bindIdentifier', patient: other, tag }],
    [hospital],
  );
  recorder.step('reserved', [{ type: 'identity/startRecovery' }], [hospital]);
}

/** A proposal's number and digest, as the output of the last step says. */
function lastProposal(recorder: Recorder): { proposal: number; digest: string } {
  const { proposal, digest } = recorder.steps.at(-1)!.expected.outputs[0] as { proposal: number; digest: string };
  return { proposal, digest };
}

const proposing = (change: JsonValue): Message =>
  ({ type: 'governance/propose', change, reason: testDigest('reason'), activationHeight: 0 }) as unknown as Message;

function governanceSteps(recorder: Recorder): void {
  const { ledger } = recorder;
  const timeout = proposing({ kind: 'parameter', name: 'requestTimeoutMs', value: 60_000 });
  recorder.step('a proposal by a stranger', [timeout], [testParticipant('stranger')]);
  recorder.step('a proposal', [timeout], [hospital]);
  const opened = lastProposal(recorder);
  const vote = (choice: string): JsonValue[] => [{ type: 'governance/vote', ...opened, choice }];
  recorder.step('a vote for another content', [{ ...(vote('yes')[0] as object), digest: testDigest('x') }], [hospital]);
  for (const member of [hospital, payer, regulator]) recorder.step('yes', vote('yes'), [member]);
  recorder.step('no, of half a class', vote('no'), [clinic]);
  recorder.step('and changed', vote('abstain'), [clinic]);
  const execute: JsonValue[] = [{ type: 'governance/execute', ...opened }];
  recorder.step('executed before the deadline', execute, [payer]);
  ledger.advance(7 * dayMs);
  recorder.step('a vote behind the deadline', vote('no'), [patients]);
  recorder.step('executed', execute, [payer]);
  recorder.step('executed again', execute, [payer]);
  const changes = [{ publicKey: testDigest('second validator'), member: payer.did, power: 1 }];
  recorder.step('a validator without its member', [proposing({ kind: 'validators', changes })], [hospital]);
  recorder.step('a validator', [proposing({ kind: 'validators', changes })], [hospital, payer]);
  const second = lastProposal(recorder);
  for (const member of [hospital, payer, regulator, patients]) {
    recorder.step('yes', [{ type: 'governance/vote', ...second, choice: 'yes' }], [member]);
  }
  ledger.advance(3 * dayMs);
  recorder.step('announced to the engine', [{ type: 'governance/execute', ...second }], [payer]);
  recorder.step('an upgrade', [proposing({ kind: 'upgrade', version: 2, release: testDigest('r') })], [regulator]);
  const third = lastProposal(recorder);
  recorder.step('a veto', [{ type: 'governance/veto', ...third, reason: testDigest('why') }], [patients]);
  recorder.step('withdrawn by another', [{ type: 'governance/withdraw', ...third }], [hospital]);
  recorder.step('withdrawn', [{ type: 'governance/withdraw', ...third }], [regulator]);
  const emergency = { type: 'governance/suspendInEmergency', member: clinic.did, reason: testDigest('stolen key') };
  recorder.step('an emergency of one class', [emergency], [hospital]);
  recorder.step('an emergency', [emergency], [hospital, regulator]);
  recorder.step('the suspended signs', [timeout], [clinic]);
  const ratify = { type: 'governance/ratifySuspension', member: clinic.did, reason: testDigest('stolen key') };
  recorder.step('a vote to make it last', [ratify], [hospital]);
  ledger.advance(7 * dayMs);
  recorder.step('the suspension has ended', [proposing({ kind: 'remove', member: hospital.did })], [clinic]);
  const content = '{"format":"plan/1","id":"plan-a","rules":[],"version":1}';
  recorder.step('a rule set', [{ type: 'governance/publishRuleSet', content }], [payer]);
  recorder.step('a contract, which is reserved', [{ type: 'governance/uploadContract' }], [hospital]);
}

const plan = (version: number): JsonValue => ({ format: 'plan/1', id: 'plan-a', version });
const governanceCases: GenesisCase[] = [
  { name: 'no policy', changes: { ruleSets: [] }, isAccepted: true },
  { name: 'two versions', changes: { ruleSets: [plan(1), plan(2)] }, isAccepted: true },
  { name: 'a version is missing', changes: { ruleSets: [plan(2)] }, isAccepted: false },
  { name: 'a version twice', changes: { ruleSets: [plan(1), plan(1)] }, isAccepted: false },
  { name: 'a rule set without id', changes: { ruleSets: [{ format: 'plan/1', version: 1 }] }, isAccepted: false },
  {
    name: 'an open policy',
    changes: { ruleSets: [{ ...jurisdictionUsa, more: 1 } as unknown as JsonValue] },
    isAccepted: false,
  },
  { name: 'a parameter', changes: { parameters: { requestTimeoutMs: 60_000 } }, isAccepted: true },
  { name: 'an unknown parameter', changes: { parameters: { unknown: 1 } }, isAccepted: false },
  { name: 'a parameter out of bounds', changes: { parameters: { breakGlassOverLimitRefused: 2 } }, isAccepted: false },
  { name: 'voting rules', changes: { votingRules: { admit: { votingMs: 1_000 } } }, isAccepted: true },
  { name: 'voting rules of nothing', changes: { votingRules: { surprise: {} } }, isAccepted: false },
  { name: 'a voting rule that is none', changes: { votingRules: { admit: { surprise: 1 } } }, isAccepted: false },
  { name: 'a quorum of all', changes: { votingRules: { admit: { quorumPerMille: 1_000 } } }, isAccepted: false },
  {
    name: 'a validator twice',
    changes: { validators: [1, 2].map((power) => ({ ...testGenesis().validators[0]!, power })) },
    isAccepted: false,
  },
  { name: 'an unknown member of the document', changes: { surprise: 1 }, isAccepted: false },
];

function record(steps: (recorder: Recorder) => void, genesisCases: GenesisCase[]): VectorFile {
  const recorder = new Recorder();
  const genesis = testGenesis();
  const genesisState = difference(new Map(), recorder.ledger.state);
  steps(recorder);
  const hash = toHex(genesisHash(genesis));
  return {
    format: 'salus-contract-vectors/1',
    genesis,
    genesisHash: hash,
    genesisState,
    genesisCases,
    steps: recorder.steps,
  };
}

/** Executes a step from nothing but what the file says. */
function replay(kernel: Kernel, state: Map<string, Uint8Array>, table: ReplayTable, step: Step) {
  const signatures = step.kids.map((kid) => ({
    kid,
    ...parseKid(kid),
    signingInput: new Uint8Array(),
    signature: new Uint8Array(),
  }));
  const hash = fromHex(step.transactionHash);
  const sender = signatures[0]!.did;
  const tx: ParsedTransaction = {
    bytes: new Uint8Array(),
    hash,
    chain: step.chain,
    payload: step.payload,
    signatures,
    sender,
  };
  const view = {
    get: (key: string) => state.get(key),
    replaySeen: (minute: number, id: string) => table.seen(minute, id),
  };
  const context = { chain: testChain, height: step.height, blockTimeMs: step.blockTimeMs };
  const executed = kernel.executeTransaction(tx, step.keysUsed, view, context);
  const before = new Map(state);
  for (const [key, stored] of executed.writes) {
    if (stored === undefined) state.delete(key);
    else state.set(key, stored);
  }
  table.add(executed.replayIds);
  table.prune(step.blockTimeMs);
  return { executed, writes: difference(before, state) };
}

const files: [name: string, steps: (recorder: Recorder) => void, genesisCases: GenesisCase[]][] = [
  ['kernel', kernelSteps, []],
  ['identity', identitySteps, []],
  ['governance', governanceSteps, governanceCases],
];

describe.each(files)('R-LED-4 vectors of %s', (name, steps, genesisCases) => {
  if (process.env.UPDATE_VECTORS) {
    mkdirSync(fileURLToPath(new URL('../../../../vectors/contracts/', import.meta.url)), { recursive: true });
    writeFileSync(pathOf(name), `${JSON.stringify(record(steps, genesisCases), null, 2)}\n`);
  }
  const file = JSON.parse(readFileSync(pathOf(name), 'utf8')) as VectorFile;
  const kernel = new Kernel(contracts);

  it('begin with the genesis state that the document gives', () => {
    expect(toHex(genesisHash(file.genesis))).toBe(file.genesisHash);
    expect(difference(new Map(), kernel.genesis(file.genesis))).toEqual(file.genesisState);
  });

  it('give code, cost, data, outputs and stored bytes of every step', () => {
    const state: Map<string, Uint8Array> = new Map(kernel.genesis(file.genesis));
    const table = new ReplayTable();
    for (const step of file.steps) {
      const { executed, writes } = replay(kernel, state, table, step);
      const { code, cost, outputs } = executed;
      const error = code === 0 ? '' : kernel.error(code)?.name;
      expect({ name: step.name, code, error, cost, data: toHex(executed.data), outputs, writes }).toEqual({
        name: step.name,
        ...step.expected,
      });
    }
  });

  it('accept and refuse genesis documents', () => {
    for (const { name: title, changes, isAccepted } of file.genesisCases) {
      const run = () => kernel.genesis({ ...file.genesis, ...changes } as unknown as GenesisDocument);
      if (isAccepted) expect(run, title).not.toThrow();
      else expect(run, title).toThrow();
    }
  });
});
