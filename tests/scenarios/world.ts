/**
 * A sandbox consortium with time that tests set: the real node (embedded ledger, contracts, vault, gate, HTTP) and
 * wallets that sign with keys of their own. Nothing of the node is replaced.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWalletToken, sealedContext } from '@salus/api';
import { consent, identity } from '@salus/contracts';
import {
  canonicalJson,
  commit,
  type Did,
  deriveContext,
  type EcPublicJwk,
  generateRootSecret,
  type JsonValue,
  type Message,
  type PatientContext,
  randomBytes,
  type Signer,
  signerFromJwk,
  signTransaction,
  toBase64url,
  utf8,
} from '@salus/protocol';
import {
  accessDesks,
  createLog,
  createSandbox,
  type NodeOptions,
  type OrganizationRecords,
  type RunningNode,
  recordsOf,
  startNode,
} from '@salus/server';
import { encodeSealed, sealPayload } from '@salus/vault';
import type { StoreLocation } from '../../packages/server/src/store/location.ts';
import { nodeStores, sandboxStores, testStores } from '../../packages/server/src/testing/test-node.ts';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;
export const randomId = (): string => toBase64url(randomBytes(16));

export interface Staff {
  did: Did;
  slug: string;
  roles: string[];
}

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, looked at by the tests alone
  body: any;
}

const startMs = Date.UTC(2027, 0, 4, 9);

export class World {
  readonly node: RunningNode;
  readonly #root: string;
  #nowMs: number;

  private constructor(node: RunningNode, root: string, nowMs: number) {
    this.node = node;
    this.#root = root;
    this.#nowMs = nowMs;
  }

  static async create(
    options: Pick<NodeOptions, 'openLedger'> = {},
    stores: StoreLocation = testStores(),
  ): Promise<World> {
    const root = mkdtempSync(join(tmpdir(), 'salus-world-'));
    const dataDir = join(root, 'node');
    const extra = [
      { slug: 'health-office', name: 'County Health Office', role: 'publicHealth', class: 'regulator' as const },
      { slug: 'practice', name: 'Lakeside Practice', role: 'clinic', class: 'provider' as const },
    ];
    await createSandbox(dataDir, { nowMs: startMs, extra, ...sandboxStores(stores) });
    let world: World | undefined;
    const clockMs = (): number => world?.nowMs ?? startMs;
    const node = await startNode({
      dataDir,
      port: 0,
      clockMs,
      checkResponses: true,
      log: createLog('silent'),
      ...nodeStores(stores),
      ...options,
    });
    world = new World(node, root, startMs);
    return world;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  async close(): Promise<void> {
    await this.node.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** Lets time pass, and a block show it. */
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.tick();
  }

  /** Time of this machine, without a block. */
  set clockMs(ms: number) {
    this.#nowMs = ms;
  }

  /** A block at the present time. */
  async tick(): Promise<void> {
    const digest = toBase64url(randomBytes(32));
    await this.org('regulator').execute([{ type: 'kernel/stamp', digest }]);
  }

  org(slug: string) {
    const found = this.node.organizations.get(slug);
    if (found === undefined) throw new Error(`no organisation ${slug}`);
    return found;
  }

  records(slug: string): OrganizationRecords {
    const found = recordsOf(this.node).get(slug);
    if (found === undefined) throw new Error(`no records of ${slug}`);
    return found;
  }

  desk(slug: string) {
    const found = accessDesks(this.node).get(slug);
    if (found === undefined) throw new Error(`no desk of ${slug}`);
    return found;
  }

  /** A practitioner whom the ledger knows; a doctor or nurse with a licence of the regulator. */
  async staff(slug: string, ...roles: string[]): Promise<Staff> {
    const did = `did:salus:${toBase64url(randomBytes(20))}` as Did;
    await this.org(slug).execute([{ type: 'identity/registerPractitioner', did, roles }]);
    const profession = roles.find((role) => role === 'doctor' || role === 'nurse');
    if (profession !== undefined) {
      const untilMs = this.nowMs + 365 * dayMs;
      const licence = { type: 'identity/setLicence', practitioner: did, profession, status: 'active', untilMs };
      await this.org('regulator').execute([licence]);
    }
    return { did, slug, roles };
  }

  async token(who: Staff | { slug: string; system: true }, purpose = 'TREAT'): Promise<string> {
    const keys = this.org(who.slug).keys;
    const subject = 'system' in who ? { kind: 'system' as const } : { kind: 'practitioner' as const, id: who.did };
    const roles = 'system' in who ? [] : who.roles;
    return await keys.token({ chain: this.node.chain, subject, roles, purpose, nowMs: this.nowMs });
  }

  async http(method: string, path: string, token: string | undefined, body?: unknown): Promise<Answer> {
    const isFhir = path.includes('/fhir/');
    const response = await fetch(this.node.url + path, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': isFhir ? 'application/fhir+json' : 'application/json' }),
      },
      ...(body !== undefined && { body: body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** Seals to a custodian and to the wallet that writes it, and leaves the envelope at the node. */
  async seal(
    slug: string,
    { type, id, content, own, token }: { type: string; id: string; content: unknown; own: EcPublicJwk; token: string },
  ): Promise<string> {
    const { node } = this;
    const [key] = identity.activeKeys(node.reader, this.org(slug).profile.did, 'encrypt', node.nowMs());
    const sealed = await sealPayload({
      content: utf8(canonicalJson(content as JsonValue)),
      recipients: [key!.jwk as EcPublicJwk, own],
      context: sealedContext(node.chain, type, id),
    });
    const answer = await this.http('POST', '/api/sealed', token, encodeSealed(sealed.envelope));
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return sealed.commitment;
  }

  /** Imports resources that are about one new patient at a custodian. */
  async patient(
    slug: string,
    resources: Record<string, unknown>[],
    about: Record<string, unknown> = {},
  ): Promise<Patient> {
    const id = `p-${toBase64url(randomBytes(6)).replaceAll('_', 'x').replaceAll('-', 'y')}`;
    const person = { resourceType: 'Patient', id, name: [{ family: 'Example', given: ['Robin'] }], ...about };
    const all = [person, ...resources.map((resource) => ({ subject: { reference: `Patient/${id}` }, ...resource }))];
    const entry = all.map((resource) => ({ resource }));
    const bundle = utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
    const report = await this.records(slug).import(async function* () {
      yield bundle;
    });
    if (report.rejected > 0) throw new Error(JSON.stringify(report.errors));
    const did = this.records(slug).patients.byId(id)?.did;
    if (did === undefined) throw new Error('the patient has no pseudonym');
    return new Patient(this, slug, id, did);
  }
}

/** A patient in one context, with a wallet of their own once `link` was called. */
export class Patient {
  readonly world: World;
  readonly slug: string;
  readonly id: string;
  readonly did: Did;
  #context: PatientContext | undefined;

  constructor(world: World, slug: string, id: string, did: Did) {
    this.world = world;
    this.slug = slug;
    this.id = id;
    this.did = did;
  }

  get context(): PatientContext {
    if (this.#context === undefined) throw new Error('link the wallet first');
    return this.#context;
  }

  get signer(): Signer {
    return signerFromJwk(`${this.did}#sign-1`, this.context.signing.privateJwk);
  }

  async link(): Promise<this> {
    const { world, slug, did } = this;
    this.#context = await deriveContext(generateRootSecret(), `${world.node.chain} ${world.org(slug).profile.did}`);
    const keys = [
      { name: 'sign-1', purpose: 'sign', suite: 'ES256', jwk: { ...this.context.signing.publicJwk } },
      { name: 'seal-1', purpose: 'encrypt', suite: 'HPKE-P256', jwk: { ...this.context.sealing.publicJwk } },
    ];
    const message: Message = { type: 'identity/bindPatient', patient: did, keys };
    await world.org(slug).execute([message], { cosigners: [this.signer] });
    return this;
  }

  async token(method: string, path: string): Promise<string> {
    const { chain } = this.world.node;
    return await createWalletToken({ signer: this.signer, chain, method, path, nowMs: this.world.nowMs });
  }

  async http(method: string, path: string, body?: unknown): Promise<Answer> {
    return await this.world.http(method, path, await this.token(method, path.split('?')[0] ?? path), body);
  }

  /** Signs, submits, and answers with the result code. */
  async submit(messages: Message[], signer: Signer = this.signer): Promise<{ code: number; outputs: unknown[] }> {
    const { chain, ledger } = this.world.node;
    const validUntil = this.world.nowMs + 5 * minuteMs;
    const bytes = await signTransaction({ chain, messages, signers: [signer], validUntil });
    return await ledger.submit(bytes);
  }

  async seal(type: string, id: string, content: unknown): Promise<string> {
    const { world, slug, context } = this;
    return await world.seal(slug, {
      type,
      id,
      content,
      own: context.sealing.publicJwk,
      token: await this.token('POST', '/api/sealed'),
    });
  }

  directive(id: string, part: Partial<consent.DirectiveContent>): consent.DirectiveContent {
    return {
      format: consent.DIRECTIVE_FORMAT,
      id,
      patient: this.did,
      custodian: this.world.org(this.slug).profile.did,
      effect: 'permit',
      grantees: [{ kind: 'anyone' }],
      what: { all: true },
      purposes: ['TREAT'],
      actions: ['read'],
      issuer: 'patient',
      ...part,
    };
  }

  grantMessage(directive: string, commitment: string, { untilMs, usesMax }: consent.DirectiveContent): Message {
    const endMs = untilMs ?? this.world.nowMs + 365 * dayMs;
    return {
      type: 'consent/grant',
      directive,
      patient: this.did,
      commitment,
      expiresMs: Math.ceil(endMs / consent.expiryStepMs) * consent.expiryStepMs,
      uses: usesMax ?? 0,
      endToken: randomId(),
      hosted: false,
    };
  }

  /** Gives a directive; returns its id. */
  async grant(part: Partial<consent.DirectiveContent>, onLedger: Record<string, JsonValue> = {}): Promise<string> {
    const id = randomId();
    const content = this.directive(id, part);
    const commitment = await this.seal('consent/grant', id, content);
    const { code } = await this.submit([{ ...this.grantMessage(id, commitment, content), ...onLedger }]);
    if (code !== 0) throw new Error(`grant refused: ${code}`);
    return id;
  }

  async revoke(directive: string): Promise<void> {
    const notice = commit(utf8('revoked')).commitment;
    const message: Message = {
      type: 'consent/revoke',
      patient: this.did,
      directives: [directive],
      notice,
      hosted: false,
    };
    const { code } = await this.submit([message]);
    if (code !== 0) throw new Error(`revocation refused: ${code}`);
  }

  async decide(request: string, decision: 'permit' | 'deny', untilMs = this.world.nowMs + dayMs): Promise<number> {
    const commitment = await this.seal('access/decide', request, { format: 'salus-decision/1', request, decision });
    const message: Message = {
      type: 'access/decide',
      request,
      decision,
      untilMs: decision === 'permit' ? untilMs : 0,
      commitment,
      hosted: false,
    };
    return (await this.submit([message])).code;
  }
}
