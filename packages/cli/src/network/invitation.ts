import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GenesisDocument, genesisHash, parseGenesis } from '@salus/contracts';
import {
  type Anchor,
  anchorOfHandover,
  canonicalJson,
  equalBytes,
  fromBase64url,
  genesisAnchor,
  type Handover,
  handoverFromJson,
  handoverToJson,
  type JsonValue,
  verifyChain,
} from '@salus/protocol';
import { genesisOf, NodeErrorCodes, NodeFault, openDirectory, readHandover } from '@salus/server';
import { authorityFile, memberUrl } from './addresses.ts';
import {
  type CometGenesis,
  type CometPeer,
  cometGenesis,
  cometGenesisAfter,
  cometHomeOf,
  nodeIdOf,
  readCometSettings,
} from './comet-home.ts';
import type { Network } from './network-directory.ts';

/**
 * `salus-invitation/1`: what a new member needs to find a network, and nothing that is secret. It is believed as far as an
 * anchor proves it that came another way.
 */
export type Invitation = {
  genesis: GenesisDocument;
  handover: Handover | undefined;
  cometGenesis: CometGenesis;
  snapshotEveryBlocks: number | undefined;
  peers: CometPeer[];
  /** RPC of members' CometBFTs, host and port, and addresses of their nodes. */
  rpc: string[];
  nodes: string[];
  /** Certificate (PEM) of the authority that the members made for themselves; the word of whoever gives the invitation. */
  authority: string | undefined;
};

const invitationFormat = 'salus-invitation/1';
const loopback = '127.0.0.1';
const seedBytes = 32;

function cometFile(dataDir: string, name: string): unknown {
  return JSON.parse(readFileSync(join(cometHomeOf(dataDir), 'config', name), 'utf8'));
}

/** Of the key that others know a member's CometBFT by; undefined where there is none yet. */
export function nodeSeedOf(dataDir: string): Uint8Array | undefined {
  if (!existsSync(join(cometHomeOf(dataDir), 'config', 'node_key.json'))) return undefined;
  const { priv_key: key } = cometFile(dataDir, 'node_key.json') as { priv_key: { value: string } };
  return Buffer.from(key.value, 'base64').subarray(0, seedBytes);
}

/** Of a network whose members' directories are on this machine, in `dir`. */
export function invitationOf(dir: string, network: Network): JsonValue {
  const [first] = network.members;
  if (!first) throw new NodeFault(NodeErrorCodes.networkMissing);
  const handover = readHandover(first.dataDir);
  const peers = network.members.map(({ dataDir, ports }) => {
    const seed = nodeSeedOf(dataDir);
    if (!seed) throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
    return { id: nodeIdOf(seed), host: network.host, p2p: ports.p2p };
  });
  return {
    format: invitationFormat,
    genesis: genesisOf(openDirectory(first.dataDir)) as unknown as JsonValue,
    handover: handover ? handoverToJson(handover) : null,
    cometGenesis: cometFile(first.dataDir, 'genesis.json') as JsonValue,
    snapshotEveryBlocks: readCometSettings(first.dataDir)?.snapshotEveryBlocks ?? null,
    peers,
    rpc: network.members.map(({ ports }) => `${loopback}:${ports.rpc}`),
    nodes: network.members.map((member) => memberUrl(network, member)),
    authority: existsSync(authorityFile(dir)) ? readFileSync(authorityFile(dir), 'utf8') : null,
  };
}

function ensure(holds: boolean, what: string): void {
  if (!holds) throw new NodeFault(NodeErrorCodes.invitationUnfit, `${what}.`);
}

function anchorOfGenesis(genesis: GenesisDocument): Anchor {
  const validators = genesis.validators.map(({ publicKey, power }) => ({ publicKey: fromBase64url(publicKey), power }));
  const { chain, timeMs } = genesis;
  return genesisAnchor({ chain, timeMs, genesisHash: genesisHash(genesis), validators });
}

/** What a member's own directory says of where its chain begins (`salus-anchor/1`). */
export function anchorOfDirectory(dataDir: string): string {
  const handover = readHandover(dataDir);
  const anchor = handover ? anchorOfHandover(handover) : anchorOfGenesis(genesisOf(openDirectory(dataDir)));
  return canonicalJson(anchor as unknown as JsonValue);
}

/** The anchor is that of genesis, or of the handover that leads from it. */
function checkAnchor({ genesis, handover }: Invitation, anchor: Anchor): void {
  const { chain } = genesis;
  const first = anchorOfGenesis(genesis);
  if (handover) verifyChain(first, [handover]);
  const known = [first, ...(handover ? [anchorOfHandover(handover)] : [])];
  ensure(anchor.chain === chain, 'It is for another chain than the anchor');
  const text = canonicalJson(anchor as unknown as JsonValue);
  ensure(
    known.some((one) => canonicalJson(one as unknown as JsonValue) === text),
    'The anchor is not that of this chain',
  );
}

/** What CometBFT begins with must be what genesis and handover say, but for the names of the validators. */
function checkCometGenesis({ genesis, handover, cometGenesis: given }: Invitation): void {
  const names = given.validators as { pub_key: { value: string }; name: string }[];
  const nameOf = (key: Uint8Array): string =>
    names.find(({ pub_key: { value } }) => equalBytes(Buffer.from(value, 'base64'), key))?.name ?? '';
  const expected = handover ? cometGenesisAfter(genesis, handover, nameOf) : cometGenesis(genesis);
  ensure(canonicalJson(expected as JsonValue) === canonicalJson(given as JsonValue), 'Its CometBFT begins otherwise');
}

function parsed(text: string): Invitation {
  try {
    const json = JSON.parse(text) as Record<string, JsonValue>;
    if (json.format !== invitationFormat) throw new Error('format');
    const { handover, snapshotEveryBlocks, authority } = json;
    const { cometGenesis: comet, peers, rpc, nodes } = json as unknown as Invitation;
    const isList = [peers, rpc, nodes, comet.validators].every(Array.isArray);
    if (!isList || rpc.length === 0 || nodes.length === 0) throw new Error('lists');
    return {
      genesis: parseGenesis(json.genesis),
      handover: handover === null ? undefined : handoverFromJson(handover),
      cometGenesis: comet,
      snapshotEveryBlocks: typeof snapshotEveryBlocks === 'number' ? snapshotEveryBlocks : undefined,
      peers,
      rpc,
      nodes,
      authority: typeof authority === 'string' ? new X509Certificate(authority).toString() : undefined,
    };
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.invitationUnfit, 'It is no invitation of this version.', { cause });
  }
}

/** Throws `invitationUnfit`, or the number of what a handover in it does not prove. */
export function readInvitation(file: string, anchor: Anchor): Invitation {
  if (!existsSync(file)) throw new NodeFault(NodeErrorCodes.inputInvalid, 'There is no such invitation.');
  const invitation = parsed(readFileSync(file, 'utf8'));
  checkAnchor(invitation, anchor);
  checkCometGenesis(invitation);
  return invitation;
}
