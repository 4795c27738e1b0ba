import { createKernel, decodeStored, governance, type Kernel } from '@salus/contracts';
import { Clients } from './clients.ts';
import { SimulatedClock } from './clock.ts';
import { simulatedGenesis, specifiedParameters, startMs } from './consortium.ts';
import { SimulatedDisk } from './disk.ts';
import { EmbeddedMember } from './embedded-member.ts';
import { type FaultName, Faults } from './faults.ts';
import { FinalChecks } from './final-checks.ts';
import { Member } from './member.ts';
import { Model } from './model/model.ts';
import { mount, useRandom } from './native.ts';
import { Network, runs } from './network.ts';
import { KeyRing } from './people.ts';
import { Random } from './random.ts';
import { SimulationFailure, Trace } from './trace.ts';
import { Watcher } from './watcher.ts';

export type SimulationOptions = {
  seed: number;
  transactions: number;
  faults: number;
  isLoud?: boolean;
  /** Kernels with something wrong, by member; for tests of the simulation itself. */
  kernelOf?: ((member: number) => Kernel) | undefined;
  /** Disks say that they have written what they have not; for tests of the simulation itself. */
  isDiskLying?: boolean;
};
export type SimulationReport = {
  seed: number;
  digest: string;
  failure: string | undefined;
  steps: number;
  lastSteps: readonly string[];
  blocks: number;
  sent: number;
  committed: number;
  /** How often each message type was accepted, and each code was the result. */
  accepted: Record<string, number>;
  codes: Record<string, number>;
  faults: FaultName[];
};

const membersCount = 4;
const tasksMax = 3_000_000;
const tasksPerTransaction = 4_000;
const earlyTransactions = 60;
const restMsMax = 900_000;

const kernels = new Map<number, Kernel>();

/** Compiling the schemas of a kernel takes longer than a hundred blocks: members keep theirs from seed to seed. */
function kernelOf(member: number): Kernel {
  const known = kernels.get(member);
  if (known) return known;
  const kernel = createKernel();
  kernels.set(member, kernel);
  return kernel;
}

/** One run: the same options give the same run, step by step. */
class Simulation {
  readonly trace: Trace;
  readonly clock = new SimulatedClock(startMs);
  readonly network: Network;
  readonly watcher: Watcher;
  readonly faults: Faults;
  readonly members: Member[];
  readonly embedded: EmbeddedMember;
  sent = 0;
  readonly #options: SimulationOptions;
  readonly #clients: Clients;
  readonly #random: Random;

  constructor(options: SimulationOptions) {
    const { seed, isLoud = false } = options;
    this.#options = options;
    this.trace = new Trace(() => this.clock.nowMs, isLoud);
    this.#random = new Random(seed, 'simulation');
    useRandom(new Random(seed, 'threads'));
    const keys = new KeyRing();
    const genesis = simulatedGenesis(keys);
    const parameters = specifiedParameters();
    const model = new Model(genesis as never, keys, parameters, (set) => governance.ruleSetDigest(set as never));
    this.network = new Network(this.clock, new Random(seed, 'network'), this.trace);
    const machine = (name: string): SimulatedDisk => {
      const disk = new SimulatedDisk(this.clock, new Random(seed, `disk of ${name}`));
      disk.isLying = options.isDiskLying ?? false;
      mount(name, disk);
      return disk;
    };
    const { clock, network } = this;
    const kernelFor = options.kernelOf ?? kernelOf;
    this.members = Array.from({ length: membersCount }, (_, number) => {
      const name = `member-${number}`;
      const random = new Random(seed, name);
      return new Member({
        name,
        number,
        clock,
        disk: machine(name),
        random,
        genesis,
        kernel: kernelFor(number),
        network,
      });
    });
    const kernel = kernelFor(membersCount);
    this.embedded = new EmbeddedMember({ clock, disk: machine('embedded'), genesis, kernel, network });
    this.watcher = new Watcher(model, this.network, (stored) => decodeStored(stored));
    this.#clients = new Clients(model, keys, new Random(seed, 'clients'));
    const { members, embedded } = this;
    this.faults = new Faults({ clock, network, members, embedded, random: new Random(seed, 'faults') });
  }

  async run(): Promise<void> {
    const { transactions } = this.#options;
    const uninstall = this.clock.install();
    const { random } = Math;
    Math.random = new Random(this.#options.seed, 'Math.random').unit;
    try {
      const all = Promise.race([this.#everything(), this.network.failure]);
      await this.clock.run(all, tasksMax + transactions * tasksPerTransaction);
    } finally {
      for (const member of this.members) member.life?.end();
      this.embedded.stop(false);
      uninstall();
      Math.random = random;
    }
  }

  async #everything(): Promise<void> {
    const { transactions, faults } = this.#options;
    this.network.begin(this.members, this.watcher);
    this.embedded.start();
    const faultsAt = Array.from({ length: faults }, () => this.#random.between(earlyTransactions, transactions - 1));
    for (let count = 0; count < transactions; count += 1) {
      for (const at of faultsAt) if (at === count) await this.faults.happen();
      await this.#send(count);
      await this.clock.sleep(this.#pauseMs());
    }
    await this.#comeToRest();
    await new FinalChecks(this).run(this.#random);
  }

  #pauseMs(): number {
    return this.#random.weighted([
      [20, this.#random.unit() * 30],
      [4, this.#random.unit() * 200],
      [1, this.#random.unit() * 3_000],
    ]);
  }

  async #send(count: number): Promise<void> {
    const sent = await this.#clients.next(this.clock.nowMs, count < earlyTransactions && !this.#clients.isSettled());
    this.sent += 1;
    this.watcher.expect(sent);
    this.trace.note('sent', sent.hash, ...sent.messages.map(({ type }) => type));
    for (const member of this.#random.shuffled(this.members).slice(0, this.#random.between(1, 2))) {
      this.network.send(sent.hash, sent.bytes, member);
    }
  }

  /** Everybody is back and has everything. */
  async #comeToRest(): Promise<void> {
    this.faults.heal();
    const untilMs = this.clock.nowMs + restMsMax;
    while (!this.#isAtRest()) {
      await this.clock.sleep(100);
      if (this.clock.nowMs > untilMs)
        throw new SimulationFailure(`the network does not come to rest: ${this.#heights()}`);
      for (const member of this.members) member.start();
    }
    this.network.isEnded = true;
    this.trace.note('rest', this.network.height());
  }

  #heights(): string {
    const ofMembers = this.members.map(({ name, height, mempool }) => `${name} at ${height}, ${mempool.size} waiting`);
    return `${this.network.height()} decided, ${ofMembers.join(', ')}, embedded at ${this.embedded.height}`;
  }

  #isAtRest(): boolean {
    const height = this.network.height();
    const last = this.network.chain.at(-1);
    const isQuiet = last !== undefined && !runs(last);
    const isEverybody = this.members.every((member) => member.height === height && member.mempool.size === 0);
    return isQuiet && isEverybody && this.embedded.height === height;
  }
}

export type { Simulation };

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = new Simulation(options);
  let failure: string | undefined;
  try {
    await simulation.run();
  } catch (error) {
    failure = error instanceof SimulationFailure ? error.message : `${(error as Error).stack}`;
  }
  const { trace, network, watcher, faults } = simulation;
  return {
    seed: options.seed,
    digest: trace.digest(),
    failure,
    steps: trace.step,
    lastSteps: trace.tail(),
    blocks: network.height(),
    sent: simulation.sent,
    committed: watcher.committedCount,
    accepted: watcher.acceptedTypes,
    codes: watcher.codes,
    faults: faults.done,
  };
}
