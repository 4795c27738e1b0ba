import type { Command } from 'commander';
import { type Cli, examples } from '../cli.ts';
import { move } from '../wallet/moving.ts';
import { alone, type WalletOptions } from './wallet-options.ts';

export function addMove(wallet: Command, cli: Cli): void {
  wallet
    .command('move')
    .description('Reaches an organisation at another address, where its node proves that it has the same ledger.')
    .requiredOption('--org <slug>', 'organisation that has moved')
    .requiredOption('--url <url>', 'address of its node now')
    .addHelpText('after', examples('salus wallet move --org hospital --url http://127.0.0.1:26600'))
    .action(
      cli.action<WalletOptions & { org: string; url: string }, []>(async (options) => {
        const { custodian, url } = await alone(options, (own) => move(own, options.org, options.url));
        return { value: { custodian: custodian.slug, url }, text: `${custodian.name} is reached at ${url} now.` };
      }),
    );
}
