import { createClient, type SealedRequest } from '@salus/api';
import { identity } from '@salus/contracts';
import {
  type Did,
  didOfKey,
  type EcPublicJwk,
  type Message,
  randomId,
  signerFromJwk,
  signTransaction,
  utf8Text,
} from '@salus/protocol';
import { walletError } from './errors.ts';
import { sealingKeyOf, sealKeyName, signKeyName } from './linking.ts';
import { execute } from './outbox.ts';
import { provenValue } from './proofs.ts';
import { everythingOf } from './reading.ts';
import { sealFor } from './requests.ts';
import type { Wallet } from './wallet.ts';
import type { WalletContext } from './wallet-state.ts';

const transactionLifeMs = 300_000;

/** Whether the ledger has this wallet's key under the delegate's own name already. */
async function isRegistered({ url, anchor, did }: WalletContext): Promise<boolean> {
  const client = createClient({ baseUrl: url });
  // The name is the digest of the key: nobody else can have it.
  return (await provenValue(client, { anchor }, `identity/key/${did}/${signKeyName}`)) !== undefined;
}

/** Registers the holder of the wallet as somebody who acts for patients; repeating it changes nothing. */
export async function register(
  wallet: Wallet,
  url: string,
  slug: string,
  code: string,
  nowMs = Date.now(),
): Promise<WalletContext> {
  const known = wallet.state.delegations.find((one) => one.custodian.slug === slug && one.url === url);
  if (known !== undefined && (await isRegistered(known))) return known;
  const open = createClient({ baseUrl: url });
  const { chain, custodian: offered } = await open.openDelegate({ params: { slug }, body: { code } });
  const anchor = await open.getAnchor({});
  const entry = await provenValue(open, { anchor }, `identity/key/${offered.did}/${offered.sealingKey}`);
  const custodian = { did: offered.did as Did, slug, name: offered.name, sealingKey: sealingKeyOf(entry) };
  const { signing, sealing } = await wallet.keys({ chain, custodian, role: 'delegate' });
  const did = didOfKey(signing.publicJwk);
  const message: Message = {
    type: 'identity/registerDelegate',
    did,
    keys: [
      { name: signKeyName, purpose: 'sign', suite: 'ES256', jwk: { ...signing.publicJwk } },
      { name: sealKeyName, purpose: 'encrypt', suite: 'HPKE-P256', jwk: { ...sealing.publicJwk } },
    ],
  };
  const signers = [signerFromJwk(`${did}#${signKeyName}`, signing.privateJwk)];
  const bytes = await signTransaction({ chain, messages: [message], signers, validUntil: nowMs + transactionLifeMs });
  const role = 'delegate' as const;
  const context: WalletContext = { url, chain, custodian, anchor, did, keyName: signKeyName, linkedMs: nowMs, role };
  // Kept first: keys and name follow from root and custodian, so that a second attempt is the same person.
  if (known === undefined) wallet.state.delegations.push(context);
  wallet.save();
  await open.registerDelegate({ params: { slug }, body: { code, transaction: utf8Text(bytes) } });
  return context;
}

export interface Naming {
  holder: Did;
  kind: identity.AuthorityKind;
  actions: identity.AuthorityAction[];
  categories?: string[];
  excluded?: string[];
  untilMs: number;
}

async function sealingKeyOfDelegate(wallet: Wallet, context: WalletContext, holder: Did): Promise<EcPublicJwk> {
  const client = await wallet.client(context);
  const entry = await provenValue(client, context, `identity/key/${holder}/${sealKeyName}`);
  if (entry === undefined) throw walletError('delegateUnknown', holder);
  return sealingKeyOf(entry);
}

/** Lets somebody act for the patient, as far and as long as the patient says. */
export async function name(wallet: Wallet, context: WalletContext, naming: Naming, nowMs = Date.now()) {
  const { holder, kind, actions, categories, excluded, untilMs } = naming;
  const content: identity.AuthorityContent = {
    format: identity.authorityFormat,
    kind,
    patient: context.did,
    holder,
    scope: { actions, ...(categories && { categories }), ...(excluded && { excluded }) },
    fromMs: nowMs,
    untilMs,
  };
  const id = randomId();
  const key = await sealingKeyOfDelegate(wallet, context, holder);
  const commitment = await sealFor(wallet, context, 'identity/authority', id, content, [key]);
  const step = identity.authorityExpiryStepMs;
  const expiresMs = Math.ceil((untilMs + 1) / step) * step;
  const about = { patient: context.did, authority: id, holder, commitment, expiresMs };
  const authority = { id, custodian: context.custodian.did, holder, givenMs: nowMs, content: { ...content } };
  const message: Message = { type: 'identity/grantAuthority', ...about };
  const { hash } = await execute(wallet, context, [message], { effect: { kind: 'authority', authority } });
  return { authority: id, holder, custodian: context.custodian.slug, transaction: hash };
}

/** Ends an authority that the patient gave. */
export async function end(wallet: Wallet, id: string, nowMs = Date.now()) {
  const given = wallet.state.authorities.find((one) => one.id === id && one.endedMs === undefined);
  if (given === undefined) throw walletError('authorityUnknown', id);
  const context = wallet.context(given.custodian);
  const message: Message = { type: 'identity/revokeAuthority', patient: context.did, authority: id };
  const effect = { kind: 'authorityEnd' as const, id, timeMs: nowMs };
  const { hash } = await execute(wallet, context, [message], { effect });
  return { authority: id, custodian: context.custodian.slug, transaction: hash };
}

/** What the holder of the wallet may do for a patient, and what the patient is asked. */
export async function delegationFor(wallet: Wallet, context: WalletContext, patient: Did) {
  const client = await wallet.client(context);
  const { slug } = context.custodian;
  const { authorities, requests, fhirId } = await client.delegation({ params: { slug }, query: { patient } });
  const told = requests.map(({ content, ...request }) => ({ ...request, content: content as SealedRequest }));
  return { custodian: slug, patient, authorities, requests: told, ...(fhirId !== undefined && { fhirId }) };
}

/** The part of a patient's record that the holder may read. */
export async function recordFor(wallet: Wallet, context: WalletContext, patient: Did) {
  const { fhirId } = await delegationFor(wallet, context, patient);
  const resources = fhirId === undefined ? [] : await everythingOf(wallet, context, fhirId);
  return { custodian: context.custodian.slug, patient, entries: resources.length, resources };
}

/** Answers a request in the patient's place. */
export async function decideFor(
  wallet: Wallet,
  context: WalletContext,
  { patient, request, untilMs }: { patient: Did; request: string; untilMs?: number },
) {
  const { authorities, requests } = await delegationFor(wallet, context, patient);
  const open = requests.find(({ id, status }) => id === request && status === 'pending');
  const deciding = authorities.find(({ content }) => {
    const { actions } = (content as identity.AuthorityContent).scope;
    return actions.includes('decide');
  });
  if (open === undefined || deciding === undefined) throw walletError('requestUnknown', request);
  const answer = { decision: untilMs === undefined ? 'deny' : 'permit', untilMs: untilMs ?? 0 };
  const sealed = { format: 'salus-decision/1', request, ...answer };
  const commitment = await sealFor(wallet, context, 'access/decide', request, sealed);
  const about = { request, commitment, hosted: false, authority: deciding.id, ...answer };
  const message: Message = { type: 'access/decide', ...about };
  const { hash } = await execute(wallet, context, [message], { effect: { kind: 'none' } });
  return { request, ...answer, authority: deciding.id, transaction: hash };
}
