import { consent } from '@salus/contracts';
import { type Did, randomBytes, toBase64url, utf8 } from '@salus/protocol';
import type { SyncedLog } from '@salus/vault';
import { AccessErrorCodes } from '../access/errors.ts';
import { RuleFault } from '../http/problems.ts';
import type { ResourceStore, StoredContent, StoredResource } from '../records/resource-store.ts';
import type { ScopedRecord } from './acting.ts';
import { commitDisclosure, type Disclosure, disclosureFormat, type LoggedDisclosure } from './disclosure.ts';
import type { Question } from './question.ts';

/** Entries that one question may release: the bound of a page, of `$everything`, of an export chunk. */
export const releasedEntriesMax = 50_000;

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

export interface FactSource {
  /** Reads ledger, directives and relationships; `undefined` for a patient who is not known here. */
  about(question: Question, patientId: string): PatientFacts | undefined;
  /** Height of the latest block. */
  height(): number;
  /** Resolves when what the ledger says by now has been taken in: directives opened, emergencies known. */
  ready(): Promise<void>;
  /** Whether the ledger does not know an emergency yet: it was opened while the ledger could not commit. */
  isWaiting(glass: string): boolean;
  /** The member or wallet as the disclosure names it. */
  requesterOf(question: Question): Disclosure['requester'];
}

/** What the gate writes to before it releases. */
export interface Recorder {
  /**
   * Commits `access/release`, taking one use of each counted directive. False where the ledger says that the basis no
   * longer holds (somebody else took the last use, a revocation came first); throws when it cannot commit.
   */
  release(disclosures: Made[]): Promise<boolean>;
  /** Wakes the task that anchors what the synced log holds. */
  wake(): void;
}

export interface GateParts {
  organization: Did;
  resources: ResourceStore;
  facts: FactSource;
  log: SyncedLog;
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

/**
 * The consent gate of one organisation: the only code that opens stored content (`tests/layout.test.ts`). Every exit
 * calls `release`; it decides entry by entry, records durably, and only then opens.
 */
export class ConsentGate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** Decides, and releases nothing: for counts and previews, which tell no more than a search would. */
  decide(question: Question, candidates: readonly StoredResource[]): GateAnswer {
    const decisions = new Map<StoredResource, consent.Decision>();
    const permitted: StoredResource[] = [];
    for (const [patientId, entries] of byPatient(candidates)) {
      const known = patientId === undefined ? undefined : this.#parts.facts.about(question, patientId);
      for (const entry of entries) {
        const decision = patientId === undefined ? this.#shared(question, entry) : this.#one(known, entry);
        if (decision === undefined) continue;
        decisions.set(entry, decision);
        if (decision.decision === 'permit') permitted.push(entry);
      }
    }
    return { permitted, decisions };
  }

  /**
   * Why nothing comes out, where the requester may know: who holds or held a grant learns that it is expired or used up.
   * Everybody else learns nothing, and neither does anybody of a revocation.
   */
  toldReason(question: Question, candidates: readonly StoredResource[]): 'expired' | 'used-up' | undefined {
    const reasons = [...this.decide(question, candidates).decisions.values()].map(({ reason }) => reason);
    return reasons.find((reason) => reason === 'expired' || reason === 'used-up');
  }

  /**
   * The way out. Decides, records each patient's disclosure (on the ledger first where content leaves the
   * organisation), then opens one entry after the other. Nothing is opened when recording fails.
   */
  async release(question: Question, candidates: readonly StoredResource[]): Promise<AsyncGenerator<Opened>> {
    await this.#parts.facts.ready();
    const { permitted, decisions } = this.decide(question, candidates);
    if (permitted.length > releasedEntriesMax) throw new RangeError('more entries than one question may release');
    const isRecorded = await this.#record(question, decisions);
    return this.#open(question, isRecorded ? permitted : [], decisions);
  }

  /**
   * A long answer asks again whenever the ledger has moved on: what was revoked meanwhile is not delivered. The use that
   * this very question took does not count against it.
   */
  async *#open(
    question: Question,
    entries: readonly StoredResource[],
    first: ReadonlyMap<StoredResource, consent.Decision>,
  ): AsyncGenerator<Opened> {
    let height = this.#parts.facts.height();
    let still: ReadonlySet<StoredResource> = new Set(entries);
    for (const [position, stored] of entries.entries()) {
      if (this.#parts.facts.height() !== height) {
        height = this.#parts.facts.height();
        const { decisions } = this.decide(question, entries.slice(position));
        still = new Set([...decisions].flatMap(([entry, now]) => (stillHolds(now, first.get(entry)) ? [entry] : [])));
      }
      if (still.has(stored)) yield { stored, content: await this.#parts.resources.open(stored) };
    }
  }

  /** Organisations, practitioners and places belong to nobody's record: any member may read them. */
  #shared(question: Question, entry: StoredResource): consent.Decision | undefined {
    if (entry.erased || question.requester.kind !== 'member') return undefined;
    const basis = { kind: 'rule', id: 'directory' } as const;
    return { decision: 'permit', reason: 'permitted', basis, obligations: [], flags: [], consumes: [] };
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
  async #record(question: Question, decisions: ReadonlyMap<StoredResource, consent.Decision>): Promise<boolean> {
    const leaves = this.#leavesHouse(question);
    const made: Made[] = [];
    for (const [patientId, entries] of byPatient([...decisions.keys()])) {
      const known = patientId === undefined ? undefined : this.#parts.facts.about(question, patientId);
      if (known === undefined) continue;
      for (const group of byBasis(entries, decisions)) {
        const disclosure = this.#disclosure(question, known, group);
        const consumes = union(group.decisions, (decision) => decision.consumes);
        const isWaiting = disclosure.basis?.kind === 'breakGlass' && this.#parts.facts.isWaiting(disclosure.basis.id);
        const needsLedger = (leaves || consumes.length > 0) && !isWaiting;
        const path = disclosure.outcome === 'denied' ? 'local' : needsLedger ? 'ledger' : 'batch';
        made.push({ logged: { disclosure, ...commitDisclosure(disclosure), path }, consumes });
      }
    }
    if (made.length === 0) return true;
    // The log comes first: what is on the ledger must be explainable, also after a crash in between.
    await this.#log(made.map(({ logged }) => logged));
    const onLedger = made.filter(({ logged }) => logged.path === 'ledger');
    const isTaken = onLedger.length === 0 || (await this.#place(onLedger));
    this.#parts.recorder.wake();
    return isTaken;
  }

  async #log(entries: readonly LoggedDisclosure[]): Promise<void> {
    const clockMs = this.#parts.clockMs();
    await Promise.all(entries.map((logged) => this.#parts.log.append(utf8(JSON.stringify(logged)), clockMs)));
  }

  /** Where the ledger cannot commit an emergency goes on: logged here, and anchored late with what is routine. */
  async #place(made: Made[]): Promise<boolean> {
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
  #leavesHouse({ requester, exit }: Question): boolean {
    if (exit === 'export') return true;
    return requester.kind === 'member' && requester.organization.did !== this.#parts.organization;
  }

  #disclosure(question: Question, known: PatientFacts, { entries, decisions }: Group): Disclosure {
    const [leading] = decisions;
    const released = leading?.decision === 'permit' ? entries : [];
    return {
      format: disclosureFormat,
      id: toBase64url(randomBytes(16)),
      patient: known.patient,
      custodian: this.#parts.organization,
      requester: this.#parts.facts.requesterOf(question),
      purpose: question.purpose,
      action: question.action,
      exit: question.exit,
      outcome: released.length > 0 ? 'released' : 'denied',
      reason: leading?.reason ?? 'no-applicable-rule',
      ...(leading?.basis && { basis: leading.basis }),
      obligations: union(decisions, (decision) => decision.obligations),
      flags: union(decisions, (decision) => decision.flags),
      records: released.map(({ record, version }) => [record, version]),
      timeMs: this.#parts.nowMs(),
    };
  }
}

interface Made {
  logged: LoggedDisclosure;
  consumes: string[];
}

/** Whether what was permitted may still go out: a use that ran out by this question's own doing does not stop it. */
export function stillHolds(now: consent.Decision, first: consent.Decision | undefined): boolean {
  return now.decision === 'permit' || (now.reason === 'used-up' && (first?.consumes.length ?? 0) > 0);
}

interface Group {
  entries: StoredResource[];
  decisions: consent.Decision[];
}

function union(decisions: readonly consent.Decision[], pick: (decision: consent.Decision) => string[]): string[] {
  return [...new Set(decisions.flatMap(pick))].sort();
}

/** Released entries by what permitted them; all denials of one question are one group. */
function byBasis(
  entries: readonly StoredResource[],
  decisions: ReadonlyMap<StoredResource, consent.Decision>,
): Iterable<Group> {
  const groups = new Map<string, Group>();
  for (const entry of entries) {
    const decision = decisions.get(entry);
    if (decision === undefined) continue;
    const isPermit = decision.decision === 'permit';
    const name = isPermit ? `${decision.basis?.kind} ${decision.basis?.id} ${decision.consumes.join(' ')}` : 'denied';
    const group = groups.get(name) ?? { entries: [], decisions: [] };
    group.entries.push(entry);
    group.decisions.push(decision);
    groups.set(name, group);
  }
  return groups.values();
}

function byPatient(entries: readonly StoredResource[]): Map<string | undefined, StoredResource[]> {
  const groups = new Map<string | undefined, StoredResource[]>();
  for (const entry of entries) {
    const group = groups.get(entry.patient);
    if (group === undefined) groups.set(entry.patient, [entry]);
    else group.push(entry);
  }
  return groups;
}
