import type { SealedRequest } from '@salus/api';
import type { IterableReader } from '@salus/contracts';
import { access, consent, governance, identity } from '@salus/contracts';
import type { Did } from '@salus/protocol';
import { isDid } from '@salus/protocol';
import type { GlassContent, LateGlass } from '../access/late-glass.ts';
import type { Relationships } from '../access/relationships.ts';
import type { Requester } from '../auth/requester.ts';
import type { KnownPatient, PatientDirectory } from '../records/patient-directory.ts';
import { Acting, type ScopedRecord } from './acting.ts';
import type { ContentStore } from './content-store.ts';
import type { Disclosure } from './disclosure.ts';
import type { FactSource, KnownFacts, PatientFacts } from './gate.ts';
import { decideOnKept, type Kept } from './kept.ts';
import { nobody } from './made.ts';
import type { Question } from './question.ts';

/** Age of majority of the jurisdiction pack, in years (decisions.md: evaluated by the gate, never on the ledger). */
const majorityYears = 18;
/** A head older than this says nothing about now: the local clock then decides what has expired. */
const headAgeMsMax = 60_000;

export interface FactParts {
  organization: Did;
  reader: IterableReader;
  head(): { height: number; timeMs: number };
  patients: PatientDirectory;
  contents: ContentStore;
  relationships: Relationships;
  /** The DID of somebody whom a member knows by an id of its own; undefined where only that member can tell. */
  personOf(organization: Did, id: string): Did | undefined;
  /** The name of one of this organisation's own people. */
  nameOf(person: Did): string | undefined;
  /** Resolves when the organisation has taken in what the ledger says by now. */
  ready(): Promise<void>;
  clockMs(): number;
}

/** A directive, and the authorities under which it was given and revoked, where that was not by the patient. */
interface ActedFact {
  fact: consent.DirectiveFact;
  givenUnder: string | undefined;
  revokedUnder: string | undefined;
  revokedMs: number;
}

interface Person {
  did: Did | undefined;
  organization: Did | undefined;
  roles: readonly string[];
}

interface Asking {
  question: Question;
  person: Person;
  known: KnownPatient;
  acting: Acting;
  kept: Kept;
  nowMs: number;
}

interface Requesting extends Pick<Asking, 'person' | 'acting' | 'kept' | 'nowMs'> {
  patient: Did;
}

/** Anyone: who has no organisation, role or name that a rule or directive could mean. */
const somebody: Person = { did: undefined, organization: undefined, roles: [] };

/** Who is to be registered: nothing stands about them anywhere. */
const newcomer: KnownPatient = { id: '', did: nobody, registered: false, names: [], identifiers: [], deceased: false };

/** Assembles what a decision is made from: ledger state, unsealed directives, relationships, block time. */
export class LedgerFacts implements FactSource {
  readonly #parts: FactParts;

  constructor(parts: FactParts) {
    this.#parts = parts;
  }

  height(): number {
    return this.#parts.head().height;
  }

  ready(): Promise<void> {
    return this.#parts.ready();
  }

  /** Block time decides, the same on all nodes; only when the ledger stands still does the local clock. */
  nowMs(): number {
    const { timeMs } = this.#parts.head();
    const clockMs = this.#parts.clockMs();
    return clockMs - timeMs > headAgeMsMax ? clockMs : timeMs;
  }

  /**
   * Who asked, for whoever reads the accounting: the person by the DID that the ledger or the organisation knows, and by
   * the name that the custodian knows, or the asking organisation vouches for.
   */
  requesterOf({ requester }: Question): Disclosure['requester'] {
    const { did, roles } = this.#person(requester);
    if (requester.kind === 'wallet' || requester.subject.kind === 'patient')
      return { ...(did && { person: did }), roles };
    const { organization, subject } = requester;
    const ownId = subject.kind === 'practitioner' && !isDid(subject.id) ? subject.id : undefined;
    const known = did && organization.did === this.#parts.organization ? this.#parts.nameOf(did) : undefined;
    const name = known ?? requester.name ?? ownId;
    return { organization: organization.did, ...(did && { person: did }), ...(name && { name }), roles };
  }

  /** Roles that count: those on the ledger where it knows the person. */
  rolesOf(requester: Requester): readonly string[] {
    return this.#person(requester).roles;
  }

  /** Block time, policy, ledger and what is kept here are those of the one moment at which `decide` runs. */
  async about<T>(question: Question, patientIds: readonly string[], decide: (facts: KnownFacts) => T): Promise<T> {
    const { patients, reader } = this.#parts;
    const dids = patientIds.flatMap((id) => patients.byId(id)?.did ?? []);
    const current = dids.map((did) => identity.currentPatient(reader, did)).filter(isDid);
    return await decideOnKept(this.#parts, [...dids, ...current], this.#didOf(question.requester), (kept) =>
      decide({
        patient: (id) => {
          const known = patients.byId(id);
          return known && this.#about(question, known, kept);
        },
        newcomer: () => this.#about(question, newcomer, kept),
      }),
    );
  }

  #about(question: Question, known: KnownPatient, kept: Kept): PatientFacts | undefined {
    const nowMs = this.nowMs();
    const policy = this.#policy(nowMs);
    if (policy === undefined) return undefined;
    const subject = identity.patient(this.#parts.reader, known.did);
    const person = this.#person(question.requester);
    const breakGlass = this.#breakGlass(person, known.did, kept);
    const deceased = subject?.status === 'deceased' || known.deceased;
    const { majorityMs } = majorityOf(known);
    const acting = (patient: Did): Acting => new Acting({ ...this.#parts, kept, patient, deceased, majorityMs, nowMs });
    const own = acting(known.did);
    const { purpose, action, legalBasis, asks } = question;
    const facts: PatientFacts['facts'] = {
      requester: this.#requester({ question, person, known, acting: own, kept, nowMs }),
      purpose,
      action,
      subject: { ...(majorityMs !== undefined && { majorityMs }), deceased },
      policy,
      nowMs,
      ...(asks !== undefined && { asks }),
      ...(breakGlass && { breakGlass }),
      ...(legalBasis !== undefined && { legalBasis }),
    };
    const merged = this.#mergedWith(known.did, kept);
    const directives = [known.did, ...merged].map((did) =>
      directivesUnder(this.#directives(did, kept, nowMs), did === known.did ? own : acting(did)),
    );
    return {
      facts,
      patient: known.did,
      mergedWith: merged,
      directives: (record) => directives.flatMap((of) => of(record)),
      request: this.#request({ person, patient: known.did, acting: own, kept, nowMs }),
    };
  }

  #policy(nowMs: number): consent.Policy | undefined {
    const [active] = governance.activePolicies(this.#parts.reader, nowMs);
    return active && consent.policyFact(active);
  }

  #person(requester: Requester): Person {
    if (requester.kind === 'wallet') return { did: requester.did, organization: undefined, roles: [] };
    const { organization, subject, roles } = requester;
    // A patient for whom an organisation speaks is nobody of that organisation: what it may do is not theirs to do.
    if (subject.kind === 'patient') return somebody;
    if (!this.#isInStanding(organization.did)) return somebody;
    if (subject.kind === 'system') return { did: undefined, organization: organization.did, roles };
    const did = this.#didOf(requester);
    const known = did && identity.participant(this.#parts.reader, did);
    if (known === undefined) {
      // An id that means something at that organisation alone is its word; a DID that nobody registered names nobody.
      return { did: isDid(subject.id) ? undefined : did, organization: organization.did, roles };
    }
    // No organisation speaks for somebody else's people, for patients and their delegates, or for who is suspended.
    const speaks = known.kind === 'practitioner' && known.registeredBy === organization.did;
    if (!speaks || known.status !== 'active') return somebody;
    return { did, organization: organization.did, roles: known.roles };
  }

  /** Who a token or wallet says that somebody is, whatever the ledger says of them. */
  #didOf(requester: Requester): Did | undefined {
    if (requester.kind === 'wallet') return requester.did;
    const { organization, subject } = requester;
    if (subject.kind !== 'practitioner') return undefined;
    return isDid(subject.id) ? subject.id : this.#parts.personOf(organization.did, subject.id);
  }

  /** A member that the consortium suspended (governance) opens nothing elsewhere; care in its own house goes on. */
  #isInStanding(organization: Did): boolean {
    const { reader, organization: own } = this.#parts;
    return organization === own || identity.isInStanding(identity.organisation(reader, organization), this.nowMs());
  }

  #requester({ question, person, known, acting, kept, nowMs }: Asking): consent.RequesterFact {
    const { requester } = question;
    const { organization, reader } = this.#parts;
    const own =
      requester.kind === 'member' &&
      requester.subject.kind === 'patient' &&
      requester.organization.did === organization &&
      requester.subject.id === known.id;
    const memberClass = person.organization && governance.memberClass(reader, person.organization);
    const role = person.organization && identity.organisation(reader, person.organization)?.role;
    const authority = person.did && acting.of(person.did, question.authority);
    const tied = kept.has(known.did, person.did, 'personalTie', nowMs);
    return {
      ...(person.did && { person: person.did }),
      ...(person.organization && { organization: person.organization }),
      ...(memberClass && { organizationClass: memberClass }),
      ...(role && { organizationRole: role }),
      roles: [...person.roles],
      inCareTeam: kept.has(known.did, person.did, 'careTeam', nowMs),
      isSubject: own || (requester.kind === 'wallet' && requester.did === known.did),
      ...(authority && { authority }),
      ...(tied && { signals: ['personal-tie'] }),
    };
  }

  #directives(patient: Did, kept: Kept, nowMs: number): ActedFact[] {
    const { reader } = this.#parts;
    const contents = kept.contents(patient)?.of<consent.DirectiveContent>('directive') ?? [];
    return contents.map((content) => {
      const state = consent.directiveState(reader, content.id, nowMs);
      const entry = consent.directive(reader, content.id);
      // Who gave it stands on the ledger: what the content says of its issuer is only a claim.
      const fact = { content: { ...content, issuer: entry?.authority ?? content.patient }, ...(state && { state }) };
      return {
        fact,
        givenUnder: entry?.authority,
        revokedUnder: entry?.revokedUnder,
        revokedMs: entry?.revokedMs ?? 0,
      };
    });
  }

  /** Pseudonyms of this custodian that are merged with this one now (identity contract). */
  #mergedWith(did: Did, kept: Kept): Did[] {
    const { reader } = this.#parts;
    const current = identity.currentPatient(reader, did);
    const candidates = new Set<string>([current, ...kept.others(current, 'merged')]);
    candidates.delete(did);
    return [...candidates].filter(isDid).filter((other) => identity.currentPatient(reader, other) === current);
  }

  /** The latest request of the same person and organisation that was sealed to this custodian. */
  #request({ person, patient, acting, kept, nowMs }: Requesting): PatientFacts['request'] {
    const none = (): undefined => undefined;
    if (person.did === undefined || person.organization === undefined) return none;
    const requests = kept.contents(patient)?.of<SealedRequest>('request') ?? [];
    const [latest] = requests
      .filter((request) => request.person === person.did && request.organization === person.organization)
      .flatMap((request) => {
        const entry = access.request(this.#parts.reader, request.id);
        return entry === undefined ? [] : [{ request, entry }];
      })
      .sort((a, b) => b.entry.openedMs - a.entry.openedMs);
    if (latest === undefined) return none;
    const { request, entry } = latest;
    // An answer that names a directive is that directive: its extent, its end and its revocation count.
    if (entry.directive !== undefined) return none;
    const status = access.requestStatusOf(entry, nowMs);
    const fact: consent.RequestFact = {
      id: request.id,
      status: status === 'expired' ? 'permitted' : status,
      ...(entry.untilMs !== undefined && { untilMs: entry.untilMs }),
      purposes: [request.purpose],
      actions: request.actions,
      what: request.what,
    };
    const under = entry.decidedUnder;
    if (under === undefined) return () => fact;
    return (record) => ({ ...fact, deciderInForce: acting.coversNow(under, 'decide', record) });
  }

  #breakGlass({ did: who, organization }: Person, patient: Did, kept: Kept): consent.AccessFacts['breakGlass'] {
    if (who === undefined) return undefined;
    const { reader } = this.#parts;
    const contents = kept.contents(patient)?.of<GlassContent>('glass') ?? [];
    const late = contents.flatMap((content) => content.late ?? []);
    const endedMs = new Map(late.map(({ glass, windowUntilMs }) => [glass, windowUntilMs]));
    const placed = kept.others(patient, 'glass').flatMap((glass): OpenWindow[] => {
      const entry = access.glass(reader, glass);
      if (entry === undefined || entry.refused) return [];
      // What was opened without the ledger and recorded there later does not get a second window.
      const windowUntilMs = Math.min(entry.untilMs, endedMs.get(glass) ?? entry.untilMs);
      return [{ ...entry, glass, windowUntilMs }];
    });
    const waiting = late.filter(({ glass }) => access.glass(reader, glass) === undefined);
    const [latest] = [...placed, ...waiting]
      .filter((window) => window.practitioner === who && window.organisation === organization)
      .sort((a, b) => b.windowUntilMs - a.windowUntilMs);
    return latest && { id: latest.glass, role: latest.profession, windowUntilMs: latest.windowUntilMs };
  }

  /** An emergency that was opened while the ledger could not commit, and that it does not know yet. */
  isWaiting(glass: string): boolean {
    return access.glass(this.#parts.reader, glass) === undefined;
  }
}

type OpenWindow = Pick<LateGlass, 'glass' | 'practitioner' | 'organisation' | 'profession' | 'windowUntilMs'>;

/** Directives as they count for one record: the scope of an authority may reach one record and not another. */
function directivesUnder(
  acted: readonly ActedFact[],
  acting: Acting,
): (record: ScopedRecord) => consent.DirectiveFact[] {
  const all = acted.map(({ fact }) => fact);
  if (acted.every(({ givenUnder, revokedUnder }) => givenUnder === undefined && revokedUnder === undefined)) {
    return () => all;
  }
  return (record) => acted.map((one) => countedFor(one, record, acting));
}

function countedFor(
  { fact, givenUnder, revokedUnder, revokedMs }: ActedFact,
  record: ScopedRecord,
  acting: Acting,
): consent.DirectiveFact {
  const { content, state } = fact;
  if (state === undefined) return fact;
  const issuerInForce =
    state.issuerInForce === true && (givenUnder === undefined || acting.coversNow(givenUnder, 'grant', record));
  // Taking back a permit needs no scope; taking back a denial opens, and needs it.
  const isVoid =
    content.effect === 'deny' &&
    state.status === 'revoked' &&
    revokedUnder !== undefined &&
    !acting.covers(revokedUnder, 'grant', record, revokedMs);
  return { content, state: { ...state, issuerInForce, status: isVoid ? 'active' : state.status } };
}

function majorityOf({ birthDate }: KnownPatient): { majorityMs?: number } {
  const match = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$/.exec(birthDate ?? '');
  if (match === null) return {};
  // Of a date that is known in part the first day counts: a parent's authority rather ends early.
  const [, year, month = '01', day = '01'] = match;
  return { majorityMs: Date.UTC(Number(year) + majorityYears, Number(month) - 1, Number(day)) };
}
