import { examineDirectory } from '@salus/server';
import { type AddCommand, examples, exitCodes, type GlobalOptions } from '../cli.ts';

interface DoctorOptions extends GlobalOptions {
  certificate?: string[];
  replay?: boolean;
}

export const addDoctor: AddCommand = (program, cli) => {
  program
    .command('doctor')
    .summary('examine a data directory')
    .description(
      'Examines the data directory of a node that is stopped: blocks, votes, index, state and its root, the rules that ' +
        'must always hold, the stores and keys of the organisations. --replay also executes every block again. Keys and ' +
        'certificates that end soon are told, and are problems once they have ended.',
    )
    .option('--certificate <file...>', 'PEM files of certificates to look at too')
    .option('--replay', 'execute every block again from genesis on and compare every result and root')
    .addHelpText('after', examples('salus doctor --data /srv/salus', 'salus doctor --data /srv/salus --replay --json'))
    .action(
      cli.action<DoctorOptions, []>(async (options) => {
        const report = await examineDirectory(options.data, {
          replay: options.replay,
          storeUrl: options.database,
          certificates: options.certificate,
        });
        const summary = `${report.blocks} blocks, ${report.transactions} transactions`;
        const title = report.ok ? `In order: ${summary}.` : `Not in order: ${summary}.`;
        const text = [title, ...report.problems, ...report.warnings].join('\n');
        return { value: report, text, exitCode: report.ok ? exitCodes.ok : exitCodes.failed };
      }),
    );
};
