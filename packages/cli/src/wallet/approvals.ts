import type { consent } from '@salus/contracts';
import type { Message } from '@salus/protocol';
import { type Choice, given, prepare } from './directives.ts';
import { execute } from './outbox.ts';
import { findRequest, sealFor } from './requests.ts';
import type { Wallet } from './wallet.ts';
import type { WalletContext } from './wallet-state.ts';

export interface Approval {
  /** First millisecond at which it no longer holds. */
  untilMs: number;
  usesMax?: number;
  /** Less than what was asked for. */
  what?: consent.What;
}

async function decideMessage(
  wallet: Wallet,
  context: WalletContext,
  id: string,
  answer: { decision: 'permit' | 'deny'; untilMs: number; directive?: string },
): Promise<Message> {
  const sealed = { format: 'salus-decision/1', request: id, ...answer };
  const commitment = await sealFor(wallet, context, 'access/decide', id, sealed);
  return { type: 'access/decide', request: id, commitment, hosted: false, ...answer };
}

/**
 * Approves a request, with the key of its context, as far as the patient says. The permission is a directive, given in
 * the same transaction: so it is counted, it can reach less far than the request, and it can be taken back.
 */
export async function approve(wallet: Wallet, id: string, { untilMs, usesMax, what }: Approval, nowMs = Date.now()) {
  const { context, content } = await findRequest(wallet, id);
  const choice: Choice = {
    effect: 'permit',
    grantees: [{ kind: 'person', id: content.person }],
    what: what ?? content.what,
    purposes: [content.purpose],
    actions: content.actions,
    untilMs,
    ...(usesMax !== undefined && { usesMax }),
  };
  const { content: directive, message } = await prepare(wallet, context, choice, nowMs);
  const answer = { decision: 'permit', untilMs, directive: directive.id } as const;
  const messages = [message, await decideMessage(wallet, context, id, answer)];
  const { hash } = await execute(wallet, context, messages, { effect: given(context.custodian, directive, nowMs) });
  const { slug: custodian } = context.custodian;
  return {
    request: id,
    decision: 'permit',
    custodian,
    directive: directive.id,
    text: directive.text,
    transaction: hash,
  };
}

export async function deny(wallet: Wallet, id: string) {
  const { context } = await findRequest(wallet, id);
  const message = await decideMessage(wallet, context, id, { decision: 'deny', untilMs: 0 });
  const { hash } = await execute(wallet, context, [message], { effect: { kind: 'none' } });
  return { request: id, decision: 'deny', custodian: context.custodian.slug, transaction: hash };
}
