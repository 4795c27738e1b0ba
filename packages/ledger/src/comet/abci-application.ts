import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import {
  type CheckResult,
  governance,
  stateReader,
  type TransactionResult,
  type VerifiedTransaction,
} from '@salus/contracts';
import {
  type Did,
  encodeCommitmentProof,
  fromBase64url,
  type Handover,
  handoverHash,
  msOfTimestamp,
  proofKeyOf,
  SalusError,
  sha256,
  toHex,
} from '@salus/protocol';
import type { BlockPosition } from '../application.ts';
import type { BlockContent } from '../block-reader.ts';
import { genesisValidators } from '../directory.ts';
import type { DurableApplication } from '../durable-application.ts';
import { upgradeProblem } from '../upgrade.ts';
import { type AbciHandler, type AbciLog, type AbciRequest, type AbciResponse, sharedAnswer } from './connection.ts';
import { cometError } from './errors.ts';
import {
  CheckTxType,
  type ExecTxResultSchema,
  ResponseOfferSnapshot_Result as OfferResult,
  ResponseProcessProposal_ProposalStatus as ProposalStatus,
  type RequestCheckTx,
  type RequestFinalizeBlock,
  type RequestInitChain,
  type RequestLoadSnapshotChunk,
  type RequestPrepareProposal,
  type RequestProcessProposal,
  type RequestQuery,
  ResponseCheckTxSchema,
  ResponseFlushSchema,
  ResponseSchema,
  type ValidatorUpdateSchema,
  ResponseVerifyVoteExtension_VerifyStatus as VerifyStatus,
} from './generated/tendermint/abci/types_pb.ts';
import { proposalBytesMax, proposalTransactionsMax } from './limits.ts';
import { signersOf } from './signers.ts';
import type { TransactionPool, Verdict } from './transaction-pool.ts';

/** A block of this member that is on the disk. */
export type CommittedTransactions = Required<Omit<BlockContent, 'appHash'>> & {
  /** By place why a transaction did not run. */
  unfit: ReadonlyMap<number, CheckResult>;
};

export type AbciParts = {
  application: DurableApplication;
  /** The chain began under other validators; CometBFT goes on from there. */
  handover: Handover | undefined;
  pool: TransactionPool;
  genesisHash: Uint8Array;
  softwareVersion: string;
  /** At heights that this divides a snapshot is made; 0 for never. */
  snapshotEveryBlocks: number;
  log: AbciLog;
  onCommitted(block: CommittedTransactions): void;
  /** The chain has gone on to what this program does not know. */
  onUpgradeNeeded(problem: SalusError): void;
  /** A transaction that waited left CometBFT's mempool for good. */
  onDropped(hash: string, reason: SalusError): void;
};

type Answer<C extends AbciResponse['case']> = MessageInitShape<typeof ResponseSchema>['value'] & { case: C };

const appVersion = 1n;
const proofType = 'ics23:smt';
const statePath = '/state';
const proposalByteOverhead = 1;
const varintBits = 7;
const FLUSHED = sharedAnswer({ case: 'flush', value: create(ResponseFlushSchema) });
/** What most checks answer. */
const ACCEPTED = sharedAnswer({ case: 'checkTx', value: create(ResponseCheckTxSchema, { gasWanted: 1n }) });

/** `tx` of the block's Data message: its tag, its length and its bytes. */
function encodedLength(bytes: Uint8Array): number {
  let head = proposalByteOverhead + 1;
  for (let left = bytes.length >> varintBits; left > 0; left >>= varintBits) head += 1;
  return head + bytes.length;
}

function positionOf({ height, time }: { height: bigint; time?: Timestamp | undefined }): BlockPosition {
  const { seconds, nanos } = time ?? { seconds: 0n, nanos: 0 };
  return { height: Number(height), blockTimeMs: msOfTimestamp({ seconds: Number(seconds), nanos }) };
}

/**
 * What stands in a block and has no good signature, or no form at all. No honest member accepts a proposal with it;
 * should a block be decided all the same, every member gives it the same result and goes on.
 */
function unverified(bytes: Uint8Array): VerifiedTransaction {
  const payload = { v: 1 as const, id: '', validUntil: 0, messages: [] };
  const tx = { bytes, hash: sha256(bytes), chain: '', payload, signatures: [], sender: '' as Did };
  return { tx, keysUsed: [] };
}

function execResult({ code, data, log, cost }: TransactionResult): MessageInitShape<typeof ExecTxResultSchema> {
  return { code, data, log, gasWanted: BigInt(cost), gasUsed: BigInt(cost) };
}

function isVerified(verdict: Verdict): verdict is Exclude<Verdict, SalusError> {
  return !(verdict instanceof SalusError);
}

/** ABCI 2.0 over a DurableApplication (CometBFT specification, "ABCI++ methods"). */
export class AbciApplication {
  readonly #parts: AbciParts;
  #finalized: Pick<CommittedTransactions, 'hashes' | 'unfit'> = { hashes: [], unfit: new Map() };
  #told: BlockContent | undefined;

  constructor(parts: AbciParts) {
    this.#parts = parts;
  }

  readonly handle: AbciHandler = (request) => {
    const answer = this.#answer(request);
    if (answer instanceof Promise) return answer.then(response);
    return response(answer);
  };

  #answer(request: AbciRequest): Answer<AbciResponse['case']> | Promise<Answer<AbciResponse['case']>> {
    switch (request.case) {
      case 'echo':
        return { case: 'echo', value: { message: request.value.message } };
      case 'info':
        return this.#info();
      case 'initChain':
        return this.#initChain(request.value);
      case 'query':
        return this.#query(request.value);
      case 'checkTx':
        return this.#checkTx(request.value);
      case 'prepareProposal':
        this.#checkVersion(request.value.height);
        return this.#prepareProposal(request.value);
      case 'processProposal':
        this.#checkVersion(request.value.height);
        return this.#processProposal(request.value);
      case 'extendVote':
        return { case: 'extendVote', value: {} };
      case 'verifyVoteExtension': {
        const isEmpty = request.value.voteExtension.length === 0;
        return { case: 'verifyVoteExtension', value: { status: isEmpty ? VerifyStatus.ACCEPT : VerifyStatus.REJECT } };
      }
      case 'finalizeBlock':
        this.#checkVersion(request.value.height);
        return this.#finalizeBlock(request.value);
      case 'commit':
        return this.#commit();
      default:
        return this.#other(request);
    }
  }

  #other(request: AbciRequest): Answer<AbciResponse['case']> | Promise<Answer<AbciResponse['case']>> {
    switch (request.case) {
      case 'flush':
        return FLUSHED;
      case 'listSnapshots':
        return this.#listSnapshots();
      case 'loadSnapshotChunk':
        return this.#loadSnapshotChunk(request.value);
      case 'offerSnapshot':
        // This member has a state already: it takes blocks.
        return { case: 'offerSnapshot', value: { result: OfferResult.ABORT } };
      default:
        throw cometError('abciFrameInvalid', `${request.case ?? 'a request'} is not offered`);
    }
  }

  #listSnapshots(): Answer<'listSnapshots'> {
    const snapshots = this.#parts.application.snapshots.list();
    return {
      case: 'listSnapshots',
      value: { snapshots: snapshots.map(({ height, ...snapshot }) => ({ ...snapshot, height: BigInt(height) })) },
    };
  }

  /** Nothing where there is none: CometBFT then tells the other side so. */
  async #loadSnapshotChunk({ height, format, chunk }: RequestLoadSnapshotChunk): Promise<Answer<'loadSnapshotChunk'>> {
    const { application, log } = this.#parts;
    try {
      const bytes = await application.snapshots.chunk(Number(height), format, chunk);
      return { case: 'loadSnapshotChunk', value: { chunk: bytes } };
    } catch (error) {
      log('snapshot-chunk-missing', { height: Number(height), chunk, error: (error as Error).message });
      return { case: 'loadSnapshotChunk', value: {} };
    }
  }

  /**
   * Every member makes one at the same heights, so that a new one can fetch its chunks from all of them; the first block
   * is one of them, since a chain that was handed over has no genesis to begin with.
   */
  #snapshot(height: number): void {
    const { application, snapshotEveryBlocks, log } = this.#parts;
    const isFirst = height === this.#baseHeight() + 1;
    if (snapshotEveryBlocks <= 0 || (height % snapshotEveryBlocks !== 0 && !isFirst)) return;
    application.snapshots.create().then(
      ({ chunks }) => log('snapshot-made', { height, chunks }),
      (error: Error) => log('snapshot-not-made', { height, error: error.message }),
    );
  }

  #info(): Answer<'info'> {
    const { height, appHash } = this.#parts.application.info();
    const isBeginning = height === this.#baseHeight();
    return {
      case: 'info',
      value: {
        data: 'salus',
        version: this.#parts.softwareVersion,
        appVersion,
        lastBlockHeight: BigInt(isBeginning ? 0 : height),
        lastBlockAppHash: isBeginning ? new Uint8Array(0) : appHash,
      },
    };
  }

  /** The block before CometBFT's first one. There it is told of no block at all, so that it sends InitChain. */
  #baseHeight(): number {
    return (this.#parts.handover?.next.height ?? 1) - 1;
  }

  /** The state to begin with is there already; what CometBFT was given must be of the same chain. */
  #initChain({ chainId, initialHeight, validators, appStateBytes }: RequestInitChain): Answer<'initChain'> {
    const { application, genesisHash, handover } = this.#parts;
    const { genesis } = application;
    const { height, appHash } = application.info();
    const first = handover?.next.validators ?? genesisValidators(genesis);
    const wanted = first.map(({ publicKey, power }) => `${toHex(publicKey)} ${power}`);
    const appState = Buffer.from(appStateBytes).toString();
    const given = validators.map(({ pubKey, power }) => {
      const key = pubKey?.sum.case === 'ed25519' ? pubKey.sum.value : new Uint8Array(0);
      return `${toHex(key)} ${power}`;
    });
    const facts: Record<string, boolean> = {
      chain: chainId === genesis.chain,
      validators: wanted.sort().join() === given.sort().join(),
      'genesis document': appState.includes(`"${toHex(genesisHash)}"`),
      handover: !handover || appState.includes(`"${toHex(handoverHash(handover))}"`),
      'first height': Number(initialHeight) === this.#baseHeight() + 1 && height === this.#baseHeight(),
      state: !handover || toHex(handover.next.appHash) === toHex(appHash),
    };
    const wrong = Object.entries(facts).flatMap(([name, fits]) => (fits ? [] : [name]));
    if (wrong.length > 0) throw cometError('genesisDiffers', wrong.join(', '));
    return { case: 'initChain', value: { appHash } };
  }

  /** State of the latest block: the value as stored, and an ICS-23 proof under the next header's application hash. */
  #query({ path, data, height }: RequestQuery): Answer<'query'> {
    const { application } = this.#parts;
    const { height: latest } = application.info();
    if (path !== statePath || data.length === 0 || (height !== 0n && height !== BigInt(latest))) {
      const { code, message } = cometError('queryInvalid');
      return { case: 'query', value: { code, log: message, height: BigInt(latest) } };
    }
    const stateKey = Buffer.from(data).toString();
    const answer = application.query(stateKey);
    const ops = [{ type: proofType, key: proofKeyOf(stateKey), data: encodeCommitmentProof(answer.proof) }];
    return {
      case: 'query',
      value: { key: data, value: answer.stored ?? new Uint8Array(0), proofOps: { ops }, height: BigInt(answer.height) },
    };
  }

  #checkTx({ tx, type }: RequestCheckTx): Answer<'checkTx'> | Promise<Answer<'checkTx'>> {
    const verdict = this.#parts.pool.verify(tx);
    if (verdict instanceof Promise) return verdict.then((later) => this.#checked(later, tx, type));
    return this.#checked(verdict, tx, type);
  }

  #checked(verdict: Verdict, tx: Uint8Array, type: RequestCheckTx['type']): Answer<'checkTx'> {
    const { application, pool, onDropped } = this.#parts;
    const { code, log } = isVerified(verdict)
      ? application.checkTx(verdict)
      : { code: verdict.code, log: verdict.message };
    if (code !== 0) {
      const hash = isVerified(verdict) ? verdict.hash : toHex(sha256(tx));
      pool.forget(hash);
      if (type === CheckTxType.RECHECK) onDropped(hash, new SalusError(code, log));
    }
    if (code === 0) return ACCEPTED;
    return { case: 'checkTx', value: create(ResponseCheckTxSchema, { code, log }) };
  }

  async #prepareProposal(request: RequestPrepareProposal): Promise<Answer<'prepareProposal'>> {
    const { application, pool } = this.#parts;
    const verdicts = await pool.verifyAll(request.txs.slice(0, proposalTransactionsMax));
    const candidates: VerifiedTransaction[] = [];
    const seen = new Set<string>();
    let bytes = 0;
    for (const verdict of verdicts) {
      if (!isVerified(verdict) || seen.has(verdict.hash)) continue;
      bytes += encodedLength(verdict.tx.bytes);
      if (bytes > Number(request.maxTxBytes)) break;
      seen.add(verdict.hash);
      candidates.push(verdict);
    }
    const { accepted } = application.prepareProposal(candidates, positionOf(request));
    return { case: 'prepareProposal', value: { txs: accepted.map(({ tx }) => tx.bytes) } };
  }

  async #processProposal(request: RequestProcessProposal): Promise<Answer<'processProposal'>> {
    const problem = await this.#problemOf(request);
    const { height, proposerAddress } = request;
    const about = { height: Number(height), validator: toHex(proposerAddress) };
    if (problem) this.#parts.log('proposal-refused', { ...about, reason: problem });
    return { case: 'processProposal', value: { status: problem ? ProposalStatus.REJECT : ProposalStatus.ACCEPT } };
  }

  async #problemOf(request: RequestProcessProposal): Promise<string | undefined> {
    const { application, pool } = this.#parts;
    const { txs } = request;
    if (txs.length > proposalTransactionsMax) return 'more transactions than a block may have';
    const bytes = txs.reduce((sum, tx) => sum + encodedLength(tx), 0);
    if (bytes > proposalBytesMax) return 'more bytes than a block may have';
    const verdicts = await pool.verifyAll(txs);
    const verified = verdicts.filter(isVerified);
    if (verified.length < verdicts.length) return 'a transaction without a good signature';
    if (new Set(verified.map(({ hash }) => hash)).size < verified.length) return 'the same transaction twice';
    const fits = application.processProposal(verified, positionOf(request));
    return fits ? undefined : 'a transaction that may not stand in this block, or too many that cannot run';
  }

  async #finalizeBlock(request: RequestFinalizeBlock): Promise<Answer<'finalizeBlock'>> {
    const { application, pool, log } = this.#parts;
    this.#tellOfValidators(request);
    const verdicts = await pool.verifyAll(request.txs);
    const transactions = verdicts.map((verdict, index) =>
      isVerified(verdict) ? verdict : unverified((request.txs[index] as Uint8Array).slice()),
    );
    const { height, blockTimeMs } = positionOf(request);
    const { results, appHash, unfit } = application.finalizeBlock(transactions, { height, blockTimeMs });
    for (const [index, { code }] of unfit) log('transaction-unfit', { height, index, code });
    const hashes = transactions.map(({ tx }) => toHex(tx.hash));
    this.#finalized = { hashes, unfit };
    const validatorUpdates = this.#validatorUpdates(height);
    return { case: 'finalizeBlock', value: { txResults: results.map(execResult), validatorUpdates, appHash } };
  }

  /** Throws before anything of a block is executed that another version of the program must execute. */
  #checkVersion(height: bigint): void {
    const { application, onUpgradeNeeded } = this.#parts;
    const problem = upgradeProblem(application.kernel, application.state.execution, Number(height));
    if (!problem) return;
    onUpgradeNeeded(problem);
    throw problem;
  }

  #tellOfValidators(request: RequestFinalizeBlock): void {
    const { application, log } = this.#parts;
    for (const { type, height, validator } of request.misbehavior) {
      const address = toHex(validator?.address ?? new Uint8Array(0));
      log('validator-misbehaved', { type: Number(type), height: Number(height), validator: address });
    }
    application.meter.tell({ kind: 'evidence', count: request.misbehavior.length });
    const signers = signersOf(request);
    // The first block has none before it.
    if (signers.validators > 0) application.meter.tell({ kind: 'votes', ...signers });
  }

  /** What governance decided about the set of validators at this height, in the state after the block. */
  #validatorUpdates(height: number): MessageInitShape<typeof ValidatorUpdateSchema>[] {
    const reader = stateReader(this.#parts.application.state.execution);
    const updates = governance.validatorUpdates(reader, height);
    if (updates.length > 0) this.#parts.log('validators-change', { height, updates: updates.length });
    return updates.map(({ publicKey, power }) => ({
      pubKey: { sum: { case: 'ed25519', value: fromBase64url(publicKey) } },
      power: BigInt(power),
    }));
  }

  async #commit(): Promise<Answer<'commit'>> {
    const { application, pool, onCommitted } = this.#parts;
    const { height } = await application.commit();
    this.#snapshot(height);
    const { lastBlock } = application;
    if (lastBlock && lastBlock !== this.#told) {
      this.#told = lastBlock;
      for (const hash of this.#finalized.hashes) pool.forget(hash);
      onCommitted({ ...lastBlock, ...this.#finalized });
    }
    return { case: 'commit', value: {} };
  }
}

function response(answer: Answer<AbciResponse['case']>): AbciResponse {
  if (answer === ACCEPTED || answer === FLUSHED) return answer as AbciResponse;
  return create(ResponseSchema, { value: answer }).value;
}
