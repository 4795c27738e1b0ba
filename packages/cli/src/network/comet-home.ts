import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GenesisDocument, genesisHash } from '@salus/contracts';
import { proposalBytesMax } from '@salus/ledger';
import { addressOf, ed25519PublicKey, fromBase64url, type Handover, handoverHash, toHex } from '@salus/protocol';
import { cometPath, makeDirectory, NodeErrorCodes, NodeFault, writeFileDurably } from '@salus/server';

export type CometPorts = { p2p: number; rpc: number };
/** What Salus itself keeps about a member's CometBFT. */
export type CometSettings = {
  ports: CometPorts;
  /** At heights that this divides a snapshot is made. All members have the same. */
  snapshotEveryBlocks?: number | undefined;
};
/** Another member's CometBFT: hash of its node key, and where it listens. */
export type CometPeer = { id: string; host: string; p2p: number };

/** CometBFT's genesis: the same for every member, to the byte. */
export type CometGenesis = { validators: readonly object[] } & Readonly<Record<string, unknown>>;

export type CometHomeOptions = CometSettings & {
  home: string;
  genesis: CometGenesis;
  /** Ed25519 seeds: of the validator that signs votes, of the node that others know by its address. */
  validatorSeed: Uint8Array;
  nodeSeed: Uint8Array;
  moniker: string;
  host: string;
  peers: readonly CometPeer[];
};

const settingsFormat = 'salus-comet/1';
const loopback = '127.0.0.1';

/** Block time rises from block to block, and CometBFT gives the first block the time of its genesis. */
const firstBlockDelayMs = 1;
/** Evidence is taken for two weeks, the light client's trusting period. */
const evidenceAgeNanos = '1209600000000000';
const evidenceAgeBlocks = '1000000';
const evidenceBytesMax = '1048576';

const rpcBodyBytesMax = 3_000_000;
const mempoolTransactionsMax = 200_000;
const mempoolBytesMax = 512 * 1024 * 1024;
const transactionBytesMax = 1024 * 1024;
const peerBytesPerSecond = 100 * 1024 * 1024;

export function cometHomeOf(dataDir: string): string {
  return cometPath(dataDir);
}

/** What other members know this CometBFT by. */
export function nodeIdOf(nodeSeed: Uint8Array): string {
  return toHex(addressOf(ed25519PublicKey(nodeSeed)));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function privateKeyJson(seed: Uint8Array): { type: string; value: string } {
  return { type: 'tendermint/PrivKeyEd25519', value: base64(Buffer.concat([seed, ed25519PublicKey(seed)])) };
}

function publicKeyJson(publicKey: Uint8Array): { type: string; value: string } {
  return { type: 'tendermint/PubKeyEd25519', value: base64(publicKey) };
}

function addressText(publicKey: Uint8Array): string {
  return toHex(addressOf(publicKey)).toUpperCase();
}

type Beginning = {
  chain: string;
  timeMs: number;
  height: number;
  appHash: string;
  appState: object;
  validators: { publicKey: Uint8Array; power: number; name: string }[];
};

/** CometBFT's genesis of a Salus chain that begins on it. */
export function cometGenesis(genesis: GenesisDocument): CometGenesis {
  return genesisJson({
    chain: genesis.chain,
    timeMs: genesis.timeMs + firstBlockDelayMs,
    height: 1,
    appHash: '',
    appState: { genesisHash: toHex(genesisHash(genesis)) },
    validators: genesis.validators.map(({ publicKey, power, member }) => ({
      publicKey: fromBase64url(publicKey),
      power,
      name: genesis.members.find(({ did }) => did === member)?.slug ?? '',
    })),
  });
}

/** CometBFT's genesis where it goes on with a chain: its first block has the time, height and state of the handover. */
export function cometGenesisAfter(
  genesis: GenesisDocument,
  handover: Handover,
  nameOf: (publicKey: Uint8Array) => string,
): CometGenesis {
  const { timeMs, height, appHash, validators } = handover.next;
  return genesisJson({
    chain: genesis.chain,
    timeMs,
    height,
    appHash: toHex(appHash).toUpperCase(),
    appState: { genesisHash: toHex(genesisHash(genesis)), handoverHash: toHex(handoverHash(handover)) },
    validators: validators.map(({ publicKey, power }) => ({ publicKey, power, name: nameOf(publicKey) })),
  });
}

function genesisJson({ chain, timeMs, height, appHash, appState, validators }: Beginning): CometGenesis {
  return {
    genesis_time: new Date(timeMs).toISOString(),
    chain_id: chain,
    initial_height: String(height),
    consensus_params: {
      block: { max_bytes: String(proposalBytesMax), max_gas: '-1' },
      evidence: {
        max_age_num_blocks: evidenceAgeBlocks,
        max_age_duration: evidenceAgeNanos,
        max_bytes: evidenceBytesMax,
      },
      validator: { pub_key_types: ['ed25519'] },
      version: { app: '1' },
      abci: { vote_extensions_enable_height: '0' },
    },
    validators: validators.map(({ publicKey, power, name }) => ({
      address: addressText(publicKey),
      pub_key: publicKeyJson(publicKey),
      power: String(power),
      name,
    })),
    app_hash: appHash,
    app_state: appState,
  };
}

/**
 * What differs from CometBFT's defaults, and why: no waiting where nothing is to be gained on a fast network (gossip and
 * flush every 5 ms instead of 100), short rounds, so that a member that is away costs tenths of a second, a heartbeat
 * every 15 s, since time is block time, and no index, since the ledger has its own. What waits in the mempool is not
 * checked again after each block: what expired there leaves it through a block as refused (ADR 13).
 */
function cometConfig({ moniker, ports, host, peers, genesis }: CometHomeOptions): string {
  const isAlone = genesis.validators.length === 1;
  const persistent = peers.map(({ id, host: at, p2p }) => `${id}@${at}:${p2p}`).join(',');
  return `# Written by salus. The rest is CometBFT's default.
moniker = ${JSON.stringify(moniker)}
log_level = "info"
log_format = "plain"
abci = "socket"

[rpc]
laddr = "tcp://${loopback}:${ports.rpc}"
max_body_bytes = ${rpcBodyBytesMax}
unsafe = false

[p2p]
laddr = "tcp://${host}:${ports.p2p}"
persistent_peers = "${persistent}"
pex = false
addr_book_strict = false
allow_duplicate_ip = true
flush_throttle_timeout = "5ms"
send_rate = ${peerBytesPerSecond}
recv_rate = ${peerBytesPerSecond}

[mempool]
recheck = false
size = ${mempoolTransactionsMax}
cache_size = ${mempoolTransactionsMax}
max_txs_bytes = ${mempoolBytesMax}
max_tx_bytes = ${transactionBytesMax}

[consensus]
timeout_propose = "${isAlone ? '1s' : '300ms'}"
timeout_propose_delta = "100ms"
timeout_prevote = "100ms"
timeout_prevote_delta = "50ms"
timeout_precommit = "100ms"
timeout_precommit_delta = "50ms"
timeout_commit = "${isAlone ? '0s' : '20ms'}"
create_empty_blocks = true
create_empty_blocks_interval = "15s"
peer_gossip_sleep_duration = "5ms"

[tx_index]
indexer = "null"
`;
}

/** The home of one member's CometBFT, written once. Keys are readable by their owner alone. */
export function writeCometHome(options: CometHomeOptions): void {
  const { home, genesis, validatorSeed, nodeSeed, ports, snapshotEveryBlocks } = options;
  const config = join(home, 'config');
  makeDirectory(config);
  makeDirectory(join(home, 'data'));
  const publicKey = ed25519PublicKey(validatorSeed);
  const json = (path: string, value: object): void => {
    writeFileDurably(join(home, path), `${JSON.stringify(value, null, 2)}\n`);
  };
  json('config/genesis.json', genesis);
  json('config/node_key.json', { priv_key: privateKeyJson(nodeSeed) });
  json('config/priv_validator_key.json', {
    address: addressText(publicKey),
    pub_key: publicKeyJson(publicKey),
    priv_key: privateKeyJson(validatorSeed),
  });
  json('data/priv_validator_state.json', { height: '0', round: 0, step: 0 });
  writeFileDurably(join(config, 'config.toml'), cometConfig(options));
  json('salus.json', { format: settingsFormat, ports, snapshotEveryBlocks });
}

/** Of the home in a data directory; undefined where CometBFT was never set up there. */
export function readCometSettings(dataDir: string): CometSettings | undefined {
  const path = join(cometHomeOf(dataDir), 'salus.json');
  if (!existsSync(path)) return undefined;
  try {
    const settings = JSON.parse(readFileSync(path, 'utf8')) as { format?: unknown } & CometSettings;
    const { format, ports, snapshotEveryBlocks } = settings;
    if (format === settingsFormat && Number.isInteger(ports?.p2p) && Number.isInteger(ports?.rpc)) {
      return { ports, snapshotEveryBlocks };
    }
  } catch (cause) {
    throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged, undefined, { cause });
  }
  throw new NodeFault(NodeErrorCodes.dataDirectoryDamaged);
}
