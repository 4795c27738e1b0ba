/** Somebody who acts for patients, with keys of their own: parent, guardian, executor, delegate. */
import { createWalletToken } from '@salus/api';
import { consent, identity } from '@salus/contracts';
import {
  commit,
  type Did,
  didOfKey,
  generateSigningKey,
  type JsonValue,
  type Message,
  type Signer,
  signerFromJwk,
  signTransaction,
  utf8,
} from '@salus/protocol';
import { type Bearer, seenBy } from './exits.ts';
import { dayMs, minuteMs, type Patient, randomId, type Staff, type World } from './world.ts';

type Key = Awaited<ReturnType<typeof generateSigningKey>>;

export class Delegate {
  readonly world: World;
  readonly did: Did;
  readonly #signer: Signer;
  readonly #sealing: Key;

  private constructor(world: World, did: Did, signer: Signer, sealing: Key) {
    this.world = world;
    this.did = did;
    this.#signer = signer;
    this.#sealing = sealing;
  }

  static async create(world: World, slug = 'hospital'): Promise<Delegate> {
    const [signing, sealing] = [await generateSigningKey(), await generateSigningKey()];
    const did = didOfKey(signing.publicJwk);
    const signer = signerFromJwk(`${did}#sign-1`, signing.privateJwk);
    const keys = [
      { name: 'sign-1', purpose: 'sign', suite: 'ES256', jwk: { ...signing.publicJwk } },
      { name: 'seal-1', purpose: 'encrypt', suite: 'HPKE-P256', jwk: { ...sealing.publicJwk } },
    ];
    await world.org(slug).execute([{ type: 'identity/registerDelegate', did, keys }], { cosigners: [signer] });
    return new Delegate(world, did, signer, sealing);
  }

  get bearer(): Bearer {
    const { world } = this;
    const { chain } = world.node;
    return (method, path) => createWalletToken({ signer: this.#signer, chain, method, path, nowMs: world.nowMs });
  }

  async seen(patient: Patient): Promise<string[]> {
    return await seenBy(this.world, patient, this.bearer);
  }

  async submit(messages: Message[]): Promise<number> {
    const { node, nowMs } = this.world;
    const validUntil = nowMs + 5 * minuteMs;
    const bytes = await signTransaction({ chain: node.chain, messages, signers: [this.#signer], validUntil });
    return (await node.ledger.submit(bytes)).code;
  }

  async seal(slug: string, type: string, id: string, content: unknown): Promise<string> {
    const token = await this.bearer('POST', '/api/sealed');
    return await this.world.seal(slug, { type, id, content, own: this.#sealing.publicJwk, token });
  }

  /** Answers a request in the patient's place. */
  async decide(patient: Patient, authority: string, request: string): Promise<number> {
    const content = { format: 'salus-decision/1', request, decision: 'permit' };
    const commitment = await this.seal(patient.slug, 'access/decide', request, content);
    const untilMs = this.world.nowMs + dayMs;
    const message = { type: 'access/decide', request, decision: 'permit', untilMs, commitment, hosted: false };
    return await this.submit([{ ...message, authority }]);
  }

  /** Gives a directive in the patient's place. `issuer` is what its content claims. */
  async grant(
    patient: Patient,
    authority: string,
    part: Partial<consent.DirectiveContent>,
    issuer: string = authority,
  ): Promise<{ id: string; code: number }> {
    const id = randomId();
    const content = { ...patient.directive(id, part), issuer };
    const commitment = await this.seal(patient.slug, 'consent/grant', id, content);
    const code = await this.submit([{ ...patient.grantMessage(id, commitment, content), authority }]);
    return { id, code };
  }

  async revoke(patient: Patient, authority: string, directive: string): Promise<number> {
    const notice = commit(utf8('revoked')).commitment;
    const message = { type: 'consent/revoke', patient: patient.did, directives: [directive], notice, hosted: false };
    return await this.submit([{ ...message, authority }]);
  }
}

/** An authority that staff with court papers, a birth certificate or a will attests, by HTTP. */
export async function attest(
  officer: Staff,
  patient: Patient,
  holder: Did,
  part: Record<string, JsonValue>,
): Promise<string> {
  const { world, did, slug } = patient;
  const body = { patient: did, holder, actions: ['read'], ...part };
  const answer = await world.http('POST', `/org/${slug}/authorities`, await world.token(officer), body);
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return answer.body.id;
}

/** An authority that the patient gives with their own key. */
export async function delegateTo(
  patient: Patient,
  holder: Did,
  scope: identity.AuthorityContent['scope'],
): Promise<string> {
  const authority = randomId();
  const content: identity.AuthorityContent = {
    format: identity.authorityFormat,
    kind: 'carer',
    patient: patient.did,
    holder,
    scope,
    fromMs: patient.world.nowMs,
  };
  const commitment = await patient.seal('identity/authority', authority, content);
  const end = patient.world.nowMs + 365 * dayMs;
  const expiresMs = Math.ceil(end / consent.expiryStepMs) * consent.expiryStepMs;
  const message = { type: 'identity/grantAuthority', patient: patient.did, authority, holder, commitment, expiresMs };
  const { code } = await patient.submit([message]);
  if (code !== 0) throw new Error(`authority refused: ${code}`);
  return authority;
}
