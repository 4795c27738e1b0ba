import { resolve } from 'node:path';
import { expiryText } from '@salus/server';
import { type Command, Option } from 'commander';
import {
  type AddCommand,
  type Cli,
  examples,
  exitCodes,
  type GlobalOptions,
  integerOption,
  usageFault,
} from '../cli.ts';
import { memberUrl } from '../network/addresses.ts';
import { cometVersion, installComet, requireComet } from '../network/comet-binary.ts';
import { basePortDefault, membersMax, portMax, portMin, portsPerMember } from '../network/limits.ts';
import { createNetwork, type Network, readNetwork } from '../network/network-directory.ts';
import { directoryProblem, type MemberStatus, networkStatus } from '../network/network-status.ts';
import { checkChainName, checkPlacement } from '../network/placement.ts';
import { prepareResync, type ResyncSource, resyncSources } from '../network/resync.ts';
import { runNetwork, stopNetwork, waitFor } from '../network/run-network.ts';
import { addExportGenesis } from './network-export.ts';
import { addJoin } from './network-join.ts';
import { addRollback } from './network-rollback.ts';
import { signalled } from './node-options.ts';

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
const readyWaitMsMax = 120_000;
const recoveryText = 'Put it back, or see docs/operating/recovery.md; the others start without it.';

function withDir(command: Command): Command {
  return command.option('--dir <dir>', 'directory of the network', '.network');
}

function memberLine({ slug, url, height, comet, problem }: MemberStatus): string {
  const peers = comet === undefined ? '' : `peers ${comet.peers}`;
  return `  ${slug.padEnd(12)}${url.padEnd(28)}${`height ${height ?? '-'}`.padEnd(16)}${peers.padEnd(10)}${problem ?? ''}`;
}

function faultLines(members: readonly MemberStatus[]): string[] {
  return members.flatMap(({ slug, faults = [] }) =>
    faults.map(
      ({ kind, height, count, seenBy }) => `  ${slug}: ${kind}, ${count}, last at ${height} (seen by ${seenBy})`,
    ),
  );
}

/** Every member sees the same keys: each is told once. */
function expiryLines(members: readonly MemberStatus[]): string[] {
  const lines = members.flatMap(({ expiring = [] }) => expiring.map((one) => `  ${one.level}: ${expiryText(one)}`));
  return [...new Set(lines)];
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

function addStart(program: Command, cli: Cli): void {
  withDir(program.command('start'))
    .summary('run all members')
    .description(
      'Runs every member as two processes, the node and its CometBFT, and starts again what ends, until it is told to ' +
        'stop by a signal or by `salus network stop`.',
    )
    .action(
      cli.action<NetworkOptions, []>(async (options) => {
        const end = signalled();
        const dir = resolve(options.dir);
        const network = readNetwork(dir);
        await requireComet();
        const running = await runNetwork(dir, network);
        for (const member of network.members) {
          const problem = directoryProblem(member, network.chain);
          if (problem !== undefined) cli.say(`${member.slug} does not come up: ${problem}. ${recoveryText}`, options);
        }
        const isReady = async (): Promise<boolean> => (await networkStatus(network)).ok;
        const isUp = await waitFor(isReady, readyWaitMsMax, end);
        const value = { chain: network.chain, dir, ready: isUp, pid: process.pid, members: network.members };
        const title = isUp ? `Network ${network.chain} runs` : 'Not every member is up yet; see salus network status';
        cli.print({ value, text: [title, ...addresses(network), 'Ctrl-C stops it.'].join('\n') }, options);
        await end;
        await running.stop();
        return undefined;
      }),
    );
}

function addOthers(program: Command, cli: Cli): void {
  withDir(program.command('status'))
    .summary('what every member says of itself')
    .description('Asks every member of the network on this machine. Exit code 1 when one of them is not in order.')
    .action(
      cli.action<NetworkOptions, []>(async (options) => {
        const status = await networkStatus(readNetwork(resolve(options.dir)));
        const lines = status.members.map(memberLine);
        const exitCode = status.ok ? exitCodes.ok : exitCodes.failed;
        return {
          value: status,
          text: [
            `Network ${status.chain}`,
            ...lines,
            ...faultLines(status.members),
            ...expiryLines(status.members),
          ].join('\n'),
          exitCode,
        };
      }),
    );
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
        const member = network.members.find((one) => one.slug === slug);
        if (!member) throw usageFault(`There is no member ${slug} in this network.`);
        const { height, hash } = await prepareResync(network, member, options.from);
        return {
          value: { member: slug, height, hash },
          text: `${slug} takes its ledger from the others when it starts.`,
        };
      }),
    );
  withDir(program.command('stop'))
    .summary('end all members in order')
    .description('Ends every member, also what was left running where `salus network start` was killed.')
    .action(
      cli.action<NetworkOptions, []>(async (options) => {
        const dir = resolve(options.dir);
        const stopped = await stopNetwork(dir, readNetwork(dir));
        return { value: { stopped: stopped > 0 }, text: stopped > 0 ? 'Stopped.' : 'Nothing ran.' };
      }),
    );
}

export const addNetwork: AddCommand = (program, cli) => {
  const command = program.command('network').summary('several members on CometBFT');
  command.description('A network of several members whose blocks CometBFT orders.');
  addInit(command, cli);
  addStart(command, cli);
  addOthers(command, cli);
  addExportGenesis(command, cli);
  addJoin(command, cli);
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
