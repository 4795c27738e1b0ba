import { AccessModel } from './access.ts';
import { ConsentModel } from './consent.ts';
import { type Context, Journal, type MessageJson, Table } from './core.ts';
import { type Change, GovernanceModel, type Rules } from './governance.ts';
import { IdentityModel, type KeyFacts, type KeyJson } from './identity.ts';
import { RecordsModel } from './records.ts';

/** A transaction as whoever made it knows it. */
export type Sent = {
  hash: string;
  bytes: Uint8Array;
  id: string;
  chain: string;
  validUntilMs: number;
  messages: MessageJson[];
  /** The first is the sender; `thumbprint`: of the key that really signed, empty where the signature is no good. */
  signatures: { did: string; keyName: string; thumbprint: string }[];
  /** What is wrong with the form of a message, where whoever made it saw to that. */
  malformed: number[];
};

type GenesisJson = {
  chain: string;
  timeMs: number;
  validators: { publicKey: string; power: number; member: string }[];
  members: { did: string; class: string; role: string; slug: string; keys: KeyJson[] }[];
  votingRules: Record<string, Rules>;
  ruleSets: { id: string; version: number; format: string; breakGlassRoles?: string[] }[];
};

/** What a block has of a transaction that could not run there. */
export const unfitCode = 466;
const validityMsMax = 600_000;
const minuteMs = 60_000;

/** The whole ledger as its specifications say it behaves. */
export class Model {
  readonly journal = new Journal();
  readonly identity: IdentityModel;
  readonly governance: GovernanceModel;
  readonly records: RecordsModel;
  readonly consent: ConsentModel;
  readonly access: AccessModel;
  readonly stamps: Table<boolean>;
  height = 0;
  timeMs: number;
  readonly chain: string;
  readonly #used: Table<boolean>;

  constructor(
    genesis: GenesisJson,
    facts: KeyFacts,
    parameters: Record<string, { value: number; from: number; to: number }>,
    digestOfRuleSet: (set: unknown) => string,
  ) {
    this.identity = new IdentityModel(this.journal, facts);
    this.governance = new GovernanceModel(this.journal, this.identity);
    this.records = new RecordsModel(this.journal, this.identity, this.governance);
    this.consent = new ConsentModel(this.journal, this.identity, this.governance);
    this.access = new AccessModel(this.journal, this.identity, this.governance, this.consent);
    this.stamps = new Table(this.journal);
    this.#used = new Table(this.journal);
    this.timeMs = genesis.timeMs;
    this.chain = genesis.chain;
    for (const { did, class: memberClass, role, slug, keys } of genesis.members) {
      this.identity.parties.set(did, {
        did,
        kind: 'organisation',
        status: 'active',
        registeredBy: did,
        keyCount: 0,
        role,
        slug,
      });
      this.identity.slugs.set(slug, did);
      for (const key of keys) this.identity.addKey(did, key);
      this.governance.members.set(did, { class: memberClass, isActive: true, admittedHeight: 0 });
    }
    for (const { publicKey, member, power } of genesis.validators) {
      this.governance.validators.found(publicKey, member, power);
    }
    for (const [name, bounds] of Object.entries(parameters)) this.governance.parameters.set(name, bounds);
    for (const [kind, rules] of Object.entries(genesis.votingRules)) this.governance.rules.set(kind, rules);
    for (const set of genesis.ruleSets) {
      const digest = digestOfRuleSet(set);
      const { id, version, format, breakGlassRoles = [] } = set;
      this.governance.ruleSets.set(digest, { id, version, format, breakGlassRoles });
      this.governance.versions.set(id, [{ digest, effectiveMs: genesis.timeMs }]);
    }
    this.journal.forget();
  }

  /** Whether its signatures are good under keys that stand at present or that it carries, whoever may sign or not. */
  isVerifiable({ signatures, messages }: Sent): boolean {
    return signatures.every(({ did, keyName, thumbprint }) => {
      if (thumbprint === '') return false;
      const { identity } = this;
      const good = [identity.materialOf(did, keyName, messages), identity.carriedMaterialOf(did, keyName, messages)];
      return good.includes(thumbprint);
    });
  }

  /** Why a transaction may stand in no block of this time; codes of the kernel and, 0 for it, of a bad signature. */
  unfitReasons(sent: Sent, timeMs: number): number[] {
    const { chain, validUntilMs, messages, malformed, signatures } = sent;
    const reasons = [...malformed];
    if (chain !== this.chain) reasons.push(1001);
    if (validUntilMs <= timeMs) reasons.push(1002);
    if (validUntilMs > timeMs + validityMsMax) reasons.push(1003);
    reasons.push(...messages.flatMap((message) => this.#formReasons(message)));
    for (const { did, keyName, thumbprint } of signatures) {
      reasons.push(...this.identity.signingReasons(did, keyName, messages, timeMs));
      if (this.identity.materialOf(did, keyName, messages) !== thumbprint) reasons.push(1010);
    }
    if (!this.isVerifiable(sent)) reasons.push(0);
    if (this.#used.has(this.#replayRow(sent))) reasons.push(1004);
    return reasons;
  }

  #replayRow({ signatures, id, validUntilMs }: Sent): string {
    return `${signatures[0]?.did} ${id} ${Math.floor(validUntilMs / minuteMs)}`;
  }

  #formReasons(message: MessageJson): number[] {
    switch (message.type.split('/')[0]) {
      case 'identity':
        return this.identity.formReasons(message);
      case 'governance':
        return this.governance.formReasons(message);
      case 'records':
        return this.records.formReasons(message);
      case 'consent':
        return this.consent.formReasons(message);
      default:
        return [];
    }
  }

  #judge(message: MessageJson, context: Context): { reasons: number[]; apply: () => void } {
    switch (message.type.split('/')[0]) {
      case 'identity':
        return this.identity.judge(message, context);
      case 'governance':
        return this.governance.judge(message, context);
      case 'records':
        return this.records.judge(message, context);
      case 'consent':
        return this.consent.judge(message, context);
      case 'access':
        return this.access.judge(message, context);
      default: {
        const row = `${context.sender} ${message.digest}`;
        const reasons = this.stamps.has(row) ? [1014] : [];
        return { reasons, apply: () => this.stamps.set(row, true) };
      }
    }
  }

  /** Executes one transaction that can run; the reasons to refuse it, none where it is accepted. */
  execute(sent: Sent, timeMs: number, height: number): number[] {
    this.#used.set(this.#replayRow(sent), true);
    const signers = sent.signatures.map(({ did }) => did);
    const context = { sender: signers[0]!, signers, timeMs, height };
    const mark = this.journal.mark();
    for (const message of sent.messages) {
      const { reasons, apply } = this.#judge(message, context);
      if (reasons.length > 0) {
        this.journal.backTo(mark);
        return reasons;
      }
      apply();
    }
    return [];
  }

  /**
   * Whether all of them may stand in a block, one after the other; leaves nothing behind. What cannot run may leave through
   * it, but neither what only waits for its time nor what is of another chain.
   */
  mayStand(transactions: readonly (Sent | undefined)[], timeMs: number, height: number): boolean {
    const mark = this.journal.mark();
    const isEach = transactions.every((sent) => sent !== undefined && this.isVerifiable(sent));
    const isDistinct = new Set(transactions).size === transactions.length;
    const fits =
      isEach &&
      isDistinct &&
      transactions.every((sent) => {
        if (!sent) return false;
        const unfit = this.unfitReasons(sent, timeMs);
        if (unfit.length === 0) this.execute(sent, timeMs, height);
        return !unfit.includes(1001) && !unfit.includes(1003);
      });
    this.journal.backTo(mark);
    return fits;
  }

  /** Executes a decided block; the reasons of each transaction, `unfitCode` for those that did not run. */
  advance(transactions: readonly Sent[], timeMs: number, height: number): number[][] {
    const reasons = transactions.map((sent) => {
      return this.unfitReasons(sent, timeMs).length > 0 ? [unfitCode] : this.execute(sent, timeMs, height);
    });
    this.height = height;
    this.timeMs = timeMs;
    this.journal.forget();
    return reasons;
  }
}

export type { Change };
