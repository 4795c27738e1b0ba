import { resolve } from 'node:path';
import { type BackupManifest, backupNode, callNode, copyErasureLists, NodeErrorCodes, NodeFault } from '@salus/server';
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

type Report = Omit<BackupManifest, 'files'> & { files: number; bytes: number; online: boolean };

/** A stopped node is copied here; a running one copies itself while it goes on working. */
async function backup(data: string, to: string, storeUrl: string | undefined): Promise<Report> {
  try {
    const { files, ...about } = await backupNode(data, to, { storeUrl });
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return { ...about, files: files.length, bytes, online: false };
  } catch (error) {
    if (!(error instanceof NodeFault) || error.code !== NodeErrorCodes.dataDirectoryLocked) throw error;
  }
  const report = await callNode(data, { command: 'backup', to });
  return { ...(report as Omit<Report, 'online'>), online: true };
}

function textOf({ files, bytes, chain, height, online }: Report): string {
  return [
    `${files} files, ${Math.round(bytes / mebibyte)} MiB, chain ${chain} up to block ${height}.`,
    ...(online ? ['The node went on working; what it did since is not in the backup.'] : []),
    'Keys are not in it: without a copy of keys/ and orgs/*/keys/ nobody can restore or read it.',
  ].join('\n');
}

export const addBackup: AddCommand = (program, cli) => {
  program
    .command('backup')
    .summary('copy a node, running or stopped, without its keys')
    .description(
      'Copies what a data directory holds as of one moment: ledger, encrypted records and their wrapped keys, indexes, ' +
        'exchange, with a manifest of all hashes. A node that runs on the directory makes the copy itself and goes on ' +
        'working meanwhile. No key that opens or signs anything is in it: keep keys/ and orgs/*/keys/ in an escrow of ' +
        'their own. --erasures-only copies the lists of what was erased; a restore needs the newest.',
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
      cli.action<Options, []>(async ({ data, database, to, erasuresOnly }) => {
        if (erasuresOnly === true) return copyLists(data, to);
        const report = await backup(data, resolve(to), database);
        return { value: { ok: true, to, ...report }, text: textOf(report) };
      }),
    );
};
