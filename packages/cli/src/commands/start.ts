import { type AddCommand, examples } from '../cli.ts';
import { type NodeCommandOptions, nodeOptions, runUntilSignal } from './node-options.ts';

export const addStart: AddCommand = (program, cli) => {
  const command = program
    .command('start')
    .summary('run the node of a data directory')
    .description('Runs the node of an existing data directory until it is told to stop.');
  nodeOptions(command)
    .addHelpText('after', examples('salus start --data /srv/salus', 'salus start --port 9000 --log-level info'))
    .action(
      cli.action<NodeCommandOptions, []>(async (options) => {
        await runUntilSignal(options, ({ url, chain }) => {
          cli.print({ value: { url, chain, pid: process.pid }, text: `Node of ${chain} listens on ${url}` }, options);
          return undefined;
        });
        return undefined;
      }),
    );
};
