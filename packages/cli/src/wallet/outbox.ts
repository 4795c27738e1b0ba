import { ApiError, type Client } from '@salus/api';
import { type Message, sha256, toHex, utf8, utf8Text } from '@salus/protocol';
import { walletError } from './errors.ts';
import type { Wallet } from './wallet.ts';
import type { Effect, Unsent, WalletContext } from './wallet-state.ts';

const statusNotFound = 404;
/** The bytes were read and not taken: no later attempt with them will be. */
const refusals: readonly number[] = [400, 422];

function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && refusals.includes(error.status);
}

/** What the ledger says of a transaction: its result code, or undefined where it is in no block. */
async function codeOnLedger(client: Client, hash: string): Promise<number | undefined> {
  try {
    return (await client.getTransaction({ params: { id: hash } })).code;
  } catch (error) {
    if (error instanceof ApiError && error.status === statusNotFound) return undefined;
    throw error;
  }
}

function apply(wallet: Wallet, effect: Effect): void {
  const { directives, authorities } = wallet.state;
  if (effect.kind === 'authority' && !authorities.some(({ id }) => id === effect.authority.id)) {
    authorities.push(effect.authority);
  }
  if (effect.kind === 'authorityEnd') {
    for (const authority of authorities.filter(({ id }) => id === effect.id)) authority.endedMs ??= effect.timeMs;
  }
  if (effect.kind === 'directive' && !directives.some(({ id }) => id === effect.directive.id)) {
    directives.push(effect.directive);
  }
  if (effect.kind === 'revocation') {
    for (const directive of directives.filter(({ id }) => effect.directives.includes(id))) {
      directive.revokedMs ??= effect.timeMs;
    }
  }
}

function settle(wallet: Wallet, unsent: Unsent, isDone: boolean): void {
  if (isDone) apply(wallet, unsent.effect);
  wallet.state.unsent = wallet.state.unsent.filter((other) => other !== unsent);
  wallet.save();
}

/** Sends the bytes; throws what the ledger refuses, and `sendingUnknown` where nobody says what became of them. */
async function send(wallet: Wallet, unsent: Unsent): Promise<void> {
  const client = await wallet.client(wallet.contextOf(unsent));
  try {
    await client.submitTransaction({ body: utf8(unsent.transaction), query: { wait: 'commit' } });
  } catch (cause) {
    if (isRefusal(cause)) throw cause;
    throw walletError('sendingUnknown', undefined, { cause });
  }
}

async function signed(wallet: Wallet, context: WalletContext, messages: Message[]) {
  const { bytes, validUntilMs } = await wallet.sign(context, messages);
  return { transaction: utf8Text(bytes), hash: toHex(sha256(bytes)), validUntilMs };
}

/**
 * Signs, keeps, sends, and waits until it is durable. `keep` changes the wallet in the same step in which the transaction is
 * kept. Throws what the ledger refuses; then nothing is kept.
 */
export async function execute(
  wallet: Wallet,
  context: WalletContext,
  messages: Message[],
  { effect, keep }: { effect: Effect; keep?: () => void },
): Promise<{ hash: string }> {
  const custodian = context.custodian.did;
  const signer = context.did;
  const unsent: Unsent = { custodian, signer, messages, effect, ...(await signed(wallet, context, messages)) };
  wallet.state.unsent.push(unsent);
  keep?.();
  wallet.save();
  try {
    await send(wallet, unsent);
  } catch (error) {
    if (isRefusal(error)) settle(wallet, unsent, false);
    throw error;
  }
  settle(wallet, unsent, true);
  return { hash: unsent.hash };
}

/** Finds out what became of one that was left behind, and sends it where it is nowhere. Gives its end. */
async function resume(wallet: Wallet, unsent: Unsent): Promise<'sent' | 'refused'> {
  const context = wallet.contextOf(unsent);
  const client = await wallet.client(context);
  const code = await codeOnLedger(client, unsent.hash);
  if (code !== undefined) {
    settle(wallet, unsent, code === 0);
    return code === 0 ? 'sent' : 'refused';
  }
  const { blockTimeMs } = await client.status();
  if (blockTimeMs >= unsent.validUntilMs) {
    // Block time only goes on: those bytes can be in no later block, and the same decision is signed anew.
    Object.assign(unsent, await signed(wallet, context, unsent.messages));
    wallet.save();
  }
  try {
    await send(wallet, unsent);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    settle(wallet, unsent, false);
    return 'refused';
  }
  settle(wallet, unsent, true);
  return 'sent';
}

export interface Resumed {
  sent: string[];
  refused: string[];
  /** Nobody said what became of them; the next command asks again. */
  unknown: string[];
}

/** Sends again what an earlier command left behind. What cannot be sent now stays. */
export async function resumeUnsent(wallet: Wallet): Promise<Resumed> {
  const report: Resumed = { sent: [], refused: [], unknown: [] };
  for (const unsent of [...wallet.state.unsent]) {
    const end = await resume(wallet, unsent).catch(() => 'unknown' as const);
    report[end].push(unsent.hash);
  }
  return report;
}
