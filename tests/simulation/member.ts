import type { GenesisDocument, Kernel } from '@salus/contracts';
import { genesisHash } from '@salus/contracts';
import { fromBase64url, timestampOfMs, toHex } from '@salus/protocol';
import { AbciApplication, type CommittedTransactions } from '../../packages/ledger/src/comet/abci-application.ts';
import type { AbciHandler, AbciResponse } from '../../packages/ledger/src/comet/connection.ts';
import {
  ResponseApplySnapshotChunk_Result as ApplyResult,
  ResponseOfferSnapshot_Result as OfferResult,
  ResponseProcessProposal_ProposalStatus as ProposalStatus,
} from '../../packages/ledger/src/comet/generated/tendermint/abci/types_pb.ts';
import { StateSyncApplication } from '../../packages/ledger/src/comet/state-sync.ts';
import { TransactionPool } from '../../packages/ledger/src/comet/transaction-pool.ts';
import { directoryState, readDirectory } from '../../packages/ledger/src/directory.ts';
import { DurableApplication } from '../../packages/ledger/src/durable-application.ts';
import type { RequestInit } from '../../packages/ledger/src/testing/abci-client.ts';
import { abciRequest } from '../../packages/ledger/src/testing/abci-request.ts';
import { Verifier } from '../../packages/ledger/src/verify/verifier.ts';
import { Life, liveAs, type SimulatedClock } from './clock.ts';
import type { SimulatedDisk } from './disk.ts';
import { blockTransactionsMax, type Decided, type Network } from './network.ts';
import type { Random } from './random.ts';

const segmentBytes = 48 * 1024;
const snapshotEveryBlocks = 12;
const restartMs = 300;
const initialVersion = 1n;

type AnswerOf<C> = Extract<AbciResponse, { case: C }>['value'];

export type MemberParts = {
  name: string;
  number: number;
  clock: SimulatedClock;
  disk: SimulatedDisk;
  random: Random;
  genesis: GenesisDocument;
  kernel: Kernel;
  network: Network;
};

/**
 * One organisation's machine: the real application behind ABCI, on a simulated disk, driven as CometBFT drives it. What
 * CometBFT itself keeps (its block store, written before FinalizeBlock) is taken to be safe.
 */
export class Member {
  readonly name: string;
  readonly number: number;
  readonly disk: SimulatedDisk;
  /** Milliseconds that its clock is ahead. */
  skewMs = 0;
  isConnected = true;
  /** Made anew of a snapshot when it starts next. */
  isJoining = false;
  /** Height of its last commit in this life, undefined while it is down or starting. */
  height: number | undefined;
  /** Decided blocks that reached it. */
  known = 0;
  /** Blocks of which it told its clients that they are safe. */
  acknowledged = 0;
  /** Of the snapshot that its directory was made of. */
  baseHeight = 0;
  readonly mempool = new Map<string, Uint8Array>();
  application: DurableApplication | undefined;
  life: Life | undefined;
  readonly #parts: MemberParts;
  #handle: AbciHandler | undefined;
  #serial: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(parts: MemberParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.number = parts.number;
    this.disk = parts.disk;
  }

  get isUp(): boolean {
    return this.height !== undefined;
  }

  clockMs(): number {
    return Math.floor(this.#parts.clock.nowMs + this.skewMs);
  }

  start(): void {
    if (this.life) return;
    const life = new Life(this.name);
    this.life = life;
    const { network } = this.#parts;
    liveAs(life, () => {
      this.#live(life).catch((error: unknown) => {
        if (!life.isOver) network.memberFailed(this, error as Error);
      });
    });
  }

  /** The process ends as it stands; with the power also what its disk has not synced. */
  stop(isPowerCut: boolean): void {
    if (!this.life) return;
    this.life.end();
    this.life = undefined;
    this.height = undefined;
    this.application = undefined;
    this.#handle = undefined;
    this.#serial = Promise.resolve();
    this.mempool.clear();
    if (isPowerCut) this.disk.cutPower();
    else this.disk.abandon();
  }

  /** Everything on the machine is gone; it comes back by a snapshot. */
  wipe(): void {
    this.stop(true);
    this.disk.wipe();
    this.isJoining = true;
    this.known = 0;
    this.acknowledged = 0;
  }

  /** A request as CometBFT sends it on one of its connections; undefined where the process ended meanwhile. */
  async ask<C extends NonNullable<RequestInit['case']>>(
    kind: C,
    value: Extract<RequestInit, { case: C }>['value'],
  ): Promise<AnswerOf<C> | undefined> {
    const { life } = this;
    const handle = this.#handle;
    if (!life || !handle) return undefined;
    const request = abciRequest({ case: kind, value } as RequestInit);
    const answer = liveAs(life, async () => handle(request));
    const response = (await Promise.race([answer, life.over])) as AbciResponse | undefined;
    return response?.value as AnswerOf<C> | undefined;
  }

  /** The consensus connection: one request at a time. */
  inOrder<T>(action: () => Promise<T>): Promise<T> {
    const next = this.#serial.then(action);
    this.#serial = next.catch(() => undefined);
    return next;
  }

  /** Whether it may take part in deciding a block. */
  isAt(height: number): boolean {
    return this.isConnected && this.height === height;
  }

  async propose(height: number, timeMs: number): Promise<Uint8Array[] | undefined> {
    const txs = [...this.mempool.values()].slice(0, blockTransactionsMax);
    const answer = await this.inOrder(() =>
      this.ask('prepareProposal', { height: BigInt(height), time: timeOf(timeMs), txs, maxTxBytes: 4_000_000n }),
    );
    return answer?.txs.map((tx) => tx.slice());
  }

  async accepts(height: number, timeMs: number, txs: Uint8Array[]): Promise<boolean | undefined> {
    const answer = await this.inOrder(() =>
      this.ask('processProposal', { height: BigInt(height), time: timeOf(timeMs), txs }),
    );
    return answer && answer.status === ProposalStatus.ACCEPT;
  }

  learn(height: number): void {
    this.known = Math.max(this.known, height);
    this.#wake();
  }

  async checkTx(hash: string, tx: Uint8Array): Promise<number | undefined> {
    const before = this.height ?? 0;
    const answer = await this.ask('checkTx', { tx });
    // CometBFT checks nothing while it takes a block: what the block has does not come in behind it.
    const since = this.#parts.network.chain.slice(before, this.height ?? before);
    const isGone = since.some(({ hashes }) => hashes.includes(hash));
    if (answer?.code === 0 && !isGone) this.mempool.set(hash, tx);
    return answer?.code;
  }

  async #live(life: Life): Promise<void> {
    const { network, clock } = this.#parts;
    await clock.sleep(restartMs);
    const { name } = this.#parts;
    const state = directoryState(this.disk.files(), `/sim/${name}`);
    // As the error says that a first start gets which was interrupted: the directory is removed.
    if (state === 'incomplete' && !this.isJoining) {
      if (this.acknowledged > 0) network.fail(`${name} has lost the directory that it had`);
      network.trace.note(name, 'begins anew');
      this.disk.wipe();
    }
    if (this.isJoining && state !== 'whole') await this.#join(life);
    else await this.#open();
    this.isJoining = false;
    const info = await this.ask('info', { version: 'simulated' });
    if (!info) return;
    const height = Number(info.lastBlockHeight);
    if (height === 0) await this.#begin();
    network.reopened(this, height, toHex(info.lastBlockAppHash));
    this.height = height;
    this.known = Math.max(this.known, height);
    for (;;) {
      while (this.height < this.known) {
        const block = network.decided(this.height + 1);
        await this.inOrder(() => this.#execute(block));
        if (life.isOver) return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #open(): Promise<void> {
    const { genesis, kernel, name, network } = this.#parts;
    const application = await DurableApplication.open({
      dir: `/sim/${name}`,
      genesis,
      kernel,
      files: this.disk.files(),
      clock: () => this.clockMs(),
      segmentBytes,
    });
    const pool = new TransactionPool(new Verifier(1, (kid, payload) => application.keyFor(kid, payload)));
    this.application = application;
    this.baseHeight = readDirectory(this.disk.files(), `/sim/${name}`, genesis).base?.height ?? 0;
    this.#handle = new AbciApplication({
      application,
      handover: undefined,
      pool,
      genesisHash: genesisHash(genesis),
      softwareVersion: 'simulated',
      snapshotEveryBlocks,
      log: (event, fields) => network.logged(this, event, fields),
      onCommitted: (block) => this.#committed(block),
      onDropped: (hash) => this.mempool.delete(hash),
      onUpgradeNeeded: () => network.fail(`${name} wants another version`),
    }).handle;
  }

  async #begin(): Promise<void> {
    const { genesis } = this.#parts;
    await this.ask('initChain', {
      chainId: genesis.chain,
      initialHeight: initialVersion,
      validators: genesis.validators.map(({ publicKey, power }) => ({
        pubKey: { sum: { case: 'ed25519', value: fromBase64url(publicKey) } },
        power: BigInt(power),
      })),
      appStateBytes: Buffer.from(JSON.stringify({ genesis: toHex(genesisHash(genesis)) })),
    });
  }

  async #execute({ height, timeMs, txs }: Decided): Promise<void> {
    const { network } = this.#parts;
    const finalized = await this.ask('finalizeBlock', { height: BigInt(height), time: timeOf(timeMs), txs });
    if (!finalized) return;
    network.finalized(this, height, finalized);
    if ((await this.ask('commit', {})) === undefined) return;
    this.height = height;
    this.acknowledged = Math.max(this.acknowledged, height);
    network.committed(this, height);
  }

  #committed({ hashes }: CommittedTransactions): void {
    for (const hash of hashes) this.mempool.delete(hash);
  }

  /** State sync as CometBFT does it: an offer of somebody's snapshot, then its chunks, some of them wrong at first. */
  async #join(life: Life): Promise<void> {
    const { genesis, name, network, random, clock } = this.#parts;
    const whole = Promise.withResolvers<void>();
    const files = this.disk.files();
    this.#handle = new StateSyncApplication({
      dir: `/sim/${name}`,
      genesis,
      softwareVersion: 'simulated',
      files,
      log: (event, fields) => network.logged(this, event, fields),
      onWhole: async () => whole.resolve(),
    }).handle;
    for (;;) {
      if (await this.#restore()) break;
      if (life.isOver) return;
      await clock.sleep(restartMs + random.between(0, restartMs));
    }
    await whole.promise;
    await this.#open();
    network.joined(this);
  }

  async #restore(): Promise<boolean> {
    const { network, random, clock } = this.#parts;
    const source = network.snapshotSource(this);
    const offers = await source?.ask('listSnapshots', {});
    const snapshot = offers?.snapshots[0];
    if (!source || !snapshot) return false;
    const { height, format, chunks, hash, metadata } = snapshot;
    const appHash = network.rootAfter(Number(height));
    const offer = { snapshot: { height, format, chunks, hash, metadata }, appHash };
    const offered = await this.ask('offerSnapshot', offer);
    if (offered?.result !== OfferResult.ACCEPT) return false;
    for (let index = 0; index < chunks; ) {
      await clock.sleep(random.between(1, 30));
      const chunk = (await source.ask('loadSnapshotChunk', { height, format, chunk: index }))?.chunk;
      if (!chunk || chunk.length === 0) return false;
      const isDamaged = random.chance(0.2);
      const given = Buffer.from(chunk);
      if (isDamaged) given[random.between(0, given.length - 1)]! ^= 1;
      const applied = await this.ask('applySnapshotChunk', { index, chunk: given, sender: source.name });
      if (!applied) return false;
      network.chunkApplied(this, isDamaged, applied.result === ApplyResult.ACCEPT);
      if (applied.result === ApplyResult.ACCEPT) index += 1;
      else if (applied.result !== ApplyResult.RETRY) return false;
    }
    return true;
  }
}

function timeOf(ms: number): { seconds: bigint; nanos: number } {
  const { seconds, nanos } = timestampOfMs(ms);
  return { seconds: BigInt(seconds), nanos };
}
