import { dirname, join } from 'node:path';
import type { Block, Expiring, Status, ValidatorFault } from '@salus/api';
import { CometRpc } from '@salus/ledger';
import { NodeErrorCodes, NodeFault, openDirectory } from '@salus/server';
import { memberUrl, trustAuthority } from './addresses.ts';
import { cometHomeOf } from './comet-home.ts';
import { statusTimeoutMs } from './limits.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { memberPidFile } from './run-network.ts';
import { runningPid } from './supervised-process.ts';

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
  /** What does not answer, or does not fit. */
  problem?: string;
};

export type NetworkStatus = { chain: string; ok: boolean; members: MemberStatus[] };

type CometStatus = {
  node_info: { version: string; network: string };
  sync_info: { latest_block_height: string; catching_up: boolean };
  validator_info: { address: string; voting_power: string };
};

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

type Seen = { status: MemberStatus; faults: readonly ValidatorFault[] };

async function memberStatus(member: NetworkMember, { host, chain }: Network): Promise<Seen> {
  const { slug, dataDir, ports } = member;
  trustAuthority(dirname(dataDir));
  const url = memberUrl({ host }, member);
  const home = cometHomeOf(dataDir);
  const status: MemberStatus = {
    slug,
    url,
    pid: runningPid(memberPidFile(member), dataDir),
    cometPid: runningPid(join(home, 'comet.pid'), home),
  };
  const atDirectory = directoryProblem(member, chain);
  const problems = atDirectory === undefined ? [] : [atDirectory];
  const silent = (what: string, reason: unknown, log: string): string =>
    reason instanceof Stranger
      ? `what answers at the port of ${what} is not of this network`
      : `${what} does not answer${atDirectory === undefined ? `: see ${log}` : ''}`;
  const [node, comet] = await Promise.allSettled([nodeStatus(url, chain), cometStatus(ports.rpc, chain)]);
  if (node.status === 'fulfilled') {
    const { height, appHash, blockTimeMs, expiring } = node.value;
    Object.assign(status, { height, appHash, blockTimeMs, expiring });
  } else problems.push(silent('the node', node.reason, `${slug}/member.log`));
  if (comet.status === 'fulfilled') status.comet = comet.value;
  else problems.push(silent('its CometBFT', comet.reason, `${slug}/comet/comet.log`));
  if (problems.length > 0) status.problem = problems.join('; ');
  return { status, faults: (node.status === 'fulfilled' && node.value.faults) || [] };
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
  const found = `its state after block ${height} is not that of the others`;
  last.problem = last.problem === undefined ? found : `${last.problem}; ${found}`;
}

/** What every member says of itself and of the others. `ok` where all answer, none catches up, and states agree. */
export async function networkStatus(network: Network): Promise<NetworkStatus> {
  const { chain, members } = network;
  const seen = await Promise.all(members.map((member) => memberStatus(member, network)));
  const all = seen.map(({ status }) => status);
  await compareRoots(all);
  for (const status of all) {
    const faults = seen.flatMap(({ status: { slug: seenBy }, faults: theirs }) =>
      theirs.flatMap(({ validator, ...fault }) => (validator === status.comet?.address ? [{ ...fault, seenBy }] : [])),
    );
    if (faults.length > 0) status.faults = faults;
  }
  const ok = all.every(({ problem, comet }) => problem === undefined && comet?.isCatchingUp === false);
  return { chain, ok, members: all };
}
