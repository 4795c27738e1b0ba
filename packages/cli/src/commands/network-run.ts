import { resolve } from 'node:path';
import { expiryText } from '@salus/server';
import type { Command } from 'commander';
import { type Cli, examples, exitCodes, type GlobalOptions, type Outcome, passDatabaseOn } from '../cli.ts';
import { memberUrl } from '../network/addresses.ts';
import { requireComet } from '../network/comet-binary.ts';
import { readyWaitMsMax, slowStartMs } from '../network/limits.ts';
import { type Network, readNetwork } from '../network/network-directory.ts';
import {
  directoryProblem,
  isUp,
  type MemberStatus,
  type NetworkStatus,
  networkStatus,
} from '../network/network-status.ts';
import { runNetwork, stopNetwork, waitFor } from '../network/run-network.ts';
import { startMember, stopMember } from '../network/single-member.ts';
import { stoppedSinceMs } from '../network/stop-mark.ts';
import type { VotingPower } from '../network/voting-power.ts';
import { signalled } from './node-options.ts';

interface NetworkOptions extends GlobalOptions {
  dir: string;
}

interface StopOptions extends NetworkOptions {
  yes?: boolean;
}

const recoveryText = 'Put it back, or see docs/operating/recovery.md; the others start without it.';

function withDir(command: Command): Command {
  return command.option('--dir <dir>', 'directory of the network', '.network');
}

function conditionOf({ comet, problem, stopped }: MemberStatus): string {
  if (problem !== undefined) return problem;
  if (stopped !== undefined) return `stopped by its operator since ${stopped}`;
  return comet?.isCatchingUp === true ? 'takes the blocks that it missed' : '';
}

function memberLine(member: MemberStatus): string {
  const { slug, url, height, comet } = member;
  const peers = comet === undefined ? '' : `peers ${comet.peers}`;
  const parts = [slug.padEnd(12), url.padEnd(28), `height ${height ?? '-'}`.padEnd(16), peers.padEnd(10)];
  return `  ${parts.join('')}${conditionOf(member)}`.trimEnd();
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

function powerLine({ total, there, needed }: VotingPower): string {
  const end = there < needed ? ': no transaction is committed' : '';
  return `Voting power ${there} of ${total} is there, consensus needs ${needed}${end}`;
}

function addresses({ members, host }: Network): string[] {
  return members.map((member) => `  ${member.slug.padEnd(12)}${memberUrl({ host }, member)}`);
}

/** The whole network, in this process, until a signal. */
async function runAll(cli: Cli, options: NetworkOptions): Promise<undefined> {
  const end = signalled();
  passDatabaseOn(options);
  const dir = resolve(options.dir);
  const network = readNetwork(dir);
  await requireComet();
  const running = await runNetwork(dir, network);
  for (const member of network.members) {
    const problem = directoryProblem(member, network.chain);
    if (problem !== undefined) cli.say(`${member.slug} does not come up: ${problem}. ${recoveryText}`, options);
    if (stoppedSinceMs(member) === undefined) continue;
    cli.say(`${member.slug} stays stopped, as its operator said, until: ${startText(member.slug, dir)}`, options);
  }
  let found: MemberStatus[] = [];
  const begunMs = performance.now();
  const told = new Set<string>();
  const tellSlow = (): void => {
    if (performance.now() - begunMs < slowStartMs) return;
    for (const { slug, problem } of found) {
      if (problem === undefined || told.has(slug)) continue;
      told.add(slug);
      cli.say(`${slug}: ${problem}. It is waited for.`, options);
    }
  };
  // What is wrong otherwise, or stopped, takes no waiting: it is told.
  const isReady = async (): Promise<boolean> => {
    const { members, power } = await networkStatus(network);
    found = members;
    tellSlow();
    return (
      power !== undefined &&
      members.every((one) => one.stopped !== undefined || (isUp(one) && one.comet?.isCatchingUp === false))
    );
  };
  let isEnded = false;
  void end.then(() => {
    isEnded = true;
  });
  const ready = await waitFor(isReady, readyWaitMsMax, end);
  if (isEnded) {
    await running.stop();
    return undefined;
  }
  for (const { slug, problem } of found) if (problem !== undefined) cli.say(`${slug}: ${problem}.`, options);
  const value = { chain: network.chain, dir, ready, pid: process.pid, members: network.members };
  const title = ready ? `Network ${network.chain} runs` : 'Not every member is up yet; see salus network status';
  cli.print({ value, text: [title, ...addresses(network), 'Ctrl-C stops it.'].join('\n') }, options);
  await end;
  await running.stop();
  return undefined;
}

function startText(slug: string, dir: string): string {
  return `salus network start ${slug} --dir ${dir}`;
}

async function startOne(dir: string, slug: string): Promise<Outcome> {
  const status = await startMember(dir, readNetwork(dir), slug);
  const { problem, comet } = status;
  const catching = comet?.isCatchingUp === true ? ', and takes the blocks that it missed' : '';
  const state = isUp(status) ? `runs${catching}` : 'is not up yet';
  return {
    value: { ...status, ready: isUp(status) },
    text: `${slug} ${state}${problem === undefined ? '' : `: ${problem}`}.`,
    exitCode: isUp(status) && problem === undefined ? exitCodes.ok : exitCodes.failed,
  };
}

function addStart(program: Command, cli: Cli): void {
  withDir(program.command('start [member]'))
    .summary('run all members, or bring back one that was stopped')
    .description(
      'Runs every member as two processes, the node and its CometBFT, and starts again what ends, until it is told to ' +
        'stop by a signal or by `salus network stop`. With MEMBER it brings back that one, which `salus network stop ' +
        'MEMBER` ended, in the network that runs.',
    )
    .addHelpText('after', examples('salus network start --dir /srv/network', 'salus network start clinic'))
    .action(
      cli.action<NetworkOptions, [string | undefined]>(async (options, slug) =>
        slug === undefined ? runAll(cli, options) : startOne(resolve(options.dir), slug),
      ),
    );
}

function statusText({ chain, supervised, problem, power, members }: NetworkStatus, dir: string): string {
  const isDown = !supervised && members.every(({ height, comet }) => height === undefined && comet === undefined);
  return [
    `Network ${chain}${isDown ? ` does not run: salus network start --dir ${dir}` : ''}`,
    ...(problem === undefined ? [] : [`${problem} --dir ${dir}`]),
    ...members.map(memberLine),
    ...(power === undefined ? [] : [powerLine(power)]),
    ...faultLines(members),
    ...expiryLines(members),
  ].join('\n');
}

function addStatus(program: Command, cli: Cli): void {
  withDir(program.command('status'))
    .summary('what every member says of itself')
    .description(
      'Asks every member of the network on this machine. Exit code 1 when one of them is not in order, or too little of ' +
        'the voting power is there; a member that its operator stopped is in order.',
    )
    .addHelpText('after', examples('salus network status --dir /srv/network'))
    .action(
      cli.action<NetworkOptions, []>(async (options) => {
        const dir = resolve(options.dir);
        const status = await networkStatus(readNetwork(dir));
        return { value: status, text: statusText(status, dir), exitCode: status.ok ? exitCodes.ok : exitCodes.failed };
      }),
    );
}

async function stopAll(dir: string): Promise<Outcome> {
  const stopped = await stopNetwork(dir, readNetwork(dir));
  return { value: { stopped: stopped > 0 }, text: stopped > 0 ? 'Stopped.' : 'Nothing ran.' };
}

async function stopOne(dir: string, slug: string, isForced: boolean): Promise<Outcome> {
  const stopped = await stopMember(dir, readNetwork(dir), slug, isForced);
  const lines = [
    `${slug} is stopped, and stays so until: ${startText(slug, dir)}`,
    ...(stopped.power === undefined ? [] : [powerLine(stopped.power)]),
  ];
  return { value: { ...stopped, stopped: true }, text: lines.join('\n') };
}

function addStop(program: Command, cli: Cli): void {
  withDir(program.command('stop [member]'))
    .summary('end all members in order, or one')
    .description(
      'Ends every member, also what was left running where `salus network start` was killed. With MEMBER it ends the node ' +
        'and the CometBFT of that one alone; it stays stopped, also when the network is started anew, until `salus network ' +
        'start MEMBER`.',
    )
    .option('--yes', 'stop MEMBER also where too little voting power is left for transactions to be committed')
    .addHelpText('after', examples('salus network stop --dir /srv/network', 'salus network stop clinic'))
    .action(
      cli.action<StopOptions, [string | undefined]>(async (options, slug) => {
        const dir = resolve(options.dir);
        return slug === undefined ? stopAll(dir) : stopOne(dir, slug, options.yes === true);
      }),
    );
}

/** Commands that run the members of a network on this machine, and look after them. */
export function addRunning(program: Command, cli: Cli): void {
  addStart(program, cli);
  addStatus(program, cli);
  addStop(program, cli);
}
