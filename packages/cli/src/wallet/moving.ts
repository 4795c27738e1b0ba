import { createClient } from '@salus/api';
import { walletError } from './errors.ts';
import { isBound } from './linking.ts';
import type { Wallet } from './wallet.ts';
import type { WalletContext } from './wallet-state.ts';

/**
 * Reaches a custodian at another address from now on. The node there proves, under the anchor that the wallet has had from
 * the beginning, that it has the ledger on which the wallet is linked; it can do no more than that.
 */
export async function move(wallet: Wallet, slug: string, url: string): Promise<WalletContext> {
  const contexts = wallet.state.contexts.filter(({ custodian }) => custodian.slug === slug);
  if (contexts.length === 0) throw walletError('contextUnknown');
  const client = createClient({ baseUrl: url });
  const { chain } = await client.status();
  const context = contexts.find((one) => one.chain === chain);
  if (!context || !(await isBound(wallet, client, context))) throw walletError('proofMissing');
  context.url = url;
  wallet.save();
  return context;
}
