import { usageFault } from '../cli.ts';
import { cometHomeOf } from './comet-home.ts';
import { networkError } from './errors.ts';
import { readyWaitMsMax } from './limits.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { cometPidFile, isUp, type MemberStatus, networkStatus } from './network-status.ts';
import { isSupervised, memberPidFile, waitFor } from './run-network.ts';
import { markStopped, stoppedSinceMs, unmarkStopped } from './stop-mark.ts';
import { endProcess, runningPid } from './supervised-process.ts';
import type { VotingPower } from './voting-power.ts';

export type StoppedMember = { member: string; power?: VotingPower };

/** Throws `inputInvalid` where there is none of that name. */
export function memberOf({ members }: Network, slug: string): NetworkMember {
  const member = members.find((one) => one.slug === slug);
  if (member) return member;
  throw usageFault(`There is no member ${slug} in this network: ${members.map((one) => one.slug).join(', ')}.`);
}

/** Ids of the processes of a member: its node and its CometBFT, with an argument that tells them from others. */
function processesOf(member: NetworkMember): { pid: number; mark: string }[] {
  const home = cometHomeOf(member.dataDir);
  const ids = [
    { pid: runningPid(memberPidFile(member), member.dataDir), mark: member.dataDir },
    { pid: runningPid(cometPidFile(member), home), mark: home },
  ];
  return ids.flatMap(({ pid, mark }) => (pid === undefined ? [] : [{ pid, mark }]));
}

function requireSupervised(dir: string, member: NetworkMember): void {
  if (isSupervised(dir)) return;
  const isLeft = processesOf(member).length > 0;
  throw networkError(
    'networkStopped',
    isLeft
      ? 'What ran the network was killed and left members: end them with `salus network stop`.'
      : 'The network does not run.',
  );
}

/** Refuses where the network decides blocks now and would not without this member, which is marked as stopped already. */
async function checkPower(network: Network, member: NetworkMember): Promise<void> {
  const { members, power } = await networkStatus(network);
  if (power === undefined) {
    const text = 'No CometBFT of this network answers: what would be left of the voting power is not known.';
    throw networkError('powerTooLittle', text);
  }
  const { total, there, needed } = power;
  const comet = members.find(({ slug }) => slug === member.slug)?.comet;
  const own = comet?.isCatchingUp === false ? comet.power : 0;
  if (there >= needed || there + own < needed) return;
  const text = `Without ${member.slug} ${there} of ${total} of the voting power would be there, and consensus needs ${needed}: no transaction would be committed.`;
  throw networkError('powerTooLittle', text);
}

/**
 * Ends one member of a network that `salus network start` runs, its node and its CometBFT, until `startMember`. Throws
 * `inputInvalid`, `networkStopped`, `memberStopped`, and, unless `isForced`, `powerTooLittle` where no block would be decided
 * without it.
 */
export async function stopMember(
  dir: string,
  network: Network,
  slug: string,
  isForced: boolean,
): Promise<StoppedMember> {
  const member = memberOf(network, slug);
  requireSupervised(dir, member);
  // A stop that was cut off in the middle is brought to its end.
  if (stoppedSinceMs(member) === undefined) {
    // Before the power is counted: of two that are stopped at once, each is counted as gone for the other.
    markStopped(member);
    try {
      if (!isForced) await checkPower(network, member);
    } catch (refusal) {
      unmarkStopped(member);
      throw refusal;
    }
  } else if (processesOf(member).length === 0) throw networkError('memberStopped', `${slug} is stopped already.`);
  // The node ends its CometBFT.
  for (let [one] = processesOf(member); one; [one] = processesOf(member)) await endProcess(one.pid, one.mark);
  const { power } = await networkStatus(network);
  return { member: slug, ...(power && { power }) };
}

/** Brings back a member that was stopped, and waits for it. Throws as `stopMember` does, and `memberStarted`. */
export async function startMember(dir: string, network: Network, slug: string): Promise<MemberStatus> {
  const member = memberOf(network, slug);
  requireSupervised(dir, member);
  if (stoppedSinceMs(member) === undefined) {
    const isRunning = processesOf(member).length > 0;
    throw networkError('memberStarted', isRunning ? `${slug} runs.` : `${slug} was not stopped, and is started again.`);
  }
  unmarkStopped(member);
  const look = async (): Promise<MemberStatus | undefined> =>
    (await networkStatus(network)).members.find((one) => one.slug === slug);
  let status = await look();
  const isThere = async (): Promise<boolean> => {
    status = await look();
    return status !== undefined && isUp(status);
  };
  await waitFor(isThere, readyWaitMsMax);
  return status as MemberStatus;
}
