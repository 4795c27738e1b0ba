import {
  appProtocolVersion,
  canonicalJson,
  fromHex,
  type Header,
  type JsonValue,
  sha256,
  toHex,
} from '@salus/protocol';
import { ledgerError } from '../errors.ts';
import { snapshotChunkBytes, snapshotChunksMax } from '../limits.ts';

/** ABCI's number of the format; a reader of another one answers REJECT_FORMAT. */
export const snapshotFormat = 1;
const formatName = 'salus-state/1';
const hashHexDigits = 64;

/**
 * A snapshot as ABCI offers it (CometBFT specification, "State Sync"): every member that makes one at the same height
 * makes the same bytes. `metadata` is the manifest as canonical JSON (RFC 8785), `hash` its SHA-256.
 */
export type Snapshot = { height: number; format: number; chunks: number; hash: Uint8Array; metadata: Uint8Array };

/** What the chunks hold. The validator set and the parameters of governance are entries of the state. */
export type Manifest = {
  chain: string;
  genesisHash: Uint8Array;
  /** The state is that after this block. */
  height: number;
  timeMs: number;
  appHash: Uint8Array;
  /** Length of all chunks together: all but the last are `snapshotChunkBytes` long. */
  bytes: number;
  entries: number;
  replayIds: number;
  /** SHA-256 of each chunk. */
  chunks: readonly Uint8Array[];
};

/**
 * What whoever restores knows of the chain by other means: a light client's verified header of `height` + 1 (it says
 * `appHash`), or the application hash that CometBFT hands over with OfferSnapshot. With the header the last block is
 * proven too; without it the block is left out.
 */
export type TrustedState = { chain: string; height: number; appHash: Uint8Array; header?: Header };

/** The state that a verified header proves: that after the block before it. */
export function trustedStateOf(header: Header): TrustedState {
  return { chain: header.chain, height: header.height - 1, appHash: header.appHash, header };
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { genesisHash, appHash, chunks, ...plain } = manifest;
  const json = {
    format: formatName,
    app: appProtocolVersion,
    chunkBytes: snapshotChunkBytes,
    ...plain,
    genesisHash: toHex(genesisHash),
    appHash: toHex(appHash),
    chunks: chunks.map(toHex),
  };
  return Buffer.from(canonicalJson(json as JsonValue));
}

export function snapshotOf(manifest: Manifest): Snapshot {
  const metadata = encodeManifest(manifest);
  const { height, chunks } = manifest;
  return { height, format: snapshotFormat, chunks: chunks.length, hash: sha256(metadata), metadata };
}

function hashOf(value: unknown): Uint8Array {
  if (typeof value !== 'string' || value.length !== hashHexDigits) throw new TypeError('not a hash');
  return fromHex(value);
}

function countOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('not a count');
  return value;
}

/**
 * Reads what another member offers, before anything of it is trusted. Throws `snapshotOtherFormat` for another
 * version, `snapshotInvalid` for anything that is not exactly what `snapshotOf` makes.
 */
export function parseSnapshot({ format, hash, metadata, height, chunks }: Snapshot): Manifest {
  if (format !== snapshotFormat) throw ledgerError('snapshotOtherFormat', String(format));
  let manifest: Manifest;
  let version: unknown;
  try {
    const json = JSON.parse(Buffer.from(metadata).toString()) as Record<string, unknown>;
    version = [json.format, json.app, json.chunkBytes].join();
    manifest = {
      chain: String(json.chain),
      genesisHash: hashOf(json.genesisHash),
      height: countOf(json.height),
      timeMs: countOf(json.timeMs),
      appHash: hashOf(json.appHash),
      bytes: countOf(json.bytes),
      entries: countOf(json.entries),
      replayIds: countOf(json.replayIds),
      chunks: (json.chunks as unknown[]).map(hashOf),
    };
  } catch (cause) {
    throw ledgerError('snapshotInvalid', 'its metadata', { cause });
  }
  if (version !== [formatName, appProtocolVersion, snapshotChunkBytes].join()) {
    throw ledgerError('snapshotOtherFormat', String(version));
  }
  const facts: Record<string, boolean> = {
    hash: Buffer.compare(sha256(metadata), hash) === 0,
    'form of its metadata': Buffer.compare(encodeManifest(manifest), metadata) === 0,
    height: manifest.height === height && height > 0,
    'number of chunks':
      manifest.chunks.length === chunks &&
      chunks <= snapshotChunksMax &&
      chunks === Math.ceil(manifest.bytes / snapshotChunkBytes) &&
      chunks > 0,
  };
  for (const [name, fits] of Object.entries(facts)) if (!fits) throw ledgerError('snapshotInvalid', name);
  return manifest;
}
