import { dirname, join } from 'node:path';
import type { Block, Expiring, Status, ValidatorFault } from '@salus/api';
import { CometRpc } from '@salus/ledger';
import { NodeErrorCodes, NodeFault, openDirectory } from '@salus/server';
import { memberUrl, trustAuthority } from './addresses.ts';
import { cometHomeOf } from './comet-home.ts';
import { endpointProblem, registeredEndpoint } from './endpoint-check.ts';
import { statusTimeoutMs } from './limits.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { isAbandoned, isSupervised, memberPidFile } from './run-network.ts';
import { stoppedSinceMs } from './stop-mark.ts';
import { lastEnd, runningPid } from './supervised-process.ts';
import { powerOf, type SigningValidator, type VotingPower, validatorAddress, validatorsAt } from './voting-power.ts';

export type MemberStatus = {
  slug: string;
  url: string;
  /** Process ids; absent where it does not run. */
  pid?: number;
  cometPid?: number;
  height?: number;
  appHash?: string;
  blockTimeMs?: number;
  comet?: {
    version: string;
    height: number;
    peers: number;
    isCatchingUp: boolean;
    power: number;
    /** Address of its validator. */
    address: string;
  };
  /** What the members, this one among them, saw its validator do against the rules since they started. */
  faults?: (Omit<ValidatorFault, 'validator'> & { seenBy: string })[];
  /** Keys and certificates that end soon, as this member sees it. */
  expiring?: Expiring[];
  /** Since when its operator has had it stopped (RFC 3339); it is ended in order then, and that is no problem. */
  stopped?: string;
  /** Where the others reach it, as the ledger says; absent where nobody answers, or it is stopped. */
  endpoint?: string;
  /** What does not answer, or does not fit. */
  problem?: string;
};

export type NetworkStatus = {
  chain: string;
  /** Whether `salus network start` runs here. */
  supervised: boolean;
  ok: boolean;
  /** What concerns all members: nobody looks after those that run. */
  problem?: string;
  /** Absent where no CometBFT answers. */
  power?: VotingPower;
  members: MemberStatus[];
};

type CometStatus = {
  node_info: { version: string; network: string };
  sync_info: { latest_block_height: string; catching_up: boolean };
  validator_info: { address: string; voting_power: string };
};

const abandonedText =
  'What ran the network was killed and left members, which nobody starts again when they end: salus network start';

/** What listens at a member's port and is not of its network: another network's, or another program. */
class Stranger extends Error {}

async function nodeStatus(url: string, chain: string): Promise<Status> {
  const answer = await fetch(`${url}/api/status`, { signal: AbortSignal.timeout(statusTimeoutMs) });
  const status = (await answer.json().catch(() => ({}))) as Status;
  if (status.chain !== chain) throw new Stranger();
  return status;
}

async function cometStatus(port: number, chain: string): Promise<NonNullable<MemberStatus['comet']>> {
  const rpc = new CometRpc(port);
  try {
    const status = (await rpc.call('status')) as CometStatus;
    if (status.node_info.network !== chain) throw new Stranger();
    const { n_peers: peers } = (await rpc.call('net_info')) as { n_peers: string };
    return {
      version: status.node_info.version,
      height: Number(status.sync_info.latest_block_height),
      peers: Number(peers),
      isCatchingUp: status.sync_info.catching_up,
      power: Number(status.validator_info.voting_power),
      address: status.validator_info.address.toLowerCase(),
    };
  } finally {
    rpc.close();
  }
}

/** What is wrong with a member's directory, so that its node cannot run, or not as a member of this network. */
export function directoryProblem({ dataDir }: NetworkMember, chain: string): string | undefined {
  try {
    openDirectory(dataDir, chain);
    return undefined;
  } catch (error) {
    if (!(error instanceof NodeFault)) return 'its directory cannot be read';
    if (error.code === NodeErrorCodes.dataDirectoryMissing) return 'its directory is missing';
    if (error.code === NodeErrorCodes.dataDirectoryChain) return 'its directory is of another chain';
    return `its directory cannot be used (${error.code})`;
  }
}

/** What a process says that does not answer; `pidFile` of one that is started again when it ends. */
function silence(what: string, reason: unknown, pidFile: string | undefined): string {
  if (reason instanceof Stranger) return `what answers at the port of ${what} is not of this network`;
  const end = pidFile === undefined ? undefined : lastEnd(pidFile);
  if (end === undefined) return `${what} does not answer`;
  return `${what} ended by itself (${end.how}) at ${new Date(end.atMs).toISOString()} and is started again`;
}

type Seen = { status: MemberStatus; faults: readonly ValidatorFault[] };

export function cometPidFile({ dataDir }: Pick<NetworkMember, 'dataDir'>): string {
  return join(cometHomeOf(dataDir), 'comet.pid');
}

async function memberStatus(member: NetworkMember, { host, chain }: Network): Promise<Seen> {
  const { slug, dataDir, ports } = member;
  const dir = dirname(dataDir);
  trustAuthority(dir);
  const url = memberUrl({ host }, member);
  const pid = runningPid(memberPidFile(member), dataDir);
  const cometPid = runningPid(cometPidFile(member), cometHomeOf(dataDir));
  const status: MemberStatus = { slug, url, pid, cometPid };
  const atDirectory = directoryProblem(member, chain);
  const problems = atDirectory === undefined ? [] : [atDirectory];
  const see = (log: string): string => (atDirectory === undefined ? `: see ${slug}/${log}` : '');
  const [node, comet] = await Promise.allSettled([nodeStatus(url, chain), cometStatus(ports.rpc, chain)]);
  const since = stoppedSinceMs(member);
  if (since !== undefined && [node, comet].every(({ status: answer }) => answer === 'rejected')) {
    status.stopped = new Date(since).toISOString();
    if (pid !== undefined || cometPid !== undefined) {
      status.problem = `its operator stopped it, and it still runs: salus network stop ${slug}`;
    }
    return { status, faults: [] };
  }
  if (node.status === 'fulfilled') {
    const { height, appHash, blockTimeMs, expiring } = node.value;
    Object.assign(status, { height, appHash, blockTimeMs, expiring });
  } else {
    const watched = isSupervised(dir) ? memberPidFile(member) : undefined;
    problems.push(silence('the node', node.reason, watched) + see('member.log'));
  }
  if (comet.status === 'fulfilled') status.comet = comet.value;
  else {
    const watched = pid === undefined ? undefined : cometPidFile(member);
    problems.push(silence('its CometBFT', comet.reason, watched) + see('comet/comet.log'));
  }
  if (problems.length > 0) status.problem = problems.join('; ');
  return { status, faults: (node.status === 'fulfilled' && node.value.faults) || [] };
}

function addProblem(status: MemberStatus, found: string): void {
  status.problem = status.problem === undefined ? found : `${status.problem}; ${found}`;
}

async function rootAfter({ url, height, appHash }: MemberStatus, block: number): Promise<string | undefined> {
  if (height === undefined || height < block) return undefined;
  if (height === block) return appHash;
  try {
    const answer = await fetch(`${url}/api/blocks/${block}`, { signal: AbortSignal.timeout(statusTimeoutMs) });
    return answer.ok ? ((await answer.json()) as Block).appHash : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A member that executes something else stops where the others' next header has another root, and every process of it
 * goes on answering. So whoever is furthest behind is compared with all others.
 */
async function compareRoots(all: readonly MemberStatus[]): Promise<void> {
  const [last] = all
    .filter(({ height, comet }) => height !== undefined && height > 0 && comet?.isCatchingUp !== true)
    .sort((one, other) => (one.height ?? 0) - (other.height ?? 0));
  if (last?.height === undefined) return;
  const { height, appHash } = last;
  const others = all.filter((member) => member !== last);
  const roots = await Promise.all(others.map((member) => rootAfter(member, height)));
  const differing = roots.filter((root) => root !== undefined && root !== appHash).length;
  const agreeing = 1 + roots.filter((root) => root === appHash).length;
  if (differing <= agreeing) return;
  addProblem(last, `its state after block ${height} is not that of the others`);
}

/** What of the members that run stands otherwise on the ledger, as the one that is furthest says. */
async function compareEndpoints(network: Network, all: readonly MemberStatus[]): Promise<void> {
  const answering = all.filter(({ height }) => height !== undefined);
  const [asked] = answering.sort((one, other) => (other.height ?? 0) - (one.height ?? 0));
  if (!asked) return;
  const compare = async (status: MemberStatus): Promise<void> => {
    const member = network.members.find(({ slug }) => slug === status.slug);
    const endpoint = await registeredEndpoint(asked.url, status.slug);
    if (!member || endpoint === undefined) return;
    status.endpoint = endpoint;
    const found = endpointProblem(member, network, endpoint);
    if (found !== undefined) addProblem(status, found);
  };
  await Promise.all(all.filter(({ stopped }) => stopped === undefined).map(compare));
}

async function votingPower({ members }: Network, all: readonly MemberStatus[]): Promise<VotingPower | undefined> {
  const known = new Map<string, boolean>();
  let validators: SigningValidator[] | undefined;
  for (const [index, member] of members.entries()) {
    const { comet } = all[index] ?? {};
    const address = comet?.address ?? validatorAddress(member.dataDir);
    // Whom its operator has just stopped may answer for a moment.
    const isThere = comet?.isCatchingUp === false && stoppedSinceMs(member) === undefined;
    if (address !== undefined) known.set(address, isThere);
    if (comet !== undefined) validators ??= await validatorsAt(member.ports.rpc).catch(() => undefined);
  }
  return validators && powerOf(validators, known);
}

/** Both of its processes answer, whatever they say. */
export function isUp({ height, comet }: MemberStatus): boolean {
  return height !== undefined && comet !== undefined;
}

/** Runs as it should, or is ended as its operator said. */
function isInOrder({ problem, comet, stopped }: MemberStatus): boolean {
  return problem === undefined && (stopped !== undefined || comet?.isCatchingUp === false);
}

/**
 * What every member says of itself and of the others. `ok` where all answer that their operator did not stop, none catches
 * up, states agree, and the voting power that is there decides blocks.
 */
export async function networkStatus(network: Network): Promise<NetworkStatus> {
  const { chain, members } = network;
  const seen = await Promise.all(members.map((member) => memberStatus(member, network)));
  const all = seen.map(({ status }) => status);
  await compareRoots(all);
  await compareEndpoints(network, all);
  for (const status of all) {
    const faults = seen.flatMap(({ status: { slug: seenBy }, faults: theirs }) =>
      theirs.flatMap(({ validator, ...fault }) => (validator === status.comet?.address ? [{ ...fault, seenBy }] : [])),
    );
    if (faults.length > 0) status.faults = faults;
  }
  const power = await votingPower(network, all);
  const isRunning = all.some(({ stopped }) => stopped === undefined);
  // Unknown before the first block: that the members find each other and decide is what everybody waits for.
  const isEnough = power !== undefined && power.there >= power.needed;
  const dirs = [...new Set(members.map(({ dataDir }) => dirname(dataDir)))];
  const supervised = dirs.some(isSupervised);
  const isLeft = all.some(({ pid, cometPid }) => pid !== undefined || cometPid !== undefined);
  const problem = isLeft && dirs.some(isAbandoned) ? abandonedText : undefined;
  const ok = isRunning && isEnough && problem === undefined && all.every(isInOrder);
  return { chain, supervised, ok, ...(problem && { problem }), ...(power && { power }), members: all };
}
