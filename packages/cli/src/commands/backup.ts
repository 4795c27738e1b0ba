import { backupNode, copyErasureLists } from '@salus/server';
import { type AddCommand, examples, type GlobalOptions, type Outcome } from '../cli.ts';

interface Options extends GlobalOptions {
  to: string;
  erasuresOnly?: boolean;
}

const mebibyte = 1_048_576;

function copyLists(data: string, to: string): Outcome {
  const erasures = copyErasureLists(data, to);
  const lines = Object.entries(erasures).map(([slug, entries]) => `${slug}: ${entries} erasures`);
  return { value: { to, erasures }, text: lines.join('\n') };
}

export const addBackup: AddCommand = (program, cli) => {
  program
    .command('backup')
    .summary('copy a stopped node, without its keys')
    .description(
      'Copies the data directory of a stopped node as of one moment: ledger, encrypted records and their wrapped keys, ' +
        'indexes, exchange, with a manifest of all hashes. No key that opens or signs anything is in it: keep keys/ and ' +
        'orgs/*/keys/ in an escrow of their own. --erasures-only copies the lists of what was erased, also beside a ' +
        'running node; a restore needs the newest.',
    )
    .requiredOption('--to <dir>', 'directory of the backup; empty or not there yet')
    .option('--erasures-only', 'only the erasure lists; the directory may hold earlier ones')
    .addHelpText(
      'after',
      examples(
        'salus backup --data /srv/salus --to /backup/monday',
        'salus backup --erasures-only --to /backup/erasures',
      ),
    )
    .action(
      cli.action<Options, []>(async ({ data, to, erasuresOnly }) => {
        if (erasuresOnly === true) return copyLists(data, to);
        const { files, ...about } = await backupNode(data, to);
        const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
        const text =
          `${files.length} files, ${Math.round(bytes / mebibyte)} MiB, chain ${about.chain} up to block ${about.height}.\n` +
          'Keys are not in it: without a copy of keys/ and orgs/*/keys/ nobody can restore or read it.';
        return { value: { ok: true, to, ...about, files: files.length, bytes }, text };
      }),
    );
};
