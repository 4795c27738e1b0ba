import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NodeErrorCodes, NodeFault } from '@salus/server';
import { connectionFlags } from './addresses.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { stoppedSinceMs } from './stop-mark.ts';
import { endProcess, isAlive, runningPid, SupervisedProcess } from './supervised-process.ts';

const mainFile = fileURLToPath(new URL('../main.ts', import.meta.url));
const pollMs = 100;
/** Longer than any member takes: the supervisor makes them end by itself. */
const stopNetworkWaitMsMax = 60_000;
/** The command that a supervisor was started with. */
const supervisorMark = 'network';

export function supervisorPidFile(dir: string): string {
  return join(dir, 'supervisor.pid');
}

/** Whether `salus network start` runs in this directory. */
export function isSupervised(dir: string): boolean {
  return runningPid(supervisorPidFile(dir), supervisorMark) !== undefined;
}

/** Whether what ran the network of this directory (`salus network start`, or a program that calls `runNetwork`) was killed. */
export function isAbandoned(dir: string): boolean {
  const file = supervisorPidFile(dir);
  return existsSync(file) && !isAlive(Number(readFileSync(file, 'utf8')));
}

/** Holds the id of the process that `salus start` became; its CometBFT's is beside it. */
export function memberPidFile({ dataDir }: Pick<NetworkMember, 'dataDir'>): string {
  return join(dataDir, 'member.pid');
}

export function memberProcess(member: NetworkMember, host: string): SupervisedProcess {
  const { dataDir, ports } = member;
  const flags = ['--engine', 'cometbft', '--data', dataDir, '--host', host, '--port', String(ports.http)];
  flags.push(...connectionFlags(dataDir));
  return new SupervisedProcess(
    {
      command: process.execPath,
      args: [mainFile, '--json', 'start', ...flags, '--log-level', 'info'],
      logFile: join(dataDir, 'member.log'),
      pidFile: memberPidFile(member),
      isHeld: () => stoppedSinceMs(member) !== undefined,
    },
    dataDir,
  );
}

export interface RunningNetwork {
  stop(): Promise<void>;
}

/** Starts every member as processes of its own and starts again what ends, until it is stopped; not whom its operator stopped. */
export async function runNetwork(dir: string, network: Network): Promise<RunningNetwork> {
  const pidFile = supervisorPidFile(dir);
  if (isSupervised(dir)) throw new NodeFault(NodeErrorCodes.networkRunning);
  writeFileSync(pidFile, String(process.pid));
  const processes = network.members.map((member) => memberProcess(member, network.host));
  await Promise.all(processes.map((one) => one.start()));
  return {
    stop: async () => {
      await Promise.all(processes.map((one) => one.stop()));
      rmSync(pidFile, { force: true });
    },
  };
}

/** Ends the supervisor, which ends its members; what an earlier one left running too. */
export async function stopNetwork(dir: string, network: Network): Promise<number> {
  let ended = 0;
  const supervisor = existsSync(supervisorPidFile(dir)) ? Number(readFileSync(supervisorPidFile(dir), 'utf8')) : 0;
  if (supervisor > 0 && isSupervised(dir)) {
    await endProcess(supervisor, supervisorMark, stopNetworkWaitMsMax);
    ended += 1;
  }
  for (const member of network.members) {
    const pid = runningPid(memberPidFile(member), member.dataDir);
    if (pid === undefined) continue;
    await endProcess(pid, member.dataDir);
    ended += 1;
  }
  rmSync(supervisorPidFile(dir), { force: true });
  return ended;
}

/** Waits until `isReady` or the time is over; no longer than until `end`, so that nothing goes on asking after it. */
export async function waitFor(
  isReady: () => Promise<boolean>,
  waitMs: number,
  end?: Promise<unknown>,
): Promise<boolean> {
  const until = performance.now() + waitMs;
  let isOver = false;
  const stop = (): void => {
    isOver = true;
  };
  end?.then(stop, stop);
  while (!(await isReady())) {
    if (isOver || performance.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return true;
}
