import { dirname, join } from 'node:path';
import type { Expiring, Status } from '@salus/api';
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
  comet?: { version: string; height: number; peers: number; isCatchingUp: boolean; power: number };
  /** Keys and certificates that end soon, as this member sees it. */
  expiring?: Expiring[];
  /** What does not answer. */
  problem?: string;
};

export type NetworkStatus = { chain: string; ok: boolean; members: MemberStatus[] };

type CometStatus = {
  node_info: { version: string };
  sync_info: { latest_block_height: string; catching_up: boolean };
  validator_info: { voting_power: string };
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
    };
  } finally {
    rpc.close();
  }
}

async function memberStatus(member: NetworkMember, host: string): Promise<MemberStatus> {
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
  return status;
}

/** What every member says of itself. `ok` where all answer and none catches up. */
export async function networkStatus({ chain, host, members }: Network): Promise<NetworkStatus> {
  const all = await Promise.all(members.map((member) => memberStatus(member, host)));
  const ok = all.every(({ problem, comet }) => problem === undefined && comet?.isCatchingUp === false);
  return { chain, ok, members: all };
}
