import { ApiError, type Client, createClient } from '@salus/api';
import {
  type CborValue,
  type Did,
  type EcPublicJwk,
  generateRecoveryKey,
  type Message,
  parsePublicJwk,
  signerFromJwk,
  signTransaction,
  utf8Text,
} from '@salus/protocol';
import { walletError } from './errors.ts';
import { provenValue } from './proofs.ts';
import type { Wallet } from './wallet.ts';
import type { Linking, WalletContext } from './wallet-state.ts';

const transactionLifeMs = 300_000;
export const signKeyName = 'sign-1';
export const sealKeyName = 'seal-1';
const refusalStatusMin = 400;
const refusalStatusMax = 499;

function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status >= refusalStatusMin && error.status <= refusalStatusMax;
}

/** The custodian's key for sealed payloads, as the ledger has it. */
export function sealingKeyOf(entry: CborValue | undefined): EcPublicJwk {
  const isKey = typeof entry === 'object' && entry !== null && 'purpose' in entry && 'jwk' in entry;
  if (!isKey || entry.purpose !== 'encrypt') throw walletError('proofMissing');
  return parsePublicJwk(entry.jwk);
}

/** Whether the ledger has this wallet's own key under the pseudonym, proven under the anchor. */
export async function isBound(
  wallet: Wallet,
  client: Client,
  { anchor, did, chain, custodian }: WalletContext,
): Promise<boolean> {
  const { signing } = await wallet.keys({ chain, custodian });
  const entry = await provenValue(client, { anchor }, `identity/key/${did}/${signKeyName}`);
  if (typeof entry !== 'object' || entry === null || !('jwk' in entry)) return false;
  const { x, y } = parsePublicJwk(entry.jwk);
  return x === signing.publicJwk.x && y === signing.publicJwk.y;
}

function conclude(wallet: Wallet, context: WalletContext | undefined): void {
  if (context !== undefined) wallet.state.contexts.push(context);
  delete wallet.state.linking;
  wallet.save();
}

/** Has the custodian countersign and commit; the link is kept until it is known what became of it. */
async function confirm(wallet: Wallet, { code, transaction, context }: Linking): Promise<void> {
  const client = createClient({ baseUrl: context.url });
  try {
    await client.confirmLink({ params: { slug: context.custodian.slug }, body: { code, transaction } });
  } catch (cause) {
    if (!isRefusal(cause)) throw walletError('sendingUnknown', undefined, { cause });
    if (!(await isBound(wallet, client, context))) {
      conclude(wallet, undefined);
      throw cause;
    }
  }
  conclude(wallet, context);
}

/** Ends a link that an earlier command left behind; gives its context where the custodian took it. */
export async function resumeLinking(wallet: Wallet): Promise<WalletContext | undefined> {
  const { linking } = wallet.state;
  if (linking === undefined) return undefined;
  const { context } = linking;
  if (await isBound(wallet, createClient({ baseUrl: context.url }), context)) {
    conclude(wallet, context);
    return context;
  }
  try {
    await confirm(wallet, linking);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
  return context;
}

async function prepare(wallet: Wallet, url: string, slug: string, code: string, nowMs: number): Promise<Linking> {
  const open = createClient({ baseUrl: url });
  const offer = await open.openLink({ params: { slug }, body: { code } });
  const anchor = await open.getAnchor({});
  const { did: custodianDid, name, sealingKey: keyName } = offer.custodian;
  const entry = await provenValue(open, { anchor }, `identity/key/${custodianDid}/${keyName}`);
  const custodian = { did: custodianDid as Did, slug, name, sealingKey: sealingKeyOf(entry) };
  const did = offer.patient as Did;
  const { signing, sealing } = await wallet.keys({ chain: offer.chain, custodian });
  const recovery = await generateRecoveryKey();
  const message: Message = {
    type: 'identity/bindPatient',
    patient: did,
    keys: [
      { name: signKeyName, purpose: 'sign', suite: 'ES256', jwk: { ...signing.publicJwk } },
      { name: sealKeyName, purpose: 'encrypt', suite: 'HPKE-P256', jwk: { ...sealing.publicJwk } },
    ],
    recoveryCommitment: recovery.commitment,
  };
  const signers = [signerFromJwk(`${did}#${signKeyName}`, signing.privateJwk)];
  const validUntil = nowMs + transactionLifeMs;
  const bytes = await signTransaction({ chain: offer.chain, messages: [message], signers, validUntil });
  const context: WalletContext = {
    url,
    chain: offer.chain,
    custodian,
    anchor,
    did,
    keyName: signKeyName,
    linkedMs: nowMs,
    recovery: recovery.privateJwk,
  };
  return { code, transaction: utf8Text(bytes), context };
}

/** Links this wallet with a code that the custodian gave: registers keys that only this wallet has. */
export async function link(
  wallet: Wallet,
  url: string,
  slug: string,
  code: string,
  nowMs = Date.now(),
): Promise<WalletContext> {
  const left = await resumeLinking(wallet);
  if (left?.custodian.slug === slug && left.url === url) return left;
  const isThere = wallet.state.contexts.some((context) => context.custodian.slug === slug && context.url === url);
  if (isThere) throw walletError('contextLinked');
  const linking = await prepare(wallet, url, slug, code, nowMs);
  wallet.state.linking = linking;
  wallet.save();
  await confirm(wallet, linking);
  return linking.context;
}
