import type { SimulatedClock } from './clock.ts';
import type { EmbeddedMember } from './embedded-member.ts';
import type { Member } from './member.ts';
import { calm, type Network } from './network.ts';
import type { Random } from './random.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const skewMsMax = 10_000;

export type FaultName =
  | 'cutPower'
  | 'kill'
  | 'slowDisk'
  | 'fullDisk'
  | 'isolate'
  | 'storm'
  | 'skew'
  | 'wipe'
  | 'halt'
  | 'blackout'
  | 'cutEmbedded';

const weights: readonly (readonly [number, FaultName])[] = [
  [6, 'cutPower'],
  [3, 'kill'],
  [3, 'slowDisk'],
  [3, 'fullDisk'],
  [3, 'isolate'],
  [2, 'storm'],
  [2, 'skew'],
  [2, 'wipe'],
  [2, 'halt'],
  [2, 'blackout'],
  [2, 'cutEmbedded'],
];

type Scene = {
  clock: SimulatedClock;
  network: Network;
  members: readonly Member[];
  embedded: EmbeddedMember;
  random: Random;
};

/** What happens to machines, disks, clocks and wires; everything heals by itself after a while. */
export class Faults {
  readonly done: FaultName[] = [];
  readonly #scene: Scene;
  #isDark = false;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** One more; resolves when whoever sends transactions may go on. */
  async happen(): Promise<void> {
    const { network, random, members } = this.#scene;
    const name = random.weighted(weights);
    const member = random.pick(members);
    network.trace.note('fault', name, member.name);
    this.done.push(name);
    switch (name) {
      case 'cutPower':
      case 'kill':
        this.#stop(member, name === 'cutPower', random.between(50, 15_000));
        break;
      case 'wipe':
        member.wipe();
        this.#startLater(member, random.between(500, 5_000));
        break;
      case 'halt':
        for (const one of random.shuffled(members).slice(0, 2)) this.#stop(one, true, random.between(500, 12_000));
        break;
      case 'blackout':
        await this.#blackout();
        break;
      case 'cutEmbedded':
        this.#scene.embedded.stop(random.chance(0.7));
        this.#startLater(this.#scene.embedded, random.between(50, 5_000));
        break;
      default:
        this.#trouble(name, member);
    }
  }

  /** Everything as it should be, and everybody there. */
  heal(): void {
    const { network, members, embedded } = this.#scene;
    network.weather = calm;
    for (const member of members) {
      member.isConnected = true;
      member.skewMs = 0;
      member.disk.isFull = false;
      member.disk.isSlow = false;
      member.start();
    }
    embedded.start();
  }

  #later(delayMs: number, action: () => void): void {
    this.#scene.clock.after(delayMs, action, undefined);
  }

  /** Not before there is power again. */
  #startLater(machine: { start(): void }, delayMs: number): void {
    this.#later(delayMs, () => {
      if (!this.#isDark) machine.start();
    });
  }

  #stop(member: Member, isPowerCut: boolean, forMs: number): void {
    member.stop(isPowerCut);
    this.#startLater(member, forMs);
  }

  #trouble(name: FaultName, member: Member): void {
    const { network, random } = this.#scene;
    const forMs = random.between(500, 8_000);
    const disk = random.chance(0.2) && name === 'slowDisk' ? this.#scene.embedded.disk : member.disk;
    switch (name) {
      case 'slowDisk':
        disk.isSlow = true;
        this.#later(forMs, () => {
          disk.isSlow = false;
        });
        break;
      case 'fullDisk':
        // A new directory on a full disk is refused; this is about those that are there.
        if (!member.isUp) break;
        member.disk.isFull = true;
        this.#later(forMs, () => {
          member.disk.isFull = false;
        });
        break;
      case 'isolate':
        member.isConnected = false;
        this.#later(forMs, () => {
          member.isConnected = true;
        });
        break;
      case 'skew':
        member.skewMs = random.between(-skewMsMax, skewMsMax);
        break;
      default:
        network.weather = { lossChance: 0.3, duplicateChance: 0.3, delayMsMax: 300, wrongProposalChance: 0.1 };
        this.#later(forMs, () => {
          network.weather = calm;
        });
    }
  }

  /** The power of all goes at once and stays away, for minutes or for weeks. */
  async #blackout(): Promise<void> {
    const { clock, network, random, members, embedded } = this.#scene;
    const dark = Promise.withResolvers<void>();
    network.dark = dark.promise;
    this.#isDark = true;
    for (const one of [...members, embedded]) one.stop(true);
    await clock.sleep(random.pick([30_000, 20 * 60_000, 3 * hourMs, 2 * dayMs, 33 * dayMs]));
    this.#isDark = false;
    for (const one of [...members, embedded]) this.#startLater(one, random.between(0, 2_000));
    dark.resolve();
  }
}
