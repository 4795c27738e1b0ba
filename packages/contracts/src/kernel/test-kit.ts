import {
  asciiBytes,
  type Did,
  didOfBytes,
  didOfKey,
  type EcPrivateJwk,
  type EcPublicJwk,
  encodeCbor,
  type JsonValue,
  jwkThumbprint,
  keyPairOfScalar,
  type Message,
  type ParsedTransaction,
  parseTransaction,
  type Signer,
  sha256,
  signerFromJwk,
  signTransaction,
  toBase64url,
  utf8,
  verifySignature,
} from '@salus/protocol';
import { governanceContract, jurisdictionUsa } from '../governance/index.ts';
import { identityContract } from '../identity/index.ts';
import type { ErrorDefinition } from './errors.ts';
import type { GenesisDocument, GenesisMember, KeySpec, MemberClass } from './genesis.ts';
import { kernelContract } from './index.ts';
import { Kernel } from './kernel.ts';
import { ReplayTable } from './replay.ts';
import { decodeStored, iterableReader } from './stored-value.ts';
import type { Contract, IterableReader, IterableView, LedgerView, TransactionResult } from './types.ts';

/** What the tests of all contracts share: a chain in memory, its members, and ways to run messages. */
export const testChain = 'salus-test';
export const testStartMs = 1_800_000_000_000;
const blockIntervalMs = 1_000;
const validForMs = 300_000;
export const dayMs = 24 * 3_600_000;

/** A participant with one signing and one encryption key, derived from a label. */
export type TestParticipant = {
  did: Did;
  kid: string;
  publicJwk: EcPublicJwk;
  privateJwk: EcPrivateJwk;
  thumbprint: string;
  /** Key specifications as messages carry them. */
  keys: KeySpec[];
  signer: Signer;
};

function keyPair(label: string): { publicJwk: EcPublicJwk; privateJwk: EcPrivateJwk } {
  return keyPairOfScalar(sha256(utf8(`salus-test-key:${label}`)));
}

/** A signing key of a name of its own, for adding and rotating. */
export function testKey(label: string, name: string, purpose: 'sign' | 'recover' = 'sign'): KeySpec {
  return { name, purpose, suite: 'ES256', jwk: keyPair(label).publicJwk };
}

export function testEncryptionKey(label: string, name = 'encrypt'): KeySpec {
  return { name, purpose: 'encrypt', suite: 'HPKE-P256', jwk: keyPair(`${label}:encrypt`).publicJwk };
}

/** `did` only where it does not follow from the key: patients who were registered before they had a wallet. */
export function testParticipant(label: string, did?: Did): TestParticipant {
  const { publicJwk, privateJwk } = keyPair(label);
  const ownDid = did ?? didOfKey(publicJwk);
  const kid = `${ownDid}#sign`;
  const keys = [testKey(label, 'sign'), testEncryptionKey(label)];
  const thumbprint = jwkThumbprint(publicJwk);
  return { did: ownDid, kid, publicJwk, privateJwk, thumbprint, keys, signer: signerFromJwk(kid, privateJwk) };
}

/** A DID, digest and identifier that follow from a label. */
export const testDid = (label: string): Did => didOfBytes(sha256(utf8(`did:${label}`)).subarray(0, 20));
export const testDigest = (label: string): string => toBase64url(sha256(utf8(`digest:${label}`)));
export const testId = (label: string): string => toBase64url(sha256(utf8(`id:${label}`)).subarray(0, 16));

export type TestMembers = Record<'hospital' | 'clinic' | 'payer' | 'regulator' | 'patients', TestParticipant>;

let sharedMembers: TestMembers | undefined;

/** The founding organisations of every test chain. */
export function testMembers(): TestMembers {
  sharedMembers ??= {
    hospital: testParticipant('hospital'),
    clinic: testParticipant('clinic'),
    payer: testParticipant('payer'),
    regulator: testParticipant('regulator'),
    patients: testParticipant('patients'),
  };
  return sharedMembers;
}

function founder({ did, keys }: TestParticipant, slug: string, role: string, memberClass: MemberClass): GenesisMember {
  return { did, name: `Test ${slug}`, slug, role, class: memberClass, keys, endpoint: `https://${slug}.test` };
}

export function testGenesis(overrides: Partial<GenesisDocument> = {}): GenesisDocument {
  const { hospital, clinic, payer, regulator, patients } = testMembers();
  return {
    format: 'salus-genesis/1',
    chain: testChain,
    timeMs: testStartMs,
    validators: [{ publicKey: testDigest('validator'), power: 1, member: hospital.did }],
    members: [
      founder(hospital, 'hospital', 'hospital', 'provider'),
      founder(clinic, 'clinic', 'clinic', 'provider'),
      founder(payer, 'payer', 'payer', 'payer'),
      founder(regulator, 'regulator', 'regulator', 'regulator'),
      founder(patients, 'patients', 'patientRepresentatives', 'patientRepresentatives'),
    ],
    parameters: {},
    ruleSets: [jurisdictionUsa as unknown as JsonValue],
    ...overrides,
  };
}

export type RunOptions = {
  id?: string;
  validUntil?: number;
  /** Key name instead of `sign`, by DID. */
  keyNames?: Record<string, string>;
  /** Thumbprints that the verifier claims to have used, instead of those it resolved. */
  keysUsed?: string[];
  chain?: string;
};

const foundation: readonly Contract[] = [kernelContract, identityContract, governanceContract];
const kernels = new WeakMap<readonly Contract[], Kernel>();

/** Compiling schemas takes longer than most tests. */
function sharedKernel(contracts: readonly Contract[]): Kernel {
  const existing = kernels.get(contracts);
  if (existing) return existing;
  const kernel = testKernel(contracts);
  kernels.set(contracts, kernel);
  return kernel;
}

/** A kernel that finds handlers which change shared values. */
export function testKernel(contracts: readonly Contract[] = foundation): Kernel {
  return new Kernel(contracts, { freezeValues: true });
}

/** A chain in memory. Transactions run one per block unless `runBlock` is used. */
export class TestLedger implements LedgerView, IterableView {
  readonly kernel: Kernel;
  readonly state = new Map<string, Uint8Array>();
  readonly replay = new ReplayTable();
  height = 0;
  timeMs = testStartMs;
  #sequence = 0;

  /** A kernel that is given makes a replica of its own; otherwise ledgers of the same contracts share one. */
  constructor(contracts: readonly Contract[] = foundation, genesis = testGenesis(), kernel = sharedKernel(contracts)) {
    this.kernel = kernel;
    for (const [key, stored] of this.kernel.genesis(genesis)) this.state.set(key, stored);
  }

  get(key: string): Uint8Array | undefined {
    return this.state.get(key);
  }

  replaySeen(minute: number, id: string): boolean {
    return this.replay.seen(minute, id);
  }

  *iterate(prefix: string): Iterable<[string, Uint8Array]> {
    const keys = [...this.state.keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) yield [key, this.state.get(key) as Uint8Array];
  }

  /** Decoded state, as queries want it. */
  reader(): IterableReader {
    return iterableReader(this);
  }

  value<T>(key: string): T | undefined {
    const stored = this.state.get(key);
    return stored === undefined ? undefined : decodeStored<T>(stored);
  }

  /** Time that passes without transactions. */
  advance(ms: number): void {
    this.timeMs += ms;
  }

  /** A transaction as it comes out of the parser, without the cost of signing. Its hash follows from its content. */
  transaction(messages: JsonValue[], signers: { did: Did }[], options: RunOptions = {}): ParsedTransaction {
    this.#sequence += 1;
    const id = options.id ?? testId(`transaction ${this.#sequence}`);
    const validUntil = options.validUntil ?? this.timeMs + blockIntervalMs + validForMs;
    const payload = { v: 1 as const, id, validUntil, messages: messages as Message[] };
    const bytes = asciiBytes(JSON.stringify([payload, signers.map(({ did }) => did)]));
    const signatures = signers.map(({ did }) => {
      const keyName = options.keyNames?.[did] ?? 'sign';
      const none = new Uint8Array();
      return { kid: `${did}#${keyName}`, did, keyName, signingInput: none, signature: none };
    });
    const sender = signers[0]?.did as Did;
    return { bytes, hash: sha256(bytes), chain: options.chain ?? testChain, payload, signatures, sender };
  }

  /** Thumbprints as an honest verifier finds them; an unknown key gives an empty text. */
  keysUsed(tx: ParsedTransaction): string[] {
    return tx.signatures.map(({ kid }) => {
      const resolved = this.kernel.resolveKey(this, kid, tx.payload);
      return 'error' in resolved ? '' : resolved.thumbprint;
    });
  }

  /** One block with these transactions, applied to state. */
  runBlock(transactions: { tx: ParsedTransaction; keysUsed: string[] }[]): TransactionResult[] {
    this.height += 1;
    this.timeMs += blockIntervalMs;
    const context = { chain: testChain, height: this.height, blockTimeMs: this.timeMs };
    const { results, writes, replayIds } = this.kernel.executeBlock(transactions, this, context);
    for (const [key, stored] of writes) {
      if (stored === undefined) this.state.delete(key);
      else this.state.set(key, stored);
    }
    this.replay.add(replayIds);
    this.replay.prune(this.timeMs);
    return results;
  }

  /** Runs messages in one transaction of one block. */
  run(messages: JsonValue[], signers: { did: Did }[], options: RunOptions = {}): TransactionResult {
    const tx = this.transaction(messages, signers, options);
    const [result] = this.runBlock([{ tx, keysUsed: options.keysUsed ?? this.keysUsed(tx) }]);
    return result as TransactionResult;
  }

  /** Like `run`, but throws when the transaction is refused: for setting a scene. */
  accept(messages: JsonValue[], signers: { did: Did }[], options: RunOptions = {}): TransactionResult {
    const result = this.run(messages, signers, options);
    if (result.code !== 0) throw new Error(`refused with ${result.code}: ${result.log}`);
    return result;
  }

  /** Really signs, parses and verifies. */
  async runSigned(messages: JsonValue[], signers: TestParticipant[]): Promise<TransactionResult> {
    const validUntil = this.timeMs + blockIntervalMs + validForMs;
    const request = { chain: testChain, messages: messages as Message[], validUntil };
    const bytes = await signTransaction({ ...request, signers: signers.map(({ signer }) => signer) });
    const tx = parseTransaction(bytes);
    const keysUsed: string[] = [];
    for (const { kid, signingInput, signature } of tx.signatures) {
      const resolved = this.kernel.resolveKey(this, kid, tx.payload);
      const isGenuine = !('error' in resolved) && (await verifySignature(resolved.jwk, signingInput, signature));
      keysUsed.push(isGenuine ? resolved.thumbprint : '');
    }
    return this.runBlock([{ tx, keysUsed }])[0] as TransactionResult;
  }

  problems(): string[] {
    return [...this.kernel.invariants(this), ...this.replay.problems(this, this.timeMs)];
  }

  /** A digest of the whole state: equal when and only when the state is. */
  fingerprint(): string {
    return fingerprintOf(this.iterate(''));
  }

  /** Without replay protection, which a refused transaction changes too. */
  contractFingerprint(): string {
    return fingerprintOf([...this.state].filter(([key]) => !key.startsWith('kernel/replay/')));
  }
}

function fingerprintOf(entries: Iterable<[string, Uint8Array]>): string {
  return toBase64url(sha256(encodeCbor([...entries])));
}

/** The error's name behind a result's code, which says more than a number when a test fails. */
export function errorName(ledger: TestLedger, result: TransactionResult): string {
  return result.code === 0 ? 'accepted' : ((ledger.kernel.error(result.code) as ErrorDefinition)?.name ?? 'unknown');
}

/** A custodian-registered patient with a bound wallet; returns the patient. */
export function boundPatient(ledger: TestLedger, custodian: TestParticipant, label: string): TestParticipant {
  const wallet = testParticipant(label);
  ledger.accept([{ type: 'identity/registerPatient', did: wallet.did, keys: wallet.keys }], [custodian, wallet]);
  return wallet;
}

/** A practitioner of an organisation, with a signing key and, if asked for, a licence. */
export function testPractitioner(
  ledger: TestLedger,
  organisation: TestParticipant,
  label: string,
  options: { roles?: string[]; licensed?: boolean } = {},
): TestParticipant {
  const { roles = ['doctor'], licensed = true } = options;
  const person = testParticipant(label);
  const register = { type: 'identity/registerPractitioner', did: person.did, roles, keys: person.keys };
  ledger.accept([register], [organisation, person]);
  if (licensed) {
    const untilMs = ledger.timeMs + 365 * dayMs;
    const licence = { practitioner: person.did, profession: roles[0] as string, status: 'active', untilMs };
    ledger.accept([{ type: 'identity/setLicence', ...licence }], [testMembers().regulator]);
  }
  return person;
}
