import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CometRpc } from '@salus/ledger';
import { ledgerPath, NodeErrorCodes, NodeFault, writeFileDurably } from '@salus/server';
import { cometHomeOf } from './comet-home.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { memberPidFile } from './run-network.ts';
import { runningPid } from './supervised-process.ts';

/** What the validator signed last: without it, it could sign a second block at one height. */
const keptState = 'priv_validator_state.json';
const sectionStart = '\n[statesync]\n';
/** CometBFT's light client asks a second member whether the first told the truth. */
const serversMin = 2;
const hostDefault = '127.0.0.1';

type Trust = { height: number; hash: string };

async function trustOf(port: number): Promise<Trust | undefined> {
  const rpc = new CometRpc(port);
  try {
    const { signed_header: signed } = (await rpc.call('commit')) as {
      signed_header: { header: { height: string }; commit: { block_id: { hash: string } } };
    };
    return { height: Number(signed.header.height), hash: signed.commit.block_id.hash };
  } catch {
    return undefined;
  } finally {
    rpc.close();
  }
}

function joiningFile(dataDir: string): string {
  return join(cometHomeOf(dataDir), 'joining');
}

/** Whether this member takes its ledger from the others at its next start. */
export function isJoining(dataDir: string): boolean {
  return existsSync(joiningFile(dataDir));
}

export function endJoining(dataDir: string): void {
  rmSync(joiningFile(dataDir), { force: true });
}

/** Whatever stood between a first attempt and its end is taken away: both halves must begin from nothing. */
export function clearForJoining(dataDir: string): void {
  rmSync(ledgerPath(dataDir), { recursive: true, force: true });
  const data = join(cometHomeOf(dataDir), 'data');
  for (const name of readdirSync(data)) {
    if (name !== keptState) rmSync(join(data, name), { recursive: true, force: true });
  }
}

/**
 * Makes a stopped member forget its ledger, keys and sealed contents excepted, and take the state from the others at its
 * next start: a snapshot whose root the votes of the validators prove, then the blocks after it. Two others must answer.
 */
export async function prepareResync(network: Network, member: NetworkMember): Promise<Trust> {
  if (runningPid(memberPidFile(member), member.dataDir) !== undefined) {
    throw new NodeFault(NodeErrorCodes.networkRunning);
  }
  const others = network.members.filter(({ slug }) => slug !== member.slug);
  const answers = await Promise.all(others.map(async ({ ports }) => ({ ports, trust: await trustOf(ports.rpc) })));
  const known = answers.flatMap(({ ports, trust }) => (trust ? [{ port: ports.rpc, trust }] : []));
  const [first] = known;
  if (!first || known.length < serversMin) {
    throw new NodeFault(NodeErrorCodes.memberUnready, 'Two other members must run to take the state from.');
  }
  const path = join(cometHomeOf(member.dataDir), 'config', 'config.toml');
  const [config = ''] = readFileSync(path, 'utf8').split(sectionStart);
  const { height, hash } = first.trust;
  const section = [
    'enable = true',
    `rpc_servers = "${known.map(({ port }) => `${hostDefault}:${port}`).join(',')}"`,
    `trust_height = ${height}`,
    `trust_hash = "${hash}"`,
    'trust_period = "168h"',
    'discovery_time = "5s"',
    '',
  ];
  writeFileDurably(path, config + sectionStart + section.join('\n'));
  writeFileDurably(joiningFile(member.dataDir), '');
  clearForJoining(member.dataDir);
  return first.trust;
}
