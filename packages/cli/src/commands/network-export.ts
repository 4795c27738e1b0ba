import { resolve } from 'node:path';
import { openDirectory } from '@salus/server';
import type { Command } from 'commander';
import { type Cli, examples, type GlobalOptions, integerOption } from '../cli.ts';
import { memberUrl } from '../network/addresses.ts';
import { exportGenesis } from '../network/export-genesis.ts';
import { basePortDefault, portMax, portMin, portsPerMember } from '../network/limits.ts';
import { checkPlacement } from '../network/placement.ts';

interface ExportOptions extends GlobalOptions {
  dir: string;
  basePort: number;
  host: string;
  snapshotEvery?: number;
  tls?: boolean;
}

export function addExportGenesis(program: Command, cli: Cli): void {
  program
    .command('export-genesis')
    .summary('make a network of the chain of one node')
    .description(
      'Hands the chain of a stopped node (--data) over to a network: its members vote for validators of their own, each ' +
        'gets a data directory with its keys, records and the whole ledger, and CometBFT goes on at the next block. The ' +
        'signed handover ends the chain in the source directory. Interrupted, the same command goes on with it.',
    )
    .option('--dir <dir>', 'directory of the new network', '.network')
    .option(
      '--base-port <port>',
      `first of the ports; each member takes three within ${portsPerMember}`,
      integerOption('--base-port', portMin, portMax),
      basePortDefault,
    )
    .option('--host <address>', 'address of the nodes and of their consensus', '127.0.0.1')
    .option(
      '--snapshot-every <blocks>',
      'blocks from one snapshot to the next; 0 for none',
      integerOption('--snapshot-every', 0, Number.MAX_SAFE_INTEGER),
    )
    .option('--tls', 'members speak HTTPS, with certificates of an authority of the network’s own')
    .addHelpText('after', examples('salus network export-genesis --data /srv/salus --dir /srv/network'))
    .action(
      cli.action<ExportOptions, []>(async (options) => {
        const dir = resolve(options.dir);
        const { basePort, host, snapshotEvery: snapshotEveryBlocks, data, database: storeUrl, tls } = options;
        const say = (text: string): void => cli.say(text, options);
        checkPlacement({ members: openDirectory(data).manifest.organizations.length, basePort, host });
        const { network, height, appHash } = await exportGenesis({
          data,
          storeUrl,
          dir,
          basePort,
          host,
          snapshotEveryBlocks,
          tls,
          say,
        });
        const text = [
          `The chain ${network.chain} was handed over after block ${height}, state ${appHash}.`,
          ...network.members.map((member) => `  ${member.slug.padEnd(12)}${memberUrl(network, member)}`),
          `Start it: salus network start --dir ${dir}`,
        ];
        return { value: { dir, height, appHash, ...network }, text: text.join('\n') };
      }),
    );
}
