import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GenesisDocument, type GenesisMember, genesisFormat, governance } from '@salus/contracts';
import type { JsonValue } from '@salus/protocol';
import {
  createMember,
  createValidatorKey,
  finishDirectory,
  inspectDirectory,
  isSandboxChain,
  makeDirectory,
  NodeErrorCodes,
  NodeFault,
  readSeed,
  type SandboxMember,
  sandboxMembers,
  sandboxPrefix,
  sandboxVotingRules,
  writeFileDurably,
} from '@salus/server';
import { memberUrl } from './addresses.ts';
import { certifyMember } from './certificates.ts';
import { cometVersion } from './comet-binary.ts';
import { type CometPeer, type CometPorts, cometGenesis, cometHomeOf, nodeIdOf, writeCometHome } from './comet-home.ts';
import { portsPerMember } from './limits.ts';

export type MemberPorts = CometPorts & { http: number };
export type NetworkMember = { slug: string; dataDir: string; ports: MemberPorts };
export type Network = { chain: string; host: string; members: NetworkMember[] };

export type NetworkOptions = {
  dir: string;
  validators: number;
  basePort: number;
  /** Address to listen on, and where the others find it unless `hosts` says otherwise. */
  host?: string;
  /** Names of the members' machines in order, where each has one of its own: then all use the same ports. */
  hosts?: readonly string[];
  chain?: string;
  snapshotEveryBlocks?: number;
  /** HTTPS, with certificates of an authority of the network's own. */
  tls?: boolean;
  /** Rules of voting that differ from the defaults, as genesis has them. */
  votingRules?: GenesisDocument['votingRules'];
  nowMs?: number;
};

const networkFormat = 'salus-network/1';
export const validatorPower = 10;
const seedBytes = 32;
const hostDefault = '127.0.0.1';
const networkThereText = 'A network is there already, and stays as it is.';

function networkFile(dir: string): string {
  return join(dir, 'network.json');
}

/** The four kinds that the main job needs, then more clinics. */
function memberPlan(index: number): SandboxMember {
  const known = sandboxMembers[index];
  if (known) return known;
  const number = index + 1;
  return { slug: `clinic-${number}`, name: `Clinic ${number}`, role: 'clinic', class: 'provider' };
}

export function portsOf(basePort: number, index: number): MemberPorts {
  const http = basePort + index * portsPerMember;
  return { http, p2p: http + 1, rpc: http + 2 };
}

type Made = NetworkMember & { member: GenesisMember; publicKey: string; nodeSeed: Uint8Array };

async function makeMember(options: NetworkOptions, host: string, index: number): Promise<Made> {
  const plan = memberPlan(index);
  const ports = portsOf(options.basePort, options.hosts ? 0 : index);
  const dataDir = join(options.dir, plan.slug);
  makeDirectory(dataDir);
  if (options.tls === true) certifyMember(options.dir, host, { slug: plan.slug, dataDir }, options.nowMs ?? Date.now());
  const endpoint = memberUrl({ host }, { slug: plan.slug, dataDir, ports });
  const member = await createMember(dataDir, plan, endpoint);
  return {
    slug: plan.slug,
    dataDir,
    ports,
    member,
    publicKey: createValidatorKey(dataDir),
    nodeSeed: randomBytes(seedBytes),
  };
}

/**
 * Makes the data directories of a new network on this machine: for each member its own keys, its own validator and its
 * own CometBFT, and one genesis for all. Refuses a directory that holds anything.
 */
export async function createNetwork(options: NetworkOptions): Promise<Network> {
  const { dir, validators, snapshotEveryBlocks, nowMs = Date.now() } = options;
  if (inspectDirectory(dir) !== 'absent') {
    throw new NodeFault(NodeErrorCodes.dataDirectoryAlien, hasNetwork(dir) ? networkThereText : undefined);
  }
  const host = options.host ?? hostDefault;
  const chain = options.chain ?? `${sandboxPrefix}${randomBytes(6).toString('hex')}`;
  const votingRules = options.votingRules ?? (isSandboxChain(chain) ? sandboxVotingRules : undefined);
  makeDirectory(dir);
  const made: Made[] = [];
  const at = (index: number): string => options.hosts?.[index] ?? host;
  for (let index = 0; index < validators; index += 1) made.push(await makeMember(options, at(index), index));
  const genesis: GenesisDocument = {
    format: genesisFormat,
    chain,
    timeMs: nowMs,
    validators: made.map(({ publicKey, member }) => ({ publicKey, power: validatorPower, member: member.did })),
    members: made.map(({ member }) => member),
    parameters: {},
    ...(votingRules && { votingRules }),
    ruleSets: [governance.jurisdictionUsa as unknown as JsonValue],
  };
  const peers: CometPeer[] = made.map(({ nodeSeed, ports }, index) => ({
    id: nodeIdOf(nodeSeed),
    host: at(index),
    p2p: ports.p2p,
  }));
  for (const [index, { slug, dataDir, ports, nodeSeed }] of made.entries()) {
    const others = peers.filter((_peer, place) => place !== index);
    const home = cometHomeOf(dataDir);
    const validatorSeed = readSeed(dataDir);
    const settings = { ports: { p2p: ports.p2p, rpc: ports.rpc }, snapshotEveryBlocks };
    const about = { genesis: cometGenesis(genesis), moniker: slug, ...settings, host };
    writeCometHome({ home, validatorSeed, nodeSeed, peers: others, ...about });
    finishDirectory(dataDir, { chain, organizations: [slug] }, genesis);
  }
  const members = made.map(({ slug, dataDir, ports }) => ({ slug, dataDir, ports }));
  writeNetwork(dir, { chain, host, members });
  return { chain, host, members };
}

/** With it the directory holds a network. */
export function writeNetwork(dir: string, { chain, host, members }: Network): void {
  const network = { chain, host, members: members.map(({ slug, ports }) => ({ slug, ports })) };
  const text = JSON.stringify({ format: networkFormat, cometVersion, ...network }, null, 2);
  writeFileDurably(networkFile(dir), `${text}\n`);
}

export function hasNetwork(dir: string): boolean {
  return existsSync(networkFile(dir));
}

/** Throws `networkMissing` where `dir` holds no network. */
export function readNetwork(dir: string): Network {
  if (!hasNetwork(dir)) throw new NodeFault(NodeErrorCodes.networkMissing);
  try {
    const { format, chain, host, members } = JSON.parse(readFileSync(networkFile(dir), 'utf8')) as {
      format: string;
      chain: string;
      host: string;
      members: Omit<NetworkMember, 'dataDir'>[];
    };
    if (format !== networkFormat) throw new Error(format);
    return { chain, host, members: members.map((member) => ({ ...member, dataDir: join(dir, member.slug) })) };
  } catch (cause) {
    const text = 'network.json of the network cannot be read: take it from the escrow, or from another copy.';
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, text, { cause });
  }
}
