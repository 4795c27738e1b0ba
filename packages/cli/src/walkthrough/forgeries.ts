import { ApiError, type Client } from '@salus/api';
import {
  type Did,
  fromBase64url,
  type Message,
  parseTransaction,
  randomBytes,
  randomId,
  type Signer,
  signTransaction,
  toBase64url,
  utf8,
  utf8Text,
} from '@salus/protocol';
import { execute } from '../wallet/outbox.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { WalletContext } from '../wallet/wallet-state.ts';

const lifeMs = 300_000;

/** An approval of a request, as anybody can write it down; what it lacks is the patient's signature. */
export function approvalOf(request: string): Message {
  const commitment = toBase64url(randomBytes(32));
  return {
    type: 'access/decide',
    request,
    decision: 'permit',
    untilMs: Date.now() + lifeMs,
    commitment,
    hosted: false,
  };
}

/** Whether the node refuses these bytes; throws what is no refusal. */
async function isRefused(client: Client, bytes: Uint8Array): Promise<boolean> {
  try {
    await client.submitTransaction({ body: bytes, query: { wait: 'commit' } });
    return false;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 400 || error.status === 422)) return true;
    throw error;
  }
}

export interface Held {
  client: Client;
  chain: string;
  patient: Did;
  request: string;
  /** Every signing key in the node's data directory. */
  signers: readonly Signer[];
}

/** An approval signed with each key that the node holds: as its owner, and under the patient's name. Gives the attempts. */
export async function forgeWithNodeKeys({ client, chain, patient, request, signers }: Held): Promise<number> {
  let attempts = 0;
  for (const own of signers) {
    for (const signer of [own, { ...own, kid: `${patient}#sign-1` }]) {
      const messages = [approvalOf(request)];
      const bytes = await signTransaction({ chain, messages, signers: [signer], validUntil: Date.now() + lifeMs });
      if (!(await isRefused(client, bytes))) throw new Error('an approval signed with a key of the node was taken');
      attempts += 1;
    }
  }
  return attempts;
}

/** Another patient of the same custodian signs with a key that the ledger knows: just not for this request. */
export async function forgeAsPatient(other: Wallet, context: WalletContext, request: string): Promise<void> {
  try {
    await execute(other, context, [approvalOf(request)], { effect: { kind: 'none' } });
  } catch (error) {
    if (error instanceof ApiError && error.status === 422) return;
    throw error;
  }
  throw new Error('an approval signed by another patient was taken');
}

/**
 * What can be made of an approval that the patient once signed, when a new request waits: sent again it is the old one
 * and nothing else; changed to the new request its signature is wrong.
 */
export async function forgeFromOldApproval(client: Client, approval: string, request: string): Promise<number> {
  const old = await client.getTransaction({ params: { id: approval } });
  const bytes = fromBase64url(old.transaction);
  const isKnown = await client.submitTransaction({ body: bytes, query: { wait: 'commit' } }).then(
    ({ hash }) => hash === approval,
    (error) => error instanceof ApiError && error.status < 500,
  );
  if (!isKnown) throw new Error('an old approval was taken again');
  const { payload } = parseTransaction(bytes);
  const altered = payload.messages.map((message) => ('request' in message ? { ...message, request } : message));
  const envelope = JSON.parse(utf8Text(bytes));
  for (const id of [payload.id, randomId()]) {
    const changed = toBase64url(utf8(JSON.stringify({ ...payload, id, messages: altered })));
    const forged = utf8(JSON.stringify({ ...envelope, payload: changed }));
    if (!(await isRefused(client, forged)))
      throw new Error('an approval with another request written into it was taken');
  }
  return 3;
}
