import { type Journal, Reasons, Table } from './core.ts';

type Step = { height: number; power: number };
export type ValidatorRow = { member: string; steps: Step[] };
export type ValidatorChange = { publicKey: string; member: string; power: number };

const validatorsMax = 200;
const never = -1;

/** Who decides with how much power, from when: every step that was ever announced. */
export class ValidatorModel {
  readonly rows: Table<ValidatorRow>;
  readonly #height: Table<number>;
  readonly #parameter: (name: string) => number;
  readonly #isMember: (did: string) => boolean;

  constructor(journal: Journal, parameter: (name: string) => number, isMember: (did: string) => boolean) {
    this.rows = new Table(journal);
    this.#height = new Table(journal);
    this.#parameter = parameter;
    this.#isMember = isMember;
  }

  found(publicKey: string, member: string, power: number): void {
    this.rows.set(publicKey, { member, steps: [{ height: never, power }] });
  }

  /** What FinalizeBlock of a block returns. */
  updatesAt(height: number): string[] {
    return this.rows.entries().flatMap(([publicKey, { steps }]) => {
      return steps.flatMap((step) => (step.height === height ? [`${publicKey} ${step.power}`] : []));
    });
  }

  powerBefore({ steps }: ValidatorRow, height: number): number {
    return steps.findLast((step) => step.height < height)?.power ?? 0;
  }

  isPending({ steps }: ValidatorRow, height: number): boolean {
    return steps.some((step) => step.height >= height);
  }

  #announced(): Map<string, { member: string; power: number }> {
    const set = new Map<string, { member: string; power: number }>();
    for (const [publicKey, { member, steps }] of this.rows.entries()) {
      const power = steps.at(-1)?.power ?? 0;
      if (power > 0) set.set(publicKey, { member, power });
    }
    return set;
  }

  #setReasons(changes: readonly ValidatorChange[]): number[] {
    const before = this.#announced();
    const after = new Map(before);
    for (const { publicKey, member, power } of changes) {
      if (power > 0) after.set(publicKey, { member, power });
      else after.delete(publicKey);
    }
    const total = (set: typeof before): number => [...set.values()].reduce((sum, { power }) => sum + power, 0);
    const largest = (set: typeof before): number => {
      const powers = new Map<string, number>();
      for (const { member, power } of set.values()) powers.set(member, (powers.get(member) ?? 0) + power);
      return Math.max(0, ...powers.values());
    };
    const isWithin = largest(after) * 1_000 <= this.#parameter('validatorMemberPowerPerMilleMax') * total(after);
    const isNoWorse = largest(after) * total(before) <= largest(before) * total(after);
    return new Reasons()
      .unless(after.size > 0, 3032)
      .unless(after.size >= before.size || after.size >= this.#parameter('validatorsMin'), 3032)
      .unless(after.size <= validatorsMax, 3033)
      .unless(isWithin || isNoWorse, 3034).codes;
  }

  changeReasons(changes: readonly ValidatorChange[], height: number): number[] {
    const reasons = new Reasons();
    for (const { publicKey, member, power } of changes) {
      const row = this.rows.get(publicKey);
      reasons.unless(power === 0 || this.#isMember(member), 3002);
      if (!row) {
        reasons.unless(power > 0, 3027);
        continue;
      }
      const present = this.powerBefore(row, height);
      reasons
        .unless(row.member === member, 3028)
        .unless(!this.isPending(row, height), 3030)
        .unless(present > 0, 3029)
        .unless(present !== power, 3017);
    }
    return reasons.add(this.#setReasons(changes)).codes;
  }

  rotationReasons(validator: string, publicKey: string, overlapBlocks: number, height: number): number[] {
    const row = this.rows.get(validator);
    if (!row || this.powerBefore(row, height) === 0) return [3027];
    return new Reasons()
      .unless(!this.isPending(row, height), 3030)
      .unless(!this.rows.has(publicKey), 3029)
      .unless(overlapBlocks === 0 || this.powerBefore(row, height) > 1, 3035).codes;
  }

  /** What a member that leaves takes with it, keys that are still leaving too. */
  #withdrawal(member: string, height: number): ValidatorChange[] {
    return this.rows.entries().flatMap(([publicKey, row]) => {
      const stays = (row.steps.at(-1)?.power ?? 0) > 0 || this.isPending(row, height);
      return row.member === member && stays ? [{ publicKey, member, power: 0 }] : [];
    });
  }

  withdrawalReasons(member: string, height: number): number[] {
    const gone = this.#withdrawal(member, height);
    return gone.length > 0 ? this.#setReasons(gone) : [];
  }

  #announce(publicKey: string, member: string, next: readonly Step[], height: number): void {
    const row = this.rows.get(publicKey) ?? { member, steps: [] };
    const steps = row.steps.filter((step) => step.height < height);
    let power = this.powerBefore(row, height);
    for (const step of next) {
      if (step.power === power) continue;
      power = step.power;
      steps.push(step);
    }
    this.rows.set(publicKey, { ...row, steps });
  }

  #nextHeight(wanted: number): number {
    const height = Math.max(wanted, this.#height.get('') ?? 0);
    this.#height.set('', height);
    return height;
  }

  change(changes: readonly ValidatorChange[], wanted: number, now: number): void {
    const height = this.#nextHeight(wanted);
    for (const { publicKey, member, power } of changes) this.#announce(publicKey, member, [{ height, power }], now);
  }

  withdraw(member: string, wanted: number, now: number): void {
    const gone = this.#withdrawal(member, now);
    if (gone.length > 0) this.change(gone, wanted, now);
  }

  rotate(validator: string, publicKey: string, overlapBlocks: number, wanted: number, now: number): void {
    const row = this.rows.get(validator)!;
    const power = this.powerBefore(row, now);
    const height = this.#nextHeight(wanted);
    const half = Math.floor(power / 2);
    const end = height + overlapBlocks;
    const isShared = overlapBlocks > 0;
    const fades = isShared
      ? [
          { height, power: power - half },
          { height: end, power: 0 },
        ]
      : [{ height, power: 0 }];
    const grows = isShared
      ? [
          { height, power: half },
          { height: end, power },
        ]
      : [{ height, power }];
    this.#announce(validator, row.member, fades, now);
    this.#announce(publicKey, row.member, grows, now);
  }
}
