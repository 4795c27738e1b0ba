import { dirname, join } from 'node:path';
import type { Block, Expiring, Status, ValidatorFault } from '@salus/api';
import { CometRpc } from '@salus/ledger';
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
  node_info: { version: string };
  sync_info: { latest_block_height: string; catching_up: boolean };
  validator_info: { address: string; voting_power: string };
};

async function nodeStatus(url: string): Promise<Status> {
  const answer = await fetch(`${url}/api/status`, { signal: AbortSignal.timeout(statusTimeoutMs) });
  return (await answer.json()) as Status;
}

async function cometStatus(port: number): Promise<NonNullable<MemberStatus['comet']>> {
  const rpc = new CometRpc(port);
  try {
    const status = (await rpc.call('status')) as CometStatus;
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

type Seen = { status: MemberStatus; faults: readonly ValidatorFault[] };

async function memberStatus(member: NetworkMember, host: string): Promise<Seen> {
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
  const problems: string[] = [];
  const [node, comet] = await Promise.allSettled([nodeStatus(url), cometStatus(ports.rpc)]);
  if (node.status === 'fulfilled') {
    const { height, appHash, blockTimeMs, expiring } = node.value;
    Object.assign(status, { height, appHash, blockTimeMs, expiring });
  } else problems.push('the node does not answer');
  if (comet.status === 'fulfilled') status.comet = comet.value;
  else problems.push('its CometBFT does not answer');
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
export async function networkStatus({ chain, host, members }: Network): Promise<NetworkStatus> {
  const seen = await Promise.all(members.map((member) => memberStatus(member, host)));
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
