import type { Command } from 'commander';
import { type Cli, examples, type GlobalOptions } from '../cli.ts';
import { rollBackMember } from '../network/rollback.ts';

export function addRollback(program: Command, cli: Cli): void {
  program
    .command('rollback')
    .summary('take back the last block of a stopped member')
    .description(
      'After a program that executed a block wrongly: CometBFT and ledger of the member in --data go one block back ' +
        'together, and the block is executed again at the next start, by the program that is there then.',
    )
    .addHelpText('after', examples('salus network rollback --data /srv/network/clinic'))
    .action(
      cli.action<GlobalOptions, []>(async ({ data }) => {
        const { height, appHash } = await rollBackMember(data);
        return { value: { height, appHash }, text: `It is at block ${height}, state ${appHash}.` };
      }),
    );
}
