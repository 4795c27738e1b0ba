import {
  type Context,
  type Journal,
  type Judgement,
  type MessageJson,
  monthMs,
  Reasons,
  refusedFor,
  Table,
} from './core.ts';
import type { GovernanceModel } from './governance.ts';
import type { IdentityModel } from './identity.ts';

export type Directive = {
  patient: string;
  expiresMs: number;
  uses: number;
  used: number;
  endToken: string;
  endIssuer: string;
  authority: string | undefined;
  isRevoked: boolean;
};

export class ConsentModel {
  readonly directives: Table<Directive>;
  readonly ended: Table<boolean>;
  readonly #identity: IdentityModel;
  readonly #governance: GovernanceModel;

  constructor(journal: Journal, identity: IdentityModel, governance: GovernanceModel) {
    this.directives = new Table(journal);
    this.ended = new Table(journal);
    this.#identity = identity;
    this.#governance = governance;
  }

  formReasons({ type, directives, tokens }: MessageJson): number[] {
    const list = type === 'consent/revoke' ? directives : type === 'consent/endCondition' ? tokens : [];
    return Array.isArray(list) && new Set(list).size < list.length ? [5012] : [];
  }

  #acts(patient: string, authority: string | undefined, { sender, timeMs }: Context): boolean {
    if (authority !== undefined) return this.#identity.mayActFor(sender, patient, authority, timeMs);
    return sender === patient && this.#identity.isActive(patient);
  }

  judge(message: MessageJson, context: Context): Judgement {
    if (message.type === 'consent/grant') return this.#judgeGrant(message, context);
    if (message.type === 'consent/revoke') return this.#judgeRevoke(message, context);
    const { sender } = context;
    const tokens = message.tokens as string[];
    return new Reasons()
      .unless(this.#identity.isActiveOrganisation(sender), 5010)
      .unless(!tokens.some((token) => this.ended.has(`${sender} ${token}`)), 5011)
      .effect(() => {
        for (const token of tokens) this.ended.set(`${sender} ${token}`, true);
      });
  }

  #judgeGrant(message: MessageJson, context: Context): Judgement {
    const { directive, patient, endToken, authority } = message as unknown as Record<string, string>;
    const { expiresMs, uses } = message as unknown as Record<string, number>;
    const { timeMs } = context;
    const custodian = this.#identity.custodianOf(String(patient));
    if (custodian === undefined) return refusedFor(5001);
    const endIssuer = String(message.endIssuer ?? custodian);
    const latestMs = timeMs + this.#governance.parameter('directiveDurationMsMax') + monthMs;
    const isCoarse = expiresMs! % monthMs === 0 && expiresMs! > timeMs && expiresMs! <= latestMs;
    return new Reasons()
      .unless(this.#acts(String(patient), authority, context), 5001)
      .unless(isCoarse, 5008)
      .unless(uses! <= this.#governance.parameter('directiveUsesMax'), 5015)
      .unless(!this.directives.has(String(directive)), 5002)
      .unless(this.#identity.found(endIssuer, 'organisation'), 5013)
      .effect(() =>
        this.directives.set(String(directive), {
          patient: String(patient),
          expiresMs: expiresMs!,
          uses: uses!,
          used: 0,
          endToken: String(endToken),
          endIssuer,
          authority,
          isRevoked: false,
        }),
      );
  }

  #judgeRevoke(message: MessageJson, context: Context): Judgement {
    const { patient, authority } = message as unknown as Record<string, string>;
    const ids = message.directives as string[];
    const reasons = new Reasons().unless(this.#acts(String(patient), authority, context), 5001);
    for (const id of ids) {
      const found = this.directives.get(id);
      reasons.unless(found?.patient === patient, 5003).unless(!found?.isRevoked, 5004);
    }
    return reasons.effect(() => {
      for (const id of ids) this.directives.set(id, { ...this.directives.get(id)!, isRevoked: true });
    });
  }

  /** Why a release may not stand on a directive now. */
  useReasons(patient: string, id: string, timeMs: number): number[] {
    const found = this.directives.get(id);
    const { currentPatient } = this.#identity;
    const current = currentPatient.bind(this.#identity);
    if (!found || current(found.patient) !== current(patient)) return [5003];
    const held = found.authority === undefined ? undefined : this.#identity.authority(found.patient, found.authority);
    const isInForce =
      found.authority === undefined || (held !== undefined && this.#identity.isInForce(found.patient, held, timeMs));
    return new Reasons()
      .unless(!found.isRevoked, 5004)
      .unless(timeMs < found.expiresMs, 5005)
      .unless(!this.ended.has(`${found.endIssuer} ${found.endToken}`), 5007)
      .unless(isInForce, 5014)
      .unless(found.uses === 0 || found.used < found.uses, 5006).codes;
  }

  use(id: string): void {
    const found = this.directives.get(id)!;
    if (found.uses > 0) this.directives.set(id, { ...found, used: found.used + 1 });
  }
}
