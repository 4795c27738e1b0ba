import { toHex } from '@salus/protocol';
import type { ResponseFinalizeBlock } from '../../packages/ledger/src/comet/generated/tendermint/abci/types_pb.ts';
import type { SimulatedClock } from './clock.ts';
import { sha256Hex } from './digest.ts';
import type { Member } from './member.ts';
import type { Random } from './random.ts';
import { SimulationFailure, type Trace } from './trace.ts';

/** `unfit`: places of what does not run. */
export type Decided = { height: number; timeMs: number; txs: Uint8Array[]; hashes: string[]; unfit: Set<number> };
type Proposed = Pick<Decided, 'height' | 'timeMs' | 'txs'>;
/** What every member must answer to a block. */
/** `ran`: of the results of what ran. */
export type Outcome = { codes: number[]; appHash: string; results: string; ran: string; updates: string };
type Made = Pick<Outcome, 'appHash' | 'ran'>;

/** What looks at the chain from outside; throws where something is wrong. */
export type Observer = {
  /** Whether each of these transactions may stand in the next block. */
  mayStand(height: number, timeMs: number, txs: readonly Uint8Array[]): boolean;
  /** Whether one of them has run in a block, so that whoever has that block refuses it. */
  haveRun(txs: readonly Uint8Array[]): boolean;
  /** What of it does not run. */
  decided(block: Omit<Decided, 'unfit'>): Set<number>;
  /** The first member's answer to a block. */
  answered(block: Decided, outcome: Outcome): void;
  /** The first member's state is that after the block. */
  committed(block: Decided, member: Member): void;
  checked(member: Member, hash: string, tx: Uint8Array, code: number): void;
  /** What a transaction says, for whoever reads of a failure. */
  describe(hash: string): string;
};

/** What the network does to messages at present. */
export type Weather = { lossChance: number; duplicateChance: number; delayMsMax: number; wrongProposalChance: number };

export const calm: Weather = { lossChance: 0.01, duplicateChance: 0.02, delayMsMax: 20, wrongProposalChance: 0.02 };
/** Fewer than travel to a verify worker together, so that the embedded engine makes one block of them. */
export const blockTransactionsMax = 24;
/** CometBFT's `create_empty_blocks_interval`, as deployed. */
const heartbeatMs = 15_000;
const roundMs = 200;
const pollMs = 10;
const answerMsMax = 1_500;
const catchUpMs = 400;
const resendMs = 900;

/** Whether anything of the block changes state, so that another one has to prove it. */
export const runs = ({ txs, unfit }: Decided): boolean => txs.length > unfit.size;
const hashOf = (bytes: Uint8Array): string => sha256Hex(bytes);

/**
 * Consensus as the application sees it: blocks follow each other, each with more than two thirds of the members for it,
 * its time later than the last one's. Proposers take turns, proposals and votes get lost, a proposal that had its votes
 * comes again. It decides nothing that CometBFT could not decide.
 */
export class Network {
  weather: Weather = calm;
  isEnded = false;
  /** While no machine has power nothing happens. */
  dark: Promise<void> = Promise.resolve();
  readonly chain: Decided[] = [];
  readonly outcomes: Outcome[] = [];
  readonly trace: Trace;
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #startMs: number;
  readonly #failure = Promise.withResolvers<never>();
  #members: readonly Member[] = [];
  #observer: Observer | undefined;
  #turn = 0;
  #firstCommitted = 0;
  #onBlock: (() => void)[] = [];
  readonly #snapshots = new Map<number, string>();
  readonly #waitingRoots = new Map<number, Made>();

  constructor(clock: SimulatedClock, random: Random, trace: Trace) {
    this.#clock = clock;
    this.#random = random;
    this.#startMs = Math.floor(clock.nowMs);
    this.trace = trace;
  }

  begin(members: readonly Member[], observer: Observer): void {
    this.#members = members;
    this.#observer = observer;
    for (const member of members) member.start();
    this.#decideForever().catch((error: unknown) => this.#failure.reject(error));
    this.#catchUpForever().catch((error: unknown) => this.#failure.reject(error));
  }

  /** Rejects with the first thing that is wrong. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  fail(message: string): never {
    const failure = new SimulationFailure(message);
    this.#failure.reject(failure);
    throw failure;
  }

  height(): number {
    return this.chain.length;
  }

  decided(height: number): Decided {
    return this.chain[height - 1] as Decided;
  }

  lastTimeMs(): number {
    return this.chain.at(-1)?.timeMs ?? this.#startMs;
  }

  /** Resolves when another block is decided. */
  nextBlock(): Promise<void> {
    return new Promise((resolve) => this.#onBlock.push(resolve));
  }

  /** A client hands a transaction to a member, which tells the others. */
  send(hash: string, tx: Uint8Array, to: Member): void {
    this.#carry(() => void this.#receive(hash, tx, to, true));
  }

  memberFailed(member: Member, error: Error): void {
    if (error instanceof SimulationFailure) this.#failure.reject(error);
    else this.#failure.reject(new SimulationFailure(`${member.name} failed: ${error.stack}`));
  }

  embeddedFailed(error: Error): void {
    const message = `the embedded engine failed: ${error instanceof SimulationFailure ? error.message : error.stack}`;
    this.#failure.reject(new SimulationFailure(message));
  }

  /** The same root at the same height, of the same results. */
  embeddedMade(height: number, appHash: string, results: readonly string[]): void {
    const known = this.outcomes[height - 1];
    const made = { appHash, ran: sha256Hex(results.join('\n')) };
    if (!known) this.#waitingRoots.set(height, made);
    else this.#compareEmbedded(height, known, made);
  }

  #compareEmbedded(height: number, known: Outcome, made: Made): void {
    if (known.appHash === made.appHash && known.ran === made.ran) return;
    this.embeddedFailed(new SimulationFailure(`another root or result at ${height} than the others have`));
  }

  logged(member: Member, event: string, fields: Readonly<Record<string, string | number>>): void {
    this.trace.note(member.name, event, JSON.stringify(fields));
    if (event === 'snapshot-made') this.#compareSnapshot(member, Number(fields.height));
    if (event !== 'transaction-unfit') return;
    const { hashes, unfit } = this.decided(Number(fields.height));
    if (unfit.has(Number(fields.index))) return;
    const hash = hashes[Number(fields.index)] ?? '';
    const transaction = this.#observer?.describe(hash) ?? hash;
    this.fail(`${member.name} did not run a transaction of a decided block: ${transaction}`);
  }

  /** A new member fetches chunks of one snapshot from all others: they must be the same bytes. */
  #compareSnapshot(member: Member, height: number): void {
    const made = member.application?.snapshots.list().find((snapshot) => snapshot.height === height);
    if (!made) return;
    const hash = toHex(made.hash);
    const known = this.#snapshots.get(height) ?? hash;
    this.#snapshots.set(height, hash);
    if (known !== hash) this.fail(`${member.name} made another snapshot of ${height} than others did`);
  }

  reopened(member: Member, height: number, appHash: string): void {
    this.trace.note(member.name, 'opened', height, appHash);
    if (height < member.acknowledged) {
      this.fail(`${member.name} lost block ${member.acknowledged} that it had acknowledged: it is at ${height}`);
    }
    if (height > member.known && !member.isJoining && height > this.height()) this.fail(`${member.name} is ahead`);
    if (height > 0 && this.outcomes[height - 1]?.appHash !== appHash) {
      this.fail(`${member.name} came back with another root at ${height}`);
    }
  }

  finalized(member: Member, height: number, answer: ResponseFinalizeBlock): void {
    const block = this.decided(height);
    const codes = answer.txResults.map(({ code }) => code);
    const results = answer.txResults.map(({ code, data, gasUsed }) => `${code} ${toHex(data)} ${gasUsed}`);
    const updates = answer.validatorUpdates.map(({ pubKey, power }) => {
      return `${Buffer.from(pubKey?.sum.value ?? []).toString('base64url')} ${power}`;
    });
    const outcome = {
      codes,
      appHash: toHex(answer.appHash),
      results: sha256Hex(results.join('\n')),
      ran: sha256Hex(results.filter((_result, index) => !block.unfit.has(index)).join('\n')),
      updates: updates.sort().join('\n'),
    };
    this.trace.note(member.name, 'finalized', height, outcome.appHash, outcome.results, outcome.updates);
    const known = this.outcomes[height - 1];
    if (!known) {
      this.outcomes.push(outcome);
      const made = this.#waitingRoots.get(height);
      if (made) this.#compareEmbedded(height, outcome, made);
      this.#observer?.answered(block, outcome);
    } else if (JSON.stringify(known) !== JSON.stringify(outcome)) {
      const wrong = codes.flatMap((code, index) => (code === known.codes[index] ? [] : [`#${index} ${code}`]));
      this.fail(`${member.name} answers block ${height} otherwise than others did: ${wrong.join(', ') || 'its root'}`);
    }
  }

  committed(member: Member, height: number): void {
    if (height <= this.#firstCommitted) return;
    this.#firstCommitted = height;
    this.#observer?.committed(this.decided(height), member);
  }

  joined(member: Member): void {
    this.trace.note(member.name, 'joined');
  }

  chunkApplied(member: Member, isDamaged: boolean, isAccepted: boolean): void {
    this.trace.note(member.name, 'chunk', String(isDamaged), String(isAccepted));
    if (isDamaged && isAccepted) this.fail(`${member.name} took a damaged chunk`);
  }

  snapshotSource(asking: Member): Member | undefined {
    const others = this.#members.filter((member) => member !== asking && member.isUp && member.isConnected);
    return others.length > 0 ? this.#random.pick(others) : undefined;
  }

  /** What CometBFT's light client would have verified. */
  rootAfter(height: number): Uint8Array {
    return Buffer.from(this.outcomes[height - 1]?.appHash ?? '', 'hex');
  }

  /** Lost, late, twice, or as it should be. */
  #carry(deliver: () => void): void {
    const { lossChance, duplicateChance, delayMsMax } = this.weather;
    const delayMs = (): number => 0.2 + this.#random.unit() * delayMsMax;
    if (this.#random.chance(duplicateChance)) this.#clock.after(2 * delayMs(), deliver, undefined);
    // What is lost is sent again, as TCP and gossip do.
    const lateMs = this.#random.chance(lossChance) ? resendMs : 0;
    this.#clock.after(lateMs + delayMs(), deliver, undefined);
  }

  async #receive(hash: string, tx: Uint8Array, member: Member, isFirst: boolean): Promise<void> {
    if (!member.isUp || !member.isConnected || member.mempool.has(hash)) return;
    const { height } = member;
    const code = await member.checkTx(hash, tx);
    if (code === undefined) return;
    this.trace.note(member.name, 'checked', hash, code);
    try {
      if (height === member.height) this.#observer?.checked(member, hash, tx, code);
    } catch (error) {
      this.#failure.reject(error);
    }
    if (code !== 0 || !isFirst) return;
    for (const other of this.#members) {
      if (other !== member) this.#carry(() => void this.#receive(hash, tx, other, false));
    }
  }

  async #catchUpForever(): Promise<void> {
    while (!this.isEnded) {
      await this.dark;
      await this.#clock.sleep(catchUpMs);
      for (const member of this.#members) if (member.isUp && member.isConnected) member.learn(this.height());
    }
  }

  async #decideForever(): Promise<void> {
    let locked: Proposed | undefined;
    for (let round = 0; !this.isEnded; ) {
      await this.dark;
      await this.#clock.sleep(pollMs);
      const height = this.height() + 1;
      const present = this.#members.filter((member) => member.isAt(height - 1));
      if (!locked && !this.#isDue(present)) continue;
      const proposer = this.#members[(this.#turn + round) % this.#members.length] as Member;
      const proposal = locked ?? (await this.#propose(proposer, present, height));
      const isDecided = proposal !== undefined && (await this.#isAccepted(proposal, present));
      if (!isDecided || !proposal) {
        round += 1;
        await this.#clock.sleep(roundMs);
        continue;
      }
      if (!locked && this.#random.chance(this.weather.lossChance)) {
        this.trace.note('locked', height);
        locked = proposal;
        continue;
      }
      locked = undefined;
      round = 0;
      this.#decide(proposal);
    }
  }

  /** As CometBFT with `create_empty_blocks_interval`: for transactions, for a proof of the last block, or by time. */
  #isDue(present: readonly Member[]): boolean {
    const last = this.chain.at(-1);
    if (!last || runs(last)) return true;
    if (present.some(({ mempool }) => mempool.size > 0)) return true;
    return this.#timeOf(present) - last.timeMs >= heartbeatMs;
  }

  /** Median of the clocks, and later than the last block. */
  #timeOf(present: readonly Member[]): number {
    const times = present.map((member) => member.clockMs()).sort((left, right) => left - right);
    return Math.max(this.lastTimeMs() + 1, times[Math.floor(times.length / 2)] ?? 0);
  }

  async #propose(proposer: Member, present: readonly Member[], height: number): Promise<Proposed | undefined> {
    if (!present.includes(proposer)) return undefined;
    const timeMs = this.#timeOf(present);
    const txs = await this.#within(proposer.propose(height, timeMs));
    if (!txs) return undefined;
    const last = this.chain.at(-1);
    const isDue = txs.length > 0 || !last || runs(last);
    if (!isDue && timeMs - this.lastTimeMs() < heartbeatMs) return undefined;
    return { height, timeMs, txs: this.#random.chance(this.weather.wrongProposalChance) ? this.#wrong(txs) : txs };
  }

  /** What a proposer with changed code might send. */
  #wrong(txs: readonly Uint8Array[]): Uint8Array[] {
    const old = this.chain.length > 0 ? this.#random.pick(this.chain).txs : [];
    const [first] = old.length > 0 ? old : txs;
    const extra = this.#random.chance(0.5) ? first : this.#random.bytes(40);
    const forged: Uint8Array[] = txs.map((tx) => tx.slice());
    if (extra) forged.splice(this.#random.between(0, forged.length), 0, extra);
    return forged;
  }

  /** More than two thirds of all members, whoever is there. */
  async #isAccepted({ height, timeMs, txs }: Proposed, present: readonly Member[]): Promise<boolean> {
    const fits = this.#observer?.mayStand(height, timeMs, txs) ?? true;
    const haveRun = this.#observer?.haveRun(txs) ?? false;
    const votes = await Promise.all(
      present.map(async (member) => {
        if (this.#random.chance(this.weather.lossChance)) return undefined;
        await this.#clock.sleep(this.#random.unit() * this.weather.delayMsMax);
        if (!member.isAt(height - 1)) return undefined;
        const vote = await this.#within(member.accepts(height, timeMs, txs));
        this.trace.note(member.name, 'votes', height, String(vote));
        // Whoever began with a snapshot does not know what the blocks before it have.
        const isUnknown = haveRun && member.baseHeight > 0;
        if (vote !== undefined && vote !== fits && !isUnknown) {
          this.fail(`${member.name} ${vote ? 'accepts' : 'refuses'} a proposal for ${height}; the model does not`);
        }
        return vote;
      }),
    );
    return 3 * votes.filter((vote) => vote).length > 2 * this.#members.length;
  }

  /** Undefined where an answer takes too long: the round goes on without it. */
  #within<T>(answer: Promise<T | undefined>): Promise<T | undefined> {
    return Promise.race([answer, this.#clock.sleep(answerMsMax).then(() => undefined)]);
  }

  #decide({ height, timeMs, txs }: Proposed): void {
    const hashes = txs.map(hashOf);
    const unfit = this.#observer?.decided({ height, timeMs, txs, hashes }) ?? new Set<number>();
    this.#turn += 1;
    this.chain.push({ height, timeMs, txs, hashes, unfit });
    this.trace.note('decided', height, timeMs, ...hashes);
    for (const member of this.#members) {
      if (this.#random.chance(this.weather.lossChance)) continue;
      this.#clock.after(this.#random.unit() * this.weather.delayMsMax, () => {
        if (member.isConnected) member.learn(height);
      });
    }
    for (const resolve of this.#onBlock.splice(0)) resolve();
  }
}
