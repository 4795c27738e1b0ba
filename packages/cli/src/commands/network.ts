import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type AddCommand, type Cli, examples, type GlobalOptions, integerOption, usageFault } from '../cli.ts';
import { memberUrl } from '../network/addresses.ts';
import { cometVersion, installComet } from '../network/comet-binary.ts';
import { basePortDefault, membersMax, portMax, portMin, portsPerMember } from '../network/limits.ts';
import { createNetwork, type Network, readNetwork } from '../network/network-directory.ts';
import { checkChainName, checkPlacement } from '../network/placement.ts';
import { prepareResync, type ResyncSource, resyncSources } from '../network/resync.ts';
import { memberOf } from '../network/single-member.ts';
import { addExportGenesis } from './network-export.ts';
import { addJoin } from './network-join.ts';
import { addRollback } from './network-rollback.ts';
import { addRunning } from './network-run.ts';
import { addVotes } from './network-votes.ts';

interface NetworkOptions extends GlobalOptions {
  dir: string;
}

interface ResyncOptions extends NetworkOptions {
  from: ResyncSource;
}

interface InitOptions extends NetworkOptions {
  validators: number;
  basePort: number;
  host: string;
  hosts?: string[];
  chain?: string;
  tls?: boolean;
  snapshotEvery?: number;
}

const validatorsDefault = 4;
const hostDefault = '127.0.0.1';

function withDir(command: Command): Command {
  return command.option('--dir <dir>', 'directory of the network', '.network');
}

function addresses({ members, host }: Network): string[] {
  return members.map((member) => `  ${member.slug.padEnd(12)}${memberUrl({ host }, member)}`);
}

function addInit(program: Command, cli: Cli): void {
  withDir(program.command('init'))
    .summary('make the members of a new network')
    .description(
      'Makes one data directory for each member, with keys of its own, and one genesis for all. Everything listens on ' +
        'this machine alone unless --host says otherwise.',
    )
    .option('--validators <number>', 'members', integerOption('--validators', 1, membersMax), validatorsDefault)
    .option(
      '--base-port <port>',
      `first of the ports; each member takes three within ${portsPerMember}`,
      integerOption('--base-port', portMin, portMax),
      basePortDefault,
    )
    .option('--host <address>', 'address of the nodes and of their consensus', hostDefault)
    .option(
      '--hosts <names>',
      'names of the members’ machines, in order and with commas, where each has one of its own; --host is then what they listen on',
      (text: string) => text.split(',').map((name) => name.trim()),
    )
    .option(
      '--snapshot-every <blocks>',
      'blocks from one snapshot to the next; 0 for none',
      integerOption('--snapshot-every', 0, Number.MAX_SAFE_INTEGER),
    )
    .option('--tls', 'HTTPS, with certificates of an authority that is made for this network')
    .option('--chain <name>', 'name of the chain; a sandbox by default')
    .addHelpText('after', examples('salus network init --validators 4 --dir /srv/network'))
    .action(
      cli.action<InitOptions, []>(async (options) => {
        const dir = resolve(options.dir);
        if (options.hosts !== undefined && options.hosts.length !== options.validators) {
          throw usageFault('--hosts names as many machines as --validators has members.');
        }
        const { validators, basePort, host, hosts, chain: name } = options;
        checkPlacement({ members: validators, basePort, host, hosts });
        if (name !== undefined) checkChainName(name);
        const network = await createNetwork({ ...options, dir, snapshotEveryBlocks: options.snapshotEvery });
        const { chain, members } = network;
        const text = [
          `Network ${chain} in ${dir}`,
          ...addresses(network),
          `Start it: salus network start --dir ${dir}`,
        ];
        return { value: { chain, dir, members }, text: text.join('\n') };
      }),
    );
}

function addResync(program: Command, cli: Cli): void {
  withDir(program.command('resync <member>'))
    .summary('make a stopped member anew from the others')
    .description(
      'Removes the ledger of a stopped member, not its keys and contents; at its next start it takes every block from the ' +
        'others, or the state from their newest snapshot and the blocks after it: faster, but a member that keeps records ' +
        'must see every block. All of it is proven by the votes of the validators. Two others must run.',
    )
    .addOption(new Option('--from <what>', 'what to take').choices(resyncSources).default('blocks'))
    .addHelpText('after', examples('salus network resync clinic --dir /srv/network'))
    .action(
      cli.action<ResyncOptions, [string]>(async (options, slug) => {
        const network = readNetwork(resolve(options.dir));
        const { height, hash } = await prepareResync(network, memberOf(network, slug), options.from);
        return {
          value: { member: slug, height, hash },
          text: `${slug} takes its ledger from the others when it starts.`,
        };
      }),
    );
}

export const addNetwork: AddCommand = (program, cli) => {
  const command = program.command('network').summary('several members on CometBFT');
  command.description('A network of several members whose blocks CometBFT orders.');
  addInit(command, cli);
  addRunning(command, cli);
  addResync(command, cli);
  addExportGenesis(command, cli);
  addJoin(command, cli);
  addVotes(command, cli);
  addRollback(command, cli);
  command
    .command('install')
    .summary(`install CometBFT ${cometVersion}`)
    .description('Builds the CometBFT that this version is tested with into the user’s cache. Needs Go.')
    .action(
      cli.action<GlobalOptions, []>(async () => {
        const binary = await installComet();
        return { value: { binary, version: cometVersion }, text: `CometBFT ${cometVersion}: ${binary}` };
      }),
    );
};
