import { sha256Hex } from '../digest.ts';
import { type Context, type Journal, type Judgement, type MessageJson, Reasons, refusedFor, Table } from './core.ts';
import type { IdentityModel } from './identity.ts';
import { type ValidatorChange, ValidatorModel } from './validators.ts';

export type Rules = Record<
  | 'votingMs'
  | 'quorumPerMille'
  | 'classesPerMille'
  | 'approvalPerMille'
  | 'vetoPerMille'
  | 'vetoClasses'
  | 'noticeBlocks'
  | 'executionMs',
  number
>;
export type Change = { kind: string; member: string; class: string } & {
  changes: ValidatorChange[];
  validator: string;
  publicKey: string;
  overlapBlocks: number;
  name: string;
  value: number;
  of: string;
  rules: Rules;
  digest: string;
  effectiveMs: number;
  version: number;
};
type Suspension = { basis: 'vote' | 'emergency'; untilMs: number };
export type MemberRow = { class: string; isActive: boolean; admittedHeight: number; suspension?: Suspension };
export type ProposalRow = {
  by: string;
  change: Change;
  digest: string;
  openedHeight: number;
  deadlineMs: number;
  executeUntilMs: number;
  activationHeight: number;
  rules: Rules;
  electorate: Record<string, number>;
  outcome?: 'executed' | 'withdrawn';
};
export type ParameterBounds = { value: number; from: number; to: number };
export type RuleSet = { id: string; version: number; format: string; breakGlassRoles: string[] };

const foreverMs = 8_640_000_000_000_000;
const activationAheadMax = 1_000_000;
const proposalsOpenMax = 200;

/** RFC 8785 for what messages have: no floats, no text beyond ASCII. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(',')}}`;
}

export function digestOfJson(value: unknown): string {
  return Buffer.from(sha256Hex(canonical(value)), 'hex').toString('base64url');
}

export class GovernanceModel {
  readonly members: Table<MemberRow>;
  readonly proposals: Table<ProposalRow>;
  readonly ballots: Table<string>;
  readonly parameters: Table<ParameterBounds>;
  readonly rules: Table<Rules>;
  /** By digest: everything published, adopted or not. */
  readonly ruleSets: Table<RuleSet>;
  readonly drafts: Table<string>;
  /** Versions of a rule set, in force from a time. */
  readonly versions: Table<{ digest: string; effectiveMs: number }[]>;
  readonly validators: ValidatorModel;
  readonly #changed: Table<number>;
  readonly #emergencies: Table<number>;
  readonly #version: Table<{ version: number; height: number }>;
  readonly #identity: IdentityModel;

  constructor(journal: Journal, identity: IdentityModel) {
    this.members = new Table(journal);
    this.proposals = new Table(journal);
    this.ballots = new Table(journal);
    this.parameters = new Table(journal);
    this.rules = new Table(journal);
    this.ruleSets = new Table(journal);
    this.drafts = new Table(journal);
    this.versions = new Table(journal);
    this.#changed = new Table(journal);
    this.#emergencies = new Table(journal);
    this.#version = new Table(journal);
    this.#identity = identity;
    this.validators = new ValidatorModel(
      journal,
      (name) => this.parameter(name),
      (did) => this.members.get(did)?.isActive ?? false,
    );
  }

  parameter(name: string): number {
    return this.parameters.get(name)?.value ?? Number.NaN;
  }

  isSuspended(row: MemberRow, nowMs: number): boolean {
    return (row.suspension?.untilMs ?? 0) > nowMs;
  }

  isActiveMember(did: string, nowMs: number): boolean {
    const row = this.members.get(did);
    return row?.isActive === true && !this.isSuspended(row, nowMs);
  }

  mayBreakGlass(profession: string, nowMs: number): boolean {
    return this.versions.entries().some(([, list]) => {
      const digest = list.findLast(({ effectiveMs }) => effectiveMs <= nowMs)?.digest ?? '';
      return this.ruleSets.get(digest)?.breakGlassRoles.includes(profession) ?? false;
    });
  }

  formReasons({ type, change }: MessageJson): number[] {
    if (type !== 'governance/propose') return [];
    const { kind, changes, validator, publicKey } = change as Change;
    if (kind === 'validators') {
      const keys = changes.map((one) => one.publicKey);
      return new Set(keys).size < keys.length ? [3026] : [];
    }
    return kind === 'rotateValidator' && validator === publicKey ? [3026] : [];
  }

  judge(message: MessageJson, context: Context): Judgement {
    const name = message.type.slice('governance/'.length);
    switch (name) {
      case 'propose': {
        const { change, reason, activationHeight } = message as unknown as {
          change: Change;
          reason: string;
          activationHeight: number;
        };
        return this.#judgeOpening(change, reason, activationHeight, context);
      }
      case 'ratifySuspension': {
        const row = this.members.get(String(message.member));
        const isEmergency = row?.isActive && this.isSuspended(row, context.timeMs);
        const change = { kind: 'suspend', member: String(message.member) } as Change;
        const opening = this.#judgeOpening(change, String(message.reason), 0, context);
        return new Reasons()
          .unless(row?.isActive, 3002)
          .unless(isEmergency, 3025)
          .add(opening.reasons)
          .effect(opening.apply);
      }
      case 'suspendInEmergency':
        return this.#judgeEmergency(String(message.member), context);
      case 'publishRuleSet':
        return this.#judgePublication(String(message.content), context);
      default:
        return this.#judgeOnProposal(name, message, context);
    }
  }

  #subjects(change: Change): string[] {
    switch (change.kind) {
      case 'validators':
        return change.changes.map(({ publicKey }) => `validator ${publicKey}`);
      case 'rotateValidator':
        return [`validator ${change.validator}`, `validator ${change.publicKey}`];
      case 'parameter':
        return [`parameter ${change.name}`];
      case 'votingRules':
        return [`rules ${change.of}`];
      case 'ruleSet':
        return [`ruleSet ${change.digest}`];
      case 'upgrade':
      case 'cancelUpgrade':
        return ['upgrade'];
      default:
        return [`member ${change.member}`];
    }
  }

  #changeReasons(change: Change, { timeMs, height }: Context): number[] {
    const row = this.members.get(change.member ?? '');
    switch (change.kind) {
      case 'admit':
        return new Reasons()
          .unless(this.#identity.isInStanding(change.member, timeMs), 3020)
          .unless(!row?.isActive, 3001)
          .unless(!row || row.class === change.class, 3021).codes;
      case 'remove': {
        if (!row?.isActive) return [3002];
        const others = this.members.entries().filter(([, one]) => one.isActive && one.class === row.class);
        return new Reasons()
          .unless(others.length > 1, 3023)
          .add(this.validators.withdrawalReasons(change.member, height)).codes;
      }
      case 'suspend':
        if (!row?.isActive) return [3002];
        return this.isSuspended(row, timeMs) && row.suspension?.basis === 'vote' ? [3024] : [];
      case 'reinstate':
        if (!row) return [3002];
        return this.isSuspended(row, timeMs) ? [] : [3025];
      case 'validators':
        return this.validators.changeReasons(change.changes, height);
      case 'rotateValidator':
        return this.validators.rotationReasons(change.validator, change.publicKey, change.overlapBlocks, height);
      case 'parameter': {
        const bounds = this.parameters.get(change.name);
        if (!bounds) return [3003];
        return new Reasons()
          .unless(change.value >= bounds.from && change.value <= bounds.to, 3004)
          .unless(change.value !== bounds.value, 3017).codes;
      }
      case 'votingRules': {
        const present = this.rules.get(change.of);
        return canonical(present) === canonical(change.rules) ? [3017] : [];
      }
      case 'ruleSet': {
        const set = this.ruleSets.get(change.digest);
        if (!set || !this.drafts.has(change.digest)) return [3037];
        return set.version === (this.versions.get(set.id)?.length ?? 0) + 1 ? [] : [3006];
      }
      case 'upgrade':
        return change.version === 2 && !this.#version.has('pending') ? [] : [3040];
      default:
        return this.#version.get('pending')?.version === change.version ? [] : [3041];
    }
  }

  #proposerReasons(change: Change, { sender, signers }: Context): number[] {
    if (change.kind === 'rotateValidator') {
      return this.validators.rows.get(change.validator)?.member === sender ? [] : [3028];
    }
    if (change.kind !== 'validators') return [];
    const unsigned = change.changes.some(({ publicKey, member }) => {
      return !this.validators.rows.has(publicKey) && !signers.includes(member);
    });
    return unsigned ? [3031] : [];
  }

  #isAbout(change: Change, did: string): boolean {
    return ['remove', 'suspend', 'reinstate'].includes(change.kind) && change.member === did;
  }

  #judgeOpening(change: Change, reason: string, activationHeight: number, context: Context): Judgement {
    const { sender, timeMs, height } = context;
    const open = this.proposals.entries().filter(([, row]) => !row.outcome && row.executeUntilMs > timeMs);
    const own = open.filter(([, row]) => row.by === sender);
    const electorate: Record<string, number> = {};
    for (const [did, row] of this.members.entries()) {
      if (!row.isActive || row.admittedHeight >= height || this.#isAbout(change, did)) continue;
      electorate[row.class] = (electorate[row.class] ?? 0) + 1;
    }
    return new Reasons()
      .unless(this.isActiveMember(sender, timeMs), 3008)
      .unless(open.length < proposalsOpenMax && own.length < this.parameter('proposalsOpenPerMemberMax'), 3018)
      .unless(activationHeight <= height + activationAheadMax, 3042)
      .add(this.#changeReasons(change, context))
      .add(this.#proposerReasons(change, context))
      .unless(Object.keys(electorate).length > 0, 3019)
      .effect(() => {
        const number = this.proposals.keys().length;
        const rules = this.rules.get(change.kind)!;
        const deadlineMs = timeMs + rules.votingMs;
        this.proposals.set(String(number), {
          by: sender,
          change,
          digest: digestOfJson({ proposal: number, change, reason, activationHeight }),
          openedHeight: height,
          deadlineMs,
          executeUntilMs: deadlineMs + rules.executionMs,
          activationHeight,
          rules,
          electorate,
        });
      });
  }

  /** Adopted or not, once voting is over. */
  statusOf(number: string, row: ProposalRow, nowMs: number): string {
    if (row.outcome) return row.outcome;
    if (nowMs < row.deadlineMs) return 'open';
    const { rules, electorate } = row;
    const classes = Object.entries(electorate).map(([name, size]) => {
      const counts: Record<string, number> = { size, yes: 0, no: 0, abstain: 0, veto: 0 };
      for (const [did, member] of this.members.entries()) {
        const choice = this.ballots.get(`${number} ${did}`);
        if (choice === undefined || member.class !== name) continue;
        if (member.admittedHeight >= row.openedHeight || this.#isAbout(row.change, did)) continue;
        const isPresent = member.isActive && !this.isSuspended(member, nowMs);
        if (isPresent || choice === 'no' || choice === 'veto') counts[choice]! += 1;
      }
      return counts as { size: number; yes: number; no: number; abstain: number; veto: number };
    });
    const over = (part: number, whole: number, share: number): boolean => part * 1_000 > share * whole;
    if (classes.filter(({ veto, size }) => over(veto, size, rules.vetoPerMille)).length >= rules.vetoClasses)
      return 'vetoed';
    const voted = classes.reduce((sum, { yes, no, abstain, veto }) => sum + yes + no + abstain + veto, 0);
    const size = classes.reduce((sum, one) => sum + one.size, 0);
    const approving = classes.filter(({ yes, no, veto }) => over(yes, yes + no + veto, rules.approvalPerMille));
    const isCarried =
      voted * 1_000 >= rules.quorumPerMille * size && over(approving.length, classes.length, rules.classesPerMille);
    if (!isCarried) return 'rejected';
    return nowMs >= row.executeUntilMs ? 'lapsed' : 'adopted';
  }

  #judgeOnProposal(action: string, message: MessageJson, context: Context): Judgement {
    const { sender, timeMs, height } = context;
    const number = String(message.proposal);
    const row = this.proposals.get(number);
    if (!row) return refusedFor(3009);
    const reasons = new Reasons()
      .unless(row.digest === message.digest, 3010)
      .unless(this.isActiveMember(sender, timeMs), 3008);
    const isVoting = !row.outcome && timeMs < row.deadlineMs;
    if (action === 'vote' || action === 'veto') {
      const member = this.members.get(sender);
      const mayVote = member && member.admittedHeight < row.openedHeight && !this.#isAbout(row.change, sender);
      const choice = action === 'veto' ? 'veto' : String(message.choice);
      return reasons
        .unless(isVoting, 3011)
        .unless(mayVote, 3012)
        .effect(() => this.ballots.set(`${number} ${sender}`, choice));
    }
    if (action === 'withdraw') {
      return reasons
        .unless(row.by === sender && isVoting, 3013)
        .effect(() => this.proposals.set(number, { ...row, outcome: 'withdrawn' }));
    }
    const { change } = row;
    const isAnnounced = ['validators', 'rotateValidator', 'upgrade'].includes(change.kind);
    const subjects = this.#subjects(change);
    const isOutdated = subjects.some((subject) => (this.#changed.get(subject) ?? -1) >= row.openedHeight);
    return reasons
      .unless(this.statusOf(number, row, timeMs) === 'adopted', 3014)
      .unless(isAnnounced || height >= row.activationHeight, 3015)
      .unless(!isOutdated, 3016)
      .add(this.#changeReasons(change, context))
      .effect(() => {
        this.#make(row, context);
        for (const subject of subjects) this.#changed.set(subject, height);
        this.proposals.set(number, { ...row, outcome: 'executed' });
      });
  }

  #setMember(did: string, row: MemberRow, nowMs: number): void {
    this.members.set(did, row);
    const party = this.#identity.parties.get(did)!;
    const untilMs = row.suspension?.untilMs ?? 0;
    const suspendedUntilMs = untilMs > nowMs ? untilMs : 0;
    this.#identity.parties.set(did, { ...party, isMember: row.isActive, suspendedUntilMs });
  }

  #make({ change, rules, activationHeight }: ProposalRow, { timeMs, height }: Context): void {
    const wanted = Math.max(activationHeight, height + rules.noticeBlocks);
    const row = this.members.get(change.member ?? '');
    switch (change.kind) {
      case 'admit':
        this.#setMember(change.member, { class: change.class, isActive: true, admittedHeight: height }, timeMs);
        break;
      case 'remove':
        this.#setMember(change.member, { ...row!, isActive: false }, timeMs);
        this.validators.withdraw(change.member, wanted, height);
        break;
      case 'suspend':
        this.#setMember(change.member, { ...row!, suspension: { basis: 'vote', untilMs: foreverMs } }, timeMs);
        break;
      case 'reinstate':
        this.#setMember(change.member, { ...row!, suspension: { ...row!.suspension!, untilMs: timeMs } }, timeMs);
        break;
      case 'validators':
        this.validators.change(change.changes, wanted, height);
        break;
      case 'rotateValidator':
        this.validators.rotate(change.validator, change.publicKey, change.overlapBlocks, wanted, height);
        break;
      case 'parameter':
        this.parameters.set(change.name, { ...this.parameters.get(change.name)!, value: change.value });
        break;
      case 'votingRules':
        this.rules.set(change.of, change.rules);
        break;
      case 'ruleSet': {
        const { id } = this.ruleSets.get(change.digest)!;
        const effectiveMs = Math.max(change.effectiveMs, timeMs);
        this.versions.set(id, [...(this.versions.get(id) ?? []), { digest: change.digest, effectiveMs }]);
        this.drafts.delete(change.digest);
        break;
      }
      case 'upgrade':
        this.#version.set('pending', { version: change.version, height: wanted });
        break;
      default:
        this.#version.delete('pending');
    }
  }

  #judgeEmergency(did: string, { sender, signers, timeMs }: Context): Judgement {
    const row = this.members.get(did);
    const ownClass = this.members.get(sender)?.class;
    const second = signers.find((signer) => {
      const isOther = this.members.get(signer)?.class !== ownClass;
      return signer !== did && isOther && this.isActiveMember(signer, timeMs);
    });
    const by = [sender, second ?? ''];
    const isRunning = by.some((one) => (this.#emergencies.get(one) ?? 0) > timeMs);
    const { suspension } = row ?? {};
    const pauseMs = this.parameter('emergencyPauseMs');
    const isFresh = !suspension || suspension.basis === 'vote' || suspension.untilMs + pauseMs <= timeMs;
    return new Reasons()
      .unless(this.isActiveMember(sender, timeMs) && sender !== did, 3008)
      .unless(second, 3043)
      .unless(row?.isActive, 3002)
      .unless(!row || !this.isSuspended(row, timeMs), 3024)
      .unless(isFresh, 3045)
      .unless(!isRunning, 3044)
      .effect(() => {
        const untilMs = timeMs + this.parameter('emergencySuspensionMs');
        for (const one of by) this.#emergencies.set(one, untilMs);
        this.#setMember(did, { ...row!, suspension: { basis: 'emergency', untilMs } }, timeMs);
      });
  }

  #judgePublication(content: string, { sender, timeMs }: Context): Judgement {
    const reasons = new Reasons().unless(this.isActiveMember(sender, timeMs), 3008);
    let set: RuleSet | undefined;
    try {
      const parsed = JSON.parse(content) as RuleSet;
      const isNamed = [parsed.format, parsed.id].every((text) => typeof text === 'string') && parsed.version >= 1;
      if (isNamed && canonical(parsed) === content) set = { ...parsed, breakGlassRoles: [] };
    } catch {
      // Not JSON: no rule set.
    }
    if (!set) return reasons.add([3005]).effect(() => undefined);
    const digest = Buffer.from(sha256Hex(content), 'hex').toString('base64url');
    const drafts = this.drafts.entries().filter(([, by]) => by === sender);
    const published = set;
    return reasons
      .unless(!this.ruleSets.has(digest), 3038)
      .unless(drafts.length < this.parameter('ruleSetDraftsPerMemberMax'), 3039)
      .effect(() => {
        this.ruleSets.set(digest, published);
        this.drafts.set(digest, sender);
      });
  }
}
