import { moveStores, type StoreKind } from '@salus/server';
import { Argument } from 'commander';
import { type AddCommand, examples, type GlobalOptions, usageFault } from '../cli.ts';

export const addStore: AddCommand = (program, cli) => {
  const store = program
    .command('store')
    .summary('where the rows of a node are')
    .description(
      'A node keeps its index, queues and notices in SQLite files of its data directory, or in a PostgreSQL database. What ' +
        'is sealed in vaults, keys and the ledger stay in the directory.',
    );
  store
    .command('move')
    .summary('move the rows of a stopped node')
    .description(
      'Moves the rows of a stopped node (--data) into the PostgreSQL database that --database or SALUS_DATABASE names, or back into ' +
        'SQLite files. All rows are copied and compared first; then the directory says where they are, and what they were ' +
        'copied from is removed. Cut off in the middle, the same command does it again.',
    )
    .addArgument(new Argument('<kind>', 'where to').choices(['postgres', 'sqlite']))
    .addHelpText(
      'after',
      examples(
        'salus store move postgres --data /srv/salus --database postgres://salus@db.internal/salus?sslmode=verify-full',
        'salus store move sqlite --data /srv/salus',
      ),
    )
    .action(
      cli.action<GlobalOptions, [StoreKind]>(async (options, kind) => {
        if (options.database === undefined) throw usageFault('--database or SALUS_DATABASE must name the database.');
        const report = await moveStores(options.data, kind, options.database);
        const place = kind === 'postgres' ? 'PostgreSQL' : 'SQLite files';
        const done = `${report.rows} rows of ${report.stores} stores are in ${place} now.`;
        return { value: report, text: report.from === kind ? `The rows are in ${place} already.` : done };
      }),
    );
};
