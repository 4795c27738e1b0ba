import { isSealedRequest, type SealedRequest, sealedContext, sealedRequestFormat } from '@salus/api';
import { access, consent, identity } from '@salus/contracts';
import {
  canonicalJson,
  type Did,
  type EcPrivateJwk,
  type EcPublicJwk,
  generateSigningKey,
  isDid,
  type JsonValue,
  randomId,
  utf8,
  utf8Text,
} from '@salus/protocol';
import { encodeSealed, openSealed, parseSealed, sealPayload } from '@salus/vault';
import type { Transaction } from 'kysely';
import { Compile } from 'typebox/compile';
import type { Requester } from '../auth/requester.ts';
import type { BlockGap } from '../events/cursors.ts';
import { organizationTopic } from '../events/notices.ts';
import { AccountingIndex } from '../gate/accounting-index.ts';
import { authorityName } from '../gate/acting.ts';
import {
  commitDisclosure,
  type Disclosure,
  disclosureFormat,
  type LoggedDisclosure,
  type StaffAct,
} from '../gate/disclosure.ts';
import { LedgerFacts } from '../gate/facts.ts';
import { ConsentGate } from '../gate/gate.ts';
import { LogAnchor } from '../gate/log-anchor.ts';
import { newDisclosureId } from '../gate/made.ts';
import { LedgerRecorder } from '../gate/recorder.ts';
import type { NodeContext } from '../node/start-node.ts';
import { staffDid } from '../orgs/staff.ts';
import { type StaffDirectory, staffDirectory } from '../orgs/staff-directory.ts';
import type { Peers } from '../peers/peers.ts';
import type { OrganizationRecords } from '../records/organization-records.ts';
import type { OrganizationTables } from '../store/tables.ts';
import type { Exchange } from './exchange.ts';
import { type Handled, Inbox, type InboxEvent } from './inbox.ts';
import { type GlassContent, type LateGlass, LateGlasses } from './late-glass.ts';
import { Linking } from './linking.ts';
import { withLedger } from './outage.ts';
import { Relationships } from './relationships.ts';
import { unseenEvents } from './unseen.ts';

const authorityContent = Compile(identity.AuthorityContentSchema);

/** Sealed to in place of somebody who has no wallet, or does not exist: it costs the same, and nobody keeps its other half. */
const nobodysKey = generateSigningKey();

/** The DID of one of a hosted member's people; what another node's member calls its people, only that member knows. */
function personAt({ organizations }: NodeContext, member: Did, id: string): Did | undefined {
  const hosted = [...organizations.values()].find(({ profile }) => profile.did === member);
  return hosted && staffDid(hosted.keys.all, id);
}

type Tx = Transaction<OrganizationTables>;

interface Opened {
  content: unknown;
}

interface DeskParts {
  context: NodeContext;
  records: OrganizationRecords;
  exchange: Exchange;
  peers: Peers;
  staff: StaffDirectory;
}

/**
 * One organisation's dealings with access: it follows the ledger, opens what is sealed to the organisation, feeds the
 * gate with facts, and tells patients and staff.
 */
export class AccessDesk {
  readonly records: OrganizationRecords;
  readonly relationships: Relationships;
  readonly staff: StaffDirectory;
  readonly index: AccountingIndex;
  readonly facts: LedgerFacts;
  readonly recorder: LedgerRecorder;
  readonly logAnchor: LogAnchor;
  readonly linking: Linking;
  readonly lateGlasses: LateGlasses;
  readonly #context: NodeContext;
  readonly #exchange: Exchange;
  readonly #peers: Peers;
  readonly #inbox: Inbox;

  private constructor({ context, records, exchange, peers, staff }: DeskParts) {
    const { organization, vault, patients, content, resources } = records;
    const { ledger, reader, log, feed, clockMs } = context;
    const { did, slug } = organization.profile;
    const onError = (error: unknown): void => log.fault('', `access at ${slug}`, error);
    this.records = records;
    this.#context = context;
    this.#exchange = exchange;
    this.#peers = peers;
    this.relationships = new Relationships(organization.store);
    this.staff = staff;
    this.index = new AccountingIndex(organization.store, vault);
    this.linking = new Linking(organization, ledger);
    this.lateGlasses = new LateGlasses({ organization, reader, nowMs: context.nowMs, onError });
    this.#inbox = new Inbox({
      store: organization.store,
      feed,
      name: 'access',
      clockMs,
      missing: (event, tx) => this.#missing(event, tx),
      told: () => organization.notices.wake(),
      handle: (event, tx) => this.#handle(event, tx),
      settled: () => this.#settled(),
      take: (event) => this.#take(event),
      unseen: (gap, tx) => this.#unseen(gap, tx),
      onError,
    });
    this.facts = new LedgerFacts({
      organization: did,
      reader,
      head: () => ledger.head(),
      patients,
      contents: content,
      relationships: this.relationships,
      personOf: (member, id) => personAt(context, member, id),
      nameOf: (person) => this.staff.get(person)?.name ?? this.staff.get(person)?.id,
      ready: () => this.#inbox.ready(),
      clockMs,
    });
    this.recorder = new LedgerRecorder({
      organization,
      ledger,
      reader,
      log: vault.log,
      index: this.index,
      clockMs,
      onError,
    });
    this.logAnchor = new LogAnchor({ organization, reader, log: vault.log, onError });
    const nowMs = (): number => this.facts.nowMs();
    const { facts, recorder } = this;
    records.useGate(new ConsentGate({ organization: did, resources, facts, log: vault.log, recorder, nowMs, clockMs }));
  }

  static async open(
    context: NodeContext,
    records: OrganizationRecords,
    exchange: Exchange,
    peers: Peers,
  ): Promise<AccessDesk> {
    const staff = await staffDirectory(records.organization.store, records.vault);
    return new AccessDesk({ context, records, exchange, peers, staff });
  }

  start(): void {
    this.#inbox.start();
    this.#exchange.listen(() => this.#inbox.arrived());
    this.recorder.wake();
    this.logAnchor.start();
    this.lateGlasses.start();
  }

  async close(): Promise<void> {
    await this.#inbox.close();
    await this.lateGlasses.close();
    await this.logAnchor.close();
    await this.recorder.close();
  }

  get did(): Did {
    return this.records.organization.profile.did;
  }

  #isMine({ attributes }: InboxEvent): boolean {
    return attributes.custodian === this.did;
  }

  /** What takes effect at once, inside the transaction that moves the cursor. */
  async #handle(event: InboxEvent, tx: Tx): Promise<Handled> {
    const { type, attributes } = event;
    const patient = String(attributes.patient ?? '');
    const isMine = this.#isMine(event);
    switch (type) {
      case 'identity/OrganisationUpdated':
        this.#peers.moved(String(attributes.participant) as Did);
        return 'nothing';
      case 'identity/PatientsMerged':
        await this.relationships.add(tx, String(attributes.survivor), String(attributes.participant), 'merged');
        return 'effect';
      case 'identity/AuthorityGranted':
        return this.records.patients.byDid(patient as Did) === undefined ? 'nothing' : 'work';
      case 'access/GlassBroken':
        if (!isMine) return 'nothing';
        await this.relationships.add(tx, patient, String(attributes.glass), 'glass');
        await this.#notify(tx, [patient, organizationTopic], event);
        return 'work';
      case 'access/GlassAlarm':
        return await this.#notify(tx, isMine ? [organizationTopic] : [], event);
      case 'access/Decided':
        return await this.#notify(
          tx,
          [attributes.requester === this.did ? organizationTopic : [], isMine ? patient : []].flat(),
          event,
        );
      case 'access/Released':
      case 'access/GlassReviewed':
        return await this.#notify(tx, isMine ? [patient] : [], event);
      default:
        return isMine && (type === 'access/Requested' || type === 'consent/Granted') ? 'work' : 'nothing';
    }
  }

  /** What the ledger brought is durable: the gate knows of it from now on, and so may everybody. */
  #settled(): void {
    this.relationships.settled();
    this.records.organization.notices.wake();
  }

  async #unseen(gap: BlockGap, tx: Tx): Promise<InboxEvent[]> {
    const { patients, content } = this.records;
    await this.#notify(tx, [organizationTopic], { type: 'ledger/Gap', attributes: { ...gap } });
    const all = [...patients.all()];
    const known = await content.names(
      tx,
      all.map(({ did }) => did),
    );
    return unseenEvents(this.#context.reader, this.did, all, known);
  }

  /** The ledger has it and its content has not come: the patient's wallet can send it again, staff can ask for it. */
  async #missing({ type, attributes }: InboxEvent, tx: Tx): Promise<void> {
    const event = { type: 'access/EnvelopeMissing', attributes: { ...attributes, of: type } };
    const { patient } = attributes;
    await this.#notify(tx, [isDid(patient) ? patient : [], organizationTopic].flat(), event);
  }

  /** What of the ledger cannot be read yet, because its envelopes have not come. */
  missing(): Promise<{ events: number; sinceMs?: number }> {
    return this.#inbox.waiting();
  }

  /** References only: who reads a notice fetches what it points at. Readers are woken when the transaction is durable. */
  async #notify(tx: Tx, topics: readonly string[], { type, attributes }: InboxEvent): Promise<Handled> {
    for (const topic of topics) await this.records.organization.notices.add(tx, { topic, type, data: attributes });
    return topics.length > 0 ? 'effect' : 'nothing';
  }

  async #take(event: InboxEvent): Promise<boolean> {
    const { attributes, type } = event;
    switch (type) {
      case 'consent/Granted':
        return await this.#takeDirective(String(attributes.directive));
      case 'access/Requested':
        return await this.#takeRequest(String(attributes.request), event);
      case 'identity/AuthorityGranted':
        return await this.#takeAuthority(String(attributes.patient) as Did, String(attributes.authority));
      case 'access/GlassBroken':
        return await this.#takeGlass(String(attributes.glass));
      default:
        return true;
    }
  }

  /** The content behind a commitment, opened with this organisation's key; undefined while no envelope is there. */
  async open(type: string, id: string, commitment: string): Promise<unknown> {
    const context = sealedContext(this.#context.chain, type, id);
    for (const bytes of await this.#exchange.get(commitment)) {
      const opened = await this.#openOne(bytes, { context, commitment });
      if (opened === undefined) continue;
      await this.#exchange.opened(commitment, bytes);
      return opened.content;
    }
    return undefined;
  }

  async #openOne(bytes: Uint8Array, options: { context: string; commitment: string }): Promise<Opened | undefined> {
    for (const privateJwk of this.records.organization.keys.opening()) {
      try {
        const { content } = await openSealed(parseSealed(bytes), privateJwk as unknown as EcPrivateJwk, options);
        return { content: JSON.parse(utf8Text(content)) };
      } catch {
        // Sealed to an earlier key, or somebody else's envelope under the same commitment: the next one may be right.
      }
    }
    return undefined;
  }

  /** Seals for members and patients by the keys that the ledger names, and leaves the envelope where they look for it. */
  async seal(type: string, id: string, content: unknown, parties: readonly Did[]): Promise<string> {
    const { chain, reader, nowMs } = this.#context;
    const { publicJwk: nobody } = await nobodysKey;
    const recipients = parties.map((did) => {
      const [key] = identity.activeKeys(reader, did, 'encrypt', nowMs());
      return key === undefined ? nobody : (key.jwk as EcPublicJwk);
    });
    const bytes = utf8(canonicalJson(content as JsonValue));
    const sealed = await sealPayload({ content: bytes, recipients, context: sealedContext(chain, type, id) });
    await this.#peers.leave(this.records.organization, encodeSealed(sealed.envelope), parties);
    return sealed.commitment;
  }

  async #takeDirective(id: string): Promise<boolean> {
    const entry = consent.directive(this.#context.reader, id);
    if (entry === undefined) return true;
    const content = await this.open('consent/grant', id, entry.commitment);
    if (content === undefined) return false;
    if (!consent.isDirectiveContent(content)) return true;
    const matches = content.id === id && content.patient === entry.patient && content.custodian === this.did;
    if (matches) await this.records.content.put('directive', id, entry.patient, content);
    return true;
  }

  async #takeRequest(id: string, event: InboxEvent): Promise<boolean> {
    const entry = access.request(this.#context.reader, id);
    if (entry === undefined) return true;
    const content = await this.open('access/request', id, entry.commitment);
    if (content === undefined) return false;
    if (!isSealedRequest(content)) return true;
    const { patient, requester } = entry;
    const matches = content.id === id && content.patient === patient && content.organization === requester;
    if (!matches) return true;
    await this.records.content.put('request', id, patient, content);
    const { notices, store } = this.records.organization;
    await store.commit((tx) => this.#notify(tx, [patient], event));
    notices.wake();
    return true;
  }

  async #takeAuthority(patient: Did, id: string): Promise<boolean> {
    const entry = identity.authority(this.#context.reader, patient, id);
    if (entry === undefined) return true;
    const opened = await this.open('identity/authority', id, entry.commitment);
    if (opened === undefined) return false;
    if (!authorityContent.Check(opened)) return true;
    if (opened.patient === patient && opened.holder === entry.holder) {
      await this.records.content.put('authority', authorityName(patient, id), patient, opened);
    }
    return true;
  }

  async #takeGlass(id: string): Promise<boolean> {
    const entry = access.glass(this.#context.reader, id);
    if (entry === undefined) return true;
    const content = await this.open('access/breakGlass', id, entry.reason);
    if (content === undefined) return false;
    await this.records.content.put('glass', id, entry.patient, content);
    return true;
  }

  /**
   * Writes down what staff does about a patient that gives nothing out, and decides who may: in the synced log before it
   * takes effect, anchored with what is routine, and so in the patient's accounting and in the audit, by person.
   */
  async note(requester: Requester, exit: StaffAct, patient: Did): Promise<void> {
    const purpose = 'HOPERAT';
    const disclosure: Disclosure = {
      ...{ format: disclosureFormat, id: newDisclosureId(), patient, custodian: this.did },
      requester: this.facts.requesterOf({ requester, purpose, action: 'read', exit: 'read' }),
      ...{ purpose, action: exit, exit, outcome: 'issued', reason: 'permitted' },
      ...{ obligations: [], flags: [], records: [], timeMs: this.facts.nowMs() },
    };
    const logged: LoggedDisclosure = { disclosure, ...commitDisclosure(disclosure), path: 'batch' };
    await this.records.vault.log.append(utf8(JSON.stringify(logged)), this.#context.clockMs());
    this.recorder.wake();
  }

  /**
   * Opens a window for an emergency while the ledger cannot commit: durable in the log and among what is sealed here,
   * anchored late, and told to patient and officer at once.
   */
  async openWithoutLedger(patient: Did, content: GlassContent, late: LateGlass, alarm: boolean): Promise<void> {
    const { organization, content: contents, vault } = this.records;
    const { glass, practitioner, organisation, openedMs, windowUntilMs: untilMs } = late;
    const disclosure: Disclosure = {
      format: disclosureFormat,
      id: randomId(),
      patient,
      custodian: this.did,
      requester: { organization: organisation, person: practitioner, roles: [late.profession] },
      purpose: 'ETREAT',
      action: 'read',
      exit: 'emergency',
      outcome: 'opened',
      reason: 'permitted',
      basis: { kind: 'breakGlass', id: glass },
      obligations: ['notify', 'review'],
      flags: ['late'],
      records: [],
      timeMs: openedMs,
    };
    const logged: LoggedDisclosure = { disclosure, ...commitDisclosure(disclosure), path: 'batch' };
    await vault.log.append(utf8(JSON.stringify(logged)), openedMs);
    await contents.put('glass', glass, patient, content);
    const attributes = { glass, custodian: this.did, patient, practitioner, organisation, untilMs };
    await organization.store.commit(async (tx) => {
      await this.#notify(tx, [patient, organizationTopic], { type: 'access/GlassBroken', attributes });
      if (alarm) await this.#notify(tx, [organizationTopic], { type: 'access/GlassAlarm', attributes });
    });
    organization.notices.wake();
    this.recorder.wake();
  }

  /** Asks a patient, in the name of one of this organisation's people. Tells nothing of whether the patient exists. */
  async request(input: Omit<SealedRequest, 'format' | 'id' | 'organization' | 'organizationName'>): Promise<string> {
    const id = randomId();
    const { did, name } = this.records.organization.profile;
    const content: SealedRequest = {
      ...input,
      format: sealedRequestFormat,
      id,
      organization: did,
      organizationName: name,
    };
    const commitment = await this.seal('access/request', id, content, [input.custodian, input.patient]);
    const { custodian, patient } = input;
    const message = { type: 'access/request', request: id, custodian, patient, commitment };
    await withLedger(() => this.records.organization.execute([message]));
    return id;
  }
}
