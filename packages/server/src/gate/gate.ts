import { consent } from '@salus/contracts';
import { type Did, randomBytes, toBase64url, utf8 } from '@salus/protocol';
import type { SyncedLog } from '@salus/vault';
import { AccessErrorCodes } from '../access/errors.ts';
import { RuleFault } from '../http/problems.ts';
import type { ResourceStore, StoredContent, StoredResource } from '../records/resource-store.ts';
import type { ScopedRecord } from './acting.ts';
import type { Disclosure, LoggedDisclosure } from './disclosure.ts';
import { byBasis, byPatient, consumesOf, type Group, type Made, madeOf, nobody } from './made.ts';
import type { Question } from './question.ts';

/**
 * Entries that one question may release, as a search, `$everything` or one chunk of an export. Of more the requester is
 * told to ask for less (error 790); nothing is recorded and no use is taken by that.
 */
export const releasedEntriesMax = 50_000;
/** How far time may move on while an answer goes out before the gate asks again, without a block in between. */
const decisionAgeMsMax = 1_000;
/** Entries about which it asks again in one go. */
const entriesAskedAgainMax = 64;
const recordIdBytes = 16;
/** Who keeps an organisation's directory of places, people and products, beside its systems. */
const directoryRoles: readonly string[] = ['administrator', 'officer'];

/** The facts of one question that are the same for all its entries of one patient. */
export interface PatientFacts {
  /** Everything but the record, and what depends on it. */
  facts: Omit<consent.AccessFacts, 'record' | 'request'>;
  patient: Did;
  mergedWith: Did[];
  /** As they count for a record: what was given or revoked under an authority reaches as far as its scope. */
  directives(record: ScopedRecord): consent.DirectiveFact[];
  /** The requester's request, and whether the answer to it counts for a record. */
  request(record: ScopedRecord): consent.RequestFact | undefined;
}

/** The facts of one moment. */
export interface KnownFacts {
  /** Reads ledger, directives and relationships; `undefined` for a patient who is not known here. */
  patient(id: string): PatientFacts | undefined;
  /** The same for somebody who is no patient here yet: what the rules alone give. */
  newcomer(): PatientFacts | undefined;
}

export interface FactSource {
  /**
   * Gathers what is to be known about these patients, then runs `decide`, which waits for nothing: the facts that it is
   * given hold all at the same moment, and that is the moment of the decision. It may run more than once.
   */
  about<T>(question: Question, patientIds: readonly string[], decide: (facts: KnownFacts) => T): Promise<T>;
  /** Height of the latest block. */
  height(): number;
  /** Resolves when what the ledger says by now has been taken in: directives opened, emergencies known. */
  ready(): Promise<void>;
  /** Whether the ledger does not know an emergency yet: it was opened while the ledger could not commit. */
  isWaiting(glass: string): boolean;
  /** The member or wallet as the disclosure names it. */
  requesterOf(question: Question): Disclosure['requester'];
  /** The roles that count for a requester: those on the ledger where it knows the person. */
  rolesOf(requester: Question['requester']): readonly string[];
}

/** What the gate writes to before it releases. */
export interface Recorder {
  /**
   * Commits `access/release`, taking one use of each counted directive. False where the ledger says that the basis no
   * longer holds (somebody else took the last use, a revocation came first); throws when it cannot commit.
   */
  release(disclosures: readonly Made[]): Promise<boolean>;
  /** Wakes the task that anchors what the synced log holds. */
  wake(): void;
}

export interface GateParts {
  organization: Did;
  resources: Pick<ResourceStore, 'open' | 'standIns'>;
  facts: FactSource;
  log: Pick<SyncedLog, 'append'>;
  recorder: Recorder;
  /** The time by which decisions are made: block time. */
  nowMs(): number;
  /** Local time: when something happened here, whatever the ledger does. */
  clockMs(): number;
}

export interface Opened {
  stored: StoredResource;
  content: StoredContent;
}

export interface GateAnswer {
  permitted: StoredResource[];
  /** The patient may know; a requester is told only what `explainable` allows. */
  decisions: Map<StoredResource, consent.Decision>;
}

/** What somebody asked for, by the names that they gave: what is not here is weighed like something that is. */
export type Asked =
  | { record: string }
  /** `where` narrows down what somebody has, as the question does. */
  | { patient: string; type?: string; where?(stored: StoredResource): boolean };

/** What somebody wants to write: about whom, and what is here under that id, if anything. */
export interface WriteTarget {
  /** FHIR id of the patient whom it is about; undefined for what belongs to nobody. */
  patient: string | undefined;
  /** True where it makes a patient who is not here yet. */
  isNewcomer: boolean;
  /** True where something that is here is to be changed. */
  isUpdate: boolean;
  current: StoredResource | undefined;
  /** `Type/id` that is asked for, whether or not it is here. */
  name: string;
  categories: string[];
  labels: string[];
}

interface Weighed extends GateAnswer {
  /** The pseudonyms of those whom it was about. */
  patients: ReadonlyMap<string, Did>;
}

/** What was decided about a write: about what is here, about what is to be there, and whose it is. */
interface WeighedWrite {
  mayChange: boolean;
  now: consent.Decision | undefined;
  patient: Did | undefined;
}

/** When a decision was made. */
interface Moment {
  height: number;
  nowMs: number;
}

/**
 * The consent gate of one organisation: the only code that opens stored content (`tests/layout.test.ts`). Every exit
 * calls `release`; it decides entry by entry, records durably, and only then opens.
 */
export class ConsentGate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /**
   * Decides, and releases nothing: for counts and previews, which tell no more than a search would. Where there is
   * nothing of what was asked for, it is decided in vain about something else that is here: always the same for the same
   * question, so that nobody can tell by the work whether there is nothing or nothing for them.
   */
  async decide(question: Question, candidates: readonly StoredResource[], asked?: Asked): Promise<GateAnswer> {
    return await this.#decideAsked(question, candidates, asked);
  }

  /**
   * What is refused is looked for once more in vain, as what is not here: each look is a way to the database and back,
   * and tells by its time.
   */
  async #decideAsked(question: Question, candidates: readonly StoredResource[], asked?: Asked): Promise<Weighed> {
    const isHere = candidates.length > 0;
    if (!isHere && asked !== undefined) await this.#decide(question, await this.#standIns(asked));
    const weighed = await this.#decide(question, candidates);
    if (isHere && asked !== undefined && weighed.permitted.length === 0) await this.#standIns(asked);
    return weighed;
  }

  async #standIns(asked: Asked): Promise<StoredResource[]> {
    const found = await this.#parts.resources.standIns(asked);
    return 'where' in asked && asked.where !== undefined ? found.filter(asked.where) : found;
  }

  async #decide(question: Question, candidates: readonly StoredResource[]): Promise<Weighed> {
    const patients = new Set(candidates.flatMap(({ patient }) => patient ?? []));
    if (patients.size === 0) return this.#weigh(question, candidates, nobodyKnown);
    return await this.#parts.facts.about(question, [...patients], (facts) => this.#weigh(question, candidates, facts));
  }

  /** Waits for nothing: all entries are decided upon at one moment. */
  #weigh(question: Question, candidates: readonly StoredResource[], facts: KnownFacts): Weighed {
    const patients = new Map<string, Did>();
    const decisions = new Map<StoredResource, consent.Decision>();
    const permitted: StoredResource[] = [];
    for (const [patientId, entries] of byPatient(candidates)) {
      const known = patientId === undefined ? undefined : facts.patient(patientId);
      if (patientId !== undefined && known !== undefined) patients.set(patientId, known.patient);
      for (const entry of entries) {
        const decision = patientId === undefined ? this.#shared(question, entry) : this.#one(known, entry);
        if (decision === undefined) continue;
        decisions.set(entry, decision);
        if (decision.decision === 'permit') permitted.push(entry);
      }
    }
    return { permitted, decisions, patients };
  }

  /**
   * Why nothing comes out, where the requester may know: who holds or held a grant learns that it is expired or used up.
   * Everybody else learns nothing, and neither does anybody of a revocation.
   */
  async toldReason(
    question: Question,
    candidates: readonly StoredResource[],
    asked?: Asked,
  ): Promise<'expired' | 'used-up' | undefined> {
    const { decisions } = await this.decide(question, candidates, asked);
    const reasons = [...decisions.values()].map(({ reason }) => reason);
    return reasons.find((reason) => reason === 'expired' || reason === 'used-up');
  }

  /**
   * The way out. Decides, records each patient's disclosure (on the ledger first where content leaves the
   * organisation), then opens one entry after the other. Nothing is opened when recording fails.
   *
   * Asking for nothing takes the same steps as being refused, up to the entry that is synced into the log.
   *
   * What is decided upon is what the ledger said when this was called, or later: `ready` comes first. What changes between
   * the decision and an entry is seen by the next look (`#open`).
   */
  async release(
    question: Question,
    candidates: readonly StoredResource[],
    asked?: Asked,
  ): Promise<AsyncGenerator<Opened>> {
    await this.#parts.facts.ready();
    const moment = this.#moment();
    const weighed = await this.#decideAsked(question, candidates, asked);
    const { permitted, decisions } = weighed;
    if (permitted.length > releasedEntriesMax) throw new RuleFault(AccessErrorCodes.answerTooLarge);
    const isRecorded = await this.#record(question, weighed);
    return this.#open(question, isRecorded ? permitted : [], decisions, moment);
  }

  /**
   * The way in, for people: who may write what about whom is decided like any access, and recorded before anything is
   * stored. Gives the ledger's id of the record. The refusal is the same whether the patient, or what is to be changed,
   * is not here or not theirs to write.
   */
  async admit(question: Question, target: WriteTarget): Promise<{ record: string }> {
    await this.#parts.facts.ready();
    const record = target.current?.record ?? toBase64url(randomBytes(recordIdBytes));
    const draft = this.#draft(question, target, record);
    const { mayChange, now, patient } = await this.#weighWrite(question, target, draft);
    await this.#weighInVain(question, target, patient);
    const isAdmitted = mayChange && this.#isOwn(question) && now?.decision === 'permit';
    const whose = patient ?? nobody;
    const made = isAdmitted
      ? this.#made(question, whose, { entries: [draft], decisions: [now] })
      : this.#refusal(question, whose);
    await this.#log([made.logged]);
    const isTaken = made.logged.path !== 'ledger' || (await this.#place([made]));
    this.#parts.recorder.wake();
    if (!isAdmitted || !isTaken) throw new RuleFault(AccessErrorCodes.writeRefused);
    return { record };
  }

  /** What is here and what is to be there are decided upon at the same moment. */
  #weighWrite(question: Question, target: WriteTarget, draft: StoredResource): Promise<WeighedWrite> {
    const { patient, current, isNewcomer } = target;
    const patients = new Set([patient ?? [], current?.patient ?? []].flat());
    return this.#parts.facts.about(question, [...patients], (facts) => {
      const mayChange = this.#mayChange(question, target, facts);
      if (patient === undefined && !isNewcomer) return { mayChange, now: this.#keeps(question), patient: undefined };
      const known = isNewcomer ? facts.newcomer() : facts.patient(patient ?? '');
      return { mayChange, now: this.#one(known, draft), patient: known?.patient };
    });
  }

  /** Whether what is to be changed is here, the requester's to change, and stays with its patient. */
  #mayChange(question: Question, { isUpdate, current, patient }: WriteTarget, facts: KnownFacts): boolean {
    if (!isUpdate) return true;
    if (current === undefined) return false;
    const { decisions } = this.#weigh(question, [current], facts);
    return current.patient === patient && decisions.get(current)?.decision === 'permit';
  }

  /** Where there is nothing to be changed, or nobody to write about, something else is decided upon. */
  async #weighInVain(question: Question, target: WriteTarget, known: Did | undefined): Promise<void> {
    const { isUpdate, current, name, patient, isNewcomer } = target;
    if (isUpdate && current === undefined) await this.#decide(question, await this.#standIns({ record: name }));
    if (isNewcomer || patient === undefined || known !== undefined) return;
    await this.#decide(question, (await this.#standIns({ patient })).slice(0, 1));
  }

  /** What is to be written, as an entry that a decision can be made about; its writer is its author. */
  #draft(question: Question, target: WriteTarget, record: string): StoredResource {
    const { current, patient, categories, labels } = target;
    const { person } = this.#parts.facts.requesterOf(question);
    return {
      ...{ type: '', id: '', lastUpdated: '', tokens: [], blob: '', erased: false },
      ...{ contentSalt: '', contentCommitment: '', originalSalt: '', originalCommitment: '' },
      ...(patient !== undefined && { patient }),
      ...(person !== undefined && { author: person }),
      ...{ record, version: (current?.version ?? 0) + 1, categories, labels },
    };
  }

  /** Who may change what belongs to nobody's record: organisations, people who work here, places. */
  #keeps(question: Question): consent.Decision | undefined {
    const { requester } = question;
    if (requester.kind !== 'member' || !this.#isOwn(question)) return undefined;
    const roles = this.#parts.facts.rolesOf(requester);
    const isKeeper = requester.subject.kind === 'system' || directoryRoles.some((role) => roles.includes(role));
    return isKeeper ? directoryPermit : undefined;
  }

  #isOwn({ requester }: Question): boolean {
    return requester.kind === 'member' && requester.organization.did === this.#parts.organization;
  }

  #moment(): Moment {
    return { height: this.#parts.facts.height(), nowMs: this.#parts.nowMs() };
  }

  /**
   * What was decided some time ago is asked again when the ledger has moved on, or time has: what was revoked or expired
   * between the decision and this entry is not delivered. The use that this very question took does not count against it.
   */
  async *#open(
    question: Question,
    entries: readonly StoredResource[],
    first: ReadonlyMap<StoredResource, consent.Decision>,
    decided: Moment,
  ): AsyncGenerator<Opened> {
    let fresh = decided;
    let window: ReadonlySet<StoredResource> = new Set();
    const gone = new Set<StoredResource>();
    for (const [position, stored] of entries.entries()) {
      const isDue = this.#hasMoved(fresh) || (fresh !== decided && !window.has(stored));
      if (isDue) {
        if (fresh === decided) await this.#parts.facts.ready();
        fresh = this.#moment();
        window = new Set(entries.slice(position, position + entriesAskedAgainMax));
        const { decisions } = await this.decide(question, [...window]);
        for (const entry of window) {
          const now = decisions.get(entry);
          if (now === undefined || !stillHolds(now, first.get(entry))) gone.add(entry);
        }
      }
      const content = gone.has(stored) ? undefined : await this.#parts.resources.open(stored);
      if (content !== undefined) yield { stored, content };
    }
  }

  #hasMoved(since: Moment): boolean {
    const now = this.#moment();
    return now.height !== since.height || now.nowMs - since.nowMs >= decisionAgeMsMax;
  }

  /** Organisations, practitioners and places belong to nobody's record: any member may read them. */
  #shared(question: Question, entry: StoredResource): consent.Decision | undefined {
    if (entry.erased || question.requester.kind !== 'member') return undefined;
    return question.action === 'read' ? directoryPermit : this.#keeps(question);
  }

  #one(known: PatientFacts | undefined, entry: StoredResource): consent.Decision | undefined {
    if (known === undefined) return undefined;
    const { record, categories, labels, encounter, periodMs, author, erased } = entry;
    const request = known.request(entry);
    const facts: consent.AccessFacts = {
      ...known.facts,
      ...(request && { request }),
      record: {
        id: record,
        custodian: this.#parts.organization,
        patient: known.patient,
        mergedWith: known.mergedWith,
        categories,
        labels,
        erased,
        ...(encounter !== undefined && { encounter }),
        ...(periodMs !== undefined && { periodMs }),
        ...(author !== undefined && { author }),
      },
    };
    return consent.checkConsent(facts, known.directives(entry));
  }

  /** One disclosure per patient and basis: durable in the synced log, and on the ledger where content leaves. */
  async #record(question: Question, { decisions, patients }: Weighed): Promise<boolean> {
    const made: Made[] = [];
    for (const [patientId, entries] of byPatient([...decisions.keys()])) {
      const patient = patients.get(patientId ?? '');
      if (patient === undefined) continue;
      for (const group of byBasis(entries, decisions)) made.push(this.#made(question, patient, group));
    }
    // Nobody's record was met: what is here for everybody needs no entry, and an attempt at nothing gets that of a refusal.
    if (made.length === 0 && decisions.size > 0) return true;
    if (made.length === 0) made.push(this.#refusal(question, nobody));
    // The log comes first: what is on the ledger must be explainable, also after a crash in between.
    await this.#log(made.map(({ logged }) => logged));
    const onLedger = made.filter(({ logged }) => logged.path === 'ledger');
    const isTaken = onLedger.length === 0 || (await this.#place(onLedger));
    // The parts of a long list are released with it or not at all: they come when it stands, and before it is opened.
    if (isTaken) await this.#log(made.flatMap(({ parts }) => parts));
    this.#parts.recorder.wake();
    return isTaken;
  }

  #made(question: Question, patient: Did, group: Group): Made {
    const [leading] = group.decisions;
    const isWaiting = leading?.basis?.kind === 'breakGlass' && this.#parts.facts.isWaiting(leading.basis.id);
    const needsLedger = (this.#leavesHouse(question) || consumesOf(group.decisions).length > 0) && !isWaiting;
    const path = leading?.decision !== 'permit' ? 'local' : needsLedger ? 'ledger' : 'batch';
    return madeOf({
      question,
      patient,
      custodian: this.#parts.organization,
      requester: this.#parts.facts.requesterOf(question),
      group,
      path,
      timeMs: this.#parts.nowMs(),
    });
  }

  #refusal(question: Question, patient: Did): Made {
    return this.#made(question, patient, { entries: [], decisions: [] });
  }

  async #log(entries: readonly LoggedDisclosure[]): Promise<void> {
    const clockMs = this.#parts.clockMs();
    await Promise.all(entries.map((logged) => this.#parts.log.append(utf8(JSON.stringify(logged)), clockMs)));
  }

  /** Where the ledger cannot commit an emergency goes on: logged here, and anchored late with what is routine. */
  async #place(made: readonly Made[]): Promise<boolean> {
    try {
      return await this.#parts.recorder.release(made);
    } catch (error) {
      const isOutage = error instanceof RuleFault && error.code === AccessErrorCodes.ledgerUnavailable;
      const isEmergency = made.every(({ logged }) => logged.disclosure.basis?.kind === 'breakGlass');
      if (!isOutage || !isEmergency) throw error;
      await this.#log(made.map(({ logged }) => ({ ...logged, path: 'batch' })));
      return true;
    }
  }

  /** What goes to another organisation, and any export, needs the ledger's word first. */
  #leavesHouse(question: Question): boolean {
    return question.exit === 'export' || (question.requester.kind === 'member' && !this.#isOwn(question));
  }
}

/** For what belongs to nobody's record. */
const nobodyKnown: KnownFacts = { patient: () => undefined, newcomer: () => undefined };

const directoryPermit: consent.Decision = {
  decision: 'permit',
  reason: 'permitted',
  basis: { kind: 'rule', id: 'directory' },
  obligations: [],
  flags: [],
  consumes: [],
};

/** Whether what was permitted may still go out: a use that ran out by this question's own doing does not stop it. */
function stillHolds(now: consent.Decision, first: consent.Decision | undefined): boolean {
  return now.decision === 'permit' || (now.reason === 'used-up' && (first?.consumes.length ?? 0) > 0);
}
