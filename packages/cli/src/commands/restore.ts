import { type RestoreReport, restoreNode } from '@salus/server';
import { type AddCommand, examples, exitCodes, type GlobalOptions } from '../cli.ts';

interface Options extends GlobalOptions {
  from: string;
  keys: string;
  erasures?: string;
}

function textOf(report: RestoreReport, hasLists: boolean): string {
  const { chain, height, files, erasuresReplayed, recordsErased, ok, problems } = report;
  return [
    `${files} files, chain ${chain} up to block ${height}; every hash is right.`,
    `${recordsErased} records are erased, ${erasuresReplayed} erasures were replayed.`,
    ...(hasLists ? [] : ['No newer erasure list was given: what was erased after this backup is back.']),
    ok ? 'The doctor found nothing wrong.' : ['Not in order:', ...problems].join('\n'),
    ...(report.handedOver
      ? ['Its chain was handed over to a network since: it can be examined, and does not start.']
      : []),
    ...(report.mustResync ? ['It is a member of a network: run `salus network resync` before it starts.'] : []),
  ].join('\n');
}

export const addRestore: AddCommand = (program, cli) => {
  program
    .command('restore')
    .summary('make a data directory of a backup and its keys')
    .description(
      'Checks every hash of a backup, copies it and the keys into an empty data directory, erases again what was erased ' +
        'since, and examines the result. Nothing is written when the backup is damaged or a key is missing.',
    )
    .requiredOption('--from <dir>', 'directory of the backup')
    .requiredOption(
      '--keys <dir>',
      'directory with keys/ and orgs/*/keys/ of the node; of a member also comet/config/ and tls/',
    )
    .option('--erasures <dir>', 'newer erasure lists: of backup --erasures-only, a later backup, or a data directory')
    .addHelpText(
      'after',
      examples('salus restore --from /backup/monday --keys /escrow --erasures /backup/erasures --data /srv/salus'),
    )
    .action(
      cli.action<Options, []>(async ({ data, from, keys, erasures }) => {
        const report = await restoreNode({ data, from, keys, ...(erasures !== undefined && { erasures }) });
        const exitCode = report.ok ? exitCodes.ok : exitCodes.failed;
        return { value: report, text: textOf(report, erasures !== undefined), exitCode };
      }),
    );
};
