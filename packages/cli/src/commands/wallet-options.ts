import { resolve } from 'node:path';
import { isCancel, password } from '@clack/prompts';
import { type Cli, type GlobalOptions, usageFault } from '../cli.ts';
import { walletError } from '../wallet/errors.ts';
import { resumeUnsent } from '../wallet/outbox.ts';
import { Wallet } from '../wallet/wallet.ts';
import { WalletVault } from '../wallet/wallet-file.ts';
import { lockWallet } from '../wallet/wallet-lock.ts';

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface WalletOptions extends GlobalOptions {
  wallet: string;
}

/** `30m`, `12h`, `7d` from now on. */
export function untilOf(duration: string): number {
  const match = /^(\d{1,5})([mhd])$/.exec(duration);
  const unit = match?.[2] === undefined ? undefined : unitMs[match[2]];
  if (match === null || unit === undefined) throw walletError('durationInvalid');
  return Date.now() + Number(match[1]) * unit;
}

export async function passphrase(): Promise<string> {
  const given = process.env.SALUS_WALLET_PASSPHRASE;
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) throw usageFault('Set SALUS_WALLET_PASSPHRASE, or run it on a terminal.');
  // What is typed is not shown, and never becomes part of a history or a log.
  const typed = await password({ message: 'Passphrase of the wallet' });
  if (isCancel(typed)) throw usageFault('Nothing was done.');
  return typed;
}

/** For reading only: another process may write meanwhile, and what is read is whole all the same. */
export async function open({ wallet }: WalletOptions): Promise<Wallet> {
  return Wallet.open(resolve(wallet), await passphrase());
}

/** For a command that writes: no other process does meanwhile. */
export async function alone<T>(options: WalletOptions, work: (wallet: Wallet) => Promise<T>): Promise<T> {
  const dir = resolve(options.wallet);
  const secret = await passphrase();
  if (!WalletVault.exists(dir)) throw walletError('walletMissing');
  const unlock = lockWallet(dir);
  try {
    return await work(Wallet.open(dir, secret));
  } finally {
    unlock();
  }
}

export const refusalText = (hash: string): string => `The ledger refused ${hash}: what it says did not come to be.`;

/** For one command that decides something: alone, and after what an earlier command left behind was sent. */
export function using<T>(cli: Cli, options: WalletOptions, work: (wallet: Wallet) => T | Promise<T>): Promise<T> {
  return alone(options, async (wallet) => {
    const { refused } = await resumeUnsent(wallet);
    for (const hash of refused) cli.say(refusalText(hash), options);
    return await work(wallet);
  });
}
