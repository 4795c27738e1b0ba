import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CometRpc } from '@salus/ledger';
import {
  ledgerPath,
  lockDirectory,
  NodeErrorCodes,
  NodeFault,
  readHandover,
  releaseSigning,
  writeFileDurably,
} from '@salus/server';
import { cometHomeOf } from './comet-home.ts';
import type { Network, NetworkMember } from './network-directory.ts';
import { memberPidFile } from './run-network.ts';
import { runningPid } from './supervised-process.ts';

/** What the validator signed last: without it, it could sign a second block at one height. */
const keptState = 'priv_validator_state.json';
const sectionStart = '\n[statesync]\n';
/** CometBFT's light client asks a second member whether the first told the truth. */
export const serversMin = 2;
const hostDefault = '127.0.0.1';
/**
 * A validator can have voted on the block after the newest one, and those who answer can be behind by some: a validator that
 * does not remember what it signed leaves so many out.
 */
const unsignedBlocks = 10;

const missingText = 'Its directory is missing or not complete: bring it back with `salus restore` first.';
const handedOverText = 'This chain began on another engine: take a snapshot of the others (--from snapshot).';

export const resyncSources = ['blocks', 'snapshot'] as const;
export type ResyncSource = (typeof resyncSources)[number];
export type Trust = { height: number; hash: string };

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
 * Makes a stopped member forget its ledger, keys and sealed contents excepted, and take it from the others at its next
 * start: every block, each proven by votes from genesis on; or a snapshot whose root the votes prove, then the blocks after
 * it. Two others must answer.
 */
export async function prepareResync(
  network: Network,
  member: NetworkMember,
  from: ResyncSource = 'snapshot',
): Promise<Trust> {
  const { dataDir } = member;
  if (runningPid(memberPidFile(member), dataDir) !== undefined) {
    throw new NodeFault(NodeErrorCodes.networkRunning, `${member.slug} runs.`);
  }
  if (!existsSync(configFile(dataDir))) throw new NodeFault(NodeErrorCodes.memberUnready, missingText);
  // A member that was started by itself has no process id anywhere: its lock says that it runs.
  const lock = lockDirectory(dataDir);
  try {
    return await forget(network, member, from);
  } finally {
    lock.release();
  }
}

async function forget(network: Network, member: NetworkMember, from: ResyncSource): Promise<Trust> {
  const others = network.members.filter(({ slug }) => slug !== member.slug);
  const answers = await Promise.all(others.map(async ({ ports }) => ({ ports, trust: await trustOf(ports.rpc) })));
  const known = answers.flatMap(({ ports, trust }) => (trust ? [{ port: ports.rpc, trust }] : []));
  const [first] = known;
  if (!first || known.length < serversMin) {
    throw new NodeFault(NodeErrorCodes.memberUnready, 'Two other members must run to take the state from.');
  }
  const { dataDir } = member;
  const servers = known.map(({ port }) => `${hostDefault}:${port}`);
  if (from === 'snapshot') takeStateFrom(dataDir, servers, first.trust);
  else takeBlocks(dataDir);
  clearForJoining(dataDir);
  const highest = Math.max(...known.map(({ trust }) => trust.height));
  releaseSigning(dataDir, highest + unsignedBlocks);
  return first.trust;
}

/** At the next start every block comes from the others; where the chain began elsewhere its beginning is no block. */
function takeBlocks(dataDir: string): void {
  if (readHandover(dataDir)) throw new NodeFault(NodeErrorCodes.memberUnready, handedOverText);
  const path = configFile(dataDir);
  const [config = ''] = readFileSync(path, 'utf8').split(sectionStart);
  writeFileDurably(path, config);
  endJoining(dataDir);
}

function configFile(dataDir: string): string {
  return join(cometHomeOf(dataDir), 'config', 'config.toml');
}

/** At the next start the state comes from a snapshot that these prove, from what is trusted on. */
export function takeStateFrom(dataDir: string, servers: readonly string[], { height, hash }: Trust): void {
  const path = configFile(dataDir);
  const [config = ''] = readFileSync(path, 'utf8').split(sectionStart);
  const section = [
    'enable = true',
    `rpc_servers = "${servers.join(',')}"`,
    `trust_height = ${height}`,
    `trust_hash = "${hash}"`,
    'trust_period = "168h"',
    'discovery_time = "5s"',
    '',
  ];
  writeFileDurably(path, config + sectionStart + section.join('\n'));
  writeFileDurably(joiningFile(dataDir), '');
}
