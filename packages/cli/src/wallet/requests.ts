import { isSealedRequest, type SealedRequest, sealedContext } from '@salus/api';
import { canonicalJson, type EcPublicJwk, type JsonValue, utf8, utf8Text } from '@salus/protocol';
import { encodeSealed, openSealed, type SealedEnvelope, sealPayload } from '@salus/vault';
import { walletError } from './errors.ts';
import { provenValue } from './proofs.ts';
import type { Wallet } from './wallet.ts';
import type { WalletContext } from './wallet-state.ts';

export interface OpenedRequest {
  id: string;
  custodian: string;
  organization: { did: string; name: string };
  status: string;
  askedMs: number;
  expiresMs: number;
  /** What was asked, opened with this wallet's key; undefined while its envelope is not there. */
  content?: SealedRequest;
}

/** The commitment that the ledger holds for a request to this patient, proven (R-LED-2). */
async function provenCommitment(wallet: Wallet, context: WalletContext, id: string): Promise<string> {
  const entry = await provenValue(await wallet.client(context), context, `access/request/${id}`);
  const isEntry = typeof entry === 'object' && entry !== null && 'patient' in entry && 'commitment' in entry;
  if (!isEntry || entry.patient !== context.did) throw walletError('requestForged', id);
  return String(entry.commitment);
}

async function openContent(wallet: Wallet, context: WalletContext, id: string, commitment: string) {
  const client = await wallet.client(context);
  const { sealing } = await wallet.keys(context);
  const { envelopes } = await client.getSealed({ params: { commitment } });
  for (const envelope of envelopes) {
    try {
      const options = { context: sealedContext(context.chain, 'access/request', id), commitment };
      const { content } = await openSealed(envelope as SealedEnvelope, sealing.privateJwk, options);
      const value: unknown = JSON.parse(utf8Text(content));
      if (isSealedRequest(value) && value.id === id && value.patient === context.did) return value;
    } catch {
      // Somebody else's envelope under the same commitment: the next one may be right.
    }
  }
  return undefined;
}

/** Requests to this patient in one context, opened and checked against the ledger. */
export async function requestsOf(wallet: Wallet, context: WalletContext): Promise<OpenedRequest[]> {
  const client = await wallet.client(context);
  const { requests } = await client.walletRequests({ params: { slug: context.custodian.slug } });
  const opened: OpenedRequest[] = [];
  for (const { commitment: _claimed, ...request } of requests) {
    const commitment = await provenCommitment(wallet, context, request.id);
    const content = await openContent(wallet, context, request.id, commitment);
    opened.push({ ...request, custodian: context.custodian.slug, ...(content && { content }) });
  }
  return opened;
}

/** Finds a request in all contexts; its content must be readable: nobody approves what they cannot read. */
export async function findRequest(wallet: Wallet, id: string) {
  for (const context of wallet.state.contexts) {
    const found = (await requestsOf(wallet, context)).find((request) => request.id === id);
    if (found?.content !== undefined) return { context, request: found, content: found.content };
  }
  throw walletError('requestUnknown');
}

/** Seals for the custodian, the wallet itself and the others, and leaves the envelope at the node. Gives the commitment. */
export async function sealFor(
  wallet: Wallet,
  context: WalletContext,
  type: string,
  id: string,
  content: unknown,
  others: readonly EcPublicJwk[] = [],
): Promise<string> {
  const client = await wallet.client(context);
  const { sealing } = await wallet.keys(context);
  const sealed = await sealPayload({
    content: utf8(canonicalJson(content as JsonValue)),
    recipients: [context.custodian.sealingKey, sealing.publicJwk, ...others],
    context: sealedContext(context.chain, type, id),
  });
  await client.putSealed({ body: encodeSealed(sealed.envelope) });
  return sealed.commitment;
}
