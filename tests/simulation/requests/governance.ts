import type { Wish } from '../clients.ts';
import { canonical } from '../model/governance.ts';
import { Requests } from './base.ts';

const ruleIds = ['plan-a', 'plan-b'];
const classes = ['provider', 'payer', 'pharmacy'];
const hourMs = 3_600_000;

/** Proposals, votes and what they change. */
export class GovernanceRequests extends Requests {
  any(nowMs: number): Wish {
    return this.random.weighted<() => Wish>([
      [4, () => this.#propose()],
      [13, () => this.#vote(nowMs)],
      [this.#isDecided(nowMs) ? 14 : 1, () => this.#execute(nowMs)],
      [1, () => this.#onProposal('withdraw')],
      [2, () => this.#publish()],
      [this.random.chance(0.3) ? 1 : 0, () => this.#emergency()],
      [this.#isAnySuspended() ? 2 : 0.1, () => this.#ratify()],
    ])();
  }

  #member(): string {
    const all = this.model.governance.members
      .entries()
      .filter(([, { isActive }]) => isActive || this.random.chance(0.1));
    return this.random.pick(all)[0];
  }

  #present(): string {
    const { governance, timeMs } = this.model;
    const all = governance.members.keys().filter((did) => governance.isActiveMember(did, timeMs));
    return all.length > 0 && !this.random.chance(0.05) ? this.random.pick(all) : this.anybody();
  }

  #propose(): Wish {
    const change = this.#change();
    const message = {
      type: 'governance/propose',
      change,
      reason: this.digest(),
      activationHeight: this.#activation(change),
    };
    const named =
      change.kind === 'validators' ? (change.changes as { member: string }[]).map(({ member }) => member) : [];
    const owner =
      change.kind === 'rotateValidator'
        ? this.model.governance.validators.rows.get(String(change.validator))?.member
        : undefined;
    const by = owner !== undefined && !this.random.chance(0.1) ? owner : this.#present();
    return this.wish(message, by, ...(this.random.chance(0.9) ? named : []));
  }

  #activation({ kind }: { kind: string }): number {
    // A version that comes into force would end every program that does not know it.
    if (kind === 'upgrade') return this.model.height + 500_000;
    return this.random.pick([0, 0, 0, this.model.height + 5, this.random.chance(0.1) ? 2_000_000 : 0]);
  }

  #change(): Record<string, unknown> & { kind: string } {
    const { governance } = this.model;
    const keys = governance.validators.rows.keys();
    const newKey = (): string => Buffer.alloc(32, this.random.between(1, 9)).toString('base64url');
    const someKey = (): string => (this.random.chance(0.6) ? this.random.pick(keys) : newKey());
    return this.random.weighted<() => Record<string, unknown> & { kind: string }>([
      [3, () => ({ kind: 'admit', member: this.organisation(), class: this.random.pick(classes) })],
      [1, () => ({ kind: 'remove', member: this.#member() })],
      [this.random.chance(0.3) ? 1 : 0, () => ({ kind: 'suspend', member: this.#member() })],
      [1, () => ({ kind: 'reinstate', member: this.#suspended() })],
      [
        4,
        () => {
          const count = this.random.between(1, 2);
          const changes = Array.from({ length: count }, () => {
            const publicKey = someKey();
            const member = governance.validators.rows.get(publicKey)?.member ?? this.#member();
            return { publicKey, member, power: this.random.pick([0, 5, 10, 11, 12, 900]) };
          });
          return { kind: 'validators', changes };
        },
      ],
      [
        3,
        () => ({
          kind: 'rotateValidator',
          validator: someKey(),
          publicKey: newKey(),
          overlapBlocks: this.random.pick([0, 1, 4]),
        }),
      ],
      [4, () => this.#parameter()],
      [
        1,
        () => {
          const rules = { ...governance.rules.get('admit')!, votingMs: hourMs, executionMs: 24 * hourMs };
          const of = this.random.pick(['admit', 'parameter']);
          return { kind: 'votingRules', of, rules: { ...rules, quorumPerMille: this.random.pick([200, 300]) } };
        },
      ],
      [4, () => ({ kind: 'ruleSet', digest: this.#draft(), effectiveMs: 0 })],
      [1, () => ({ kind: 'upgrade', version: this.random.pick([2, 2, 3]), release: this.digest() })],
      [1, () => ({ kind: 'cancelUpgrade', version: this.random.pick([2, 2, 3]) })],
    ])();
  }

  #suspended(): string {
    const { governance, timeMs } = this.model;
    const rows = governance.members.entries().filter(([, row]) => governance.isSuspended(row, timeMs));
    return rows.length > 0 ? this.random.pick(rows)[0] : this.#member();
  }

  #draft(): string {
    const drafts = this.model.governance.drafts.keys();
    return drafts.length > 0 && !this.random.chance(0.1) ? this.random.pick(drafts) : this.digest();
  }

  #parameter(): Record<string, unknown> & { kind: string } {
    const { parameters } = this.model.governance;
    const name = this.random.pick([
      ...parameters.keys(),
      'requestsPendingMax',
      'breakGlassOverLimitRefused',
      'noSuchParameter',
    ]);
    const bounds = parameters.get(name) ?? { value: 0, from: 1, to: 2 };
    const near = Math.min(bounds.to, Math.max(bounds.from, bounds.value + this.random.pick([-1, 1, 1, 2])));
    const isTaken = name === 'validatorsMin' || name.startsWith('proposals');
    const value = this.random.weighted([
      [8, near],
      [1, bounds.value],
      [1, bounds.to + 1],
      [isTaken ? 0 : 1, bounds.from],
    ]);
    return { kind: 'parameter', name, value };
  }

  /** An open proposal mostly, by number and digest. */
  #named(filter: (number: string) => boolean): { proposal: number; digest: string; number: string } {
    const { proposals } = this.model.governance;
    const open = proposals.keys().filter((number) => !proposals.get(number)?.outcome && filter(number));
    // Together, so that some of them find their majority.
    const some = open.length > 0 ? open.slice(-2) : proposals.keys();
    const number = some.length > 0 ? this.random.pick(some) : '0';
    const digest = proposals.get(number)?.digest ?? this.digest();
    return {
      proposal: Number(number) + (this.random.chance(0.02) ? 100 : 0),
      digest: this.random.chance(0.02) ? this.digest() : digest,
      number,
    };
  }

  #vote(nowMs: number): Wish {
    const { proposals } = this.model.governance;
    const isVoting = (number: string): boolean => {
      const row = proposals.get(number)!;
      return !row.outcome && nowMs < row.deadlineMs;
    };
    if (!proposals.keys().some(isVoting) && !this.random.chance(0.1)) return this.#propose();
    const { proposal, digest } = this.#named(isVoting);
    const by = this.#present();
    if (this.random.chance(0.08))
      return this.wish({ type: 'governance/veto', proposal, digest, reason: this.digest() }, by);
    const choice = this.random.pick(['yes', 'yes', 'yes', 'yes', 'yes', 'no', 'abstain']);
    return this.wish({ type: 'governance/vote', proposal, digest, choice }, by);
  }

  #isAnySuspended(): boolean {
    const { governance, timeMs } = this.model;
    return governance.members.entries().some(([, row]) => governance.isSuspended(row, timeMs));
  }

  #isDecided(nowMs: number): boolean {
    const { governance } = this.model;
    const rows = governance.proposals.entries().slice(-8);
    return rows.some(([number, row]) => governance.statusOf(number, row, nowMs) === 'adopted');
  }

  #execute(nowMs: number): Wish {
    const { governance } = this.model;
    const { proposal, digest } = this.#named((number) => {
      const row = governance.proposals.get(number)!;
      return (
        nowMs >= row.deadlineMs && (this.random.chance(0.05) || governance.statusOf(number, row, nowMs) === 'adopted')
      );
    });
    return this.wish({ type: 'governance/execute', proposal, digest }, this.#present());
  }

  #onProposal(name: string): Wish {
    const { proposal, digest, number } = this.#named(() => true);
    const by = this.model.governance.proposals.get(number)?.by ?? this.#present();
    return this.wish({ type: `governance/${name}`, proposal, digest }, by);
  }

  #publish(): Wish {
    const id = this.random.pick(ruleIds);
    const version = (this.model.governance.versions.get(id)?.length ?? 0) + this.random.pick([1, 1, 1, 2]);
    const document = { format: 'plan/1', id, version, rule: this.random.between(0, 5) };
    const content = this.random.chance(0.05) ? JSON.stringify({ version, id }) : canonical(document);
    return this.wish({ type: 'governance/publishRuleSet', content }, this.#present());
  }

  #emergency(): Wish {
    const [first, second] = this.random.shuffled(this.model.governance.members.keys());
    // Whoever holds patients is suspended seldom: nobody else could go on.
    const others = this.model.governance.members.keys().slice(4);
    const member = this.random.chance(0.9) ? this.random.pick(others) : this.#member();
    return this.wish({ type: 'governance/suspendInEmergency', member, reason: this.digest() }, first!, second!);
  }

  #ratify(): Wish {
    return this.wish(
      { type: 'governance/ratifySuspension', member: this.#suspended(), reason: this.digest() },
      this.#present(),
    );
  }
}
