import { sendDue } from './directives.ts';
import { resumeLinking } from './linking.ts';
import { resumeUnsent } from './outbox.ts';
import type { Wallet } from './wallet.ts';

/** Ends what an earlier command began, then sends what has come due. */
export async function sync(wallet: Wallet, nowMs = Date.now()) {
  await resumeLinking(wallet);
  const resumed = await resumeUnsent(wallet);
  const due = await sendDue(wallet, nowMs);
  const sent = [...resumed.sent.map((transaction) => ({ transaction })), ...due.sent];
  return { sent, waiting: due.waiting, refused: resumed.refused, unsent: resumed.unknown.length };
}
