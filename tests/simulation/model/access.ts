import type { ConsentModel } from './consent.ts';
import {
  type Context,
  dayMs,
  type Journal,
  type Judgement,
  type MessageJson,
  Reasons,
  refusedFor,
  Table,
} from './core.ts';
import type { GovernanceModel } from './governance.ts';
import type { IdentityModel } from './identity.ts';

export type Request = {
  requester: string;
  custodian: string;
  patient: string;
  expiresMs: number;
  decision?: string;
  untilMs?: number;
};
export type Glass = {
  custodian: string;
  patient: string;
  practitioner: string;
  organisation: string;
  untilMs: number;
  isRefused: boolean;
  isReviewed: boolean;
};
type Basis = { kind: string; request: string; directives: string[]; glass: string; ruleSet: string; authority: string };

export class AccessModel {
  readonly requests: Table<Request>;
  readonly releases: Table<string>;
  readonly glasses: Table<Glass>;
  readonly glassDays: Table<number>;
  readonly routine: Table<number>;
  /** Single entries of a patient's accounting at a custodian. */
  readonly entries: Table<number>;
  readonly #identity: IdentityModel;
  readonly #governance: GovernanceModel;
  readonly #consent: ConsentModel;

  constructor(journal: Journal, identity: IdentityModel, governance: GovernanceModel, consent: ConsentModel) {
    this.requests = new Table(journal);
    this.releases = new Table(journal);
    this.glasses = new Table(journal);
    this.glassDays = new Table(journal);
    this.routine = new Table(journal);
    this.entries = new Table(journal);
    this.#identity = identity;
    this.#governance = governance;
    this.#consent = consent;
  }

  judge(message: MessageJson, context: Context): Judgement {
    switch (message.type) {
      case 'access/request':
        return this.#judgeRequest(message, context);
      case 'access/decide':
        return this.#judgeDecision(message, context);
      case 'access/release':
        return this.#judgeRelease(message, context);
      case 'access/breakGlass':
        return this.#judgeGlass(message, context);
      case 'access/review':
        return this.#judgeReview(message, context);
      default:
        return this.#judgeBatch(message, context);
    }
  }

  #account(custodian: string, patient: string): void {
    const row = `${custodian}/${patient}`;
    this.entries.set(row, (this.entries.get(row) ?? 0) + 1);
  }

  #judgeRequest(message: MessageJson, { sender, timeMs }: Context): Judgement {
    const { request: id, custodian, patient } = message as unknown as Record<string, string>;
    const person = this.#identity.found(sender, 'practitioner');
    const requester = person?.registeredBy ?? sender;
    const timeoutMs = Number(message.timeoutMs ?? this.#governance.parameter('requestTimeoutMs'));
    const waiting = this.requests.entries().filter(([, row]) => {
      const isTheirs = row.requester === requester && row.patient === patient;
      return isTheirs && row.decision === undefined && timeMs < row.expiresMs;
    });
    return new Reasons()
      .unless(this.#identity.isActive(sender) && this.#identity.isActiveOrganisation(requester), 6001)
      .unless(this.#identity.isActiveOrganisation(String(custodian)), 6002)
      .unless(!this.requests.has(String(id)), 6003)
      .unless(timeoutMs <= this.#governance.parameter('requestTimeoutMsMax'), 6006)
      .unless(waiting.length < this.#governance.parameter('requestsPendingMax'), 6005)
      .effect(() => {
        const row = {
          requester,
          custodian: String(custodian),
          patient: String(patient),
          expiresMs: timeMs + timeoutMs,
        };
        this.requests.set(String(id), row);
        this.#account(row.custodian, row.patient);
      });
  }

  #judgeDecision(message: MessageJson, { sender, timeMs }: Context): Judgement {
    const { request: id, decision, directive, authority } = message as unknown as Record<string, string>;
    const untilMs = Number(message.untilMs);
    const row = this.requests.get(String(id));
    if (!row) return refusedFor(6004);
    const { patient, custodian } = row;
    const acts =
      authority === undefined
        ? sender === patient && this.#identity.isActive(patient)
        : this.#identity.mayActFor(sender, patient, authority, timeMs);
    const latestMs = timeMs + this.#governance.parameter('releaseWindowMsMax');
    const fits = decision === 'permit' ? untilMs > timeMs && untilMs <= latestMs : untilMs === 0;
    const isKnown = directive === undefined || this.#consent.directives.get(directive)?.patient === patient;
    return new Reasons()
      .unless(acts && this.#identity.custodianOf(patient) === custodian, 6007)
      .unless(row.decision === undefined, 6008)
      .unless(row.decision !== undefined || timeMs < row.expiresMs, 6009)
      .unless(fits, 6010)
      .unless(isKnown, 6011)
      .effect(() => {
        this.requests.set(String(id), { ...row, decision: String(decision), untilMs });
        this.#account(custodian, patient);
      });
  }

  /** No release stands without a basis that holds at its block. */
  #basisReasons(basis: Basis, patient: string, { sender, timeMs }: Context): number[] {
    switch (basis.kind) {
      case 'request': {
        const row = this.requests.get(basis.request);
        if (!row || row.custodian !== sender || row.patient !== patient) return [6004];
        if (row.decision !== 'permit') return [6013];
        return timeMs < (row.untilMs ?? 0) ? [] : [6014];
      }
      case 'directive': {
        const marked = basis.directives.flatMap((id) => this.#consent.useReasons(patient, id, timeMs));
        return marked;
      }
      case 'breakGlass': {
        const row = this.glasses.get(basis.glass);
        if (!row || row.custodian !== sender || row.patient !== patient) return [6022];
        return !row.isRefused && timeMs < row.untilMs ? [] : [6023];
      }
      case 'rule':
        return this.#governance.ruleSets.has(basis.ruleSet) ? [] : [6016];
      case 'authority': {
        const held = this.#identity.authority(patient, basis.authority);
        return held && this.#identity.isInForce(patient, held, timeMs) ? [] : [6007];
      }
      default:
        return this.#identity.isActive(patient) ? [] : [6007];
    }
  }

  #judgeRelease(message: MessageJson, context: Context): Judgement {
    const { release, patient } = message as unknown as Record<string, string>;
    const basis = message.basis as Basis;
    const { sender } = context;
    return new Reasons()
      .unless(this.#identity.isActiveOrganisation(sender), 6001)
      .unless(this.#identity.custodianOf(String(patient)) === sender, 6012)
      .unless(!this.releases.has(String(release)), 6015)
      .add(this.#basisReasons(basis, String(patient), context))
      .effect(() => {
        for (const id of basis.kind === 'directive' ? basis.directives : []) this.#consent.use(id);
        this.releases.set(String(release), basis.kind);
        this.#account(sender, String(patient));
      });
  }

  #judgeGlass(message: MessageJson, { sender, timeMs }: Context): Judgement {
    const { glass, custodian, patient, practitioner: who } = message as unknown as Record<string, string>;
    const person = this.#identity.found(String(who), 'practitioner');
    if (!person || !this.#identity.isLicensed(person.did, timeMs)) return refusedFor(6017);
    const organisation = person.registeredBy;
    const windowMs = Number(message.windowMs);
    const day = Math.floor(timeMs / dayMs);
    const counts = [person.did, organisation].map((did) => (this.glassDays.get(`${did} ${day}`) ?? 0) + 1);
    const isOver =
      counts[0]! > this.#governance.parameter('breakGlassPerPractitionerPerDayMax') ||
      counts[1]! > this.#governance.parameter('breakGlassPerOrganisationPerDayMax');
    const isRefused = isOver && this.#governance.parameter('breakGlassOverLimitRefused') === 1;
    return new Reasons()
      .unless(this.#governance.mayBreakGlass(person.licence!.profession, timeMs), 6018)
      .unless(sender === who || sender === organisation, 6019)
      .unless(this.#identity.isActiveOrganisation(String(custodian)), 6002)
      .unless(windowMs <= this.#governance.parameter('breakGlassWindowMsMax'), 6020)
      .unless(!this.glasses.has(String(glass)), 6021)
      .effect(() => {
        this.glassDays.set(`${person.did} ${day}`, counts[0]!);
        this.glassDays.set(`${organisation} ${day}`, counts[1]!);
        const untilMs = isRefused ? timeMs : timeMs + windowMs;
        const parties = {
          custodian: String(custodian),
          patient: String(patient),
          practitioner: person.did,
          organisation,
        };
        this.glasses.set(String(glass), { ...parties, untilMs, isRefused, isReviewed: false });
        this.#account(String(custodian), String(patient));
      });
  }

  #judgeReview(message: MessageJson, { sender }: Context): Judgement {
    const row = this.glasses.get(String(message.glass));
    if (!row) return refusedFor(6022);
    const person = this.#identity.found(sender, 'practitioner');
    const isOfficer = person?.registeredBy === row.custodian && (person.roles ?? []).includes('officer');
    return new Reasons()
      .unless(this.#identity.isActive(sender) && (isOfficer || sender === row.custodian), 6024)
      .unless(sender !== row.practitioner, 6028)
      .unless(!row.isReviewed, 6025)
      .effect(() => {
        this.glasses.set(String(message.glass), { ...row, isReviewed: true });
        this.#account(row.custodian, row.patient);
      });
  }

  #judgeBatch(message: MessageJson, { sender, timeMs }: Context): Judgement {
    const entries = message.entries as [string, string, number?][];
    const isLater = message.type === 'access/lateAnchor' && entries.some(([, , ms]) => (ms ?? 0) > timeMs);
    return new Reasons()
      .unless(this.#identity.isActiveOrganisation(sender), 6001)
      .unless(entries.length <= this.#governance.parameter('batchEntriesMax'), 6026)
      .unless(!isLater, 6027)
      .effect(() => {
        for (const [patient] of entries) {
          const row = `${sender}/${patient}`;
          this.routine.set(row, (this.routine.get(row) ?? 0) + 1);
        }
      });
  }
}
