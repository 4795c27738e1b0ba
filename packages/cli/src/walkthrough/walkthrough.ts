import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '@salus/api';
import type { Did } from '@salus/protocol';
import { randomBytes, randomId, toBase64url, utf8 } from '@salus/protocol';
import { type OrganizationKeys, readOrganization, staffDid } from '@salus/server';
import { problemOfError } from '../cli.ts';
import { link } from '../wallet/linking.ts';
import { Wallet } from '../wallet/wallet.ts';
import type { WalletContext } from '../wallet/wallet-state.ts';
import { explanations, type StepName } from './explanations.ts';
import { forgeAsPatient, forgeFromOldApproval, forgeWithNodeKeys } from './forgeries.ts';
import { type Custodian, loadPeople, type People, type Person } from './people.ts';
import { WalletProcess } from './processes.ts';
import { ReceiptFolder } from './receipts.ts';
import type { Stage } from './stage.ts';

const passphraseBytes = 18;
const doctorId = 'doctor-1';
/** A sealed request goes from the clinic's node to the hospital's: how long a wallet looks for it. */
const requestWaitMsMax = 60_000;
const requestPauseMs = 250;
/** Transactions of one patient at one custodian of which receipts are collected. */
const receiptsMax = 50;
export interface Step {
  name: string;
  ok: boolean;
  ms: number;
  /** What happened, in numbers. */
  detail: string;
}

export interface WalkthroughReport {
  ok: boolean;
  patients: number;
  resources: number;
  steps: Step[];
  receipts: string[];
}

export interface WalkthroughOptions {
  bundles: readonly string[];
  out: string;
  patientsMax: number;
  stage: Stage;
  /** Told what comes next, and what it means to somebody who has never seen a ledger. */
  explain(name: string, text: string): void;
  done(step: Step): void;
}

/** A patient on the way through: pseudonym and FHIR id at each custodian, and a wallet process. */
interface Traveller {
  person: Person;
  at: Map<Custodian, { id: string; did: Did }>;
  wallet: WalletProcess;
  request: string;
  /** The transaction in which the patient approved. */
  approval: string;
  grants: string[];
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What a check found to be wrong, in words. */
class Failed extends Error {}

function ensure(holds: boolean, what: string): void {
  if (!holds) throw new Failed(what);
}

function toldOf(error: unknown): string {
  const { title, detail, advice } = problemOfError(error);
  return [detail ?? title, advice].filter((text, at, all) => all.indexOf(text) === at).join(' ');
}

/** The main job from end to end: real processes, real records, each step checked. */
export class Walkthrough {
  readonly #options: WalkthroughOptions;
  readonly #stage: Stage;
  readonly #steps: Step[] = [];
  readonly #travellers: Traveller[] = [];
  #people: People = { directories: [], people: [] };
  #receipts: ReceiptFolder | undefined;
  #resources = 0;

  constructor(options: WalkthroughOptions) {
    this.#options = options;
    this.#stage = options.stage;
  }

  async run(): Promise<WalkthroughReport> {
    try {
      for (const [name, work] of this.#plan()) {
        if (!(await this.#step(name, work))) break;
      }
    } finally {
      await this.close();
    }
    const ok = this.#steps.length === this.#plan().length && this.#steps.every((step) => step.ok);
    const receipts = this.#receipts?.files ?? [];
    return { ok, patients: this.#people.people.length, resources: this.#resources, steps: this.#steps, receipts };
  }

  /** Ends the processes and removes what was not asked to be kept; also in the middle. */
  async close(): Promise<void> {
    await Promise.all(this.#travellers.map(({ wallet }) => wallet.stop()));
    await this.#stage.close();
  }

  #plan(): [name: StepName, work: () => Promise<string>][] {
    // What is read is divided among the custodians that are there; without bundles that depends on the node.
    const isOwn = this.#stage.isOwn;
    const reach = this.#stage.isNetwork ? 'reach members' : 'reach node';
    const opening: [StepName, () => Promise<string>] = [isOwn ? 'start node' : reach, () => this.#start()];
    const others: [StepName, () => Promise<string>] = ['nobody else', () => this.#expectNothingForOthers()];
    const reading: [StepName, () => Promise<string>] = ['read bundles', () => this.#read()];
    return [
      ...(isOwn ? [reading, opening] : [opening, reading]),
      ['import', () => this.#import()],
      ['link wallets', () => this.#link()],
      ['no access yet', () => this.#expectNothing()],
      ['ask', () => this.#ask()],
      ['forged approvals', () => this.#forge()],
      ['approve', () => this.#approve()],
      ['old approvals', () => this.#replay()],
      ['read', () => this.#readRecords()],
      ...(this.#stage.isNetwork ? [others] : []),
      ['one history', () => this.#history()],
      ['who looked', () => this.#whoLooked()],
      ['revoke', () => this.#revoke()],
      ['collect proofs', () => this.#collect()],
      [isOwn ? 'verify offline' : 'verify', () => this.#verify()],
    ];
  }

  async #step(name: StepName, work: () => Promise<string>): Promise<boolean> {
    this.#options.explain(name, explanations[name]);
    const startMs = performance.now();
    let step: Step;
    try {
      if (this.#steps.length > 0 && name !== 'read bundles') await this.#stage.settle();
      const detail = await work();
      step = { name, ok: true, ms: Math.round(performance.now() - startMs), detail };
    } catch (error) {
      const detail = error instanceof Failed ? error.message : toldOf(error);
      step = { name, ok: false, ms: Math.round(performance.now() - startMs), detail };
    }
    this.#steps.push(step);
    this.#options.done(step);
    return step.ok;
  }

  async #read(): Promise<string> {
    const { bundles, patientsMax } = this.#options;
    // A patient has one wallet: on a node that was walked through before, others come.
    const seed = this.#stage.isOwn ? undefined : randomId();
    this.#people = await loadPeople(bundles, patientsMax, this.#stage.custodians, seed);
    const { people, directories } = this.#people;
    const counts = people.map(({ parts }) => parts.length);
    return `${people.length} patients, ${directories.length} directories, each at ${Math.min(...counts)} to ${Math.max(...counts)} custodians`;
  }

  async #start(): Promise<string> {
    const what = await this.#stage.open();
    // What happened between others is proven by the regulator's node, where there are several.
    this.#receipts = new ReceiptFolder(this.#options.out, this.#stage.urlOf('regulator'));
    await this.#receipts.pinAnchor();
    // Whoever asks is known to the ledger: under a pseudonym of their employer, with a role, and without a name.
    const body = { id: doctorId, roles: ['doctor'] };
    await this.#client('clinic').registerPractitioner({ params: { slug: 'clinic' }, body });
    return what;
  }

  #keys(slug: string): { keys: OrganizationKeys; chain: string } {
    const { keys, directory } = readOrganization(this.#stage.dataDirOf(slug), slug);
    return { keys, chain: directory.manifest.chain };
  }

  /** A client with a token of an organisation's system, or of its doctor. */
  #client(slug: string, who: 'system' | 'doctor' = 'system'): Client {
    const { keys, chain } = this.#keys(slug);
    const doctor = { kind: 'practitioner' as const, id: staffDid(keys.all, doctorId) };
    const token = async (): Promise<string> =>
      who === 'system'
        ? await keys.token({ chain, subject: { kind: 'system' }, nowMs: Date.now() })
        : await keys.token({
            chain,
            subject: doctor,
            roles: ['doctor'],
            purpose: 'TREAT',
            impersonated: true,
            nowMs: Date.now(),
          });
    return createClient({ baseUrl: this.#stage.urlOf(slug), token });
  }

  async #import(): Promise<string> {
    for (const slug of this.#stage.custodians) {
      for (const body of this.#people.directories) await this.#importOne(slug, body);
    }
    for (const person of this.#people.people) {
      const at: Traveller['at'] = new Map();
      for (const { custodian, bundle } of person.parts) {
        const [patient] = await this.#importOne(custodian, bundle);
        ensure(patient !== undefined, `no patient came out of part ${person.number} at ${custodian}`);
        if (patient !== undefined) at.set(custodian, { id: patient.id, did: patient.did as Did });
      }
      const secret = toBase64url(randomBytes(passphraseBytes));
      const dir = this.#stage.wallet(String(person.number), secret);
      const wallet = new WalletProcess(dir, secret, this.#stage.environment);
      this.#travellers.push({ person, at, wallet, request: '', approval: '', grants: [] });
    }
    return `${this.#resources} resources`;
  }

  async #importOne(slug: string, body: Uint8Array): Promise<{ id: string; did: string }[]> {
    const report = await this.#client(slug).importRecords({ params: { slug }, body: oneChunk(body) });
    const [error] = report.errors;
    ensure(report.rejected === 0 && report.complete, `import at ${slug}: ${error?.code} ${error?.message}`);
    this.#resources += report.accepted;
    return report.patients;
  }

  async #link(): Promise<string> {
    let contexts = 0;
    for (const { at, wallet } of this.#travellers) {
      await wallet.run('create');
      for (const [slug, { id }] of at) {
        const { code } = await this.#client(slug).createLinkingCode({ params: { slug }, body: { patient: id } });
        await wallet.run('link', code, '--org', slug, '--url', this.#stage.urlOf(slug));
        contexts += 1;
      }
    }
    return `${this.#travellers.length} wallets, ${contexts} contexts`;
  }

  async #fhir(path: string): Promise<{ status: number; body: { entry?: unknown[] } }> {
    return await this.#fhirAs('clinic', { kind: 'practitioner', id: this.#doctor() }, path);
  }

  #doctor(): Did {
    return staffDid(this.#keys('clinic').keys.all, doctorId);
  }

  /** What somebody of a member gets of what the hospital holds. */
  async #fhirAs(
    slug: string,
    subject: { kind: 'system' } | { kind: 'practitioner'; id: Did },
    path: string,
  ): Promise<{ status: number; body: { entry?: unknown[] } }> {
    const { keys, chain } = this.#keys(slug);
    const isPerson = subject.kind === 'practitioner';
    const who = { subject, purpose: isPerson ? 'TREAT' : 'HPAYMT', roles: isPerson ? ['doctor'] : [] };
    const token = await keys.token({ chain, ...who, impersonated: isPerson, nowMs: Date.now() });
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.#stage.fhirBase(slug, 'hospital')}/${path}`, { headers });
    return { status: response.status, body: (await response.json()) as { entry?: unknown[] } };
  }

  #idAt(traveller: Traveller, slug: Custodian): { id: string; did: Did } {
    const found = traveller.at.get(slug);
    if (found === undefined) throw new Failed(`patient ${traveller.person.number} has no record at ${slug}`);
    return found;
  }

  async #expectNothing(): Promise<string> {
    const nobody = await this.#fhir('Patient/nobody-of-this-name');
    for (const traveller of this.#travellers) {
      const { id } = this.#idAt(traveller, 'hospital');
      const answer = await this.#fhir(`Patient/${id}`);
      ensure(JSON.stringify(answer) === JSON.stringify(nobody), 'the answer differs from that for nobody');
    }
    return `${this.#travellers.length} times the same answer as for nobody`;
  }

  async #askFor(traveller: Traveller): Promise<{ id: string; status: string }> {
    const { did: patient } = this.#idAt(traveller, 'hospital');
    const note = 'A second opinion.';
    return await this.#client('clinic', 'doctor').createAccessRequest({
      params: { slug: 'clinic' },
      body: { custodian: 'hospital', patient, purpose: 'TREAT', what: { all: true }, note },
    });
  }

  async #ask(): Promise<string> {
    for (const traveller of this.#travellers) {
      const { id, status } = await this.#askFor(traveller);
      ensure(status === 'pending', `the request is ${status}`);
      traveller.request = id;
    }
    return `${this.#travellers.length} requests wait`;
  }

  /** What somebody could submit who holds the node's whole data directory, or is a patient there themselves. */
  async #forge(): Promise<string> {
    const [first] = this.#travellers;
    if (first === undefined) throw new Failed('nobody is here');
    const { did: patient } = this.#idAt(first, 'hospital');
    const { request } = first;
    const { chain } = this.#keys('hospital');
    const signers = ['hospital', 'clinic', 'payer', 'regulator'].map((slug) => this.#keys(slug).keys.signer());
    const client = createClient({ baseUrl: this.#stage.urlOf('hospital') });
    const attempts = await forgeWithNodeKeys({ client, chain, patient, request, signers });
    const { wallet, context } = await this.#strangersWallet();
    await forgeAsPatient(wallet, context, request);
    ensure((await this.#statusOf(request)) === 'pending', 'a forged approval had an effect');
    return `${attempts + 1} forgeries refused`;
  }

  /** The wallet of somebody who is a patient of the hospital too, and wants to know what is not theirs. */
  async #strangersWallet(): Promise<{ wallet: Wallet; context: WalletContext }> {
    // Somebody new each time: the same resource again would be the same patient, who has a wallet already.
    const identifier = [{ system: 'urn:salus:walkthrough', value: randomId() }];
    const stranger = { resourceType: 'Patient', identifier, name: [{ family: 'Stranger', given: ['Example'] }] };
    const [patient] = await this.#importOne('hospital', utf8(JSON.stringify(stranger)));
    if (patient === undefined) throw new Failed('the hospital does not know the stranger');
    const params = { slug: 'hospital' };
    const { code } = await this.#client('hospital').createLinkingCode({ params, body: { patient: patient.id } });
    const secret = toBase64url(randomBytes(passphraseBytes));
    const wallet = Wallet.create(this.#stage.wallet('stranger', secret), secret);
    return { wallet, context: await link(wallet, this.#stage.urlOf('hospital'), 'hospital', code) };
  }

  async #statusOf(id: string): Promise<string> {
    const { status } = await this.#client('clinic', 'doctor').getAccessRequest({ params: { slug: 'clinic', id } });
    return status;
  }

  /** Another request, and what can be made of the approval of the first one. The patient says no to it. */
  async #replay(): Promise<string> {
    const [first] = this.#travellers;
    if (first === undefined) throw new Failed('nobody is here');
    const { id } = await this.#askFor(first);
    const client = createClient({ baseUrl: this.#stage.urlOf('hospital') });
    const attempts = await forgeFromOldApproval(client, first.approval, id);
    await this.#stage.settle();
    ensure((await this.#statusOf(id)) === 'pending', 'an old approval had an effect on a new request');
    await this.#requestIn(first, id);
    await first.wallet.run('deny', id);
    await this.#stage.settle();
    ensure((await this.#statusOf(id)) === 'denied', 'the patient’s no had no effect');
    return `${attempts} attempts with an old approval had no effect, and the patient denied`;
  }

  /** What a request says, in the wallet of whom it asks: it may still be on its way from node to node. */
  async #requestIn({ wallet }: Traveller, request: string): Promise<{ note?: string }> {
    for (const untilMs = performance.now() + requestWaitMsMax; performance.now() < untilMs; ) {
      const open = await wallet.run<{ id: string; content?: { note?: string } }[]>('requests');
      const content = open.find(({ id }) => id === request)?.content;
      if (content !== undefined) return content;
      await sleep(requestPauseMs);
    }
    throw new Failed('the request did not come to the wallet');
  }

  async #approve(): Promise<string> {
    for (const traveller of this.#travellers) {
      const { note } = await this.#requestIn(traveller, traveller.request);
      ensure(note === 'A second opinion.', 'the wallet could not read the request');
      const approve = ['approve', traveller.request, '--for', '1h'];
      const answer = await traveller.wallet.run<{ transaction: string; directive: string }>(...approve);
      traveller.approval = answer.transaction;
      traveller.grants.push(answer.directive);
    }
    return `${this.#travellers.length} approvals signed in wallets`;
  }

  async #readRecords(): Promise<string> {
    let entries = 0;
    for (const traveller of this.#travellers) {
      const { id } = this.#idAt(traveller, 'hospital');
      const one = await this.#fhir(`Patient/${id}`);
      ensure(one.status === 200, `one resource answered ${one.status}`);
      const { status, body } = await this.#fhir(`Patient/${id}/$everything`);
      ensure(status === 200 && (body.entry?.length ?? 0) > 0, `$everything answered ${status}`);
      entries += body.entry?.length ?? 0;
    }
    return `${entries} entries read`;
  }

  /** What the patient let the doctor read stays hidden from the other members. */
  async #expectNothingForOthers(): Promise<string> {
    const others = ['payer', 'regulator'];
    for (const slug of others) {
      const nobody = await this.#fhirAs(slug, { kind: 'system' }, 'Patient/nobody-of-this-name');
      for (const traveller of this.#travellers) {
        const answer = await this.#fhirAs(slug, { kind: 'system' }, `Patient/${this.#idAt(traveller, 'hospital').id}`);
        ensure(answer.status === 404, `the ${slug} was answered with ${answer.status}`);
        ensure(JSON.stringify(answer) === JSON.stringify(nobody), `the ${slug} got another answer than for nobody`);
      }
    }
    return `${others.length * this.#travellers.length} times the same answer as for nobody`;
  }

  async #history(): Promise<string> {
    const { profile } = this.#keys('clinic').keys;
    let entries = 0;
    for (const traveller of this.#travellers) {
      for (const slug of traveller.at.keys()) {
        const args = ['grant', '--org', slug, '--who', `organisation:${profile.did}`, '--for', '7d'];
        traveller.grants.push((await traveller.wallet.run<{ directive: string }>(...args)).directive);
      }
      const contexts = [...traveller.at].map(([custodian, { did }]) => ({ custodian, patient: did }));
      const history = await this.#client('clinic', 'doctor').history({
        params: { slug: 'clinic' },
        body: { contexts },
      });
      const silent = history.custodians.filter((one) => one.entries === 0);
      ensure(silent.length === 0, `nothing came from ${silent.map(({ slug }) => slug).join(', ')}`);
      entries += history.entries.length;
    }
    return `${entries} entries in ${this.#travellers.length} histories`;
  }

  async #whoLooked(): Promise<string> {
    let accesses = 0;
    for (const { wallet } of this.#travellers) {
      const accounts = await wallet.run<{ custodian: string; complete: boolean; entries: unknown[] }[]>('who-looked');
      for (const { custodian, complete, entries } of accounts) {
        ensure(complete, `the accounting at ${custodian} is not complete`);
        accesses += entries.length;
      }
    }
    return `${accesses} accesses shown, complete by the ledger’s count`;
  }

  async #revoke(): Promise<string> {
    const nobody = await this.#fhir('Patient/nobody-of-this-name');
    for (const traveller of this.#travellers) {
      await traveller.wallet.run('revoke', ...traveller.grants);
      const answer = await this.#fhir(`Patient/${this.#idAt(traveller, 'hospital').id}`);
      ensure(JSON.stringify(answer) === JSON.stringify(nobody), 'the answer still differs from that for nobody');
      // What the clinic holds itself it goes on using for its own treatment.
      const contexts = [...traveller.at]
        .filter(([slug]) => slug !== 'clinic')
        .map(([custodian, { did }]) => ({ custodian, patient: did }));
      const history = await this.#client('clinic', 'doctor').history({
        params: { slug: 'clinic' },
        body: { contexts },
      });
      ensure(history.entries.length === 0, 'the clinic still reads after the revocation');
    }
    return `${this.#travellers.length} patients took back everything they gave`;
  }

  async #collect(): Promise<string> {
    const folder = this.#receipts;
    if (folder === undefined) throw new Failed('there is no folder for receipts');
    const reader = createClient({ baseUrl: this.#stage.urlOf('regulator') });
    for (const { person, request, grants, at } of this.#travellers) {
      const name = (what: string): string => `patient-${person.number}-${what}`;
      for (const [slug, { did }] of at) {
        const query = { participant: did, limit: receiptsMax };
        const { transactions } = await reader.listTransactions({ query });
        for (const [position, { hash, types }] of transactions.entries()) {
          const kind = (types[0] ?? '').replace('/', '-');
          await folder.transaction(name(`${slug}-${position + 1}-${kind}`), hash);
        }
        // Nobody has put a key of their own beside the patient's.
        await folder.state(name(`${slug}-no-other-key`), `identity/key/${did}/sign-2`);
      }
      await folder.state(name('request'), `access/request/${request}`);
      for (const [position, id] of grants.entries()) {
        await folder.state(name(`directive-${position + 1}-revoked`), `consent/directive/${id}`);
      }
    }
    await folder.state('absence', `access/request/${randomId()}`);
    return `${folder.files.length} files in ${folder.dir}`;
  }

  async #verify(): Promise<string> {
    const folder = this.#receipts;
    if (folder === undefined) throw new Failed('there is no folder for receipts');
    const reports = await this.#stage.withoutNode(() => folder.verifyAll());
    const absent = reports.filter(({ state }) => state?.present === false).length;
    const contexts = this.#travellers.reduce((sum, { at }) => sum + at.size, 0);
    ensure(absent === contexts + 1, `${absent} proofs of absence instead of ${contexts + 1}`);
    return `${reports.length} proofs verified without the node, ${absent} of them of absence`;
  }
}
